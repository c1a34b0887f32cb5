/** What tcpdump recorded in real namespaces without a word about it: one interface twice, the other end, and a router's at once. */

import { type ChildProcess, spawn } from 'node:child_process'
import { describe, expect, onTestFinished, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { requireRoot, requireTool, run } from '../tools.ts'
import { cable } from './cable.ts'
import { Running, scratch } from './capturing.ts'
import { baseOf } from './docker-host.ts'
import { finish } from './recording.ts'

const canRun = requireRoot() && requireTool('ip', 'tcpdump', 'busybox', 'iptables')
const PINGS = 20

async function tcpdump(
  netns: string,
  interfaceName: string,
  file: string,
  ...more: string[]
): Promise<Running> {
  const command = ['netns', 'exec', netns, 'tcpdump', '-Z', 'root', '--immediate-mode', '-U', '-n']
  const child: ChildProcess = spawn('ip', [...command, '-i', interfaceName, ...more, '-w', file])
  const running = new Running(child)
  onTestFinished(() => void child.kill('SIGKILL'))
  await running.untilSaid(/listening on/)
  return running
}

/** Indexes and names of a namespace's interfaces, as the kernel tells them. */
function interfacesOf(netns: string): Map<number, string> {
  const links: { ifindex: number; ifname: string }[] = JSON.parse(run('ip', '-n', netns, '-j', 'link'))
  return new Map(links.map(({ ifindex, ifname }) => [ifindex, ifname]))
}

describe.skipIf(!canRun)('recorded by tcpdump', () => {
  test('twice at one interface, once at the other end', async () => {
    const { a, b, ping } = cable()
    const path = scratch()
    const files = ['1.pcap', '2.pcap', '3.pcap'].map(path)
    const nano = '--time-stamp-precision=nano'
    const running = [
      await tcpdump(a, 'eth0', files[1]!, nano, 'icmp'),
      await tcpdump(b, 'eth0', files[0]!, nano, 'icmp'),
      await tcpdump(a, 'eth0', files[2]!, nano, 'icmp'),
    ]
    ping(PINGS)
    for (const one of running) await finish(one)
    const { report } = await analyze(files)
    const told = report.links!.map(({ between, relation, evidence: { forward, reverse } }) => ({
      ...{ between: between.toSorted(), relation },
      ...{ forward: forward.macs.kept, reverse: reverse.macs.kept },
    }))
    const both = { forward: PINGS, reverse: PINGS }
    expect(told).toEqual(
      expect.arrayContaining([
        { between: ['2', '3'], relation: 'same-place', ...both },
        {
          between: [expect.stringMatching('1'), expect.stringMatching('2|3')],
          relation: 'same-wire',
          ...both,
        },
      ]),
    )
    expect(told).toHaveLength(2)
  })

  test('a router that masquerades, on all of its interfaces at once', async () => {
    const { a, b, ip } = cable()
    const c = baseOf(process.pid, 'unlabelled-c')
    run('ip', 'netns', 'add', c)
    onTestFinished(() => void run('ip', 'netns', 'delete', c))
    run('ip', '-n', b, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', c)
    for (const [netns, name, address] of [
      [b, 'lan0', '10.9.1.1/24'],
      [c, 'eth0', '10.9.1.2/24'],
    ] as const) {
      ip(netns, `address add ${address} dev ${name}`)
      ip(netns, `link set ${name} up`)
    }
    ip(a, 'route add default via 10.9.0.2')
    const inNetns = (netns: string, ...command: string[]) => run('ip', 'netns', 'exec', netns, ...command)
    inNetns(b, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    inNetns(b, 'iptables', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'lan0', '-j', 'MASQUERADE')
    const file = scratch()('any.pcap')
    const running = await tcpdump(b, 'any', file, '-y', 'LINUX_SLL2', 'icmp')
    inNetns(a, 'busybox', 'ping', '-q', '-c', String(PINGS), '-i', '0.05', '-W', '1', '10.9.1.2')
    await finish(running)
    const names = [...interfacesOf(b)].map(([index, name]) => [String(index), name] as const)
    const { report } = await analyze([file], { interfaceNames: new Map(names) })
    expect(report.path).toEqual(['eth0', 'lan0'])
    const [link, ...more] = report.links!
    expect(more).toEqual([])
    expect(link).toMatchObject({
      between: ['eth0', 'lan0'],
      relation: 'nat',
      evidence: {
        forward: {
          packets: PINGS,
          ttl: [{ step: -1, packets: PINGS }],
          macs: { replaced: PINGS },
          rewritten: { source: PINGS, destination: 0 },
        },
        reverse: { packets: PINGS, rewritten: { source: 0, destination: PINGS } },
        translations: { snat: 1, dnat: 0 },
      },
    })
    // The loopback interface was silent: its name fits nothing, and is said to.
    expect(report.warnings.filter((line) => line.startsWith('--ifname 1=lo'))).toHaveLength(1)
  })
})
