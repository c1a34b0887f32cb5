/** A cable: two network namespaces without any engine, `a` 10.9.0.1 and `b` 10.9.0.2, for what containers can't do. */

import { execFileSync } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { run } from '../tools.ts'
import { baseOf } from './docker-host.ts'

let count = 0

export interface Cable {
  /** Names of the namespaces, as `ip netns` has them. */
  readonly a: string
  readonly b: string
  /** `ip` in one of them. */
  ip(netns: string, command: string): void
  /** So many pings from a to b; throws where none is answered. */
  ping(count: number): void
  /** Sends so many datagrams of 1000 bytes from a to b, as fast as they go. */
  burst(count: number): void
  /** Sends a frame, all of it, out of `eth0` of a. */
  send(frame: Uint8Array): void
}

const SENDER = `
import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(('eth0', 0))
out.send(bytes.fromhex(sys.argv[1]))
`

const BURST = `
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[1])):
    out.sendto(i.to_bytes(4, 'big') + bytes(996), ('10.9.0.2', 9000 + i % 10))
`

/** Makes both namespaces, each with its end `eth0`; they are removed with the test, or as what hosts leave behind is. */
export function cable(): Cable {
  count++
  const [a, b] = ['a', 'b'].map((end) => baseOf(process.pid, `cable${count}${end}`))
  const ip = (netns: string, command: string) => void run('ip', '-n', netns, ...command.split(' '))
  for (const netns of [a, b]) {
    run('ip', 'netns', 'add', netns)
    onTestFinished(() => void execFileSync('ip', ['netns', 'delete', netns]))
  }
  // With numbers of its own it can be told from any other cable between two fresh namespaces.
  const index = 1000 * (process.pid % 1_000_000) + 2 * count
  ip(a, `link add eth0 index ${index} type veth peer name eth0 index ${index + 1} netns ${b}`)
  for (const [netns, address] of [
    [a, '10.9.0.1/24'],
    [b, '10.9.0.2/24'],
  ]) {
    ip(netns, 'link set lo up')
    ip(netns, `address add ${address} dev eth0`)
    ip(netns, 'link set eth0 up')
  }
  const inA = ['netns', 'exec', a]
  return {
    a,
    b,
    ip,
    ping: (count) =>
      void run(
        'ip',
        ...inA,
        'busybox',
        'ping',
        '-q',
        '-c',
        String(count),
        '-i',
        '0.05',
        '-W',
        '1',
        '10.9.0.2',
      ),
    burst: (count) => void run('ip', ...inA, 'python3', '-c', BURST, String(count)),
    send: (frame) => void run('ip', ...inA, 'python3', '-c', SENDER, Buffer.from(frame).toString('hex')),
  }
}
