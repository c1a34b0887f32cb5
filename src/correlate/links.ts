/** Links: what lies between two points that are next to each other on the way of some flow, with the counts that say so. */

import type { PointIndex } from '../capture/record.ts'
import type { Correlator } from './correlator.ts'
import type { FlowReader, Ways } from './flow-reader.ts'
import { Protocol } from './identity.ts'
import type { JoinedFlow } from './joined-flow.ts'
import type { LegIndex } from './legs.ts'
import { addKind, addTo, type DirectionCount, type Link, LinkCount } from './link-counts.ts'
import { PatternFlag } from './patterns.ts'

export interface Links {
  links: Link[]
  /** Points by the traffic that they have in common, directly or by way of others; points without any are in none. */
  groups: string[][]
}

/**
 * Reads the links off the ways of all flows, one after the other; `path` is the order of the points, `waysOf` gives the
 * ways of the flow that is noted as this one.
 */
export class LinkSurvey {
  readonly #correlator: Correlator
  readonly #reader: FlowReader
  readonly #path: readonly PointIndex[]
  readonly #places: number[] = []
  readonly #byName = new Map<string, PointIndex>()
  readonly #counts = new Map<number, LinkCount>()
  readonly #active = new Set<PointIndex>()
  /** Keys of points that some flow was seen at, both; a packet that can't be told from another joins them as well. */
  readonly #together = new Set<number>()
  /** Some time of a flow has a fraction of a µs. */
  #hasNanoseconds = false

  readonly #waysOf: (i: number) => Ways
  #noted = 0

  constructor(
    correlator: Correlator,
    reader: FlowReader,
    path: readonly PointIndex[],
    waysOf: (i: number) => Ways,
  ) {
    this.#waysOf = waysOf
    this.#correlator = correlator
    this.#reader = reader
    this.#path = path
    path.forEach((point, place) => {
      this.#places[point] = place
      this.#byName.set(correlator.points[point]!.name, point)
    })
  }

  /** Takes the next flow. */
  note(flow: JoinedFlow): void {
    const { legs } = this.#correlator
    const { forward, way } = this.#waysOf(this.#noted++)
    if (!flow.firstNs.endsWith('000')) this.#hasNanoseconds = true
    // In the order of the ways; only of legs that are next to each other, and not of all.
    let next = 0
    const first = legs.point[way[0][0] ?? way[1][0]!]!
    way.forEach((side, turned) => {
      for (const leg of side) {
        this.#active.add(legs.point[leg]!)
        this.#together.add(this.#key(first, legs.point[leg]!))
      }
      for (let i = 1; i < side.length; i++) {
        const delay = flow.latency[next]
        const isOfThese =
          delay !== undefined &&
          (delay.direction === 'reverse') === (turned === 1) &&
          delay.between[0] === this.#nameOf(side[i - 1]!) &&
          delay.between[1] === this.#nameOf(side[i]!)
        if (isOfThese) next++
        // Not simply the leg in front of it: see `translations`.
        for (let before = i - 1; before >= 0; before--) {
          const packets = this.#packetsAtBoth(forward ^ turned, side[before]!, side[i]!)
          if (packets === 0) continue
          this.#noteStep(side[before]!, side[i]!, packets, turned === 1).noteDelay(
            isOfThese && before === i - 1 ? delay : null,
          )
          break
        }
      }
    })
    for (const { kind, between } of flow.translations) this.#named(between).translations[kind]++
  }

  /** An exchange goes on where its second connection is seen first. */
  noteProxy(asked: Ways, opened: Ways, bytes: number): void {
    const [end, begin] = [asked.way[0].at(-1), opened.way[0][0]]
    if (end === undefined || begin === undefined) return
    const count = this.#named([this.#nameOf(end), this.#nameOf(begin)])
    count.exchanges++
    count.proxiedBytes += bytes
  }

  result(): Links {
    const { points } = this.#correlator
    const names = (some: readonly PointIndex[]) => some.map((point) => points[point]!.name)
    const pairs = this.#pairsOf(this.#counts.keys())
      .map(({ a, b }) => ({ a, b, count: this.#count(a, b) }))
      .filter(({ count }) => count.isLink)
      .sort(
        (one, other) =>
          this.#place(one.a) - this.#place(other.a) || this.#place(one.b) - this.#place(other.b),
      )
    const isPair = (a: PointIndex, b: PointIndex) => {
      const count = this.#counts.get(this.#key(a, b))
      return a !== b && count?.isLink === true
    }
    const links = pairs.map(({ a, b, count }): Link => {
      const spans = this.#path
        .slice(this.#place(a) + 1, this.#place(b))
        .filter((middle) => isPair(a, middle) && isPair(middle, b))
      return {
        between: [points[a]!.name, points[b]!.name],
        relation: count.relation(this.#hasNanoseconds),
        evidence: count.evidence(),
        ...(spans.length > 0 ? { spans: names(spans) } : {}),
      }
    })
    return { links, groups: this.#groups([...pairs, ...this.#pairsOf(this.#together)]).map(names) }
  }

  /** Packets of a direction that both legs showed whole; undecided ones prove nothing. */
  #packetsAtBoth(direction: number, a: LegIndex, b: LegIndex): number {
    const { flows, legs, patterns } = this.#correlator
    const [one, other] = [legs.station[a]!, legs.station[b]!]
    let packets = 0
    for (let row = flows.patternHead[direction]!; row >= 0; row = patterns.next[row]!)
      if (
        patterns.has(row, one) &&
        patterns.has(row, other) &&
        !(patterns.flags(row) & PatternFlag.Ambiguous)
      )
        packets += patterns.packets[row]!
    return packets
  }

  #noteStep(a: LegIndex, b: LegIndex, packets: number, isReply: boolean): DirectionCount {
    const { legs, linkHeaders } = this.#correlator
    const count = this.#between(legs.point[a]!, legs.point[b]!, isReply)
    count.packets += packets
    count.flows++
    count.sides |= isReply ? 2 : 1
    const isTunnelled = legs.encapsulation(a) !== 0 && legs.encapsulation(b) !== 0
    // What a packet's own TTL is inside of a tunnel says nothing about the tunnel's way.
    if (!isTunnelled && this.#hasOneTtl(a) && this.#hasOneTtl(b))
      addTo(count.ttl, legs.ttl[b]! - legs.ttl[a]!, packets)
    count.macs[linkHeaders.macFate(legs.link[a]!, legs.link[b]!)] += packets
    const isEcho = legs.protocol[a] === Protocol.Icmp || legs.protocol[a] === Protocol.Icmpv6
    const ports = legs.ports[a]! ^ legs.ports[b]!
    if (legs.source[a] !== legs.source[b] || ports >>> 16 !== 0) count.rewritten.source += packets
    // An echo's identifier stands in both ports; it counts as the source's.
    if (legs.destination[a] !== legs.destination[b] || (!isEcho && (ports & 0xffff) !== 0))
      count.rewritten.destination += packets
    if (
      legs.link[a] !== legs.link[b] &&
      legs.link[a] !== 0 &&
      legs.link[b] !== 0 &&
      !linkHeaders.haveSameVlans(legs.link[a]!, legs.link[b]!)
    ) {
      const [from, to] = [linkHeaders.vlans(legs.link[a]!), linkHeaders.vlans(legs.link[b]!)]
      addKind(count.vlans, `${from} ${to}`, { from, to, packets })
    }
    if (legs.encapsulation(a) !== legs.encapsulation(b)) {
      const [from, to] = [a, b].map((leg) => this.#reader.encapsulation(leg).encapsulation ?? [])
      const key = `${legs.encapsulation(a)} ${legs.encapsulation(b)}`
      addKind(count.tunnels, key, { from: from!, to: to!, packets })
    }
    return count
  }

  /** All packets of the leg had the same TTL. */
  #hasOneTtl(leg: LegIndex): boolean {
    return !this.#correlator.legs.hasManyTtls(leg)
  }

  /** Points that hang together by these pairs, in the order of the path. */
  #groups(pairs: readonly { a: PointIndex; b: PointIndex }[]): PointIndex[][] {
    const parent = new Map([...this.#active].map((point) => [point, point]))
    const rootOf = (point: PointIndex): PointIndex => {
      let root = point
      while (parent.get(root) !== root) root = parent.get(root)!
      return root
    }
    for (const { a, b } of pairs) parent.set(rootOf(a), rootOf(b))
    const groups = new Map<PointIndex, PointIndex[]>()
    for (const point of this.#path) {
      if (!this.#active.has(point)) continue
      const root = rootOf(point)
      groups.set(root, [...(groups.get(root) ?? []), point])
    }
    return [...groups.values()]
  }

  /** Two points in the order of the path; the same one twice has the direction of the flow. */
  #between(a: PointIndex, b: PointIndex, isReply: boolean): DirectionCount {
    const isForward = a === b ? !isReply : this.#place(a) < this.#place(b)
    const count = isForward ? this.#count(a, b) : this.#count(b, a)
    return isForward ? count.forward : count.reverse
  }

  #nameOf(leg: LegIndex): string {
    return this.#correlator.points[this.#correlator.legs.point[leg]!]!.name
  }

  #named([a, b]: readonly [string, string]): LinkCount {
    const [one, other] = [this.#byName.get(a)!, this.#byName.get(b)!]
    return this.#place(one) <= this.#place(other) ? this.#count(one, other) : this.#count(other, one)
  }

  #count(a: PointIndex, b: PointIndex): LinkCount {
    const key = this.#key(a, b)
    let count = this.#counts.get(key)
    if (count === undefined) {
      count = new LinkCount()
      this.#counts.set(key, count)
    }
    return count
  }

  #pairsOf(keys: Iterable<number>): { a: PointIndex; b: PointIndex }[] {
    const { length } = this.#correlator.points
    return [...keys].map((key) => ({ a: Math.floor(key / length), b: key % length }))
  }

  #key(a: PointIndex, b: PointIndex): number {
    return a * this.#correlator.points.length + b
  }

  #place(point: PointIndex): number {
    return this.#places[point]!
  }
}
