/** Outcomes: what became of the journeys of each pattern, read from the stations that they reached and those that they should have. */

import type { PointIndex } from '../capture/record.ts'
import { SparseCounts } from './columns.ts'
import type { Correlator } from './correlator.ts'
import type { DirectionIndex } from './flows.ts'
import type { LegIndex } from './legs.ts'
import { PatternFlag } from './patterns.ts'

const KINDS = ['delivered', 'lost', 'answered', 'unseen', 'ambiguous'] as const
const UNSEEN = 8
export type OutcomeKind = (typeof KINDS)[number]

/** What became of all journeys of one pattern row. */
export interface PatternOutcome {
  kind: OutcomeKind
  /** Lost: the last point that showed them and the first one that should have. */
  between: [PointIndex, PointIndex] | null
  /** Points on their way that did not show them though they passed, or whose capture can't tell. */
  unseenAt: PointIndex[]
}

/** `isUnseen`: there are points on their way that did not show them. */
export type KnownOutcome = Pick<PatternOutcome, 'kind' | 'between'> & { isUnseen: boolean }

/** What is known of the journeys of many pattern rows. */
export class Outcomes {
  /** The kind's place in `KINDS` plus 1, and `UNSEEN`; and where they are lost, the two points. */
  readonly #kind = new SparseCounts()
  readonly #between = new SparseCounts()

  set(row: number, { kind, between, unseenAt }: PatternOutcome): void {
    this.#kind.set(row, (KINDS.indexOf(kind) + 1) | (unseenAt.length > 0 ? UNSEEN : 0))
    if (between) this.#between.set(row, ((between[0] << 16) | between[1]) >>> 0)
  }

  get(row: number): KnownOutcome | undefined {
    const kind = KINDS[(this.#kind.get(row) & ~UNSEEN) - 1]
    if (kind === undefined) return undefined
    const points = this.#between.get(row)
    return {
      kind,
      between: kind === 'lost' ? [points >>> 16, points & 0xffff] : null,
      isUnseen: (this.#kind.get(row) & UNSEEN) !== 0,
    }
  }
}

export interface OutcomeOptions {
  /** For each station, the stations that some journey reached as well: see `coOccurrence`. */
  together: readonly Set<number>[]
  /** The capture at `beyond` had begun before, and nothing ever came back: that it is silent since proves the loss. */
  isSilenceProof: boolean
  /** Where the packets would have gone next though none of this direction was seen there, or -1. */
  beyond: PointIndex
}

/** The outcome of each pattern row of a direction; `way` are its legs in order. */
export function outcomesOf(
  correlator: Correlator,
  direction: DirectionIndex,
  way: readonly LegIndex[],
  options: OutcomeOptions,
): Map<number, PatternOutcome> {
  const { patterns, flows, legs, points } = correlator
  const { together } = options
  const outcomes = new Map<number, PatternOutcome>()
  for (let row = flows.patternHead[direction]!; row >= 0; row = patterns.next[row]!) {
    const reached = way.map((leg) => patterns.has(row, legs.station[leg]!))
    const lastReached = reached.lastIndexOf(true)
    // A station that no journey shares with one that this journey reached is another branch, not a gap.
    const expected = way.map((_, i) => reached[i] || reached.every((yes, j) => !yes || together[i]!.has(j)))
    const unseenAt: PointIndex[] = []
    for (let i = 0; i < lastReached; i++) if (expected[i] && !reached[i]) unseenAt.push(legs.point[way[i]!]!)
    const nextExpected = expected.findIndex((yes, i) => yes && i > lastReached)
    const next = nextExpected >= 0 ? legs.point[way[nextExpected]!]! : options.beyond
    const flags = patterns.flags(row)
    let kind: OutcomeKind = 'delivered'
    let between: [PointIndex, PointIndex] | null = null
    if (flags & PatternFlag.Answered) kind = 'answered'
    else if (flags & PatternFlag.Ambiguous || lastReached < 0) kind = 'ambiguous'
    else if (next >= 0) {
      // A capture without any record has no times of its own: it is taken to have run.
      const isOutside = (patterns.outside(row) >>> Math.min(31, next)) % 2 === 1
      const notCaptured =
        isOutside && points[next]!.packets > 0 && !(nextExpected < 0 && options.isSilenceProof)
      if (flags & PatternFlag.Forced) kind = 'ambiguous'
      else if (notCaptured || flags & PatternFlag.Acked || (points[next]!.captureDrops ?? 0) > 0) {
        kind = 'unseen'
        unseenAt.push(next)
      } else {
        kind = 'lost'
        between = [legs.point[way[lastReached]!]!, next]
      }
    }
    outcomes.set(row, { kind, between, unseenAt })
  }
  return outcomes
}

/** For each station of a direction, the stations that some journey reached as well, as places on the way. */
export function coOccurrence(
  { patterns, legs, flows }: Correlator,
  direction: DirectionIndex,
  way: readonly LegIndex[],
): Set<number>[] {
  // While a capture runs: packets have shown these stations, and none has had its time yet.
  if (flows.patternHead[direction]! < 0) return way.map(() => new Set(way.keys()))
  const together = way.map(() => new Set<number>())
  for (let row = flows.patternHead[direction]!; row >= 0; row = patterns.next[row]!) {
    const reached = way.flatMap((leg, i) => (patterns.has(row, legs.station[leg]!) ? [i] : []))
    for (const i of reached) for (const j of reached) together[i]!.add(j)
  }
  return together
}
