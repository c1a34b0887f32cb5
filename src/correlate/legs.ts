/** Legs: a flow's one direction as one point sees it, that is a 5-tuple at a point; the unit that translations link. */

import type { PointIndex } from '../capture/record.ts'
import type { AddressIndex } from './addresses.ts'
import { finish, grown, mix, SparseCounts, SparseTimes } from './columns.ts'
import type { EncapsulationIndex } from './encapsulations.ts'

/** In `variant`: see there. */
export const OWN_ANSWER = 1 << 15

/** Instead of a leg's station. */
export const NO_STATION = 255
/** So many packets do not fit into a leg's own counter. */
const MAX_PACKETS = 0xfffe
/** Leads of TTLs are counted up to here. */
const MAX_LEAD = 0x7fff
const MANY_TTLS = 0x8000

/** Index of a leg in its `LegTable`. */
export type LegIndex = number

/**
 * All legs of a run, in columns. A tuple that is used again by another connection gets a new leg; the old one stays
 * as it was, only the look-up forgets it. A packet that passes one point twice with the same tuple (a router seen
 * through `-i any`) has a leg for each visit, and one for each nest of tunnels that it is seen in.
 */
export class LegTable {
  count = 0
  point = new Uint16Array(64)
  protocol = new Uint8Array(64)
  /**
   * Bit 0: the second time that a packet passes the point with this tuple. Bit 15: the answer to an echo of a host to
   * itself, which has the tuple of the request. Between them: its `EncapsulationIndex`.
   */
  variant = new Uint16Array(64)
  source: Uint32Array<ArrayBuffer> = new Uint32Array(64)
  destination: Uint32Array<ArrayBuffer> = new Uint32Array(64)
  /** Source port in the upper half, destination port in the lower. */
  ports: Uint32Array<ArrayBuffer> = new Uint32Array(64)
  /** Direction (see `FlowTable`) that the leg belongs to. May have been merged into another: resolve before use. */
  direction = new Int32Array(64)
  /** The same tuple turned around at the same point, or -1. */
  mirror = new Int32Array(64)
  /** Place on the way of its direction, counted from 0; valid for legs that have a `station`. */
  rank = new Uint8Array(64)
  /** Next leg of the same direction in the order of their first records, or -1. */
  sibling = new Int32Array(64)
  /** Number of the leg in its direction, and so its bit in the patterns; `NO_STATION` until a journey has left the window. */
  station = new Uint8Array(64)
  /** TTL by majority. */
  ttl = new Uint8Array(64)
  /** How far it leads, up to `MAX_LEAD`; and `MANY_TTLS` where there was another one. */
  #ttlLead = new Uint16Array(64)
  #packets = new Uint16Array(64)
  /** What of them did not fit in there. */
  readonly #morePackets = new SparseCounts()
  /** Time of the last sighting; not of TCP, whose handshakes tell when a tuple is used again. */
  readonly lastNs = new SparseTimes()
  /** Sightings of a packet that this leg had already shown: the capture or the network doubled it. */
  readonly duplicates = new SparseCounts()
  /** Maximum segment size that the SYN (or SYN-ACK) offered here, or 0. */
  mss = new Uint16Array(64)
  /** 1 once a packet was seen here with the IPv4 Identification that it had elsewhere: nobody on the way gives new ones. */
  keepsIpId = new Uint8Array(64)
  /** The tuple begins a new conversation with its next packet. */
  stale = new Uint8Array(64)
  /** Link header of the frame that began the leg, see `LinkHeaderTable`. */
  link: Uint16Array<ArrayBuffer> = new Uint16Array(64)
  /** Usual delay behind the first sighting of a packet, in ns, NaN before the first; and its mean deviation. See `Twins`. */
  usualDelayNs = new Float32Array(64)
  delayDeviationNs = new Float32Array(64)

  #slots = new Int32Array(256).fill(-1)
  #mask = 255
  #used = 0
  readonly #seed = (Math.random() * 0xffffffff) | 0

  constructor() {
    // A first growth while nothing runs yet: V8 takes a field that was set but once for a constant, and would throw away
    // what it has compiled each time one of the columns grows.
    this.#grow(1024)
    this.#rehash()
  }

  /** The leg with this tuple at this point, or -1. `ports` as in the column. */
  find(
    point: PointIndex,
    protocol: number,
    source: AddressIndex,
    destination: AddressIndex,
    ports: number,
    variant = 0,
  ): LegIndex {
    const hash = this.#hashOf(point, protocol, source, destination, ports, variant)
    const slot = this.#slotOf(hash, point, protocol, source, destination, ports, variant)
    return this.#slots[slot]!
  }

  /** Adds a leg, in place of the one that had this tuple before. Direction and mirror are the caller's to set. */
  add(
    point: PointIndex,
    protocol: number,
    source: AddressIndex,
    destination: AddressIndex,
    ports: number,
    variant = 0,
  ): LegIndex {
    const leg = this.count++
    if (leg === this.point.length) this.#grow(2 * leg)
    this.point[leg] = point
    this.protocol[leg] = protocol
    this.variant[leg] = variant
    this.source[leg] = source
    this.destination[leg] = destination
    this.ports[leg] = ports
    this.direction[leg] = -1
    this.mirror[leg] = -1
    this.sibling[leg] = -1
    this.station[leg] = NO_STATION
    this.usualDelayNs[leg] = Number.NaN
    const hash = this.#hashOf(point, protocol, source, destination, ports, variant)
    const slot = this.#slotOf(hash, point, protocol, source, destination, ports, variant)
    if (this.#slots[slot]! < 0) this.#used++
    this.#slots[slot] = leg
    if (2 * this.#used > this.#slots.length) this.#rehash()
    return leg
  }

  sourcePort(leg: LegIndex): number {
    return this.ports[leg]! >>> 16
  }

  destinationPort(leg: LegIndex): number {
    return this.ports[leg]! & 0xffff
  }

  /** The tunnels that packets are inside of here. */
  encapsulation(leg: LegIndex): EncapsulationIndex {
    return (this.variant[leg]! & ~OWN_ANSWER) >>> 1
  }

  /** How many of source, destination, source port and destination port are the same: 0–4. */
  sameEndpoints(a: LegIndex, b: LegIndex): number {
    const ports = this.ports[a]! ^ this.ports[b]!
    return (
      (this.source[a] === this.source[b] ? 1 : 0) +
      (this.destination[a] === this.destination[b] ? 1 : 0) +
      (ports >>> 16 === 0 ? 1 : 0) +
      ((ports & 0xffff) === 0 ? 1 : 0)
    )
  }

  /** Counts a sighting's TTL towards the leg's own: the majority stays known without keeping them all (Boyer–Moore). */
  voteTtl(leg: LegIndex, ttl: number): void {
    const lead = this.#ttlLead[leg]! & MAX_LEAD
    const many = this.#ttlLead[leg]! & MANY_TTLS
    if (this.ttl[leg] === ttl) this.#ttlLead[leg] = many | Math.min(MAX_LEAD, lead + 1)
    else if (lead > 0) this.#ttlLead[leg] = MANY_TTLS | (lead - 1)
    else {
      this.ttl[leg] = ttl
      this.#ttlLead[leg] = many | 1
    }
  }

  /** Did sightings of the leg have different TTLs? */
  hasManyTtls(leg: LegIndex): boolean {
    return (this.#ttlLead[leg]! & MANY_TTLS) !== 0
  }

  /** Counts a journey that has left the window and had a sighting here. */
  countPacket(leg: LegIndex): void {
    if (++this.#packets[leg]! < MAX_PACKETS) return
    this.#packets[leg]! -= MAX_PACKETS / 2
    this.#morePackets.add(leg, MAX_PACKETS / 2)
  }

  /** Journeys that left the window and had a sighting here. */
  packets(leg: LegIndex): number {
    return this.#packets[leg]! + this.#morePackets.get(leg)
  }

  /** Were there no more packets than these? So many fit into the leg's own counter. */
  hasAtMost(leg: LegIndex, packets: number): boolean {
    return this.#packets[leg]! <= packets
  }

  /** Gives back the memory by which legs are found, where no packet will follow: from now on none is. */
  forgetTuples(): void {
    this.#slots = new Int32Array(256).fill(-1)
    this.#mask = 255
  }

  #hashOf(
    point: number,
    protocol: number,
    source: number,
    destination: number,
    ports: number,
    variant: number,
  ): number {
    return finish(
      mix(mix(mix(mix(this.#seed, (point << 16) ^ (variant << 8) ^ protocol), source), destination), ports),
    )
  }

  #slotOf(
    hash: number,
    point: number,
    protocol: number,
    source: number,
    destination: number,
    ports: number,
    variant: number,
  ): number {
    let slot = hash & this.#mask
    for (;;) {
      const leg = this.#slots[slot]!
      if (
        leg < 0 ||
        (this.ports[leg] === ports &&
          this.source[leg] === source &&
          this.destination[leg] === destination &&
          this.point[leg] === point &&
          this.protocol[leg] === protocol &&
          this.variant[leg] === variant)
      )
        return slot
      slot = (slot + 1) & this.#mask
    }
  }

  #rehash(): void {
    const old = this.#slots
    this.#slots = new Int32Array(2 * old.length).fill(-1)
    this.#mask = this.#slots.length - 1
    for (const leg of old) {
      if (leg < 0) continue
      const hash = this.#hashOf(
        this.point[leg]!,
        this.protocol[leg]!,
        this.source[leg]!,
        this.destination[leg]!,
        this.ports[leg]!,
        this.variant[leg]!,
      )
      let slot = hash & this.#mask
      while (this.#slots[slot]! >= 0) slot = (slot + 1) & this.#mask
      this.#slots[slot] = leg
    }
  }

  #grow(capacity: number): void {
    this.point = grown(this.point, capacity)
    this.protocol = grown(this.protocol, capacity)
    this.variant = grown(this.variant, capacity)
    this.source = grown(this.source, capacity)
    this.destination = grown(this.destination, capacity)
    this.ports = grown(this.ports, capacity)
    this.direction = grown(this.direction, capacity)
    this.mirror = grown(this.mirror, capacity)
    this.rank = grown(this.rank, capacity)
    this.sibling = grown(this.sibling, capacity)
    this.station = grown(this.station, capacity)
    this.ttl = grown(this.ttl, capacity)
    this.#ttlLead = grown(this.#ttlLead, capacity)
    this.#packets = grown(this.#packets, capacity)
    this.mss = grown(this.mss, capacity)
    this.stale = grown(this.stale, capacity)
    this.keepsIpId = grown(this.keepsIpId, capacity)
    this.link = grown(this.link, capacity)
    this.usualDelayNs = grown(this.usualDelayNs, capacity)
    this.delayDeviationNs = grown(this.delayDeviationNs, capacity)
  }
}
