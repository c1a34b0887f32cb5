/** Healthy traffic that looks like trouble: here the joiner must claim nothing. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { Report } from '../../src/report/model.ts'
import { TraceBuilder } from '../trace/builder.ts'
import type { PointOptions } from '../trace/model.ts'
import { analyzeTrace } from './compare.ts'

const POINTS = ['container', 'veth', 'bridge', 'uplink']
const ROUTED = [['bridge', 'uplink']] as const
const SERVER = { ip: '203.0.113.9', port: 80 }
const client = (port: number, host = 2) => ({ ip: `172.17.0.${host}`, port })
const masquerade = (port: number) => [
  { kind: 'snat' as const, between: ['bridge', 'uplink'] as const, to: { ip: '192.168.7.2', port } },
]

/** Codes of all findings that would alarm somebody. */
function alarms({ findings }: Report): string[] {
  return findings
    .filter(({ severity }) => severity !== 'info')
    .map(({ code, summary }) => `${code}: ${summary}`)
}

function talk(trace: TraceBuilder, port: number, rounds = 3): void {
  const web = trace.tcp({ client: client(port), server: SERVER, nat: masquerade(port) })
  web.open()
  for (let i = 0; i < rounds; i++) {
    web.send('client', 100)
    web.send('server', 1000)
    web.ack('client')
  }
  web.close('client')
}

test('packets that are underway when all captures stop at once are not lost', async () => {
  const points: PointOptions[] = POINTS.map((name) => ({ name, untilNs: 100e6 }))
  const trace = new TraceBuilder({ seed: 1, points, routed: ROUTED, hopDelayNs: [5_000, 900_000] })
  const web = trace.tcp({ client: client(40_000), server: SERVER, nat: masquerade(40_000) })
  web.open()
  for (let i = 0; i < 400; i++) web.send('client', 500, { burst: true })
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(alarms(report)).toEqual([])
})

test('one-way UDP that ends at the host, or leaves by another uplink, was not dropped', async () => {
  const trace = new TraceBuilder({ seed: 2, points: [...POINTS, 'uplink2'], routed: ROUTED })
  for (const [port, uplink] of [
    [40_000, 'uplink'],
    [40_001, 'uplink2'],
  ] as const) {
    const nat = [{ ...masquerade(port)[0]!, between: ['bridge', uplink] as const }]
    const path = ['container', 'veth', 'bridge', uplink]
    const routed = [['bridge', uplink]] as const
    const web = trace.tcp({ client: client(port), server: SERVER, nat, path, routed })
    web.open()
    web.send('server', 1000)
    web.close('client')
    const log = trace.udp({
      client: client(port + 10),
      server: { ip: '203.0.113.77', port: 514 },
      nat: [{ ...masquerade(port + 10)[0]!, between: ['bridge', uplink] as const }],
      path,
      routed,
    })
    for (let i = 0; i < 5; i++) log.send('client', 40)
  }
  const statsd = trace.udp({
    client: client(40_030),
    server: { ip: '192.168.7.2', port: 8125 },
    path: ['container', 'veth', 'bridge'],
    routed: [],
  })
  for (let i = 0; i < 5; i++) {
    statsd.send('client', 40)
    statsd.wait(500e6)
  }
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(alarms(report)).toEqual([])
})

test('one-way UDP to a point whose capture began late is unseen there', async () => {
  const trace = new TraceBuilder({
    seed: 3,
    points: ['container', 'veth', 'bridge', { name: 'uplink', fromNs: 2e9 }],
    routed: ROUTED,
  })
  const log = trace.udp({
    client: client(40_000),
    server: { ip: '203.0.113.77', port: 514 },
    nat: masquerade(40_000),
  })
  for (let i = 0; i < 40; i++) {
    log.send('client', 40)
    log.wait(100e6)
  }
  const { report } = await analyzeTrace(trace)
  expect(alarms(report)).toEqual([])
  expect(report.flows[0]!.unseen[0]).toMatchObject({ direction: 'forward', point: 'uplink' })
})

test('a NAT mapping that another client gets later stays apart from the first one', async () => {
  const trace = new TraceBuilder({ seed: 4, points: ['bridge', 'uplink'], routed: [0] })
  for (let round = 0; round < 2; round++)
    for (const host of [2, 3]) {
      const ntp = trace.udp({
        client: client(123, host),
        server: { ip: '203.0.113.9', port: 123 },
        nat: [{ kind: 'snat', between: 0, to: { ip: '192.168.7.2', port: 123 } }],
      })
      ntp.send('client', new Uint8Array(48).fill(35 + host + round))
      ntp.send('server', new Uint8Array(48).fill(70 + host + round))
      ntp.wait(64e9)
    }
  const { report, wrong, missed } = await analyzeTrace(trace)
  expect([wrong, missed]).toEqual([[], []])
  expect(alarms(report)).toEqual([])
  for (const flow of report.flows)
    expect(flow.translations.map(({ from, to }) => [from.ip, to.ip])).toEqual([
      [flow.client.ip, '192.168.7.2'],
    ])
})

test('a snaplen that cuts TCP options and payloads at one point only does not keep packets apart', async () => {
  const trace = new TraceBuilder({
    seed: 5,
    points: ['container', 'veth', 'bridge', { name: 'uplink', snapLen: 68, vlan: 7 }],
    routed: ROUTED,
  })
  talk(trace, 40_000)
  const dns = trace.udp({
    client: client(40_009),
    server: { ip: '203.0.113.9', port: 53 },
    nat: masquerade(40_009),
  })
  for (let i = 0; i < 5; i++) {
    dns.send('client', 60)
    dns.send('server', 200)
  }
  const { report, wrong, missed } = await analyzeTrace(trace)
  expect([wrong, missed]).toEqual([[], []])
  expect(alarms(report)).toEqual([])
})

test('a capture of one direction only proves the other one by its acknowledgments', async () => {
  const trace = new TraceBuilder({ seed: 6, points: POINTS, routed: ROUTED })
  const web = trace.tcp({ client: client(40_000), server: SERVER })
  web.open()
  for (let i = 0; i < 5; i++) {
    web.send('server', 1000, { unseenAt: POINTS.toReversed() })
    web.ack('client')
    web.wait(500e6)
  }
  const { report } = await analyzeTrace(trace)
  expect(report.flows[0]!.state).toBe('established')
  expect(alarms(report).filter((alarm) => /no-reply|snat-missing|dropped/.test(alarm))).toEqual([])
})

/** The recorded SLL2 capture as LINUX_SLL, which has no interface index: all interfaces are one point. */
function withoutInterfaces(sll2: Uint8Array): Uint8Array {
  const view = new DataView(sll2.buffer, sll2.byteOffset, sll2.byteLength)
  const pieces: Uint8Array[] = [sll2.slice(0, 24)]
  new DataView(pieces[0]!.buffer).setUint32(20, 113, true)
  for (let at = 24; at < sll2.length; ) {
    const length = view.getUint32(at + 8, true)
    const frame = sll2.subarray(at + 16, at + 16 + length)
    const record = sll2.slice(at, at + 16)
    new DataView(record.buffer).setUint32(8, length - 4, true)
    new DataView(record.buffer).setUint32(12, view.getUint32(at + 12, true) - 4, true)
    const header = new Uint8Array(16)
    header.set([0, frame[10]!, frame[8]!, frame[9]!, 0, frame[11]!])
    header.set(frame.subarray(12, 20), 6)
    header.set(frame.subarray(0, 2), 14)
    pieces.push(record, header, frame.slice(20))
    at += 16 + length
  }
  return new Uint8Array(Buffer.concat(pieces))
}

test('a recording on all interfaces without their indexes: each packet counts once, its NAT shows', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-any-'))
  try {
    const recorded = gunzipSync(
      readFileSync(join(import.meta.dirname, '../../captures/any-cooked/any.pcap.gz')),
    )
    writeFileSync(join(folder, 'any.pcap'), withoutInterfaces(new Uint8Array(recorded)))
    const { report } = await analyze([folder])
    const byInterface = (await analyze([join(import.meta.dirname, '../../captures/any-cooked')])).report
    const told = ({ flows }: Report) =>
      flows.map(({ protocol, client, server, state, forward, reverse, translations }) => ({
        protocol,
        client,
        server,
        state,
        packets: [forward.packets, reverse.packets],
        translations: translations.map(({ kind, from, to }) => ({ kind, from, to })),
      }))
    expect(told(report)).toEqual(told(byInterface))
    expect(alarms(report)).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a flood of equal SYNs from 3,000 addresses joins nobody with anybody at one point', async () => {
  const trace = new TraceBuilder({ seed: 7, points: ['uplink'] })
  for (let i = 0; i < 3000; i++)
    trace
      .tcp({
        client: { ip: `198.51.${i >> 8}.${i & 255}`, port: 1024 + i },
        server: SERVER,
        startNs: i * 1000,
        isn: [1, 2],
      })
      .syn({ ipId: 7 })
  const { report } = await analyzeTrace(trace)
  expect(report.flows).toHaveLength(3000)
  expect(report.flows.flatMap((flow) => flow.translations)).toEqual([])
})
