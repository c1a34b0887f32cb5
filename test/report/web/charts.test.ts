/** What the charts show, against the report's own figures, which were counted while all packets went by. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DirectionName, FlowReport } from '../../../src/report/model.ts'
import type { PagePacket } from '../../../src/report/page-data.ts'
import {
  type DirectionLatency,
  directionLatency,
  latencyDistribution,
  latencyOverTime,
  MAX_SINGLE,
  niceStep,
  summaryOf,
  timesOf,
  trafficOf,
} from '../../../src/report/web/charts/chart-data.ts'
import { seriesLook } from '../../../src/report/web/charts/series-look.ts'
import { pageOf } from './page-of.ts'

const CAPTURES = readdirSync(join(import.meta.dirname, '../../../captures'), { withFileTypes: true }).flatMap(
  (entry) => (entry.isDirectory() ? entry.name : []),
)
const DIRECTIONS = ['forward', 'reverse'] as const
/** The report counts exactly up to so many packets; from then on a median may be off by this part. */
const EXACT_PACKETS = 128
const OFF_BY = 1 / 16

describe.each(CAPTURES)('%s', (name) => {
  test('latency, losses and traffic are those of the report', async () => {
    const { report, packets } = await pageOf(name)
    let compared = 0
    for (const flow of report.flows) {
      const own = packets.filter((packet) => packet.flow === flow.id)
      expect(own.length).toBe(flow.forward.packets + flow.reverse.packets)
      for (const direction of DIRECTIONS) compared += expectLatency(flow, own, direction)
      expectTraffic(flow, own)
    }
    expect(compared).toBe(report.flows.reduce((sum, flow) => sum + namedOnce(flow).length, 0))
  })
})

/** How many hops were compared. */
function expectLatency(flow: FlowReport, packets: readonly PagePacket[], direction: DirectionName): number {
  const { hops, latencyNs } = directionLatency(flow, packets, direction)
  const { path } = flow[direction]
  expect(hops.length).toBe(Math.max(0, path.length - 1))
  let compared = 0
  hops.forEach(({ from, to }, i) => {
    const reported = namedOnce(flow).find(
      (one) => one.direction === direction && one.between[0] === from && one.between[1] === to,
    )
    if (!reported) return
    const { packets: count, minNs, medianNs, p99Ns } = reported
    const mine = summaryOf(latencyNs[i]!)!
    expect(mine.count, `${from} → ${to}`).toBe(count)
    expect(mine.minNs).toBe(minNs)
    if (count <= EXACT_PACKETS) expect([mine.medianNs, mine.p99Ns]).toEqual([medianNs, p99Ns])
    else {
      expect(Math.abs(mine.medianNs / medianNs - 1)).toBeLessThan(OFF_BY)
      expect(Math.abs(mine.p99Ns / p99Ns - 1)).toBeLessThan(OFF_BY)
    }
    compared++
  })
  return compared
}

/** Of a hop between the same two points that is gone twice the figures can't be told apart by name. */
function namedOnce({ latency }: FlowReport): FlowReport['latency'] {
  const keyOf = ({ direction, between }: (typeof latency)[number]) => [direction, ...between].join(' ')
  return latency.filter((one) => latency.filter((other) => keyOf(other) === keyOf(one)).length === 1)
}

function expectTraffic(flow: FlowReport, packets: readonly PagePacket[]): void {
  const traffic = trafficOf(packets)
  if (traffic === null) {
    expect(new Set(packets.map(({ sightings }) => sightings[0]!.timeNs)).size).toBeLessThan(2)
    return
  }
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0)
  for (const direction of DIRECTIONS) {
    expect(sum(traffic.packets[direction])).toBe(flow[direction].packets)
    const payload = packets.filter((packet) => packet.direction === direction)
    expect(sum(traffic.bytes[direction])).toBe(sum(payload.map(({ lenBytes }) => lenBytes)))
  }
  expect(sum(traffic.resent)).toBe(flow.retransmissions.forward + flow.retransmissions.reverse)
  const lost = traffic.lost.map(({ hop, counts }) => [hop.direction, hop.from, hop.to, sum(counts)].join(' '))
  const reported = flow.lost.map(({ direction, between, packets: count }) =>
    [direction, ...between, count].join(' '),
  )
  expect(lost.sort()).toEqual(reported.sort())
}

const anyLatency: fc.Arbitrary<DirectionLatency> = fc
  .array(
    fc.record({
      gap: fc.nat(1_000_000),
      values: fc.tuple(
        fc.option(fc.integer({ min: -5000, max: 10_000_000 })),
        fc.option(fc.integer({ min: 1, max: 900 })),
      ),
    }),
    { minLength: 1, maxLength: 900 },
  )
  .map((packets) => {
    let at = 0
    return {
      direction: 'forward',
      hops: [
        { direction: 'forward', from: 'a', to: 'b' },
        { direction: 'forward', from: 'b', to: 'c' },
      ],
      atNs: packets.map(({ gap }) => (at += gap)),
      latencyNs: [0, 1].map((hop) => packets.map(({ values }) => values[hop]!)),
    }
  })

test('over time there are never too many points, and none is made up', () => {
  fc.assert(
    fc.property(anyLatency, (latency) => {
      const { x, series, bins } = latencyOverTime(latency)
      expect(x.length).toBeLessThanOrEqual(MAX_SINGLE)
      expect(x.every((value, i) => i === 0 || value >= x[i - 1]!)).toBe(true)
      series.forEach((values, hop) => {
        const known = new Set(latency.latencyNs[hop])
        expect(values.length).toBe(x.length)
        expect(values.every((value) => known.has(value))).toBe(true)
        if (bins === null) return
        values.forEach((median, i) => {
          const [least, p99] = [bins.least[hop]![i]!, bins.p99[hop]![i]!]
          if (median === null) expect([least, p99]).toEqual([null, null])
          else expect(least <= median && median <= p99).toBe(true)
        })
      })
    }),
    { numRuns: 60 },
  )
})

test('a distribution ascends to 100 %, and passes through the median', () => {
  fc.assert(
    fc.property(anyLatency, (latency) => {
      const { x, series, isLog } = latencyDistribution(latency)
      expect(x.every((value, i) => i === 0 || value > x[i - 1]!)).toBe(true)
      const all = latency.latencyNs.flat().filter((value) => value !== null)
      expect(isLog).toBe(all.length > 0 && Math.min(...all) > 0)
      series.forEach((shares, hop) => {
        const summary = summaryOf(latency.latencyNs[hop]!)
        if (summary === null) {
          expect(shares.every((share) => share === null)).toBe(true)
          return
        }
        expect(shares.at(-1)).toBe(100)
        shares.forEach((share, i) => {
          const below = latency.latencyNs[hop]!.filter((value) => value !== null && value <= x[i]!).length
          expect(share).toBe((100 * below) / summary.count)
          if (x[i]! >= summary.medianNs) expect(share).toBeGreaterThanOrEqual(50)
        })
      })
    }),
    { numRuns: 60 },
  )
})

test('times that are no numbers, and packets nobody saw, are left out', () => {
  const packet = (timeNs: string) => ({ sightings: [{ timeNs }] }) as PagePacket
  const timed = timesOf([packet('30'), packet('x'), { sightings: [] } as unknown as PagePacket, packet('10')])
  expect(timed.map(({ atNs }) => atNs)).toEqual([0, 20])
  expect(trafficOf([])).toBeNull()
  expect(summaryOf([null])).toBeNull()
})

test('steps are 1, 2 or 5 times a power of ten', () => {
  expect([0, 0.3, 1, 1.1, 3, 20, 21, 51, 999, 1000].map(niceStep)).toEqual([
    1, 1, 1, 2, 5, 20, 50, 100, 1000, 1000,
  ])
})

test('the first series of a chart differ in colour, and in dashes or marker', () => {
  const looks = Array.from({ length: 7 }, (_, i) => seriesLook(i))
  expect(new Set(looks.map(({ color }) => color)).size).toBe(7)
  expect(new Set(looks.map(({ dash, marker }) => `${dash} ${marker}`)).size).toBe(7)
})
