/** UDP offload by the real kernel: sent with UDP_SEGMENT, cut or joined on the way, with and without loss behind it. */

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { requireRoot, requireTool, run } from '../tools.ts'
import { fieldsOf, Running, rewritesIn, rewritesOf, scratch } from './capturing.ts'
import { baseOf, parseConntrack } from './docker-host.ts'
import { finish } from './recording.ts'

const canRun =
  requireRoot() &&
  requireTool(
    'ip',
    'ethtool',
    'iptables',
    'ip6tables',
    'conntrack',
    'tcpdump',
    'tshark',
    'busybox',
    'python3',
  )

const GSO = 1400
const SENDS = 30
const FLOWS = 3
/** What was sent within 20 ms of a capture's end might be underway still. */
const LONGER_THAN_UNDERWAY_MS = 100

/**
 * Sends from FLOWS sockets in turns, each datagram with one call that the kernel cuts (UDP_SEGMENT, linux/udp.h). Each piece
 * begins with the number of its flow and of its datagram.
 */
const SENDER = `
import os, socket, struct, sys, time
address, length, gso, first, end, flows = sys.argv[1], *map(int, sys.argv[2:])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
outs = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(flows)]
for number, out in enumerate(outs):
    out.setsockopt(socket.IPPROTO_UDP, 103, gso)
    out.bind(('', 41000 + number))
for send in range(first, end):
    for flow, out in enumerate(outs):
        mine = length - 700 * flow
        head = struct.pack('!HH', flow, send)
        out.sendto(b''.join(head + bytes(min(gso, mine - at) - 4) for at in range(0, mine, gso)), (address, 9000))
    time.sleep(0.01)
`

const RECEIVER = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', 9000))
s.setsockopt(socket.IPPROTO_UDP, 104, 1)
print('ready', flush=True)
while True:
    s.recv(70000)
`

const POINTS = ['container', 'veth', 'uplink', 'wan', 'lan', 'server'] as const
type PointName = (typeof POINTS)[number]

interface Way {
  /** Namespace and interface of each point. */
  readonly place: Record<PointName, [string, string]>
  exec(point: PointName, ...command: string[]): string
  ethtool(point: PointName, ...settings: string[]): void
}

let count = 0

/** client ─ router with MASQUERADE ─ router ─ server, for both IP versions; removed with the test. */
function makeWay(): Way {
  count++
  const [client, nat, router, server] = ['c', 'n', 'r', 's'].map((end) =>
    baseOf(process.pid, `udp${count}${end}`),
  )
  const place: Way['place'] = {
    container: [client!, 'eth0'],
    veth: [nat!, 'veth0'],
    uplink: [nat!, 'up0'],
    wan: [router!, 'wan0'],
    lan: [router!, 'lan0'],
    server: [server!, 'eth0'],
  }
  for (const netns of [client!, nat!, router!, server!]) {
    run('ip', 'netns', 'add', netns)
    onTestFinished(() => void execFileSync('ip', ['netns', 'delete', netns]))
  }
  const ip = (netns: string, command: string) => void run('ip', '-n', netns, ...command.split(' '))
  for (let net = 0; net < 3; net++) {
    const ends = [place[POINTS[2 * net]!], place[POINTS[2 * net + 1]!]] as const
    const [[a, left], [b, right]] = ends
    ip(a, `link add ${left} type veth peer name ${right} netns ${b}`)
    for (const [i, [netns, name]] of ends.entries()) {
      ip(netns, `address add 10.8${net}.0.${i + 1}/24 dev ${name}`)
      ip(netns, `address add fd8${net}::${i + 1}/64 dev ${name} nodad`)
      ip(netns, `link set ${name} up`)
    }
  }
  ip(client!, 'route add default via 10.80.0.2')
  ip(client!, 'route add default via fd80::2')
  ip(nat!, 'route add 10.82.0.0/24 via 10.81.0.2')
  ip(nat!, 'route add fd82::/64 via fd81::2')
  ip(server!, 'route add default via 10.82.0.1')
  ip(server!, 'route add default via fd82::1')
  const exec = (point: PointName, ...command: string[]) =>
    run('ip', 'netns', 'exec', place[point][0], ...command)
  for (const point of ['veth', 'wan'] as const)
    exec(point, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
  const masquerade = ['-t', 'nat', '-A', 'POSTROUTING', '-o', 'up0', '-j', 'MASQUERADE']
  for (const tables of ['iptables', 'ip6tables']) {
    exec('uplink', tables, ...masquerade, '-p', 'udp', '--to-ports', '50000-51000')
    exec('uplink', tables, ...masquerade)
  }
  return {
    place,
    exec,
    ethtool: (point, ...settings) => void exec(point, 'ethtool', '-K', place[point][1], ...settings),
  }
}

/** Its device hands over what is cut already. */
function cutAt(way: Way, point: PointName): void {
  way.ethtool(point, 'tso', 'off', 'tx-udp-segmentation', 'off')
}

/** What comes in is joined before anybody sees it, also where it is for somebody else. */
function joinAt(way: Way, point: PointName): void {
  way.ethtool(point, 'gro', 'on')
  way.ethtool(point, 'rx-udp-gro-forwarding', 'on')
}

async function inNetns(netns: string, ...command: string[]): Promise<Running> {
  const running = new Running(spawn('ip', ['netns', 'exec', netns, ...command]))
  onTestFinished(() => void running.child.kill('SIGKILL'))
  return running
}

/** Sends over the way while tcpdump captures on all points; the files, by point. */
async function recorded(
  way: Way,
  address: string,
  makeTraffic: () => void | Promise<void>,
): Promise<Record<PointName, string>> {
  const path = scratch()
  const files = Object.fromEntries(POINTS.map((point) => [point, path(`${point}.pcap`)])) as Record<
    PointName,
    string
  >
  const receiver = await inNetns(way.place.server[0], 'python3', '-c', RECEIVER)
  await receiver.until(({ stdout }) => stdout.includes('ready'))
  const dumps: Running[] = []
  for (const point of POINTS) {
    const [netns, name] = way.place[point]
    const options = ['-i', name, '-B', '65536', '-U', '--immediate-mode', '--time-stamp-precision=nano']
    const dump = await inNetns(netns, 'tcpdump', ...options, '-w', files[point], 'udp', 'port', '9000')
    await dump.untilSaid(/listening on/)
    dumps.push(dump)
  }
  // Interfaces that have come up take a moment.
  await expect.poll(() => answers(way, address), { timeout: 20_000 }).toBe(true)
  await makeTraffic()
  for (const dump of dumps) await finish(dump)
  for (const { stderr } of dumps) expect(stderr).not.toMatch(/\b[1-9]\d* packets? dropped by kernel/)
  return files
}

/** All flows send their datagrams from `first` up to `end`, which is not sent. */
function send(way: Way, address: string, lengthBytes: number, first = 0, end = SENDS): void {
  const numbers = [lengthBytes, GSO, first, end, FLOWS].map(String)
  way.exec('container', 'python3', '-c', SENDER, address, ...numbers)
}

function answers(way: Way, address: string): boolean {
  const ping = ['busybox', 'ping', '-c', '1', '-W', '1', address]
  return spawnSync('ip', ['netns', 'exec', way.place.container[0], ...ping]).status === 0
}

/** Flow, datagram and length of each frame's first piece, as tshark reads them. */
function framesIn(file: string): { name: string; lenBytes: number }[] {
  return fieldsOf(file, ['udp.length', 'udp.payload'], '-d', 'udp.port==9000,data').map(
    ([length, payload]) => ({
      name: payload!.replaceAll(':', '').slice(0, 8),
      lenBytes: Number(length) - 8,
    }),
  )
}

/** Payload bytes by datagram. */
function bytesIn(file: string): Map<string, number> {
  const bytes = new Map<string, number>()
  for (const { name, lenBytes } of framesIn(file)) bytes.set(name, (bytes.get(name) ?? 0) + lenBytes)
  return bytes
}

async function joined(files: Record<PointName, string>) {
  const { report, journeys } = await analyze(
    POINTS.map((point) => `${point}=${files[point]}`),
    { journeys: true },
  )
  const all = [...journeys()]
  const told = new Map<string, Set<number>>(POINTS.map((point) => [point, new Set()]))
  for (const { sightings } of all)
    for (const { point, frames } of sightings) for (const frame of frames) told.get(point)!.add(frame)
  return {
    report,
    journeys: all,
    told: Object.fromEntries([...told].map(([point, frames]) => [point, frames.size])),
  }
}

const framesBy = (files: Record<PointName, string>) =>
  Object.fromEntries(POINTS.map((point) => [point, framesIn(files[point]).length]))

describe.skipIf(!canRun)('UDP offload', { timeout: 150_000 }, () => {
  for (const address of ['10.82.0.2', 'fd82::2']) {
    // With a shorter last piece, and without: then what is joined may reach across the end of a datagram.
    for (const lengthBytes of [address.includes(':') ? 31 * GSO : 50_000]) {
      test(`${address}, ${lengthBytes} bytes: cut behind the NAT, joined, and cut again`, async () => {
        const way = makeWay()
        cutAt(way, 'uplink')
        joinAt(way, 'wan')
        cutAt(way, 'lan')
        const files = await recorded(way, address, () => send(way, address, lengthBytes))
        const counts = framesBy(files)
        // The kernel did what this is about.
        expect(counts.container).toBe(SENDS * FLOWS)
        expect(counts.uplink).toBeGreaterThan(20 * SENDS * FLOWS)
        expect(counts.wan).toBeLessThan(counts.uplink! / 5)
        expect(counts.server).toBe(counts.uplink)
        const { report, journeys, told } = await joined(files)
        expect(journeys.map(({ outcome }) => outcome)).toEqual(new Array(SENDS * FLOWS).fill('delivered'))
        expect(told).toEqual(counts)
        expect(
          report.flows.map(({ forward, lost, ambiguous }) => [forward.packets, lost, ambiguous]),
        ).toEqual(new Array(FLOWS).fill([SENDS, [], 0]))
        const family = address.includes(':') ? 'ipv6' : 'ipv4'
        const entries = parseConntrack(way.exec('uplink', 'conntrack', '-L', '-f', family, '-p', 'udp'))
        expect(new Set(rewritesOf(report))).toEqual(new Set(rewritesIn(entries)))
        expect(rewritesOf(report)).toHaveLength(FLOWS)
      })
    }

    test(`${address}: cut by the sender, joined on the way`, async () => {
      const way = makeWay()
      cutAt(way, 'container')
      joinAt(way, 'veth')
      const files = await recorded(way, address, () => send(way, address, 50_000))
      const counts = framesBy(files)
      expect(counts.container).toBeGreaterThan(20 * SENDS * FLOWS)
      expect(counts.uplink).toBeLessThan(counts.container! / 5)
      const { report, journeys, told } = await joined(files)
      expect(new Set(journeys.map(({ outcome }) => outcome))).toEqual(new Set(['delivered']))
      expect(journeys).toHaveLength(counts.container!)
      expect(told).toEqual(counts)
      expect(report.flows.map(({ lost, ambiguous }) => [lost, ambiguous])).toEqual(
        new Array(FLOWS).fill([[], 0]),
      )
    })

    test(`${address}: pieces that are lost behind the cut`, async () => {
      const way = makeWay()
      cutAt(way, 'uplink')
      const tables = address.includes(':') ? 'ip6tables' : 'iptables'
      const drop = ['FORWARD', '-p', 'udp', '-m', 'statistic', '--mode', 'random', '--probability', '0.02']
      const files = await recorded(way, address, async () => {
        // What comes through before and behind tells that all points were captured when pieces were lost.
        send(way, address, 50_000, 0, 1)
        way.exec('wan', tables, '-A', ...drop, '-j', 'DROP')
        send(way, address, 50_000, 1, SENDS - 1)
        way.exec('wan', tables, '-F', 'FORWARD')
        await setTimeout(LONGER_THAN_UNDERWAY_MS)
        send(way, address, 50_000, SENDS - 1, SENDS)
      })
      const counts = framesBy(files)
      expect(counts.lan).toBeLessThan(counts.wan!)
      const [sent, arrived] = [bytesIn(files.container), bytesIn(files.lan)]
      const whole = [...sent].filter(([name, bytes]) => arrived.get(name) === bytes).length
      const { report, journeys, told } = await joined(files)
      expect(told).toEqual(counts)
      expect(journeys).toHaveLength(SENDS * FLOWS)
      const lost = journeys.filter(({ outcome }) => outcome !== 'delivered')
      expect(lost).toHaveLength(SENDS * FLOWS - whole)
      expect(lost.map(({ outcome, lostBetween }) => [outcome, lostBetween])).toEqual(
        lost.map(() => ['lost', ['wan', 'lan']]),
      )
      expect(report.flows).toHaveLength(FLOWS)
    })
  }
})
