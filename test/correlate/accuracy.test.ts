/** The joiner against generated traces, whose truth is known packet by packet and which share no code with it. */

import { expect, test } from 'vitest'
import { TraceBuilder } from '../trace/builder.ts'
import { type MixedOptions, mixedTrace } from '../trace/mixed.ts'
import { analyzeTrace, type Compared, difference } from './compare.ts'

const CLEAN = { loss: 0, captureDrop: 0, duplicate: 0, reorder: 0 }

async function many(options: MixedOptions, seeds: number): Promise<Compared[]> {
  const all: Compared[] = []
  for (let seed = 1; seed <= seeds; seed++) all.push(await analyzeTrace(mixedTrace(seed, options)))
  return all
}

function sum(all: Compared[], count: (one: Compared) => number): number {
  return all.reduce((total, one) => total + count(one), 0)
}

const seenJourneys = ({ truth }: Compared) => truth.journeys.filter((j) => j.sightings.length > 0).length

function translationsDiffer({ report, truth }: Compared) {
  const pick = ({ kind, between, from, to }: (typeof truth.flows)[number]['translations'][number]) => ({
    kind,
    between,
    from,
    to,
  })
  return difference(
    report.flows.flatMap((flow) => flow.translations.map(pick)),
    truth.flows.flatMap((flow) => flow.translations.map(pick)),
  )
}

function lossesDiffer({ report, truth }: Compared) {
  const pick = (
    flows: { client: object; lost: { direction: string; between: string[]; packets: number }[] }[],
  ) =>
    flows.flatMap(({ client, lost }) =>
      lost.map(({ direction, between, packets }) => ({ client, direction, between, packets })),
    )
  return difference(pick(report.flows), pick(truth.flows))
}

test('clean traffic: every journey, flow and translation, nothing invented, equal packets included', async () => {
  const all = await many(CLEAN, 12)
  expect(sum(all, seenJourneys)).toBeGreaterThan(5000)
  for (const one of all) {
    expect(one.wrong).toEqual([])
    expect(one.missed).toEqual([])
    expect(one.report.flows.length).toBe(one.truth.flows.length)
    expect(translationsDiffer(one)).toEqual({ extra: [], lacking: [] })
    expect(one.report.flows.flatMap((flow) => [...flow.lost, ...flow.unseen])).toEqual([])
    expect(sum([one], ({ report }) => report.flows.reduce((n, flow) => n + flow.ambiguous, 0))).toBe(0)
    const resent = (flows: { retransmissions: { forward: number; reverse: number } }[]) =>
      flows.reduce((n, { retransmissions: r }) => n + r.forward + r.reverse, 0)
    expect(resent(one.report.flows)).toBe(resent(one.truth.flows))
  }
})

test('losses without capture trouble come out where they happened, or as ambiguous among equal packets', async () => {
  const all = await many({ ...CLEAN, loss: 0.02 }, 12)
  expect(sum(all, ({ truth }) => truth.flows.reduce((n, flow) => n + flow.lost.length, 0))).toBeGreaterThan(
    50,
  )
  for (const one of all) {
    expect(one.wrong).toEqual([])
    const { extra, lacking } = lossesDiffer(one)
    // Where one of two equal packets is lost, both are ambiguous, and so the loss is told as none.
    const ambiguous = one.report.flows.reduce((n, flow) => n + flow.ambiguous, 0)
    expect(extra.length).toBeLessThanOrEqual(ambiguous)
    expect(lacking.length).toBeLessThanOrEqual(ambiguous)
    const lost = (flows: { lost: { packets: number }[] }[]) =>
      flows.flatMap((flow) => flow.lost).reduce((n, { packets }) => n + packets, 0)
    expect(lost(one.report.flows)).toBeLessThanOrEqual(lost(one.truth.flows))
    expect(lost(one.report.flows)).toBeGreaterThanOrEqual(lost(one.truth.flows) - ambiguous)
  }
})

test('loss, reorder, copies and capture drops together: precision 99.9 %, recall 99 %', async () => {
  const all = await many({}, 12)
  const total = sum(all, seenJourneys)
  expect(sum(all, ({ wrong }) => wrong.length)).toBeLessThanOrEqual(total / 1000)
  expect(sum(all, ({ right }) => right)).toBeGreaterThan(0.99 * total)
  for (const one of all) expect(one.report.flows.length).toBe(one.truth.flows.length)
})

const POINTS = ['container', 'veth', 'bridge', 'uplink']
const CLIENT = { ip: '172.17.0.2', port: 40_000 }
const SERVER = { ip: '203.0.113.9', port: 80 }
const MASQUERADE = {
  kind: 'snat' as const,
  between: ['bridge', 'uplink'] as const,
  to: { ip: '192.168.7.2', port: 61_000 },
}

function download(
  trace: TraceBuilder,
  options: { unseenAt?: string[]; lostBetween?: [string, string] } = {},
) {
  const web = trace.tcp({ client: CLIENT, server: SERVER, nat: [MASQUERADE] })
  web.open()
  for (let i = 0; i < 20; i++) {
    const first = web.send('server', 1000, i === 7 ? options : {})
    if (first.outcome === 'lost') {
      web.wait(250e6)
      web.retransmit(first)
    }
    web.ack('client')
  }
  web.close('client')
}

test('a packet that a capture dropped, though TCP acknowledged it, is unseen and not lost', async () => {
  const trace = new TraceBuilder({ seed: 3, points: POINTS, routed: [['bridge', 'uplink']] })
  download(trace, { unseenAt: ['container'] })
  const { report } = await analyzeTrace(trace)
  expect(report.flows[0]).toMatchObject({
    lost: [],
    unseen: [{ direction: 'reverse', point: 'container', packets: 1 }],
    retransmissions: { forward: 0, reverse: 0 },
  })
})

test('a packet that was lost and sent again is one loss and one retransmission', async () => {
  const trace = new TraceBuilder({ seed: 4, points: POINTS, routed: [['bridge', 'uplink']] })
  download(trace, { lostBetween: ['veth', 'bridge'] })
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(report.flows[0]).toMatchObject({
    lost: [{ direction: 'reverse', between: ['bridge', 'veth'], packets: 1 }],
    retransmissions: { forward: 0, reverse: 1 },
  })
})

test('a capture that starts late or ends early at one point loses nothing', async () => {
  for (const range of [{ fromNs: 30e6 }, { untilNs: 30e6 }]) {
    const trace = new TraceBuilder({
      seed: 5,
      points: ['container', { name: 'veth', ...range }, 'bridge', 'uplink'],
      routed: [['bridge', 'uplink']],
    })
    const web = trace.tcp({ client: CLIENT, server: SERVER, nat: [MASQUERADE] })
    web.open()
    for (let i = 0; i < 30; i++) {
      web.send('server', 500)
      web.ack('client')
      web.wait(2e6)
    }
    web.close('server')
    const { report, wrong } = await analyzeTrace(trace)
    expect(wrong).toEqual([])
    expect(report.flows).toHaveLength(1)
    expect(report.flows[0]!.lost).toEqual([])
    expect(report.flows[0]!.unseen.map((u) => u.point)).toContain('veth')
  }
})

test('a hairpin passes the bridge twice, before and after its translation', async () => {
  const trace = new TraceBuilder({ seed: 6, points: ['client', 'bridge', 'server'] })
  const web = trace.tcp({
    client: CLIENT,
    server: { ip: '192.168.7.2', port: 8080 },
    path: ['client', 'bridge', 'bridge', 'server'],
    routed: [1],
    nat: [
      { kind: 'dnat', between: 1, to: { ip: '172.17.0.3', port: 80 } },
      { kind: 'snat', between: 1, to: { ip: '172.17.0.1', port: 52_000 } },
    ],
  })
  web.open()
  web.send('client', 100)
  web.send('server', 2000)
  web.close('client')
  const { report, wrong, missed } = await analyzeTrace(trace)
  expect([wrong, missed]).toEqual([[], []])
  expect(report.flows).toHaveLength(1)
  const [flow] = report.flows
  expect(flow!.forward.path.map((s) => `${s.point} ${s.dst.ip}:${s.dst.port} ${s.ttl}`)).toEqual([
    'client 192.168.7.2:8080 64',
    'bridge 192.168.7.2:8080 64',
    'bridge 172.17.0.3:80 63',
    'server 172.17.0.3:80 63',
  ])
  expect(report.findings.map((finding) => finding.code)).toContain('hairpin')
})

test('clocks that are a millisecond apart do not change the order of points', async () => {
  const trace = new TraceBuilder({
    seed: 7,
    points: [
      'container',
      { name: 'veth', clockOffsetNs: -1e6 },
      { name: 'bridge', clockOffsetNs: 0.7e6 },
      'uplink',
    ],
    routed: [['bridge', 'uplink']],
  })
  download(trace)
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(report.path).toEqual(POINTS)
  expect(report.flows[0]!.reverse.path.map((s) => s.point)).toEqual(POINTS.toReversed())
})

test('--path wins over what the packets say, read from either end', async () => {
  const stated = ['veth', 'container', 'bridge', 'uplink']
  const trace = new TraceBuilder({ seed: 8, points: POINTS, routed: [['bridge', 'uplink']] })
  download(trace)
  const { report } = await analyzeTrace(trace, stated)
  expect(report.path).toEqual(stated)
  expect(report.flows[0]!.forward.path.map((s) => s.point)).toEqual(stated)
  expect(report.flows[0]!.reverse.path.map((s) => s.point)).toEqual(stated.toReversed())
})

test('the same tuple again is another flow, with its own translation', async () => {
  const trace = new TraceBuilder({ seed: 9, points: POINTS, routed: [['bridge', 'uplink']] })
  for (const port of [61_000, 62_000]) {
    const web = trace.tcp({
      client: CLIENT,
      server: SERVER,
      nat: [{ ...MASQUERADE, to: { ip: '192.168.7.2', port } }],
    })
    web.open()
    web.send('client', 100)
    web.send('server', 1000)
    web.close('client')
    web.wait(500e6)
  }
  const { report, wrong, missed } = await analyzeTrace(trace)
  expect([wrong, missed]).toEqual([[], []])
  expect(report.flows.map((flow) => flow.translations.map((t) => t.to.port))).toEqual([[61_000], [62_000]])
})
