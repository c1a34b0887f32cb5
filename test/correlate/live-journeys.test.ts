/** Live journeys over recorded captures that come in small pieces: each is told once, early where it has arrived. */

import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { resolveInputs } from '../../src/capture/inputs.ts'
import { MergedRecords } from '../../src/capture/merge.ts'
import { LiveJourneys } from '../../src/correlate/live-journeys.ts'
import { joinedFlows } from '../../src/correlate/result.ts'
import type { FinishedJourney } from '../../src/correlate/tally.ts'
import { Joining, type RecordStream } from '../../src/joining.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
/** Masquerade, a published port, losses, and one bridge that is passed twice. */
const SCENARIOS = ['outbound-masquerade', 'inbound-published-port', 'forward-drop', 'hairpin']

interface Told {
  /** In the order in which they were told, each with the time of the last record. */
  early: { journey: FinishedJourney; nowNs: number }[]
  late: FinishedJourney[]
  skipped: number
  /** All journeys, as they were when they left the window. */
  finished: Map<number, FinishedJourney>
}

interface Options {
  /** Records between two looks. */
  piece: number
  maxAtOnce?: number
  /** Points by number that are captured, all unless given. */
  points?: number[]
  /** Whether outcomes are known that let packets be told that did not get to every point. */
  knowsOutcomes?: boolean
}

/** Plays a recorded scenario as a live capture would. */
async function play(scenario: string, { piece, maxAtOnce, points, knowsOutcomes }: Options): Promise<Told> {
  const { inputs } = await resolveInputs([join(CAPTURES, scenario)])
  const merged = await MergedRecords.open(inputs)
  let left = 0
  let records = 0
  let nowNs = 0
  // Only so many records at a time: then there is none at the moment.
  const stream = new Proxy(merged, {
    get(target, name) {
      if (name !== 'advance') {
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return () => {
        if (left === 0 || !target.advance()) return false
        left--
        records++
        nowNs = target.record.timeNs
        return true
      }
    },
  }) as RecordStream
  const journeys = new LiveJourneys(maxAtOnce)
  const finished = new Map<number, FinishedJourney>()
  const joining = new Joining(stream, {
    onJourney(journey) {
      const { sightings, leg, frame, timeNs, ttl } = journey
      const columns = { leg: leg.slice(0, sightings), frame: frame.slice(0, sightings) }
      const more = { timeNs: timeNs.slice(0, sightings), ttl: ttl.slice(0, sightings) }
      finished.set(journey.serial, { ...journey, ...columns, ...more })
      journeys.noteFinished(journey)
    },
  })
  const { correlator } = joining
  const take = () => {
    const all = points ?? merged.points.map(({ index }) => index)
    const joined = joinedFlows(correlator, merged.epoch)
    // Outcomes are known of the flows that have been read.
    if (knowsOutcomes) for (const _ of joined.flows);
    return journeys.take(correlator, nowNs, all, joined.outcomes)
  }
  const early: Told['early'] = []
  try {
    for (;;) {
      left = piece
      const before = records
      joining.takeRecords()
      for (const journey of take()) early.push({ journey, nowNs })
      if (records > before) continue
      if (merged.done) break
      await merged.fill()
    }
    correlator.finish()
    return { early, late: take(), skipped: journeys.skipped, finished }
  } finally {
    await merged.close()
  }
}

function serials(told: Told): number[] {
  return [...told.early.map(({ journey }) => journey.serial), ...told.late.map(({ serial }) => serial)]
}

const framesOf = ({ frame, leg }: FinishedJourney) => [...frame].map((it, i) => `${leg[i]}:${it}`).sort()

describe.each(SCENARIOS)('%s', (scenario) => {
  test.each([1, 7, 100, 100_000])('each once, looking every %d records', async (piece) => {
    for (const knowsOutcomes of [false, true]) {
      const told = await play(scenario, { piece, knowsOutcomes })
      expect(told.finished.size).toBeGreaterThanOrEqual(3)
      expect(serials(told).sort((a, b) => a - b)).toEqual([...told.finished.keys()].sort((a, b) => a - b))
      expect(told.skipped).toBe(0)
    }
  })

  test('what is told early has been everywhere it will be', async () => {
    const { early, finished } = await play(scenario, { piece: 7 })
    for (const { journey } of early) {
      expect(framesOf(journey)).toEqual(framesOf(finished.get(journey.serial)!))
      expect(journey.direction).toBe(finished.get(journey.serial)!.direction)
    }
  })

  test('under load some are left out and counted, and none is told twice', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 0, max: 5 }),
        async (piece, maxAtOnce) => {
          const told = await play(scenario, { piece, maxAtOnce, knowsOutcomes: true })
          const all = serials(told)
          expect(new Set(all).size).toBe(all.length)
          expect(all.length + told.skipped).toBe(told.finished.size)
        },
      ),
      { numRuns: 12 },
    )
  })
})

test('who has been at every point is told at once', async () => {
  const { early, late } = await play('outbound-masquerade', { piece: 1 })
  expect(early.length).toBeGreaterThan(late.length)
  for (const { journey, nowNs } of early.filter(({ journey: { pattern } }) => pattern < 0))
    expect(nowNs).toBe(Math.max(...journey.timeNs))
})

test('points that are not captured at the moment are not waited for', async () => {
  const all = await play('outbound-masquerade', { piece: 5 })
  const three = await play('outbound-masquerade', { piece: 5, points: [0, 1] })
  const toldAt = (told: Told) => new Map(told.early.map(({ journey, nowNs }) => [journey.serial, nowNs]))
  const [whenAll, whenThree] = [toldAt(all), toldAt(three)]
  for (const [serial, nowNs] of whenAll) expect(whenThree.get(serial)).toBeLessThanOrEqual(nowNs)
  expect([...whenAll].some(([serial, nowNs]) => whenThree.get(serial)! < nowNs)).toBe(true)
})

test('a packet that goes only part of the way is told as soon as others show that this is where it ends', async () => {
  // As if there were one more point, which nobody's packets pass.
  const points = [0, 1, 2, 3, 4]
  const blind = await play('udp-and-ping', { piece: 1, points })
  const knowing = await play('udp-and-ping', { piece: 1, points, knowsOutcomes: true })
  const beforeTheyLeft = ({ early }: Told) => early.filter(({ journey }) => journey.pattern < 0)
  expect(beforeTheyLeft(blind)).toEqual([])
  expect(beforeTheyLeft(knowing).length).toBeGreaterThan(0)
  for (const { journey } of beforeTheyLeft(knowing))
    expect(framesOf(journey)).toEqual(framesOf(knowing.finished.get(journey.serial)!))
})

test('they come in the order in which they began', async () => {
  const { early } = await play('hairpin', { piece: 100_000 })
  const order = early.map(({ journey }) => journey.serial)
  expect(order).toEqual(order.toSorted((a, b) => a - b))
})
