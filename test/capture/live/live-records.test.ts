/** The merge of running captures, with sources whose frames and clocks the test decides. */

import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LaneEnd, LiveRecords } from '../../../src/capture/live/live-records.ts'
import type { LaneSource } from '../../../src/capture/live/source.ts'
import { CaptureRecord } from '../../../src/capture/record.ts'

const SECONDS = 1_800_000_000
const opened: LiveRecords[] = []
let clockMs = 0

beforeEach(() => {
  clockMs = 1000
  vi.spyOn(Date, 'now').mockImplementation(() => SECONDS * 1000 + clockMs)
})
afterEach(() => {
  for (const records of opened.splice(0)) records.close()
  vi.restoreAllMocks()
})

/** A source that has what it is given, and promises what it is told to. */
class FakeSource implements LaneSource {
  readonly fd = -1
  onReady = () => {}
  readonly record = new CaptureRecord()
  readonly linkType = 1
  snapLenBytes = 0
  isFilling = false
  isPressed = false
  ended = false
  problem: string | null = null
  isStopped = false
  isClosed = false
  horizon = Number.NEGATIVE_INFINITY
  dropped: number | null = 0
  readonly waiting: number[] = []

  /** Frames at these times, in ms of the run, come in. */
  put(...timesMs: number[]): this {
    this.waiting.push(...timesMs)
    return this
  }

  /** No further frame up to this time, in ms. */
  settle(ms: number): this {
    this.horizon = ms * 1e6
    return this
  }

  advance(): boolean {
    const ms = this.waiting.shift()
    if (ms === undefined) return false
    this.record.timeNs = ms * 1e6
    this.record.end = 40
    this.record.originalLenBytes = 60
    return true
  }

  horizonNs(): number {
    return this.horizon
  }

  drops(): number | null {
    return this.dropped
  }

  stop(): void {
    this.isStopped = true
  }

  close(): void {
    this.isClosed = true
  }
}

/** Some source of each, by which it can be woken. */
const sourceOf = new Map<LiveRecords, FakeSource>()

function live(...sources: FakeSource[]): LiveRecords {
  // The run's second begins.
  clockMs = 0
  const records = new LiveRecords()
  clockMs = 1000
  opened.push(records)
  for (const [i, source] of sources.entries()) records.add('abcdefgh'[i], source)
  sourceOf.set(records, sources[0])
  return records
}

/** Looks again, and what comes out then: `a5` is the frame of 5 ms at point a. */
async function taken(records: LiveRecords): Promise<string[]> {
  sourceOf.get(records)!.onReady()
  await records.fill()
  const out: string[] = []
  while (records.advance()) out.push(`${records.points[records.point].name}${records.record.timeNs / 1e6}`)
  return out
}

describe('the order', () => {
  test('is that of time, over all sources and looks', async () => {
    const pieces = fc.array(fc.array(fc.array(fc.nat(50), { maxLength: 8 }), { maxLength: 5 }), {
      minLength: 1,
      maxLength: 5,
    })
    await fc.assert(
      fc.asyncProperty(pieces, async (steps) => {
        const sources = [new FakeSource(), new FakeSource(), new FakeSource()]
        const records = live(...sources)
        const out: string[] = []
        const put: number[] = []
        for (const [step, perSource] of steps.entries()) {
          for (const [i, source] of sources.entries()) {
            // Frames of a step are later than what was promised before it.
            const times = (perSource[i] ?? []).map((ms) => step * 100 + ms + 1).sort((a, b) => a - b)
            source.put(...times).settle(step * 100 + 99)
            put.push(...times)
            source.onReady()
          }
          out.push(...(await taken(records)))
        }
        const times = out.map((text) => Number(text.slice(1)))
        expect(times).toEqual(put.sort((a, b) => a - b))
        expect(records.points.map(({ timeReversals }) => timeReversals)).toEqual([0, 0, 0])
        expect(records.record.frame).toBe(put.length)
        records.close()
      }),
      { numRuns: 50 },
    )
  })

  test('waits for a source that may still come with something earlier', async () => {
    const [a, b] = [new FakeSource().put(10, 30, 50).settle(60), new FakeSource().settle(20)]
    const records = live(a, b)
    expect(await taken(records)).toEqual(['a10'])
    expect(records.settledNs).toBe(20e6)
    b.put(25, 40).settle(40)
    expect(await taken(records)).toEqual(['b25', 'a30', 'b40'])
    b.settle(100)
    expect(await taken(records)).toEqual(['a50'])
  })

  test('waits for nobody while a buffer nears its limit; who comes late is counted', async () => {
    const [a, b] = [new FakeSource().put(10, 30), new FakeSource().settle(0)]
    const records = live(a, b)
    expect(await taken(records)).toEqual([])
    a.isPressed = true
    expect(await taken(records)).toEqual(['a10', 'a30'])
    a.isPressed = false
    b.put(20).settle(50)
    a.settle(50)
    expect(await taken(records)).toEqual(['b20'])
    b.put(5)
    expect(await taken(records)).toEqual(['b5'])
    expect(
      records.points.map(({ timeReversals, largestReversalNs }) => [timeReversals, largestReversalNs]),
    ).toEqual([
      [0, 0],
      [1, 15e6],
    ])
  })
})

test('counts at each point, and knows the smallest snaplen', async () => {
  const [a, b] = [new FakeSource().put(1, 2).settle(9), new FakeSource().settle(9)]
  b.snapLenBytes = 96
  b.dropped = 7
  const records = live(a, b)
  await taken(records)
  expect(records.points).toMatchObject([
    { name: 'a', packets: 2, bytes: 120, snapped: 2, firstNs: 1e6, lastNs: 2e6, captureDrops: 0 },
    { name: 'b', packets: 0, bytes: 0, snapped: 0, firstNs: Number.NaN, captureDrops: 7 },
  ])
  expect(records.snapLenBytes).toBe(96)
})

test('begins when all run: what came before is left out', async () => {
  const records = live(
    new FakeSource().put(999, 1000, 1001, 1002).settle(1100),
    new FakeSource().settle(1100),
  )
  records.begin()
  expect(await taken(records)).toEqual(['a1001', 'a1002'])
})

describe('a source that ends', () => {
  test('is told of, and the others go on', async () => {
    const [a, b] = [new FakeSource().put(1, 5).settle(9), new FakeSource().put(2)]
    const records = live(a, b)
    const ends: LaneEnd[] = []
    records.onLaneEnd = (end) => ends.push(end)
    Object.assign(b, { ended: true, problem: 'its interface is gone' })
    expect(await taken(records)).toEqual(['a1', 'b2', 'a5'])
    a.put(7)
    expect(await taken(records)).toEqual(['a7'])
    expect(ends).toEqual([{ name: 'b', problem: 'its interface is gone' }])
  })

  test('is followed by another at the same point, whose drops are added', async () => {
    const [a, b] = [new FakeSource().settle(9), new FakeSource().put(2).settle(9)]
    const records = live(a, b)
    Object.assign(b, { ended: true, dropped: 3 })
    expect(await taken(records)).toEqual(['b2'])
    const again = new FakeSource().put(4).settle(9)
    again.dropped = 2
    records.resume(1, again)
    expect(b.isClosed).toBe(true)
    expect(await taken(records)).toEqual(['b4'])
    clockMs += 1000
    await taken(records)
    expect(records.points.map(({ captureDrops, packets }) => [captureDrops, packets])).toEqual([
      [0, 0],
      [5, 2],
    ])
  })
})

test('it is over when there were only programs, and the last of them has ended', async () => {
  const streams = [new FakeSource(), new FakeSource()].map((source) =>
    Object.assign(source, { interfaces: [] }),
  )
  const records = live(...streams)
  const ends: string[] = []
  records.onLaneEnd = ({ name }) => ends.push(name)
  streams[0].ended = true
  await taken(records)
  expect(ends).toEqual(['a'])
  clockMs += 1000
  await taken(records)
  expect(records.done).toBe(false)
  streams[1].ended = true
  await taken(records)
  clockMs += 2
  await taken(records)
  expect(records.done).toBe(true)
})

test('it goes on while an interface may come back', async () => {
  const a = new FakeSource()
  const records = live(a)
  a.ended = true
  for (let i = 0; i < 3; i++) {
    await taken(records)
    clockMs += 5000
  }
  expect(records.done).toBe(false)
})

test('a source that is added later joins in, with what was held back before it', async () => {
  const [a, b] = [new FakeSource().put(1, 5).settle(9), new FakeSource().settle(2)]
  const records = live(a, b)
  expect(await taken(records)).toEqual(['a1'])
  records.add('late', new FakeSource().put(3).settle(9))
  b.settle(9)
  expect(await taken(records)).toEqual(['late3', 'a5'])
})

describe('after stop()', () => {
  test('all hear until one instant; what passed before it still comes, and then it is done', async () => {
    const [a, b] = [new FakeSource().settle(900), new FakeSource().settle(900)]
    const records = live(a, b)
    await taken(records)
    records.stop()
    // The clock counts whole milliseconds: this one is not over, and nobody may be deaf before the others.
    await taken(records)
    expect([a.isStopped, b.isStopped]).toEqual([false, false])
    clockMs += 2
    await taken(records)
    expect([a.isStopped, b.isStopped]).toEqual([true, true])
    a.put(990, 1000.5, 1001.5)
    expect(await taken(records)).toEqual([])
    expect(records.done).toBe(false)
    b.settle(1100)
    a.settle(1100)
    expect(await taken(records)).toEqual(['a990', 'a1000.5'])
    await taken(records)
    expect(records.done).toBe(true)
    expect(records.points.every(({ ended }) => ended)).toBe(true)
  })

  test('a source that never settles is waited for with patience, and not for ever', async () => {
    const [a, b] = [new FakeSource().settle(5000), new FakeSource().settle(900)]
    const records = live(a, b)
    await taken(records)
    records.stop()
    clockMs += 1000
    await taken(records)
    expect(records.done).toBe(false)
    clockMs += 3000
    await taken(records)
    expect(records.done).toBe(true)
  })

  test('a source that ends then is no news', async () => {
    const a = new FakeSource().settle(900)
    const records = live(a)
    records.onLaneEnd = () => expect.fail('told')
    records.stop()
    clockMs += 2
    a.ended = true
    await taken(records)
    await taken(records)
    expect(records.done).toBe(true)
  })
})

describe('gaps', () => {
  test('a point that ends has one until it is resumed; one that comes later has one before it', async () => {
    const [a, b] = [new FakeSource(), new FakeSource()]
    const records = live(a, b)
    const onGap = vi.fn()
    records.onGap = onGap
    records.begin()
    expect(await taken(records)).toEqual([])
    clockMs = 2000
    a.ended = true
    await taken(records)
    expect(records.points[0]!.gaps).toEqual([{ fromNs: 1500e6, toNs: Number.POSITIVE_INFINITY }])
    clockMs = 3000
    records.resume(0, new FakeSource())
    expect(records.points[0]!.gaps).toEqual([{ fromNs: 1500e6, toNs: 3001e6 }])
    records.add('late', new FakeSource())
    expect(records.points[2]!.gaps).toEqual([{ fromNs: Number.NEGATIVE_INFINITY, toNs: 3001e6 }])
    expect(records.points[1]!.gaps).toEqual([])
    expect(onGap).toHaveBeenCalledTimes(3)
  })

  test('what ends since it was told to has none', async () => {
    const a = new FakeSource()
    const records = live(a)
    records.stop()
    clockMs = 1010
    a.ended = true
    await taken(records)
    expect(records.points[0]!.gaps).toEqual([])
  })
})

test('a frame from the future does not hold up the end', async () => {
  const [ring, far] = [new FakeSource(), new FakeSource().put(3_600_000)]
  const records = live(ring, far)
  expect(await taken(records)).toEqual([])
  records.stop()
  clockMs = 1100
  ring.settle(1060)
  await taken(records)
  clockMs = 1200
  ring.settle(1160)
  far.settle(1160)
  await taken(records)
  expect(records.done).toBe(true)
})
