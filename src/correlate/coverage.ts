/** Coverage: at which times the captures ran, as their first and last records say; outside of these nothing counts as lost. */

import type { Point, PointIndex } from '../capture/record.ts'
import { pointBit } from './window.ts'

/** What was underway when a capture stopped, in ns: that it did not arrive says nothing. */
const UNDERWAY_NS = 20e6

/** The records of one file so far. Its interfaces were captured together. */
interface Source {
  readonly name: string
  readonly points: Point[]
  firstNs: number
  lastNs: number
}

export class Coverage {
  readonly #points: readonly Point[]
  readonly #sources: Source[] = []
  readonly #sourceOf: Source[] = []
  #heardPoints = 0
  /** All sources had begun at the first of these times, and each has had a record behind the second. */
  #allBegunNs = Number.NEGATIVE_INFINITY
  #allHeardNs = Number.NEGATIVE_INFINITY

  constructor(points: readonly Point[]) {
    this.#points = points
  }

  /** A record of this point has this time. */
  note(point: PointIndex, timeNs: number): void {
    const source = this.#sourceOf[point] ?? this.#newPoint(point)
    if (timeNs < source.firstNs) {
      source.firstNs = timeNs
      this.#allBegunNs = Math.max(this.#allBegunNs, timeNs)
    }
    if (timeNs > source.lastNs) source.lastNs = timeNs
  }

  /** Points whose captures did not run at this time, as bits (see `pointBit`). */
  outsideMask(timeNs: number): number {
    const allHeard = this.#heardPoints === this.#points.length
    if (
      allHeard &&
      !this.#points.some(hasGaps) &&
      timeNs >= this.#allBegunNs &&
      timeNs + UNDERWAY_NS <= this.#allHeardNs
    )
      return 0
    this.#allHeardNs = Number.POSITIVE_INFINITY
    for (const source of this.#sources) this.#allHeardNs = Math.min(this.#allHeardNs, source.lastNs)
    let mask = 0
    for (let point = 0; point < this.#points.length; point++)
      if (this.#isOutside(point, timeNs)) mask |= pointBit(point)
    return mask >>> 0
  }

  #isOutside(point: PointIndex, timeNs: number): boolean {
    // A silent interface was captured as long as the others of its file were.
    const source = this.#sourceOf[point] ?? this.#sourceNamed(this.#points[point]!.source)
    if (!source || timeNs < source.firstNs || isInGap(this.#points[point]!, timeNs)) return true
    return timeNs + UNDERWAY_NS > source.lastNs && source.points.every((p) => p.ended)
  }

  #sourceNamed(name: string): Source | undefined {
    return this.#sources.find((source) => source.name === name)
  }

  #newPoint(index: PointIndex): Source {
    const point = this.#points[index]!
    let source = this.#sourceNamed(point.source)
    if (!source) {
      source = {
        name: point.source,
        points: [],
        firstNs: Number.POSITIVE_INFINITY,
        lastNs: Number.NEGATIVE_INFINITY,
      }
      this.#sources.push(source)
    }
    source.points.push(point)
    this.#sourceOf[index] = source
    this.#heardPoints++
    return source
  }
}

function hasGaps({ gaps }: Point): boolean {
  return gaps.length > 0
}

/** Was the point not captured when a packet of this time may have come past it? */
function isInGap({ gaps }: Point, timeNs: number): boolean {
  return gaps.some(({ fromNs, toNs }) => timeNs + UNDERWAY_NS >= fromNs && timeNs <= toNs)
}
