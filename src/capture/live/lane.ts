/** The lane: one source in the live merge, with the point, or the points, that its frames belong to. */

import type { FilePoints } from '../points.ts'
import type { PointIndex } from '../record.ts'
import type { LaneClock } from './lane-clock.ts'
import type { LaneSource } from './source.ts'

/** What it sees belongs to one point, or to one for each of its interfaces. */
export interface Lane {
  readonly name: string
  readonly sourceName: string
  source: LaneSource
  readonly point: PointIndex
  readonly filePoints: FilePoints | null
  isEnded: boolean
  /** The clock by which it has its times; null where that is this machine's, or clocks are not compared. */
  clock: LaneClock | null
  /** That clock's number; 0 for this machine's. */
  clockNumber: number
  /** What its clock showed at its newest record, in ns. */
  shownNs: number
}
