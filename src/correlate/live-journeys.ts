/** Live journeys: which packets can be told already, while the capture runs: those that have arrived, or had their time. */

import type { PointIndex } from '../capture/record.ts'
import type { Correlator } from './correlator.ts'
import type { Outcomes } from './outcomes.ts'
import type { FinishedJourney } from './tally.ts'
import { type JourneySlot, pointBit } from './window.ts'

/** Sightings of one packet are hardly ever farther apart; who was seen so long ago for the last time has arrived. */
const SETTLED_NS = 15e6
/** Journeys that are kept until they can be told. */
const MAX_HELD = 100_000
/** Points that can be told apart in a journey's bits. */
const MAX_POINT_BITS = 31

/**
 * Picks journeys as they complete, each once: at once where every point has seen it, soon where it was seen wherever
 * others of its direction arrived, else when it leaves the window. Give `noteFinished` to the correlator.
 */
export class LiveJourneys {
  /** Journeys that are not told, as there were too many at once. */
  skipped = 0
  readonly #maxAtOnce: number
  #next = 0
  #waiting: number[] = []
  readonly #isWaiting = new Set<number>()
  #finished: FinishedJourney[] = []

  /** Of the journeys that begin between two calls of `take` only so many are told. */
  constructor(maxAtOnce = Number.POSITIVE_INFINITY) {
    this.#maxAtOnce = maxAtOnce
  }

  /** A journey leaves the window (`CorrelatorOptions.onJourney`). */
  noteFinished(journey: FinishedJourney): void {
    // Some come and go between two calls.
    const isNew = journey.serial >= this.#next
    if (this.#finished.length >= MAX_HELD) {
      // Whoever is told does not keep up. New ones are counted where they would be admitted.
      if (!isNew && this.#isWaiting.delete(journey.serial)) this.skipped++
      return
    }
    if (isNew ? this.#finished.length < this.#maxAtOnce : this.#isWaiting.delete(journey.serial))
      this.#finished.push(copyOf(journey))
  }

  /**
   * Journeys to be told now. `arrived` tells whether a pattern's journeys have all been where they should; `points` are
   * those that are captured at the moment.
   */
  take(
    correlator: Correlator,
    nowNs: number,
    points: readonly PointIndex[],
    outcomes: Pick<Outcomes, 'get'>,
  ): FinishedJourney[] {
    const { window } = correlator
    const told = this.#finished
    this.#finished = []
    this.#admit(window.nextSerial, window.oldest, told)
    const everyPoint =
      points.length <= MAX_POINT_BITS ? points.reduce((bits, point) => bits | pointBit(point), 0) : -1
    const still: number[] = []
    for (const serial of this.#waiting) {
      if (!this.#isWaiting.has(serial)) continue
      const slot = window.slotOf(serial)
      if (slot < 0) this.#isWaiting.delete(serial)
      else if (
        (window.pointsSeen[slot]! & everyPoint) === everyPoint ||
        hasArrived(correlator, slot, nowNs, outcomes)
      ) {
        this.#isWaiting.delete(serial)
        told.push(copyOf(correlator.preview(slot)))
      } else still.push(serial)
    }
    this.#waiting = still
    return told.sort((a, b) => a.serial - b.serial)
  }

  /** Takes note of the journeys that have begun since the last call. */
  #admit(end: number, oldest: number, told: readonly FinishedJourney[]): void {
    const toldNew = told.filter(({ serial }) => serial >= this.#next).length
    const from = Math.max(this.#next, oldest)
    const to = Math.min(end, from + Math.max(0, this.#maxAtOnce - toldNew))
    for (let serial = from; serial < to; serial++) {
      this.#waiting.push(serial)
      this.#isWaiting.add(serial)
    }
    this.skipped += end - this.#next - toldNew - Math.max(0, to - from)
    this.#next = end
  }
}

/** Was the journey seen at the same stations as others of its direction that are known to have arrived? */
function hasArrived(
  { window, legs, patterns, flows }: Correlator,
  slot: JourneySlot,
  nowNs: number,
  outcomes: Pick<Outcomes, 'get'>,
): boolean {
  if (nowNs - window.timeNs[window.lastSighting[slot]!]! < SETTLED_NS) return false
  const direction = flows.find(window.direction[slot]!)
  for (let row = flows.patternHead[direction]!; row >= 0; row = patterns.next[row]!) {
    const outcome = outcomes.get(row)
    if (outcome?.kind !== 'delivered' || outcome.isUnseen) continue
    let reached = 0
    let isSame = true
    for (let s = window.firstSighting[slot]!; s >= 0 && isSame; s = window.nextSighting[s]!) {
      isSame = patterns.has(row, legs.station[window.leg[s]!]!)
      reached++
    }
    if (isSame && reached >= patterns.stationCount(row)) return true
  }
  return false
}

function copyOf(journey: FinishedJourney): FinishedJourney {
  const { sightings } = journey
  return {
    ...journey,
    leg: journey.leg.slice(0, sightings),
    frame: journey.frame.slice(0, sightings),
    timeNs: journey.timeNs.slice(0, sightings),
    ttl: journey.ttl.slice(0, sightings),
  }
}
