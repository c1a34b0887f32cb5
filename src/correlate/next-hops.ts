/** Next hops: where packets that end early should have been seen next; said only where other flows leave no doubt. */

import type { PointIndex } from '../capture/record.ts'
import type { AddressIndex } from './addresses.ts'
import type { Cables } from './cables.ts'
import type { Correlator } from './correlator.ts'
import { Protocol } from './identity.ts'
import type { LegIndex } from './legs.ts'
import type { PointOrder } from './order.ts'

/** The one service over UDP that is known to answer. */
const DNS = 53

export class NextHops {
  readonly #correlator: Correlator
  readonly #order: PointOrder
  readonly #isStated: boolean
  /** By point and the one in front of it: the points to which answered requests went on from there. */
  readonly #successors = new Map<string, Set<PointIndex>>()
  /** The same with the destination: what has gone on from there. */
  readonly #passed = new Set<string>()
  /** Addresses that NAT puts in or takes out: the hosts' own, at which a packet may simply end. */
  readonly #hostAddresses = new Set<AddressIndex>()
  readonly #cables: Cables
  /** Where an address lives: the point at which its packets were seen first, or -1 where that is not one point. */
  readonly #homes = new Map<AddressIndex, PointIndex>()
  readonly #scratch = new Uint8Array(16)

  constructor(correlator: Correlator, order: PointOrder, isStated: boolean, cables: Cables) {
    this.#cables = cables
    this.#correlator = correlator
    this.#order = order
    this.#isStated = isStated
  }

  /** Learns from the ways of a flow, requests first; all flows have to be noted before anything is asked. */
  note([there, back]: readonly [LegIndex[], LegIndex[]]): void {
    const { legs } = this.#correlator
    for (const [first] of [there, back]) {
      if (first === undefined) continue
      const source = legs.source[first]!
      const [home, point] = [this.#homes.get(source), legs.point[first]!]
      this.#homes.set(source, home === undefined || home === point ? point : -1)
    }
    for (const way of [there, back])
      for (let i = 1; i < way.length; i++) {
        const [a, b] = [way[i - 1]!, way[i]!]
        if (legs.source[a] !== legs.source[b]) this.#hostAddresses.add(legs.source[b]!)
        if (legs.destination[a] !== legs.destination[b]) this.#hostAddresses.add(legs.destination[a]!)
        if (there.length === 0 || back.length === 0 || way !== there) continue
        const from = this.#hopName(way, i - 1)
        const known = this.#successors.get(from) ?? new Set()
        this.#successors.set(from, known.add(legs.point[b]!))
        this.#passed.add(`${from} ${legs.destination[a]}`)
      }
  }

  /**
   * Where an unanswered flow should have gone next, or -1 where that is not sure: multicast, a neighbour of the sender, an
   * address of the host itself, a fork, or a protocol that needs no answer.
   */
  beyond(way: readonly LegIndex[]): PointIndex {
    const { legs, addresses } = this.#correlator
    if (way.length === 0 || (way.length < 2 && !this.#isStated)) return -1
    const last = way.at(-1)!
    const destination = legs.destination[last]!
    if (addresses.isMulticast(destination) || addresses.isLoopback(destination)) return -1
    const hop = this.#hopName(way, way.length - 1)
    const isKnownToGoOn = this.#isStated || this.#passed.has(`${hop} ${destination}`)
    if (!isKnownToGoOn && this.#hostAddresses.has(destination)) return -1
    if (!isKnownToGoOn && this.#sameSubnet(legs.source[last]!, destination)) return -1
    if (legs.protocol[last] === Protocol.Udp && legs.destinationPort(last) !== DNS) return -1
    const home = this.#homes.get(destination) ?? -1
    if (home >= 0) {
      const step = this.#cables.step(legs.point[last]!, home)
      if (step >= 0) return this.#isSeenAt(step, last) ? -1 : step
    }
    const successors = this.#successors.get(hop)
    const next = successors ? (successors.size === 1 ? [...successors][0]! : -1) : this.#onlySilentPoint(way)
    return next >= 0 && !this.#isSeenAt(next, last) ? next : -1
  }

  /**
   * Where packets that end early should have gone next: the way that the opposite direction came. -1 where they went as
   * far as that one, or another way.
   */
  wayBack(way: readonly LegIndex[], opposite: readonly LegIndex[]): PointIndex {
    const { point } = this.#correlator.legs
    if (way.length === 0) return -1
    const last = opposite.findIndex((leg) => point[leg] === point[way.at(-1)!])
    if (last <= 0) return -1
    const next = point[opposite[last - 1]!]!
    return way.some((leg) => point[leg] === next) ? -1 : next
  }

  /** A point that nothing joined places can only be behind the last one, if there is just one such point. */
  #onlySilentPoint(way: readonly LegIndex[]): PointIndex {
    const { points, placed } = this.#order
    const place = (leg: LegIndex) => points.indexOf(this.#correlator.legs.point[leg]!)
    const step = place(way.at(-1)!) < place(way[0]!) ? -1 : 1
    const next = points[place(way.at(-1)!) + step]
    if (this.#isStated) return next ?? -1
    const silent = points.filter((point) => !placed.has(point))
    return silent.length === 1 && next === silent[0] ? next : -1
  }

  /** Did the point see packets to the same end, which merely could not be joined (a clock that is far off)? */
  #isSeenAt(point: PointIndex, last: LegIndex): boolean {
    const { legs } = this.#correlator
    this.#ends ??= new Set(
      Array.from({ length: legs.count }, (_, leg) => this.#endName(legs.point[leg]!, leg)),
    )
    return this.#ends.has(this.#endName(point, last))
  }

  #ends: Set<string> | null = null

  #endName(point: PointIndex, leg: LegIndex): string {
    const { legs } = this.#correlator
    return `${point} ${legs.protocol[leg]} ${legs.destination[leg]} ${legs.destinationPort(leg)} ${legs.sourcePort(leg)}`
  }

  /** A point and the one in front of it: from there packets go on in their direction. */
  #hopName(way: readonly LegIndex[], i: number): string {
    const { point } = this.#correlator.legs
    return i > 0 ? `${point[way[i - 1]!]} ${point[way[i]!]}` : `${point[way[i]!]}`
  }

  /** Of one /16 (IPv4, as Docker's networks are) or /64 (IPv6): then no router need be between them. */
  #sameSubnet(a: AddressIndex, b: AddressIndex): boolean {
    const { addresses } = this.#correlator
    if (addresses.version(a) !== addresses.version(b)) return false
    const length = addresses.write(a, this.#scratch)
    const prefix = this.#scratch.slice(0, length === 4 ? 2 : 8)
    addresses.write(b, this.#scratch)
    return prefix.every((byte, i) => byte === this.#scratch[i])
  }
}
