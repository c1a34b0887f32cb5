/** Captures of hosts whose clocks differ: the joiner must find what it finds with perfect clocks, and tell the difference. */

import { expect, test } from 'vitest'
import { renderText } from '../src/report/text.ts'
import { analyzeTrace, type Compared } from './correlate/compare.ts'
import { TraceBuilder } from './trace/builder.ts'
import { mixedTrace } from './trace/mixed.ts'
import type { PointOptions } from './trace/model.ts'
import { Random } from './trace/random.ts'

const START_NS = 1_800_000_000_000_000_000n
const CLIENT = { ip: '172.17.0.2', port: 40_000 }
const SERVER = { ip: '203.0.113.9', port: 80 }

type Clocks = Record<string, { clockOffsetNs?: number; clockSkewPpm?: number }>

/** How far the estimate of each corrected point is from the truth, in ns and ppm, with its uncertainty. */
function errorsOf({ report }: Compared, clocks: Clocks) {
  return report.points.flatMap(({ name, clock, firstNs }) => {
    if (clock.reference === undefined) return []
    const own = { clockOffsetNs: 0, clockSkewPpm: 0, ...clocks[name] }
    const reference = { clockOffsetNs: 0, clockSkewPpm: 0, ...clocks[clock.reference] }
    const sinceNs = Number(BigInt(firstNs!) - START_NS) - reference.clockOffsetNs
    const skewPpm = own.clockSkewPpm - reference.clockSkewPpm
    const trueNs = own.clockOffsetNs - reference.clockOffsetNs + skewPpm * 1e-6 * sinceNs
    return [
      {
        name,
        offNs: clock.offsetNs - trueNs,
        offPpm: clock.skewPpm - skewPpm,
        uncertaintyNs: clock.uncertaintyNs,
      },
    ]
  })
}

/** What an analysis says, as far as it must not depend on clocks. */
function conclusions({ report, right, wrong, missed, ambiguous }: Compared) {
  return {
    ...{ right, wrong, missed, ambiguous },
    path: report.path,
    flows: report.flows.map(({ translations, lost, unseen, retransmissions, forward, reverse }) => ({
      ...{ translations, lost, unseen, retransmissions },
      ways: [forward, reverse].map(({ packets, path }) => [packets, path.map((s) => [s.point, s.packets])]),
    })),
  }
}

const corrected = ({ report }: Compared) => report.points.filter(({ clock }) => clock.reference !== undefined)
const codes = ({ report }: Compared) => report.findings.map(({ code }) => code)

/** One connection over all points, with so many rounds, and pauses between them. */
function talk(trace: TraceBuilder, rounds: number, pauseNs: number, slowNs = 0): void {
  const hop = trace.points.length - 2
  const web = trace.tcp({
    client: CLIENT,
    server: SERVER,
    nat: [{ kind: 'snat', between: hop, to: { ip: '192.168.7.2', port: 61_000 } }],
  })
  web.open()
  for (let i = 0; i < rounds; i++) {
    web.send('client', 100)
    web.send('server', 1000, slowNs > 0 ? { delayedBetween: { hop, ns: slowNs } } : {})
    web.ack('client')
    web.wait(pauseNs)
  }
  web.close('client')
}

test('any offset and skew: conclusions as with perfect clocks, estimates within their uncertainty', async () => {
  const random = new Random(9)
  const trouble = { loss: 0.02, captureDrop: 0, duplicate: 0.01, reorder: 0.02 }
  for (let seed = 1; seed <= 12; seed++) {
    const far = {
      clockOffsetNs:
        random.pick([-5e9, -3.2e9, -1.1e9, 0.7e9, 2e9, 45e9, 3600e9]) + random.integer(0, 999_999),
      clockSkewPpm: random.integer(-100, 100),
    }
    // The bridge belongs to the far host in every other trace.
    const clocks: Clocks = { uplink: far, ...(seed % 2 === 0 ? { bridge: far } : {}) }
    const options = { ...trouble, conversations: 30, withinNs: 20e9 }
    const perfect = await analyzeTrace(mixedTrace(seed, options))
    const apart = await analyzeTrace(mixedTrace(seed, { ...options, clocks }))
    expect(corrected(perfect)).toEqual([])
    expect(corrected(apart).length).toBeGreaterThan(0)
    for (const error of errorsOf(apart, clocks)) {
      expect(Math.abs(error.offNs)).toBeLessThanOrEqual(error.uncertaintyNs)
      expect(error.uncertaintyNs).toBeLessThan(1e6)
    }
    expect(apart.wrong.length).toBeLessThanOrEqual(perfect.wrong.length)
    expect(conclusions(apart)).toEqual(conclusions(perfect))
    expect(codes(apart).toSorted()).toEqual(codes(perfect).toSorted())
  }
})

test.each([
  ['100 ppm over an hour, a packet a minute', 60, 60e9, 100],
  ['-100 ppm over an hour', 60, 60e9, -100],
  ['37 ppm over three minutes', 900, 200e6, 37],
] as const)('%s: skew is found, and all packets are followed to the end', async (_, rounds, pauseNs, ppm) => {
  const clocks = { far: { clockOffsetNs: -3.2e9, clockSkewPpm: ppm } }
  const trace = new TraceBuilder({
    seed: 2,
    points: ['veth', 'uplink', { name: 'far', ...clocks.far }],
    routed: [1],
    hopDelayNs: [200_000, 900_000],
  })
  talk(trace, rounds, pauseNs)
  const compared = await analyzeTrace(trace)
  expect([compared.wrong, compared.missed]).toEqual([[], []])
  expect(compared.report.flows).toHaveLength(1)
  expect(compared.report.path).toEqual(['veth', 'uplink', 'far'])
  const [error] = errorsOf(compared, clocks)
  expect(Math.abs(error!.offPpm)).toBeLessThan(5)
  expect(Math.abs(error!.offNs)).toBeLessThanOrEqual(error!.uncertaintyNs)
  expect(codes(compared)).not.toContain('clock-uncertain')
  const [latency] = compared.report.flows[0]!.latency.filter(({ between }) => between.includes('far'))
  expect(latency!.minNs).toBeGreaterThan(-1e6)
})

test('delays that differ there and back stay inside the uncertainty', async () => {
  for (const slowNs of [1e6, 20e6, 150e6]) {
    const clocks = { far: { clockOffsetNs: 12e9 } }
    const trace = new TraceBuilder({
      seed: 3,
      points: ['veth', 'uplink', { name: 'far', ...clocks.far }],
      routed: [1],
    })
    talk(trace, 40, 500e6, slowNs)
    const compared = await analyzeTrace(trace)
    expect(compared.wrong).toEqual([])
    const [error] = errorsOf(compared, clocks)
    expect(Math.abs(error!.offNs)).toBeLessThanOrEqual(error!.uncertaintyNs)
    expect(error!.uncertaintyNs).toBeLessThan(slowNs)
  }
})

test('three hosts in a chain, of which only neighbours share traffic: each is corrected, errors add up', async () => {
  const clocks = {
    middle: { clockOffsetNs: 4e9, clockSkewPpm: 50 },
    far: { clockOffsetNs: -7e9, clockSkewPpm: -80 },
  }
  const trace = new TraceBuilder({
    seed: 4,
    points: ['near', { name: 'middle', ...clocks.middle }, { name: 'far', ...clocks.far }],
    routed: [0, 1],
  })
  for (const [port, path] of [
    [41_000, ['near', 'middle']],
    [42_000, ['middle', 'far']],
  ] as const) {
    const web = trace.tcp({ client: { ip: '10.0.0.1', port }, server: SERVER, path, routed: [0], startNs: 0 })
    web.open()
    for (let i = 0; i < 60; i++) {
      web.send('client', 100)
      web.send('server', 900)
      web.wait(1e9)
    }
    web.close()
  }
  const compared = await analyzeTrace(trace)
  expect([compared.wrong, compared.missed]).toEqual([[], []])
  const errors = errorsOf(compared, clocks)
  expect(errors).toHaveLength(2)
  for (const { offNs, offPpm, uncertaintyNs } of errors) {
    expect(Math.abs(offNs)).toBeLessThanOrEqual(uncertaintyNs)
    expect(Math.abs(offPpm)).toBeLessThan(5)
  }
})

test('neighbours without a router between them, and a file of two packets', async () => {
  for (const rounds of [20, 0]) {
    const clocks = { far: { clockOffsetNs: 3e9 } }
    const untilNs = rounds === 0 ? 300_000 : Number.POSITIVE_INFINITY
    const trace = new TraceBuilder({
      seed: 5,
      points: ['near', { name: 'far', untilNs, ...clocks.far }],
      hopDelayNs: [50_000, 90_000],
    })
    const web = trace.tcp({ client: CLIENT, server: SERVER })
    web.open()
    for (let i = 0; i < rounds; i++) {
      web.send('client', 100)
      web.send('server', 100)
    }
    const compared = await analyzeTrace(trace)
    expect(compared.wrong).toEqual([])
    expect(compared.report.flows).toHaveLength(1)
    const [error] = errorsOf(compared, clocks)
    expect(Math.abs(error!.offNs)).toBeLessThanOrEqual(error!.uncertaintyNs)
    expect(error!.uncertaintyNs).toBeLessThan(100_000)
  }
})

test('one-way traffic: far clocks are brought together, with a warning; near ones are left alone', async () => {
  for (const [offsetNs, isCorrected] of [
    [-30e9, true],
    [3e9, true],
    [0.1e9, false],
  ] as const) {
    const trace = new TraceBuilder({
      seed: 6,
      points: ['near', { name: 'far', clockOffsetNs: offsetNs }],
      routed: [0],
    })
    const log = trace.udp({ client: CLIENT, server: { ip: '203.0.113.77', port: 514 } })
    for (let i = 0; i < 50; i++) {
      log.send('client', 40)
      log.wait(100e6)
    }
    const compared = await analyzeTrace(trace)
    expect(compared.wrong).toEqual([])
    expect(compared.missed).toEqual([])
    expect(compared.report.path).toEqual(['near', 'far'])
    expect(corrected(compared)).toHaveLength(isCorrected ? 1 : 0)
    expect(codes(compared).includes('clock-uncertain')).toBe(isCorrected)
    for (const { offNs, uncertaintyNs } of errorsOf(compared, { far: { clockOffsetNs: offsetNs } }))
      expect(Math.abs(offNs)).toBeLessThanOrEqual(uncertaintyNs)
  }
})

test('captures with nothing in common keep their times and the warning', async () => {
  const trace = new TraceBuilder({ seed: 7, points: ['one', { name: 'other', clockOffsetNs: 100e9 }] })
  for (const [path, port] of [
    [['one'], 40_000],
    [['other'], 40_001],
  ] as const) {
    const web = trace.tcp({ client: { ...CLIENT, port }, server: SERVER, path, startNs: 0 })
    web.open()
    for (let i = 0; i < 20; i++) web.send('server', 500)
    web.close()
  }
  const compared = await analyzeTrace(trace)
  expect(corrected(compared)).toEqual([])
  expect(compared.report.warnings).toContainEqual(expect.stringContaining('no traffic in common'))
})

test('the same pings again on another day are no common traffic', async () => {
  const points: PointOptions[] = ['one', 'other'].map((name) => ({ name }))
  const trace = new TraceBuilder({ seed: 8, points })
  for (const [path, startNs] of [
    [['one'], 0],
    [['other'], 86_400e9],
  ] as const) {
    const ping = trace.echo({ client: { ...CLIENT, port: 7 }, server: { ...SERVER, port: 7 }, path, startNs })
    for (let seq = 1; seq <= 5; seq++) {
      ping.request(seq, undefined, { ipId: 0 })
      ping.reply(seq, undefined, { ipId: 0 })
      ping.wait(1e9)
    }
  }
  expect(corrected(await analyzeTrace(trace))).toEqual([])
})

test('the report tells what was taken off', async () => {
  const points = ['veth', 'uplink', { name: 'far', clockOffsetNs: -3.204e9, clockSkewPpm: 12 }]
  const trace = new TraceBuilder({ seed: 9, points, routed: [1], hopDelayNs: [20_000, 60_000] })
  talk(trace, 200, 1e9)
  const compared = await analyzeTrace(trace)
  const text = renderText(compared.report, { columns: 100, color: false })
  expect(text).toMatch(
    /\nClocks\n {2}far {2}3\.20 s behind (veth|uplink), ±[\d.]+ µs, (11|12)(\.\d+)? ppm fast\n/,
  )
})
