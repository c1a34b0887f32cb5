/** Clock errors: how far the clock of one file is from that of another, and the times that result from taking it off. */

/** The error of one file's clock against that of a reference. Times are ns since the run's epoch. */
export interface ClockError {
  /** How far the clock was ahead (negative: behind) when it showed `atNs`. */
  readonly offsetNs: number
  /** ns that it gains in each ns of its own. */
  readonly skew: number
  readonly atNs: number
  /** The true offset is believed to be this close, at any time of the capture. */
  readonly uncertaintyNs: number
  /** What the estimate rests on; `uneven`: packets of both directions, whose delays contradict one steady clock. */
  readonly basis: 'both-ways' | 'one-way' | 'uneven'
  /** The capture whose clock counts as right, as the user named it (`Point.source`). */
  readonly reference: string
}

/** What the reference showed when this clock showed `ownNs`, in whole ns. */
export function correctedNs(error: ClockError, ownNs: number): number {
  return Math.round(ownNs - error.offsetNs - error.skew * (ownNs - error.atNs))
}

/** How far the clock was ahead when the reference showed `timeNs`, in ns. */
export function offsetAt(error: ClockError, timeNs: number): number {
  const ownNs = (timeNs + error.offsetNs - error.skew * error.atNs) / (1 - error.skew)
  return ownNs - timeNs
}
