/** Twins: equal packets of one direction, told apart by their order and by how long each would have been on its way. */

import type { DirectionIndex, FlowTable } from './flows.ts'
import type { LegIndex, LegTable } from './legs.ts'
import { JourneyFlag, type JourneySlot, type JourneyWindow } from './window.ts'

/** The usual delay and its deviation follow the samples with these gains; later than so many deviations is late (RFC 6298) … */
const DELAY_GAIN = 1 / 8
const DEVIATION_GAIN = 1 / 4
const LATE_DEVIATIONS = 4
/** … but nothing is that takes not even so much more. */
const LATE_FLOOR_NS = 50e3
/** An older one that is not much later than that leaves a doubt. */
const FAR_FACTOR = 3
/** A packet that would have been on its way this much longer than usual is hardly the one. */
const ABSURD_FACTOR = 20
const ABSURD_FLOOR_NS = 5e6
/** Equal packets that are looked at, and how close together they must be to be taken for each other, in ns. */
const MAX_STEPS = 1024
const MAX_TWINS = 64
const TWIN_NS = 100e6
const MAX_LEGS = 64

/** The tables that are read and written. */
export interface TwinTables {
  readonly legs: LegTable
  readonly flows: FlowTable
  readonly window: JourneyWindow
}

export class Twins {
  readonly #legs: LegTable
  readonly #flows: FlowTable
  readonly #window: JourneyWindow
  readonly #twins = new Int32Array(MAX_TWINS)
  readonly #isDoubted = new Uint8Array(MAX_TWINS)
  readonly #passedLegs = new Int32Array(MAX_LEGS).fill(-1)

  constructor({ legs, flows, window }: TwinTables) {
    this.#legs = legs
    this.#flows = flows
    this.#window = window
  }

  /** A packet was seen on `leg` so long after its first sighting. One that is far off moves the usual delay no further than to its limit. */
  noteDelay(leg: LegIndex, delayNs: number): void {
    const { usualDelayNs, delayDeviationNs } = this.#legs
    const usual = usualDelayNs[leg]!
    if (Number.isNaN(usual)) {
      usualDelayNs[leg] = delayNs
      delayDeviationNs[leg] = delayNs / 2
      return
    }
    const deviation = delayDeviationNs[leg]!
    const error = Math.min(delayNs - usual, LATE_DEVIATIONS * deviation + LATE_FLOOR_NS)
    delayDeviationNs[leg] = deviation + (Math.abs(error) - deviation) * DEVIATION_GAIN
    usualDelayNs[leg] = usual + error * DELAY_GAIN
  }

  /**
   * Which one of several equal journeys is seen on `leg`, where none of them was seen yet; they are the first `known` of
   * `candidates`, newest first. Networks keep the order, so it is the oldest of those that would not be late. Where all
   * would be, or an older one would be hardly late, any of these may be the one: then they are ambiguous.
   */
  choose(candidates: Int32Array, known: number, leg: LegIndex, timeNs: number): JourneySlot {
    const { firstNs, flags } = this.#window
    for (let i = 0; i < known; i++) flags[candidates[i]!]! |= JourneyFlag.Twin
    const lateNs = this.#lateNs(leg)
    const farNs = FAR_FACTOR * lateNs
    let mayBeLate = -1
    for (let i = known - 1; i >= 0; i--) {
      const onItsWayNs = timeNs - firstNs[candidates[i]!]!
      if (onItsWayNs <= lateNs) {
        for (let j = i; j <= mayBeLate; j++) flags[candidates[j]!]! |= JourneyFlag.Ambiguous
        return candidates[i]!
      }
      if (mayBeLate < 0 && onItsWayNs <= farNs) mayBeLate = i
    }
    const absurdNs = this.#absurdNs(leg)
    let oldest = known - 1
    while (oldest > 0 && timeNs - firstNs[candidates[oldest]!]! > absurdNs) oldest--
    for (let i = oldest; i >= 0 && oldest > 0; i--) flags[candidates[i]!]! |= JourneyFlag.Ambiguous
    const slot = candidates[oldest]!
    this.doubtLate(slot, leg, timeNs)
    return slot
  }

  /**
   * A journey with equals is seen on `leg`. Where it is late, one of its equals that was seen there before may have been
   * it: then both are ambiguous.
   */
  doubtLate(slot: JourneySlot, leg: LegIndex, timeNs: number): void {
    const { firstNs, flags } = this.#window
    const lateNs = this.#lateNs(leg)
    if (timeNs - firstNs[slot]! <= lateNs) return
    const absurdNs = this.#absurdNs(leg)
    const count = this.#gather(slot, this.#flows.find(this.#window.direction[slot]!))
    for (let i = 0; i < count; i++) {
      const twin = this.#twins[i]!
      const seenNs = this.#seenNs(twin, leg)
      if (Number.isNaN(seenNs) || seenNs < firstNs[slot]! || timeNs - firstNs[twin]! > absurdNs) continue
      flags[twin]! |= JourneyFlag.Ambiguous
      flags[slot]! |= JourneyFlag.Ambiguous
    }
  }

  /**
   * The oldest journey is about to leave: where some of its equals passed a leg and others did not, nothing says which
   * ones did, as far as a sighting of the ones may as well be one of the others. All of these are ambiguous.
   */
  compare(slot: JourneySlot, direction: DirectionIndex): void {
    const { pointsSeen, flags, leg, firstSighting, nextSighting } = this.#window
    const count = this.#gather(slot, direction)
    let differ = false
    for (let i = 0; i < count; i++) {
      const twin = this.#twins[i]!
      if (pointsSeen[twin] !== pointsSeen[slot]) differ = true
      else if (!this.#areCoveredAlike(twin, slot)) {
        flags[twin]! |= JourneyFlag.Ambiguous
        flags[slot]! |= JourneyFlag.Ambiguous
      }
    }
    if (!differ) return
    let legs = 0
    for (let i = 0; i < count; i++)
      for (let s = firstSighting[this.#twins[i]!]!; s >= 0; s = nextSighting[s]!)
        if (legs < MAX_LEGS && this.#passedLegs.indexOf(leg[s]!) === -1) this.#passedLegs[legs++] = leg[s]!
    for (let i = 0; i < legs; i++) {
      if (!this.#spreadDoubt(count, this.#passedLegs[i]!)) continue
      for (let j = 0; j < count; j++)
        if (this.#isDoubted[j] !== 0) flags[this.#twins[j]!]! |= JourneyFlag.Ambiguous
    }
    this.#passedLegs.fill(-1)
  }

  /** Where others saw them in other cuts: do these add up to as much of both? */
  #areCoveredAlike(a: JourneySlot, b: JourneySlot): boolean {
    const window = this.#window
    if (((window.flags[a]! | window.flags[b]!) & JourneyFlag.Recut) === 0) return true
    const { firstSighting, nextSighting, coveredBytes } = window
    let difference = 0
    for (let s = firstSighting[a]!; s >= 0; s = nextSighting[s]!) difference += coveredBytes[s]!
    for (let s = firstSighting[b]!; s >= 0; s = nextSighting[s]!) difference -= coveredBytes[s]!
    return difference === 0
  }

  /** Doubts the twins that were not seen on `leg`, and those whose sighting there may be a doubted one's. Are there any of these? */
  #spreadDoubt(count: number, leg: LegIndex): boolean {
    const { firstNs } = this.#window
    const lateNs = this.#lateNs(leg)
    for (let i = 0; i < count; i++)
      this.#isDoubted[i] = Number.isNaN(this.#seenNs(this.#twins[i]!, leg)) ? 1 : 0
    let spread = false
    for (let grew = true; grew; ) {
      grew = false
      for (let i = 0; i < count; i++) {
        if (this.#isDoubted[i] !== 0) continue
        const seenNs = this.#seenNs(this.#twins[i]!, leg)
        for (let j = 0; j < count; j++) {
          const onItsWayNs = seenNs - firstNs[this.#twins[j]!]!
          if (this.#isDoubted[j] === 0 || onItsWayNs < 0 || onItsWayNs > lateNs) continue
          this.#isDoubted[i] = 1
          grew = true
          spread = true
          break
        }
      }
    }
    return spread
  }

  /** Delay from which on a packet is late on a leg; without any experience none is. */
  #lateNs(leg: LegIndex): number {
    const usual = this.#legs.usualDelayNs[leg]!
    if (Number.isNaN(usual)) return Number.POSITIVE_INFINITY
    return usual + Math.max(LATE_FLOOR_NS, LATE_DEVIATIONS * this.#legs.delayDeviationNs[leg]!)
  }

  /** Delay from which on a packet is out of the question. */
  #absurdNs(leg: LegIndex): number {
    return Math.max(ABSURD_FLOOR_NS, ABSURD_FACTOR * this.#legs.usualDelayNs[leg]!)
  }

  /** Writes the journeys that are equal to this one, itself included, into `#twins`; returns their number. */
  #gather(slot: JourneySlot, direction: DirectionIndex): number {
    const window = this.#window
    const { keyHigh, keyLow, flags, firstNs } = window
    let count = 0
    let other = window.newest(keyLow[slot]!)
    for (
      let step = 0;
      other >= 0 && step < MAX_STEPS && count < MAX_TWINS;
      step++, other = window.older(other)
    ) {
      if (keyHigh[other] !== keyHigh[slot] || keyLow[other] !== keyLow[slot]) continue
      if (other !== slot && (flags[other]! & JourneyFlag.Twin) === 0) continue
      if (Math.abs(firstNs[other]! - firstNs[slot]!) > TWIN_NS) continue
      if (this.#flows.find(window.direction[other]!) === direction) this.#twins[count++] = other
    }
    return count
  }

  /** When the journey was first seen on a leg, or NaN. */
  #seenNs(slot: JourneySlot, leg: LegIndex): number {
    const { firstSighting, nextSighting, leg: legOf, timeNs } = this.#window
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!) if (legOf[s] === leg) return timeNs[s]!
    return Number.NaN
  }
}
