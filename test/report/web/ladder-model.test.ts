import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JourneyReport } from '../../../src/report/journey-lines.ts'
import type { FlowReport, Report } from '../../../src/report/model.ts'
import type { PagePacket } from '../../../src/report/page-data.ts'
import { columnsOf, rewriteMarks } from '../../../src/report/web/ladder/ladder-columns.ts'
import { Ending, LadderModel, PacketFlag } from '../../../src/report/web/ladder/ladder-model.ts'
import {
  boundsOf,
  converted,
  kept,
  limited,
  placeOf,
  shown,
  ticksOf,
  zoomed,
} from '../../../src/report/web/ladder/ladder-scale.ts'
import { marksOf, sentenceOf, sinceStart } from '../../../src/report/web/ladder/packet-words.ts'
import { nsBetween } from '../../../src/report/web/times.ts'
import { hoptrace, SCENARIOS } from '../../commands/program.ts'
import { end } from '../scenarios.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')

interface Capture {
  report: Report
  /** By flow. */
  packets: Map<number, PagePacket[]>
}

/** What the program says of a shipped capture: the ladder may say nothing else. */
async function captured(name: string): Promise<Capture> {
  const folder = join(CAPTURES, name)
  const [json, lines] = await Promise.all([
    hoptrace('analyze', folder, '--json'),
    hoptrace('analyze', folder, '--journeys', '-'),
  ])
  const packets = new Map<number, PagePacket[]>()
  for (const line of lines.stdout.trim().split('\n')) {
    const journey: JourneyReport = JSON.parse(line)
    const list = packets.get(journey.flow) ?? []
    packets.set(journey.flow, list)
    list.push({ ...journey, number: list.length + 1, bytes: [] })
  }
  return { report: JSON.parse(json.stdout), packets }
}

function modelOf(flow: FlowReport, packets: readonly PagePacket[]): LadderModel {
  const model = new LadderModel(columnsOf(flow), flow.firstNs)
  model.append(packets)
  return model
}

/** A packet's arrow as names and times. */
function arrowOf(model: LadderModel, row: number): { points: string[]; columns: number[]; times: number[] } {
  const [from, to] = [model.sightingsFrom[row]!, model.sightingsFrom[row + 1]!]
  const columns = [...model.column.subarray(from, to)]
  return {
    columns,
    points: columns.map((column) => model.columns[column]!.point),
    times: [...model.timeNs.subarray(from, to)],
  }
}

describe.each(SCENARIOS)('the ladder of %s', (name) => {
  test('has an arrow for each journey, through its points at its times, and a cross for each lost one', async () => {
    const { report, packets } = await captured(name)
    let arrows = 0
    for (const flow of report.flows) {
      const own = packets.get(flow.id) ?? []
      const model = modelOf(flow, own)
      expect(model.count).toBe(own.length)
      for (const [row, packet] of own.entries()) {
        const { points, columns, times } = arrowOf(model, row)
        expect(points).toEqual(packet.sightings.map(({ point }) => point))
        expect(times.map((time) => BigInt(flow.firstNs) + BigInt(time))).toEqual(
          packet.sightings.map(({ timeNs }) => BigInt(timeNs)),
        )
        const way = packet.direction === 'forward' ? 1 : -1
        for (let i = 1; i < columns.length; i++)
          expect((columns[i]! - columns[i - 1]!) * way).toBeGreaterThan(0)
        const isLost = model.ending[row] === Ending.Lost
        expect(isLost).toBe(packet.outcome === 'lost')
        if (isLost) {
          expect(points.at(-1)).toBe(packet.lostBetween![0])
          expect(model.columns[model.missed[row]!]!.point).toBe(packet.lostBetween![1])
        }
        expect((model.flags[row]! & PacketFlag.Resent) !== 0).toBe(packet.retransmission)
        expect(model.ending[row] === Ending.Answered).toBe(packet.outcome === 'answered')
        arrows++
      }
      const count = (ending: number) =>
        model.ending.subarray(0, model.count).filter((it) => it === ending).length
      expect(count(Ending.Lost)).toBe(flow.lost.reduce((sum, { packets: lost }) => sum + lost, 0))
      expect(rewriteMarks(flow, model.columns)).toHaveLength(flow.translations.length)
    }
    expect(arrows).toBe([...packets.values()].flat().length)
  })
})

/** A packet by hand: where it was seen, ns after the start. */
function packet(number: number, more: Partial<PagePacket>, ...seen: [string, number, string?][]): PagePacket {
  return {
    flow: 1,
    number,
    protocol: 'tcp',
    direction: 'forward',
    outcome: 'delivered',
    summary: '[S] seq 0 len 0',
    lenBytes: 0,
    retransmission: false,
    bytes: [],
    sightings: seen.map(([point, afterNs, src = '10.0.0.1:1']) => ({
      point,
      frames: [number],
      timeNs: String(START_NS + BigInt(afterNs)),
      ttl: 64,
      src: end(src),
      dst: end('10.0.0.2:80'),
    })),
    ...more,
  }
}
const START_NS = 1_795_300_329_999_999_990n

function flowThrough(forward: [string, string?][], reverse: [string, string?][] = []): FlowReport {
  const station = ([point, src = '10.0.0.1:1']: [string, string?]) => ({
    point,
    src: end(src),
    dst: end('10.0.0.2:80'),
    ttl: 64,
    packets: 1,
  })
  return {
    id: 1,
    protocol: 'tcp',
    firstNs: String(START_NS),
    forward: { packets: 1, bytes: 1, path: forward.map(station) },
    reverse: { packets: 1, bytes: 1, path: reverse.map(station) },
    translations: [],
    lost: [],
  } as unknown as FlowReport
}

describe('columns', () => {
  const names = (flow: FlowReport) => columnsOf(flow).map(({ point }) => point)

  test('a point that is passed twice has two, and a packet that one of them missed keeps to the right one', () => {
    const flow = flowThrough([['veth'], ['bridge'], ['bridge', '10.9.9.9:1'], ['veth', '10.9.9.9:1']])
    expect(names(flow)).toEqual(['veth', 'bridge', 'bridge', 'veth'])
    const model = modelOf(flow, [
      packet(1, {}, ['veth', 0], ['bridge', 5], ['bridge', 9, '10.9.9.9:1'], ['veth', 12, '10.9.9.9:1']),
      packet(2, {}, ['veth', 20], ['bridge', 29, '10.9.9.9:1'], ['veth', 32, '10.9.9.9:1']),
    ])
    expect(arrowOf(model, 0).columns).toEqual([0, 1, 2, 3])
    expect(arrowOf(model, 1).columns).toEqual([0, 2, 3])
  })
  test('ways that differ by direction stand beside each other in the order of both', () => {
    expect(names(flowThrough([['a'], ['b'], ['d']], [['d'], ['c'], ['a']]))).toEqual(['a', 'b', 'c', 'd'])
    expect(names(flowThrough([], [['d'], ['c'], ['a']]))).toEqual(['a', 'c', 'd'])
  })
  test('the point that lost packets should have reached has one as well', () => {
    const flow = flowThrough([['a'], ['b']])
    flow.lost.push({
      direction: 'forward',
      between: ['b', 'c'],
      packets: 1,
      frames: { point: 'b', frames: [1] },
    })
    expect(names(flow)).toEqual(['a', 'b', 'c'])
    const lost = packet(1, { outcome: 'lost', lostBetween: ['b', 'c'] }, ['a', 0], ['b', 3])
    expect(modelOf(flow, [lost]).missed[0]).toBe(2)
  })
})

const TWO = flowThrough([['a'], ['b']])
const hops = fc
  .array(fc.tuple(fc.integer({ min: -1000, max: 100_000 }), fc.integer({ min: -50, max: 5000 })), {
    minLength: 1,
    maxLength: 60,
  })
  .map((times) => times.map(([start, took], i) => packet(i + 1, {}, ['a', start], ['b', start + took])))

describe('the model', () => {
  test('times between strings are those of whole numbers, also across seconds', () => {
    const time = fc.bigInt({ min: 10n ** 18n, max: 2n * 10n ** 18n })
    const near = fc.tuple(time, fc.integer({ min: -(10 ** 15), max: 10 ** 15 }))
    fc.assert(fc.property(near, ([from, by]) => nsBetween(String(from), String(from + BigInt(by))) === by))
  })
  test('finds every packet that is on its way in a time, in whatever order they came', () => {
    fc.assert(
      fc.property(hops, fc.integer({ min: -2000, max: 110_000 }), fc.nat(20_000), (packets, from, span) => {
        const model = modelOf(TWO, packets)
        const [first, last] = model.rowsBetween(from, from + span)
        for (let row = 0; row < model.count; row++) {
          const [start, finish] = [model.startNs[row]!, model.endNs[row]!]
          const isThere = Math.min(start, finish) <= from + span && Math.max(start, finish) >= from
          if (isThere && start <= finish) expect(row >= first && row < last).toBe(true)
        }
      }),
    )
  })
  test('grows piece by piece to the same as at once', () => {
    fc.assert(
      fc.property(hops, fc.nat(60), (packets, cut) => {
        const grown = modelOf(TWO, packets.slice(0, cut))
        expect(grown.isBeginningOf(packets)).toBe(true)
        grown.append(packets)
        const whole = modelOf(TWO, packets)
        expect(grown.span).toEqual(whole.span)
        for (let at = -1000; at < 100_000; at += 7000)
          expect(grown.rowsBetween(at, at + 5000)).toEqual(whole.rowsBetween(at, at + 5000))
        for (let row = 0; row < whole.count; row++) expect(arrowOf(grown, row)).toEqual(arrowOf(whole, row))
      }),
    )
  })
  test('knows rows by the numbers of packets, of which some are left out', () => {
    const model = modelOf(
      TWO,
      [1, 2, 5, 9].map((number) => packet(number, {}, ['a', number], ['b', number])),
    )
    expect([1, 2, 3, 5, 8, 9, 10].map((number) => model.rowOf(number))).toEqual([0, 1, -1, 2, -1, 3, -1])
  })
  test('100,000 packets are all there and found', () => {
    const packets = Array.from({ length: 100_000 }, (_, i) =>
      packet(i + 1, {}, ['a', i * 10], ['b', i * 10 + 5]),
    )
    const model = modelOf(TWO, packets)
    expect(model.rowsBetween(500_000, 500_100)).toEqual([50_000, 50_011])
    expect(model.rowOf(77_777)).toBe(77_776)
  })
})

describe('the range', () => {
  const model = modelOf(
    TWO,
    Array.from({ length: 500 }, (_, i) => packet(i + 1, {}, ['a', i * i * 1000], ['b', i * i * 1000 + 700])),
  )

  test('stays inside of the flow and has its centre where it was, however it is zoomed', () => {
    const scale = fc.constantFrom('even' as const, 'time' as const)
    const part = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(
        scale,
        part,
        part,
        part,
        fc.double({ min: 0.01, max: 20, noNaN: true }),
        (kind, a, b, at, factor) => {
          const bounds = boundsOf(model, kind)
          const whole = bounds.to - bounds.from
          const range = limited(
            { from: bounds.from + Math.min(a, b) * whole, to: bounds.from + Math.max(a, b) * whole },
            bounds,
            kind,
          )
          const now = zoomed(range, factor, at, bounds, kind)
          expect(now.from).toBeGreaterThanOrEqual(bounds.from - 1e-6)
          expect(now.to).toBeLessThanOrEqual(bounds.to + 1e-3)
          expect(now.to).toBeGreaterThan(now.from)
          const isFree = now.from > bounds.from && now.to < bounds.to - 1e-3
          const before = range.from + at * (range.to - range.from)
          if (isFree)
            expect(Math.abs(now.from + at * (now.to - now.from) - before) / whole).toBeLessThan(1e-9)
        },
      ),
    )
  })
  test('shows the same packets on the other scale', () => {
    const time = converted(model, { from: 100, to: 120 }, 'time')
    const [first, last] = model.rowsBetween(time.from, time.to)
    expect(first).toBeLessThanOrEqual(100)
    expect(last).toBeGreaterThanOrEqual(120)
    expect(last - first).toBeLessThan(26)
    expect(converted(model, time, 'even').from).toBeCloseTo(first, 5)
    expect(placeOf(model, model.startNs[200]!, 'even')).toBe(200)
  })
  test('brings a packet into sight, and moves no further than it must', () => {
    const bounds = boundsOf(model, 'even')
    expect(shown(model, 20, { from: 0, to: 20 }, bounds, 'even')).toEqual({ from: 1, to: 21 })
    expect(shown(model, 9, { from: 10, to: 30 }, bounds, 'even')).toEqual({ from: 9, to: 29 })
    expect(shown(model, 15, { from: 10, to: 30 }, bounds, 'even')).toEqual({ from: 10, to: 30 })
    expect(shown(model, 300, { from: 10, to: 30 }, bounds, 'even')).toEqual({ from: 290.5, to: 310.5 })
  })
  test('follows the end of a live flow where it was shown, and else stays at its packets', () => {
    const before = { bounds: { from: 0, to: 100 }, first: 1 }
    const grown = { bounds: { from: 0, to: 130 }, first: 1 }
    const forgotten = { bounds: { from: 0, to: 90 }, first: 41 }
    expect(kept({ from: 80, to: 100 }, before, grown, 'even', 20)).toEqual({ from: 110, to: 130 })
    expect(kept({ from: 50, to: 70 }, before, grown, 'even', 20)).toEqual({ from: 50, to: 70 })
    expect(kept({ from: 50, to: 70 }, before, forgotten, 'even', 20)).toEqual({ from: 10, to: 30 })
    expect(kept({ from: 5, to: 25 }, before, forgotten, 'even', 20)).toEqual({ from: 0, to: 20 })
    // Few packets fill the rows that there are.
    const first = { bounds: { from: 0, to: 3 }, first: 1 }
    expect(kept({ from: 0, to: 3 }, first, before, 'even', 20)).toEqual({ from: 80, to: 100 })
    const times = [
      { bounds: { from: -10, to: 5000 }, first: 1 },
      { bounds: { from: -10, to: 90_000 }, first: 1 },
    ] as const
    expect(kept({ from: -10, to: 5000 }, ...times, 'time', 20)).toEqual({ from: -10, to: 90_000 })
    expect(kept({ from: 1000, to: 5000 }, ...times, 'time', 20)).toEqual({ from: 86_000, to: 90_000 })
    expect(kept({ from: 1000, to: 4000 }, ...times, 'time', 20)).toEqual({ from: 1000, to: 4000 })
  })
  test('marks round times, with units that a person takes', () => {
    const labels = (from: number, to: number) => ticksOf({ from, to }, 5).map(({ label }) => label)
    expect(labels(0, 1e9)).toEqual(['0', '200 ms', '400 ms', '600 ms', '800 ms', '1.0 s'])
    expect(labels(-10, 90_000)).toEqual(['0', '20 µs', '40 µs', '60 µs', '80 µs'])
    // Behind so many digits they are told from the first one on.
    expect(labels(8_140_000_000, 8_140_020_000)).toEqual([
      '8.140000 s',
      '+5 µs',
      '+10 µs',
      '+15 µs',
      '+20 µs',
    ])
  })
})

describe('words', () => {
  test('tell of everything that happened to a packet', () => {
    const seen = packet(
      2,
      { retransmission: true, outcome: 'lost', lostBetween: ['b', 'c'] },
      ['a', 1_030_000_000],
      ['b', 1_030_068_300],
    )
    expect(sentenceOf(seen, String(START_NS))).toBe(
      'Packet 2 · 1.030000 s after the start · to the server · [S] seq 0 len 0 · a to b in 68.3 µs' +
        ' · ↻ resent, a retransmission · ✗ lost between b and c',
    )
    const answered = packet(
      1,
      {
        outcome: 'answered',
        answeredBy: { from: '10.0.0.9', type: 11, code: 0, name: 'time to live exceeded' },
      },
      ['a', 0],
    )
    expect(marksOf(answered)).toEqual([
      {
        sign: '↩',
        short: 'time to live exceeded',
        long: 'ICMP time to live exceeded, says 10.0.0.9',
        tone: 'loss',
      },
    ])
    expect([0, 812, 61_200, 12_345_678, 8_140_213_456].map(sinceStart)).toEqual([
      '0',
      '812 ns',
      '61.2 µs',
      '12.346 ms',
      '8.140213 s',
    ])
  })
})
