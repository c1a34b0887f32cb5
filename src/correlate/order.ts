/** Order of points: along each direction's way from TTL and time, and one order for the whole run, client side first. */

import type { PointIndex } from '../capture/record.ts'
import type { Correlator } from './correlator.ts'
import type { DirectionIndex } from './flows.ts'
import type { LegIndex } from './legs.ts'

/** The legs of a direction in the order in which a packet passes them. */
export function legsAlongTheWay(
  correlator: Correlator,
  direction: DirectionIndex,
  stated: readonly PointIndex[],
): LegIndex[] {
  const { legs, flows } = correlator
  const way: LegIndex[] = []
  for (let leg = flows.wayHead[direction]!; leg >= 0; leg = legs.next[leg]!) way.push(leg)
  // Legs were placed when first seen; by now the majority says more. TTL decides between routers, time within a segment.
  for (let pass = 0; pass < way.length; pass++) {
    let swapped = false
    for (let i = 1; i < way.length; i++) {
      const a = way[i - 1]!
      const b = way[i]!
      const ttlRises = legs.ttl[b]! > legs.ttl[a]!
      const later = legs.ttl[b] === legs.ttl[a] && leads(correlator, b, a) > 0
      if (!ttlRises && !later) continue
      way[i - 1] = b
      way[i] = a
      swapped = true
    }
    if (!swapped) break
  }
  return stated.length > 0 ? asStated(correlator, way, stated) : way
}

/** By how many packets `a` was rather in front of `b`; where their own direction is even, the opposite one is asked. */
function leads(correlator: Correlator, a: LegIndex, b: LegIndex): number {
  const own = votes(correlator, a, b)
  if (own !== 0) return own
  const { mirror } = correlator.legs
  const ma = mirror[a]!
  const mb = mirror[b]!
  return ma >= 0 && mb >= 0 ? votes(correlator, mb, ma) : 0
}

function votes(correlator: Correlator, a: LegIndex, b: LegIndex): number {
  const { latency } = correlator
  let lead = 0
  const ab = latency.find(a, b)
  if (ab >= 0) lead += latency.samples(ab) - 2 * latency.negative(ab)
  const ba = latency.find(b, a)
  if (ba >= 0) lead -= latency.samples(ba) - 2 * latency.negative(ba)
  return lead
}

/** Sorts a way as `--path` states it, read from either end: whichever agrees with more of what the packets say. */
function asStated(correlator: Correlator, way: LegIndex[], stated: readonly PointIndex[]): LegIndex[] {
  const { point, ttl } = correlator.legs
  const place = (leg: LegIndex) => stated.indexOf(point[leg]!)
  const known = way.filter((leg) => place(leg) >= 0)
  let agree = 0
  for (let i = 1; i < known.length; i++) agree += Math.sign(place(known[i]!) - place(known[i - 1]!))
  const sign = agree < 0 ? -1 : 1
  const twice = new Set(way.map((leg) => point[leg])).size < way.length
  return way.toSorted((a, b) => {
    if (place(a) < 0 || place(b) < 0) return 0
    // A point that is passed twice can't be told by its name alone.
    if (twice && ttl[a] !== ttl[b]) return ttl[b]! - ttl[a]!
    return sign * (place(a) - place(b))
  })
}

/** One order of all points, and where it comes from. */
export interface PointOrder {
  /** All points, client side first. */
  points: PointIndex[]
  /** Points that have a place from packets or from `--path`; the others stand at the end as they were given. */
  placed: Set<PointIndex>
}

/**
 * Orders all points so that as many flows as possible read from client to server. `ways` are the forward ways of the
 * flows as points, in the order of the flows.
 */
export function orderPoints(
  pointCount: number,
  ways: PointIndex[][],
  stated: readonly PointIndex[],
): PointOrder {
  const placed = new Set<PointIndex>(stated)
  if (stated.length > 0) {
    const rest = range(pointCount).filter((point) => !placed.has(point))
    return { points: [...stated, ...rest], placed }
  }
  // Flows in the opposite direction (published ports beside outgoing traffic) are turned to agree with the first ones.
  const before = new Map<number, number>()
  const key = (a: PointIndex, b: PointIndex) => a * pointCount + b
  const weight = (a: PointIndex, b: PointIndex) => (before.get(key(a, b)) ?? 0) - (before.get(key(b, a)) ?? 0)
  let straight = 0
  let turned = 0
  const distinct = countDistinct(ways)
  for (const { way, flows } of distinct) {
    let agree = 0
    eachPair(way, (a, b) => {
      agree += Math.sign(weight(a, b))
    })
    const oriented = agree < 0 ? way.toReversed() : way
    if (agree < 0) turned += flows
    else straight += flows
    eachPair(oriented, (a, b) => before.set(key(a, b), (before.get(key(a, b)) ?? 0) + flows))
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
  if (turned > straight) points.reverse()
  return { points: [...points, ...range(pointCount).filter((point) => !placed.has(point))], placed }
}

/** Each distinct way with the number of flows that take it, longest and most frequent first. */
function countDistinct(ways: PointIndex[][]): { way: PointIndex[]; flows: number }[] {
  const counts = new Map<string, { way: PointIndex[]; flows: number }>()
  for (const way of ways) {
    const unique = [...new Set(way)]
    const name = unique.join()
    const known = counts.get(name)
    if (known) known.flows++
    else counts.set(name, { way: unique, flows: 1 })
  }
  return [...counts.values()].sort((a, b) => b.way.length - a.way.length || b.flows - a.flows)
}

function eachPair(way: PointIndex[], visit: (a: PointIndex, b: PointIndex) => void): void {
  for (let i = 0; i < way.length; i++) for (let j = i + 1; j < way.length; j++) visit(way[i]!, way[j]!)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
