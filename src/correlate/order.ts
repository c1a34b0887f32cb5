/** Order of points: along each direction's way from TTL and time, and one order for the whole run, client side first. */

import type { PointIndex } from '../capture/record.ts'
import type { Cables } from './cables.ts'
import type { Correlator } from './correlator.ts'
import { withoutFloods } from './floods.ts'
import type { DirectionIndex } from './flows.ts'
import type { LegIndex } from './legs.ts'

/**
 * The legs of a flow's two directions, each in the order in which a packet passes them. TTL orders routers. Between two routers time
 * alone misleads (a bridge's tap may come after that of the port behind it, a clock may be off), but such errors have
 * the same sign in both directions: a point's place is half the difference of its delays there and back.
 */
export function legsAlongTheWays(
  correlator: Correlator,
  forward: DirectionIndex,
  cables: Cables,
): [LegIndex[], LegIndex[]] {
  const { legs, flows } = correlator
  const [seenThere, seenBack] = [flows.wayOf(forward), flows.wayOf(forward ^ 1)]
  const there = delays(correlator, withoutFloods(legs, seenThere, seenBack))
  const back = delays(correlator, withoutFloods(legs, seenBack, seenThere))
  const forth = sorted(correlator, there, back)
  // What takes no time (one interface that is captured twice) stands as it does on the way there, turned around.
  const place = (leg: LegIndex) => forth.findIndex((other) => legs.point[other] === legs.point[leg])
  const home = sorted(correlator, back, there, (a, b) => place(b) - place(a))
  return [
    asTheOtherWay(correlator, forth, home, there, back),
    asTheOtherWay(correlator, home, forth, back, there),
  ].map((way) => cables.inOrder(legs, way)) as [LegIndex[], LegIndex[]]
}

/** The legs of `there` by TTL, then by their delays in both directions, or in their own where some have no counterpart. */
function sorted(
  { legs }: Correlator,
  there: ReadonlyMap<LegIndex, number>,
  back: ReadonlyMap<LegIndex, number>,
  otherwise: (a: LegIndex, b: LegIndex) => number = () => 0,
): LegIndex[] {
  const way = [...there.keys()]
  const backAt = way.map((leg) => {
    const mirror = legs.mirror[leg]!
    const same = [...back.keys()].filter((other) =>
      mirror >= 0 ? other === mirror : legs.point[other] === legs.point[leg],
    )
    return same.length === 1 ? back.get(same[0]!)! : Number.NaN
  })
  const complete = !backAt.some(Number.isNaN)
  const key = new Map(way.map((leg, i) => [leg, complete ? there.get(leg)! - backAt[i]! : there.get(leg)!]))
  return way.sort(
    (a, b) => legs.ttl[b]! - legs.ttl[a]! || key.get(a)! - key.get(b)! || (complete ? otherwise(a, b) : 0),
  )
}

/**
 * A router that raises the TTL (netfilter's TTL target) turns the order by TTL round. Then the delays of both directions
 * contradict it, and the opposite direction's order does not.
 */
function asTheOtherWay(
  { legs, flows, latency }: Correlator,
  mine: LegIndex[],
  other: readonly LegIndex[],
  there: ReadonlyMap<LegIndex, number>,
  back: ReadonlyMap<LegIndex, number>,
): LegIndex[] {
  const { point, ttl } = legs
  const at = new Map(mine.map((leg) => [point[leg]!, leg]))
  const counterpart = new Map(other.map((leg) => [point[leg]!, leg]))
  if (at.size < mine.length || counterpart.size < other.length || at.size !== counterpart.size) return mine
  const turned = other.toReversed().flatMap((leg) => at.get(point[leg]!) ?? [])
  const rises = turned.some((leg, i) => i > 0 && ttl[leg]! > ttl[turned[i - 1]!]!)
  if (!rises || turned.length < mine.length) return mine
  const delay = (a: LegIndex, b: LegIndex, sums: ReadonlyMap<LegIndex, number>) =>
    latency.between(flows.find(legs.direction[a]!), a, b)?.medianNs ?? sums.get(b)! - sums.get(a)!
  const opposite = (leg: LegIndex) => counterpart.get(point[leg]!)!
  /** By how much packets would have to arrive before they were sent. */
  const absurdity = (way: readonly LegIndex[]) =>
    way.reduce((sum, leg, i) => {
      if (i === 0) return 0
      const before = way[i - 1]!
      return sum - Math.min(0, delay(before, leg, there) + delay(opposite(leg), opposite(before), back))
    }, 0)
  return 2 * absurdity(turned) < absurdity(mine) ? turned : mine
}

/** Median delay of each leg behind the first, in ns: the sum of the medians from one to the next. */
function delays({ flows, legs, latency }: Correlator, way: readonly LegIndex[]): Map<LegIndex, number> {
  const direction = way.length > 0 ? flows.find(legs.direction[way[0]!]!) : -1
  const delay = new Map<LegIndex, number>()
  let sum = 0
  way.forEach((leg, i) => {
    if (i > 0) sum += latency.between(direction, way[i - 1]!, leg)?.medianNs ?? 0
    delay.set(leg, sum)
  })
  return delay
}

/**
 * Sorts what lies between two routers on a one-way path as the whole run has it: without an answer, time alone would
 * decide.
 */
export function asInTheRun(correlator: Correlator, way: LegIndex[], run: readonly PointIndex[]): LegIndex[] {
  const { point, ttl } = correlator.legs
  const place = (leg: LegIndex) => run.indexOf(point[leg]!)
  const sign = orientation(way.map(place))
  return way.toSorted((a, b) => ttl[b]! - ttl[a]! || sign * (place(a) - place(b)))
}

/**
 * Sorts a way as `--path` states it, read from either end: whichever agrees with more of what the packets say. What it
 * does not name keeps its place among the others.
 */
export function asStated(correlator: Correlator, way: LegIndex[], stated: readonly PointIndex[]): LegIndex[] {
  const { point, ttl } = correlator.legs
  const place = (leg: LegIndex) => stated.indexOf(point[leg]!)
  const named = way.filter((leg) => place(leg) >= 0)
  const sign = orientation(named.map(place))
  const twice = new Set(way.map((leg) => point[leg])).size < way.length
  // A point that is passed twice can't be told by its name alone.
  named.sort((a, b) => (twice ? ttl[b]! - ttl[a]! : 0) || sign * (place(a) - place(b)))
  return way.map((leg) => (place(leg) >= 0 ? named.shift()! : leg))
}

/** -1 where more of the places fall than rise from one to the next, else 1. */
function orientation(places: number[]): 1 | -1 {
  let rises = 0
  for (let i = 1; i < places.length; i++) rises += Math.sign(places[i]! - places[i - 1]!)
  return rises < 0 ? -1 : 1
}

/** One order of all points, and where it comes from. */
export interface PointOrder {
  /** All points, client side first. */
  points: PointIndex[]
  /** Points that have a place from packets or from `--path`; the others stand at the end as they were given. */
  placed: Set<PointIndex>
}

/**
 * Orders all points so that as many flows as possible read from client to server. The ways are those of the flows as
 * points, client side first; what flows without an answer say counts only where no other flow has a word.
 */
export function orderPoints(
  pointCount: number,
  answered: WayCounts,
  unanswered: WayCounts,
  stated: readonly PointIndex[],
): PointOrder {
  const placed = new Set<PointIndex>(stated)
  // Flows in the opposite direction (published ports beside outgoing traffic) are turned to agree with the first ones.
  const before = new Map<number, number>()
  const key = (a: PointIndex, b: PointIndex) => a * pointCount + b
  const weight = (a: PointIndex, b: PointIndex) => (before.get(key(a, b)) ?? 0) - (before.get(key(b, a)) ?? 0)
  /** Pairs of which only unanswered flows tell the order. */
  const unsure = new Set<number>()
  let straight = 0
  let turned = 0
  const ways = [
    ...answered.list().map((counted) => ({ ...counted, isSure: true })),
    ...unanswered.list().map((counted) => ({ ...counted, isSure: false })),
  ]
  for (const { way, flows, isSure } of ways) {
    let agree = 0
    eachPair(way, (a, b) => {
      agree += Math.sign(weight(a, b))
    })
    const oriented = agree < 0 ? way.toReversed() : way
    if (agree < 0) turned += flows
    else straight += flows
    eachPair(oriented, (a, b) => {
      if (!isSure && !unsure.has(key(a, b)) && !unsure.has(key(b, a))) {
        if (weight(a, b) !== 0) return
        unsure.add(key(a, b))
      }
      before.set(key(a, b), (before.get(key(a, b)) ?? 0) + flows)
    })
    for (const point of way) placed.add(point)
  }
  // Take the point that the fewest of the others stand in front of, again and again; the order of input breaks ties.
  const left = range(pointCount).filter((point) => placed.has(point))
  const points: PointIndex[] = []
  while (left.length > 0) {
    let best = 0
    let fewest = Number.POSITIVE_INFINITY
    for (let i = 0; i < left.length; i++) {
      let inFront = 0
      for (const other of left) if (weight(other, left[i]!) > 0) inFront++
      if (inFront < fewest) {
        fewest = inFront
        best = i
      }
    }
    points.push(...left.splice(best, 1))
  }
  let against = turned - straight
  if (stated.length > 0) {
    // What the user states counts for more than which way most flows go.
    let agree = 0
    eachPair([...stated], (a, b) => {
      agree += Math.sign(weight(a, b))
    })
    if (agree !== 0) against = -agree
  }
  if (against > 0) points.reverse()
  const inOrder = [...stated]
  for (let i = 0; i < points.length; i++) if (stated.includes(points[i]!)) points[i] = inOrder.shift()!
  return { points: [...points, ...range(pointCount).filter((point) => !placed.has(point))], placed }
}

/** Each distinct way with the number of flows that take it, in the order of first appearance. */
export class WayCounts {
  readonly #counts = new Map<string, { way: PointIndex[]; flows: number }>()

  add(way: PointIndex[]): void {
    const unique = [...new Set(way)]
    const name = unique.join()
    const known = this.#counts.get(name)
    if (known) known.flows++
    else this.#counts.set(name, { way: unique, flows: 1 })
  }

  list(): { way: PointIndex[]; flows: number }[] {
    return [...this.#counts.values()]
  }
}

function eachPair(way: PointIndex[], visit: (a: PointIndex, b: PointIndex) => void): void {
  for (let i = 0; i < way.length; i++) for (let j = i + 1; j < way.length; j++) visit(way[i]!, way[j]!)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
