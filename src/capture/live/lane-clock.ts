/** The clock of another host whose frames come in live: times are corrected by what is known of it, which gets better. */

import { type ClockError, correctedNs } from '../clock.ts'
import type { SourceClock } from './source.ts'

/** A correction that is off by more keeps packets from being matched: it changes at once. In ns. */
const STEP_NS = 0.5e9
/** Smaller changes come by and by, so that no record comes in front of the one before it: one ns in so many. */
const LEAST_NS_PER_NS = 10
/** And not in less time than that, in ns. */
const LEAST_CHANGE_NS = 2e9

/** One clock. Until something is known of it, times stay as they are. */
export class LaneClock implements SourceClock {
  /** An estimate has been made, or nothing will come of it. */
  isKnown = false
  #best: ClockError | null = null
  /** The correction was more than that of the best estimate by `#excessNs` at `#fromNs`, and is not any more after `#spanNs`. */
  #excessNs = 0
  #fromNs = 0
  #spanNs = 1
  /** The most that corrections have turned out to be wrong by, in ns. */
  #revisedNs = 0

  /** What the reference showed when this clock showed `ownNs`. */
  correctedNs(ownNs: number): number {
    const best = this.#best
    const timeNs = best === null ? ownNs : correctedNs(best, ownNs)
    return this.#excessNs === 0 ? timeNs : Math.round(timeNs + this.#excessAt(ownNs))
  }

  /**
   * Goes by a better estimate from `ownNs` on. True where times jump by that: the first correction, or one that was far off.
   */
  adopt(estimate: ClockError | null, ownNs: number): boolean {
    const isFirst = !this.isKnown
    this.isKnown = true
    // A clock that was corrected agrees only nearly: to be sure of nothing is no reason to change times again.
    if (estimate === null) return false
    const beforeNs = this.correctedNs(ownNs)
    this.#best = estimate
    this.#excessNs = 0
    const excessNs = beforeNs - this.correctedNs(ownNs)
    if (isFirst || !(Math.abs(excessNs) <= STEP_NS)) return true
    this.#excessNs = excessNs
    this.#fromNs = ownNs
    this.#spanNs = Math.max(LEAST_CHANGE_NS, LEAST_NS_PER_NS * Math.abs(excessNs))
    this.#revisedNs = Math.max(this.#revisedNs, Math.abs(excessNs))
    return false
  }

  /** The error as it is known now; the uncertainty holds for all times that were given out. */
  get error(): ClockError | null {
    const best = this.#best
    return best && { ...best, uncertaintyNs: best.uncertaintyNs + this.#revisedNs }
  }

  #excessAt(ownNs: number): number {
    const left = 1 - (ownNs - this.#fromNs) / this.#spanNs
    return this.#excessNs * Math.max(0, Math.min(1, left))
  }
}
