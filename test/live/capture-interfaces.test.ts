/** Live captures of plain namespaces, without any engine: what interfaces show, and what they do while they are captured. */

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { frame, pcap } from '../capture/bytes.ts'
import { address4, be16, ethernet, hex } from '../decode/frames.ts'
import { requireRoot, requireTool } from '../tools.ts'
import { cable } from './cable.ts'
import {
  analyzed,
  comparable,
  fieldsOf,
  packetsIn,
  Running,
  scratch,
  startCapture,
  startHoptrace,
} from './capturing.ts'
import { finish } from './recording.ts'

const canRun = requireRoot() && requireTool('ip', 'tcpdump', 'tshark', 'capinfos', 'busybox', 'python3')

describe.skipIf(!canRun)('hoptrace capture --point', () => {
  test('namespaces by name and by path', async () => {
    const { a, b, ping } = cable()
    const file = scratch()('live.pcapng')
    const points = ['--point', `near=${a}:eth0`, '--point', `far=/run/netns/${b}:eth0`]
    const running = await startCapture(null, [...points, '--json', '-w', file])
    ping(3)
    const { stdout, stderr, code } = await running.end()
    expect([code, stderr.split('\n').length]).toEqual([0, 2])
    const report = JSON.parse(stdout) as Report
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
    expect(pingsAt(report)).toEqual(['near 3', 'far 3'])
  })

  test('a namespace as a whole', async () => {
    const { a, ping } = cable()
    const running = await startCapture(null, ['--netns', a, '--json'])
    ping(3)
    const { stdout } = await running.end()
    const report = JSON.parse(stdout) as Report
    // The other end of the cable is part of the way.
    expect(report.flows.find(({ protocol }) => protocol === 'icmp')?.forward.path).toHaveLength(2)
  })

  test('nothing but programs: it ends with them', async () => {
    const file = scratch()('saved.pcap')
    writeFileSync(file, pcap([1, 2, 3].map((fraction) => ({ seconds: 1, fraction, bytes: frame(60) }))))
    const points = ['--point', `a=exec:cat ${file}`, '--point', `b=exec:cat ${file}`]
    const { stdout, code } = await startHoptrace(null, ['capture', ...points, '--json']).ended
    expect(code).toBe(0)
    expect((JSON.parse(stdout) as Report).points.map(({ name, packets }) => [name, packets])).toEqual([
      ['a', 3],
      ['b', 3],
    ])
  })

  test('VLAN tags are where they were on the wire', async () => {
    const { a, b, send, ping } = cable()
    const path = scratch()
    const [own, theirs] = [path('live.pcapng'), path('tcpdump.pcap')]
    const points = ['--point', `near=${a}:eth0`, '--point', `far=${b}:eth0`]
    const running = await startCapture(null, [...points, '--json', '-w', own])
    const tcpdump = await startTcpdump(b, 'eth0', theirs)
    ping(1)
    for (const tagged of TAGGED) send(Uint8Array.from(tagged))
    // What has come that far has come everywhere.
    ping(1)
    await expect
      .poll(() => fieldsOf(own, ['frame.number'], '-Y', 'icmp'), { timeout: 30_000 })
      .toHaveLength(8)
    await finish(tcpdump)
    const { stdout } = await running.end()
    const isTagged = ['-Y', 'vlan or ieee8021ad']
    const byTcpdump = fieldsOf(theirs, TAG_FIELDS, ...isTagged)
    expect(byTcpdump.map(([, id]) => id)).toEqual(['42', '7', '200'])
    for (const point of ['near', 'far'])
      expect(
        fieldsOf(own, TAG_FIELDS, '-Y', `(vlan or ieee8021ad) and frame.interface_name == "${point}"`),
      ).toEqual(byTcpdump)
    const report = JSON.parse(stdout) as Report
    expect(
      report.flows.filter(({ protocol }) => protocol === 'udp').map(({ forward }) => forward.path.length),
    ).toEqual([2, 2, 2])
  })

  test('a tag that is put back keeps within --snaplen', async () => {
    const { b, send, ping } = cable()
    const file = scratch()('live.pcapng')
    const options = ['--snaplen', '40', '-w', file]
    const running = await startCapture(null, ['--point', `far=${b}:eth0`, ...options])
    for (const tagged of TAGGED) send(Uint8Array.from(tagged))
    ping(1)
    await running.end()
    const lengths = fieldsOf(file, ['frame.cap_len', 'frame.len', 'vlan.id'])
    expect(lengths.map(([, , id]) => id).filter(Boolean)).toEqual(['42', '7', '200'])
    for (const [kept, whole] of lengths) expect(Number(kept)).toBe(Math.min(40, Number(whole)))
  })

  test('a loopback interface shows each frame once, as in tcpdump', async () => {
    const { a } = cable()
    const path = scratch()
    const [own, theirs] = [path('live.pcapng'), path('tcpdump.pcap')]
    const running = await startCapture(null, ['--point', `lo=${a}:lo`, '-w', own])
    const tcpdump = await startTcpdump(a, 'lo', theirs)
    const ping = spawn('ip', [
      'netns',
      'exec',
      a,
      'busybox',
      'ping',
      '-q',
      '-c',
      '3',
      '-i',
      '0.05',
      '127.0.0.1',
    ])
    await new Running(ping).ended
    await expect.poll(() => packetsIn(own), { timeout: 30_000 }).toBeGreaterThanOrEqual(6)
    await finish(tcpdump)
    await running.end()
    const fields = ['ip.src', 'icmp.type', 'icmp.seq', 'ip.id', 'frame.len']
    expect(fieldsOf(own, fields)).toEqual(fieldsOf(theirs, fields))
    expect(fieldsOf(own, fields)).toHaveLength(6)
  })

  test('an interface that goes down and up again goes on', async () => {
    const { a, b, ip, ping } = cable()
    const points = ['--point', `near=${a}:eth0`, '--point', `far=${b}:eth0`]
    const running = await startCapture(null, [...points, '--json'])
    ping(2)
    ip(b, 'link set eth0 down')
    ip(b, 'link set eth0 up')
    await answered(ping)
    const { stdout, stderr, code } = await running.end()
    expect(code).toBe(0)
    expect(stderr).toMatch(/^hoptrace: captures on [^\n]*\n$/)
    const flows = (JSON.parse(stdout) as Report).flows.filter(({ protocol }) => protocol === 'icmp')
    expect(flows.length).toBeGreaterThan(1)
    expect(flows.at(-1)?.forward.path.map(({ point }) => point)).toEqual(['near', 'far'])
  })

  test('an interface that is renamed goes on', async () => {
    const { a, b, ip, ping } = cable()
    const points = ['--point', `near=${a}:eth0`, '--point', `far=${b}:eth0`]
    const running = await startCapture(null, [...points, '--json'])
    ping(2)
    ip(b, 'link set eth0 down')
    ip(b, 'link set eth0 name elsewhere')
    ip(b, 'link set elsewhere up')
    await answered(ping)
    const { stdout, stderr } = await running.end()
    expect(stderr).toMatch(/^hoptrace: captures on [^\n]*\n$/)
    const flows = (JSON.parse(stdout) as Report).flows.filter(({ protocol }) => protocol === 'icmp')
    expect(flows.at(-1)?.forward.path.map(({ point }) => point)).toEqual(['near', 'far'])
  })

  test('an interface that is removed is told of in one line, and taken up again when it is back', async () => {
    const { a, b, ip, ping } = cable()
    const file = scratch()('live.pcapng')
    const places = { near: `${a}:eth0`, far: `${b}:eth0`, lo: `${a}:lo` }
    const points = Object.entries(places).flatMap(([name, place]) => ['--point', `${name}=${place}`])
    const running = await startCapture(null, [...points, '--json', '-w', file])
    ping(2)
    ip(a, 'link delete eth0')
    await running.untilSaid(/interface is gone/, 2)
    spawn('ip', ['netns', 'exec', a, 'busybox', 'ping', '-q', '-c', '1', '127.0.0.1'])
    ip(a, `link add eth0 type veth peer name eth0 netns ${b}`)
    for (const [netns, address] of [
      [a, '10.9.0.1/24'],
      [b, '10.9.0.2/24'],
    ]) {
      ip(netns, `address add ${address} dev eth0`)
      ip(netns, 'link set eth0 up')
    }
    await running.untilSaid(/is back/, 2)
    await answered(ping)
    const { stdout, stderr, code } = await running.end()
    expect(code).toBe(0)
    const [, ...said] = stderr.trimEnd().split('\n')
    expect(said.sort()).toEqual(
      ['far', 'near'].flatMap((name) => [
        expect.stringMatching(new RegExp(`^hoptrace: ${name} .*: is back$`)),
        expect.stringMatching(
          new RegExp(`^hoptrace: ${name} .*: its interface is gone; the other points go on$`),
        ),
      ]),
    )
    const report = JSON.parse(stdout) as Report
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
    expect(report.points.map(({ name }) => name)).toEqual(['near', 'far', 'lo'])
    const flows = report.flows.filter(
      ({ protocol, client }) => protocol === 'icmp' && client.ip === '10.9.0.1',
    )
    expect(flows.length).toBeGreaterThan(1)
    expect(flows.at(-1)?.forward.path.map(({ point }) => point)).toEqual(['near', 'far'])
  })
})

/** A tagged datagram from port 5000 on, with 50 bytes of payload. */
function datagram(port: number): number[] {
  const payload = hex('30'.repeat(50))
  const udp = [...be16(port), ...be16(9), ...be16(8 + payload.length), 0, 0, ...payload]
  const head = [0x45, 0, ...be16(20 + udp.length), 0, port & 0xff, 0, 0, 64, 17, 0, 0]
  return [...head, ...address4('10.9.0.1'), ...address4('10.9.0.2'), ...udp]
}

/** One tag, one with priority and the drop bit, and a tag inside of a provider's. */
const TAGGED = [
  ethernet(0x8100, [...be16(42), ...be16(0x0800), ...datagram(5000)]),
  ethernet(0x8100, [...be16(0xb007), ...be16(0x0800), ...datagram(5001)]),
  ethernet(0x88a8, [...be16(100), ...be16(0x8100), ...be16(200), ...be16(0x0800), ...datagram(5002)]),
]
const TAG_FIELDS = [
  ...['frame.protocols', 'vlan.id', 'vlan.priority', 'vlan.dei', 'ieee8021ad.id', 'eth.src', 'eth.dst'],
  ...['eth.type', 'frame.len', 'frame.cap_len', 'ip.id', 'udp.srcport', 'udp.payload'],
]

async function startTcpdump(netns: string, interfaceName: string, file: string): Promise<Running> {
  const command = ['netns', 'exec', netns, 'tcpdump', '-Z', 'root', '--immediate-mode', '-U']
  const running = new Running(spawn('ip', [...command, '-i', interfaceName, '-w', file]))
  await running.untilSaid(/listening on/)
  return running
}

/** Pings until one is answered: an interface that has come up takes a moment. */
async function answered(ping: (count: number) => void): Promise<void> {
  const works = () => {
    try {
      ping(1)
      return true
    } catch {
      return false
    }
  }
  await expect.poll(works, { timeout: 15_000 }).toBe(true)
}

/** `POINT PACKETS` on the way of the only ICMP flow. */
function pingsAt({ flows }: Report): string[] {
  const [flow] = flows.filter(({ protocol }) => protocol === 'icmp')
  return flow.forward.path.map(({ point, packets }) => `${point} ${packets}`)
}
