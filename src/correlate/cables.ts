/** Cables: which points are next to each other, where whoever captured knew it; a tree whose root is the way out. */

import type { Point, PointIndex } from '../capture/record.ts'
import type { LegIndex, LegTable } from './legs.ts'

const MAX_DEPTH = 32

/** Knows nothing of a run whose captures do not say. */
export class Cables {
  /** By point: itself, the point behind it, and so on up to the root; empty where nothing is known. */
  readonly #chains: readonly (readonly PointIndex[])[]
  readonly #isKnown: boolean

  constructor(points: readonly Point[]) {
    const byName = new Map(points.map((point) => [point.name, point.index]))
    const isNext = new Set(points.flatMap(({ next }) => (next === null ? [] : [next])))
    this.#chains = points.map((point) => {
      if (point.next === null && !isNext.has(point.name)) return []
      const chain: PointIndex[] = []
      let at: PointIndex | undefined = point.index
      while (at !== undefined && chain.length < MAX_DEPTH && !chain.includes(at)) {
        chain.push(at)
        at = byName.get(points[at]!.next ?? '')
      }
      return chain
    })
    this.#isKnown = this.#chains.some((chain) => chain.length > 1)
  }

  /**
   * The legs of a way with those between two routers in the order of the cables. TTL and time have put them in order
   * already: they say from which end, and all where a cable is not known or a point is passed twice.
   */
  inOrder(legs: LegTable, way: LegIndex[]): LegIndex[] {
    if (!this.#isKnown) return way
    const sorted: LegIndex[] = []
    for (let from = 0; from < way.length; ) {
      let to = from + 1
      while (to < way.length && legs.ttl[way[to]!] === legs.ttl[way[from]!]) to++
      const points = (some: readonly LegIndex[]) => some.map((leg) => legs.point[leg]!)
      const group = way.slice(from, to)
      const places = this.#places(points(group), points(sorted).at(-1), points(way)[to])
      sorted.push(
        ...(places === null
          ? group
          : group.sort((a, b) => places.get(legs.point[a]!)! - places.get(legs.point[b]!)!)),
      )
      from = to
    }
    return sorted
  }

  /** The point next to `from` on the way to `to`, or -1 where no cable leads there. The way out is not passed on the way in. */
  step(from: PointIndex, to: PointIndex): PointIndex {
    const [there, here] = [this.#chains[to] ?? [], this.#chains[from] ?? []]
    const place = there.indexOf(from)
    if (place > 0) return there[place - 1]!
    if (here.includes(to)) return here[1]!
    const common = there.findIndex((point) => here.includes(point))
    return common > 0 ? there[common - 1]! : -1
  }

  /** How far each point is from the end at which the packet comes in, or null where that can't be told. */
  #places(
    group: readonly PointIndex[],
    before: PointIndex | undefined,
    after: PointIndex | undefined,
  ): Map<PointIndex, number> | null {
    if (group.length < 2 || new Set(group).size < group.length) return null
    if (group.some((point) => this.#chains[point]!.length === 0)) return null
    const from = (end: PointIndex) => new Map(group.map((point) => [point, this.#distance(end, point)]))
    // The two ends are those that are farthest apart.
    let ends: [PointIndex, PointIndex] = [group[0]!, group[0]!]
    for (const a of group)
      for (const b of group) if (this.#distance(a, b) > this.#distance(...ends)) ends = [a, b]
    const [one, other] = ends
    const places = from(one)
    if ([...places.values()].some((distance) => distance === Number.POSITIVE_INFINITY)) return null
    const nearer = (point: PointIndex) => this.#distance(point, one) - this.#distance(point, other)
    const byNeighbours =
      (before === undefined ? 0 : finite(nearer(before))) - (after === undefined ? 0 : finite(nearer(after)))
    const byTime = group.indexOf(one) - group.indexOf(other)
    return (byNeighbours || byTime) <= 0 ? places : from(other)
  }

  /** Cables from one point to the other, infinite where they do not hang together. */
  #distance(a: PointIndex, b: PointIndex): number {
    const chain = this.#chains[b]!
    const up = this.#chains[a]!.findIndex((point) => chain.includes(point))
    return up < 0 ? Number.POSITIVE_INFINITY : up + chain.indexOf(this.#chains[a]![up]!)
  }
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0
}
