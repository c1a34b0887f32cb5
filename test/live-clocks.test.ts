/** Running captures of hosts whose clocks differ: told as they would be with one clock, while they run. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { analyze } from '../src/analysis.ts'
import { analyzeTrace } from './correlate/compare.ts'
import { type Clocks, type Played, play } from './played.ts'
import { TraceBuilder } from './trace/builder.ts'
import { mixedTrace } from './trace/mixed.ts'

const CLIENT = { ip: '172.17.0.2', port: 40_000 }
const SERVER = { ip: '203.0.113.9', port: 80 }
const NAT = { kind: 'snat', between: 1, to: { ip: '192.168.7.2', port: 61_000 } } as const

/** What a report says, as far as it must not depend on clocks; frames are counted over all points while they run. */
function conclusions({ report }: Pick<Played, 'report'>) {
  return {
    path: report.path,
    flows: report.flows.map(
      ({ translations, lost, unseen, retransmissions, ambiguous, forward, reverse }) => ({
        ...{ translations, unseen, retransmissions, ambiguous },
        lost: lost.map(({ direction, between, packets }) => ({ direction, between, packets })),
        ways: [forward, reverse].map(({ packets, path }) => [packets, path.map((s) => [s.point, s.packets])]),
      }),
    ),
  }
}

const codes = ({ report }: Pick<Played, 'report'>) => report.findings.map(({ code }) => code).toSorted()

/** The clock of the far point, and how far it is from the truth. */
function clockOf({ report }: Pick<Played, 'report'>, clocks: Clocks, name = 'far') {
  const { clock, firstNs } = report.points.find((point) => point.name === name)!
  const { clockOffsetNs = 0, clockSkewPpm = 0 } = clocks[name]!
  const sinceNs = Number(BigInt(firstNs!) - 1_800_000_000_000_000_000n)
  return { ...clock, offNs: clock.offsetNs - (clockOffsetNs + clockSkewPpm * 1e-6 * sinceNs) }
}

/** What was told, without times. */
const ways = ({ told }: Played) =>
  told.map(({ sightings }) => sightings.map(({ point }) => point).join()).toSorted()

/** The median: a machine that has more to do makes some of them longer. */
const usual = (delaysMs: number[]) => delaysMs.toSorted((a, b) => a - b)[delaysMs.length >> 1]!

/** One connection over veth, uplink and a far host. */
function talk(clocks: Clocks, rounds: number, pauseNs: number, startNs = 0): TraceBuilder {
  const points = ['veth', 'uplink', { name: 'far', ...clocks.far }]
  const trace = new TraceBuilder({ seed: 2, points, routed: [1], hopDelayNs: [200_000, 900_000] })
  const web = trace.tcp({ client: CLIENT, server: SERVER, nat: [NAT], startNs })
  web.open()
  for (let i = 0; i < rounds; i++) {
    web.send('client', 100)
    web.send('server', 1000)
    web.ack('client')
    web.wait(pauseNs)
  }
  web.close('client')
  return trace
}

test.each([-3e9, 3600e9, 0.2e9, 1.4e9])(
  'an offset of %d ns: as with one clock, from the first packet on',
  async (clockOffsetNs) => {
    const clocks = { far: { clockOffsetNs: clockOffsetNs + 123_456, clockSkewPpm: 30 } }
    const make = (clocks: Clocks) => talk(clocks, 40, 100e6, 2e9)
    const [live, exact] = [
      await play(make, clocks, { foreign: ['far'] }),
      await play(make, {}, { foreign: ['far'] }),
    ]
    expect(conclusions(live)).toEqual(conclusions(exact))
    expect(codes(live)).toEqual(codes(exact))
    expect(ways(live)).toEqual(ways(exact))
    expect(new Set(ways(live))).toEqual(new Set(['veth,uplink,far', 'far,uplink,veth']))
    expect(live.report.warnings).toEqual([])
    const { offNs, uncertaintyNs, reference } = clockOf(live, clocks)
    expect(reference).toBe('veth')
    expect(Math.abs(offNs)).toBeLessThanOrEqual(uncertaintyNs)
    expect(uncertaintyNs).toBeLessThan(3e6)
    expect(live.delaysMs.length).toBe(exact.delaysMs.length)
    expect(usual(live.delaysMs)).toBeLessThan(usual(exact.delaysMs) + 500)
  },
)

test('mixed traffic with losses, in batches as tcpdump writes them', async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const make = (clocks: Clocks) =>
      mixedTrace(seed, { conversations: 30, withinNs: 15e9, loss: 0.02, captureDrop: 0, clocks })
    const arrivalMs = (ms: number) => Math.ceil(ms / 1000) * 1000
    const clocks = { uplink: { clockOffsetNs: [-3.2e9, 0.8e9, 45e9][seed - 1]!, clockSkewPpm: 100 } }
    const live = await play(make, clocks, { foreign: ['uplink'], arrivalMs })
    const exact = await analyzeTrace(make({}))
    expect(conclusions(live)).toEqual(conclusions(exact))
    const { offNs, uncertaintyNs } = clockOf(live, clocks, 'uplink')
    expect(Math.abs(offNs)).toBeLessThanOrEqual(uncertaintyNs)
  }
})

test('100 ppm over an hour, a round every 40 seconds: followed to the end', async () => {
  const clocks = { far: { clockOffsetNs: -3e9, clockSkewPpm: 100 } }
  const live = await play((clocks) => talk(clocks, 90, 40e9), clocks, { foreign: ['far'], stepMs: 20 })
  expect(new Set(ways(live))).toEqual(new Set(['veth,uplink,far', 'far,uplink,veth']))
  const { offNs, uncertaintyNs, skewPpm } = clockOf(live, clocks)
  expect(Math.abs(offNs)).toBeLessThanOrEqual(uncertaintyNs)
  expect(Math.abs(skewPpm - 100)).toBeLessThan(1)
  // Before the drift shows, the offset lags behind it: what is printed says by how much.
  for (const { between, minNs } of live.report.flows[0]!.latency)
    if (between.includes('far')) expect(minNs).toBeGreaterThan(-uncertaintyNs)
}, 180_000)

/** So many datagrams, all in one direction, at both points or at the far one only. */
function log(trace: TraceBuilder, port: number, path: string[], startNs: number, count: number): void {
  const udp = trace.udp({ client: { ...CLIENT, port }, server: { ...SERVER, port: 514 }, path, startNs })
  for (let i = 0; i < count; i++) {
    udp.send('client', 40)
    udp.wait(100e6)
  }
}

test('one-way traffic is brought together, with a warning', async () => {
  const clocks = { far: { clockOffsetNs: -30e9 } }
  const make = (clocks: Clocks) => {
    const trace = new TraceBuilder({ seed: 6, points: ['near', { name: 'far', ...clocks.far }], routed: [0] })
    log(trace, 40_000, ['near', 'far'], 1e9, 60)
    return trace
  }
  const live = await play(make, clocks, { foreign: ['far'] })
  expect(new Set(ways(live))).toEqual(new Set(['near,far']))
  expect(codes(live)).toContain('clock-uncertain')
  const { offNs, uncertaintyNs } = clockOf(live, clocks)
  expect(Math.abs(offNs)).toBeLessThanOrEqual(uncertaintyNs)
})

test('what is common begins late, behind traffic that only the far host sees: joined from its first packet on', async () => {
  for (const clockOffsetNs of [-5e9, 5e9]) {
    const clocks = { far: { clockOffsetNs } }
    const make = (clocks: Clocks) => {
      const trace = talk(clocks, 20, 100e6, 12e9)
      log(trace, 41_000, ['far'], 0, 200)
      log(trace, 42_000, ['veth'], 0, 200)
      return trace
    }
    const live = await play(make, clocks, { foreign: ['far'] })
    const exact = await play(make, {}, { foreign: ['far'] })
    expect(ways(live)).toEqual(ways(exact))
    // What only one of them saw has nothing to tell when it was: the flows are told in another order.
    const flows = [live, exact].map(
      (it) => new Set(conclusions(it).flows.map((flow) => JSON.stringify(flow))),
    )
    expect(flows[0]).toEqual(flows[1])
  }
})

test('a far point that hears nothing holds nobody up', async () => {
  const make = (clocks: Clocks) => {
    const trace = new TraceBuilder({ seed: 6, points: ['near', { name: 'far', ...clocks.far }], routed: [0] })
    log(trace, 40_000, ['near'], 1e9, 60)
    return trace
  }
  const live = await play(make, {}, { foreign: ['far'] })
  const kept = await play(make, {}, { foreign: ['far'], keepClocks: true })
  expect(live.told).toHaveLength(60)
  expect(usual(live.delaysMs)).toBeLessThan(usual(kept.delaysMs) + 500)
})

test.each([
  [3600e9, -3e9],
  [-3600e9, 10e9],
  [0, 5e9],
])(
  'no point is here, and hosts are off by %d and %d ns: the first one counts as right',
  async (one, other) => {
    const clocks = {
      uplink: { clockOffsetNs: one },
      far: { clockOffsetNs: other, clockSkewPpm: 20 },
    }
    const make = (clocks: Clocks) => {
      const points = ['uplink', 'far'].map((name) => ({ name, ...clocks[name] }))
      const trace = new TraceBuilder({ seed: 2, points, routed: [0], hopDelayNs: [200_000, 900_000] })
      const web = trace.tcp({ client: CLIENT, server: SERVER, startNs: 1e9 })
      web.open()
      for (let i = 0; i < 60; i++) {
        web.send('client', 100)
        web.send('server', 1000)
        web.wait(100e6)
      }
      web.close()
      return trace
    }
    const arrivalMs = (ms: number) => Math.ceil(ms / 500) * 500
    const live = await play(make, clocks, { foreign: ['uplink', 'far'], arrivalMs })
    expect(new Set(ways(live))).toEqual(new Set(['uplink,far', 'far,uplink']))
    expect(live.report.warnings).toEqual([])
    const { clock } = live.report.points.find(({ name }) => name === 'far')!
    expect(clock.reference).toBe('uplink')
    expect(Math.abs(clock.offsetNs - (other - one))).toBeLessThan(clock.uncertaintyNs + 2e5)
  },
)

test('--keep-clocks leaves times alone', async () => {
  const clocks = { far: { clockOffsetNs: -3e9 } }
  const live = await play((clocks) => talk(clocks, 10, 100e6), clocks, { foreign: ['far'], keepClocks: true })
  expect(live.report.points.map(({ clock }) => clock.offsetNs)).toEqual([0, 0, 0])
  expect(new Set(ways(live))).not.toContain('veth,uplink,far')
})

test('the file that is written has corrected times: analyze joins it in the same way', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-clocks-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const write = join(folder, 'all.pcapng')
  const clocks = { far: { clockOffsetNs: 7e9, clockSkewPpm: -60 } }
  const live = await play((clocks) => talk(clocks, 60, 100e6), clocks, { foreign: ['far'], write })
  const { report } = await analyze([write])
  expect(conclusions({ report })).toEqual(conclusions(live))
  expect(report.flows.map(({ latency }) => latency)).toEqual(live.report.flows.map(({ latency }) => latency))
})
