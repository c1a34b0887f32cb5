/** The window: journeys that may still get sightings, found by identity, leaving in the order in which they began. */

import type { PointIndex } from '../capture/record.ts'
import { TcpFlag } from '../decode/headers.ts'
import type { Column } from './columns.ts'
import type { LegIndex } from './legs.ts'

/** The bit of a point in `pointsSeen`. */
export function pointBit(point: PointIndex): number {
  return 1 << Math.min(31, point)
}

/** Place of a journey in the window's ring; valid until the journey leaves. */
export type JourneySlot = number
/** Place of a sighting in its ring; valid until its journey leaves, or the ring grows. */
export type SightingIndex = number

export const JourneyFlag = {
  /** Bytes (or a SYN or FIN) that the sender had sent before. */
  Retransmission: 1,
  /** There were several journeys that a sighting could belong to. */
  Twin: 2,
  /** It could not be decided whether this is a journey of its own. */
  Ambiguous: 4,
  /** An ICMP error came back for it. */
  Answered: 8,
  /** Other points saw its bytes in other frames. */
  Recut: 16,
  /** It had to leave before its time, as the window was full. */
  Forced: 32,
  /** Some of its bytes were sent again later. */
  Resent: 64,
} as const

/** Journeys and sightings in the window at the most, about 80 MB: where there are more, the oldest have to leave early. */
const MAX_JOURNEYS = 1 << 18
const MAX_SIGHTINGS = 1 << 21
/** Sightings that one packet may add: a joined super-packet is seen by all journeys whose bytes it carries. */
const SPARE_SIGHTINGS = 512
const NONE = -1

/**
 * Two rings, of journeys in the order of their first sightings and of all their sightings as they came, and a hash table
 * over the identities. Nothing is deleted from the hash chains: they run from new to old, and end where a journey has
 * left. Memory is written and read in the order of time, as random access to what is a second old would be slow.
 */
export class JourneyWindow {
  /** Serial number of the oldest journey inside, and of the next to come. Serial numbers are never used twice. */
  oldest = 0
  nextSerial = 0
  forced = 0

  serial = new Float64Array(1024)
  keyLow = new Int32Array(1024)
  keyHigh = new Int32Array(1024)
  direction = new Int32Array(1024)
  firstNs = new Float64Array(1024)
  firstSighting = new Int32Array(1024)
  lastSighting = new Int32Array(1024)
  flags = new Uint8Array(1024)
  /** Points that have seen the journey, as bits; bit 31 stands for all points from 31 on. */
  pointsSeen = new Int32Array(1024)
  /** IP length of the packet in bytes, and of its transport payload. */
  lenBytes = new Uint32Array(1024)
  payloadLenBytes = new Uint32Array(1024)
  ipId = new Uint16Array(1024)
  tcpFlags = new Uint8Array(1024)
  /** TCP sequence number, or that of an ICMP echo. */
  seq = new Uint32Array(1024)
  /** The ICMP errors that answered it, see `IcmpErrors.all`; valid with `JourneyFlag.Answered`. */
  answeredBy = new Uint32Array(1024)
  tsVal = new Uint32Array(1024)
  /** Serial number of the journey before this one in the same direction, or -1. */
  previous = new Float64Array(1024)
  #chain = new Int32Array(1024)
  #capacity = 1024
  #buckets = new Int32Array(2048).fill(NONE)

  leg = new Int32Array(4096)
  frame = new Uint32Array(4096)
  timeNs = new Float64Array(4096)
  ttl = new Uint8Array(4096)
  /** Payload bytes of the journey that this sighting shows. */
  coveredBytes = new Uint32Array(4096)
  nextSighting = new Int32Array(4096)
  /** Serial numbers of the oldest sighting whose journey is inside, and of the next to come. */
  #oldestSighting = 0
  #nextSighting = 0

  constructor() {
    // See `LegTable`.
    this.#grow()
    this.#growSightings()
  }

  get size(): number {
    return this.nextSerial - this.oldest
  }

  /** True where the oldest journey has to leave before another packet comes. */
  get isFull(): boolean {
    return (
      this.size >= MAX_JOURNEYS || this.#nextSighting - this.#oldestSighting > MAX_SIGHTINGS - SPARE_SIGHTINGS
    )
  }

  oldestSlot(): JourneySlot {
    return this.oldest & (this.#capacity - 1)
  }

  /** Newest journey that may have this identity, or -1; go on with `older`. */
  newest(keyLow: number): JourneySlot {
    const slot = this.#buckets[keyLow & (this.#buckets.length - 1)]!
    return slot >= 0 && this.serial[slot]! >= this.oldest ? slot : NONE
  }

  /** Next older journey in the same hash chain, or -1. */
  older(slot: JourneySlot): JourneySlot {
    const next = this.#chain[slot]!
    if (next < 0) return NONE
    const serial = this.serial[next]!
    return serial >= this.oldest && serial < this.serial[slot]! ? next : NONE
  }

  /** Is the journey with this serial number still inside? Its slot, or -1. */
  slotOf(serial: number): JourneySlot {
    return serial >= this.oldest && serial < this.nextSerial ? serial & (this.#capacity - 1) : NONE
  }

  /** Sequence space that a TCP journey takes: its payload, and one for SYN or FIN. */
  sequenceLenBytes(slot: JourneySlot): number {
    const isControl = (this.tcpFlags[slot]! & (TcpFlag.Syn | TcpFlag.Fin)) !== 0
    return this.payloadLenBytes[slot]! + (isControl ? 1 : 0)
  }

  /** Begins a journey; the window must not be full. The caller fills the remaining columns. */
  open(keyLow: number, keyHigh: number, firstNs: number): JourneySlot {
    if (this.size === this.#capacity) this.#grow()
    const serial = this.nextSerial++
    const slot = serial & (this.#capacity - 1)
    this.serial[slot] = serial
    this.keyLow[slot] = keyLow
    this.keyHigh[slot] = keyHigh
    this.firstNs[slot] = firstNs
    this.firstSighting[slot] = NONE
    this.lastSighting[slot] = NONE
    this.flags[slot] = 0
    this.pointsSeen[slot] = 0
    this.#link(slot)
    return slot
  }

  /** Puts journeys where their identities belong now, after somebody has changed keys. */
  rehash(): void {
    this.#buckets.fill(NONE)
    for (let serial = this.oldest; serial < this.nextSerial; serial++)
      this.#link(serial & (this.#capacity - 1))
  }

  #link(slot: JourneySlot): void {
    const bucket = this.keyLow[slot]! & (this.#buckets.length - 1)
    this.#chain[slot] = this.#buckets[bucket]!
    this.#buckets[bucket] = slot
  }

  /** Adds a sighting to a journey: on a leg of `point`, showing so many bytes of its payload. */
  see(
    slot: JourneySlot,
    point: PointIndex,
    leg: LegIndex,
    frame: number,
    timeNs: number,
    ttl: number,
    coveredBytes: number,
  ): void {
    this.pointsSeen[slot]! |= pointBit(point)
    if (this.#nextSighting - this.#oldestSighting === this.leg.length) this.#growSightings()
    const sighting = this.#nextSighting++ & (this.leg.length - 1)
    this.leg[sighting] = leg
    this.frame[sighting] = frame
    this.timeNs[sighting] = timeNs
    this.ttl[sighting] = ttl
    this.coveredBytes[sighting] = coveredBytes
    this.nextSighting[sighting] = NONE
    const last = this.lastSighting[slot]!
    if (last < 0) this.firstSighting[slot] = sighting
    else this.nextSighting[last] = sighting
    this.lastSighting[slot] = sighting
  }

  /** Lets the oldest journey go; its place and those of its sightings are used again. */
  closeOldest(): void {
    this.oldest++
    // Whatever was seen before the first sighting of the journey that is now the oldest belongs to journeys that left.
    this.#oldestSighting =
      this.size === 0 ? this.#nextSighting : this.#serialOf(this.firstSighting[this.oldestSlot()]!)
  }

  /** Gives back the memory of an empty window, where no journey will follow. */
  release(): void {
    const empty = new JourneyWindow()
    const { oldest, nextSerial, forced } = this
    Object.assign(this, empty, { oldest, nextSerial, forced })
    this.#capacity = empty.#capacity
    this.#chain = empty.#chain
    this.#buckets = empty.#buckets
  }

  #serialOf(sighting: SightingIndex): number {
    return this.#oldestSighting + ((sighting - this.#oldestSighting) & (this.leg.length - 1))
  }

  #grow(): void {
    const from = this.#capacity
    const to = 2 * from
    const move = ringMover(this.oldest, from)
    this.previous = move(this.previous)
    this.keyLow = move(this.keyLow)
    this.keyHigh = move(this.keyHigh)
    this.direction = move(this.direction)
    this.firstNs = move(this.firstNs)
    this.firstSighting = move(this.firstSighting)
    this.lastSighting = move(this.lastSighting)
    this.flags = move(this.flags)
    this.pointsSeen = move(this.pointsSeen)
    this.lenBytes = move(this.lenBytes)
    this.payloadLenBytes = move(this.payloadLenBytes)
    this.ipId = move(this.ipId)
    this.tcpFlags = move(this.tcpFlags)
    this.seq = move(this.seq)
    this.answeredBy = move(this.answeredBy)
    this.tsVal = move(this.tsVal)
    this.serial = move(this.serial)
    this.#capacity = to
    this.#chain = new Int32Array(to)
    this.#buckets = new Int32Array(2 * to)
    this.rehash()
  }

  #growSightings(): void {
    const to = 2 * this.leg.length
    const renumber = (column: Int32Array, begin: number, end: number, mask: number) => {
      for (let serial = begin; serial < end; serial++) {
        const sighting = column[serial & mask]!
        if (sighting >= 0) column[serial & mask] = this.#serialOf(sighting) & (to - 1)
      }
    }
    renumber(this.firstSighting, this.oldest, this.nextSerial, this.#capacity - 1)
    renumber(this.lastSighting, this.oldest, this.nextSerial, this.#capacity - 1)
    renumber(this.nextSighting, this.#oldestSighting, this.#nextSighting, this.leg.length - 1)
    const move = ringMover(this.#oldestSighting, this.leg.length)
    this.frame = move(this.frame)
    this.timeNs = move(this.timeNs)
    this.ttl = move(this.ttl)
    this.coveredBytes = move(this.coveredBytes)
    this.nextSighting = move(this.nextSighting)
    this.leg = move(this.leg)
  }
}

/** Makes the copier of a ring's columns into columns of twice the length, where serial numbers keep their meaning. */
function ringMover(oldest: number, from: number): <T extends Column>(column: T) => T {
  const to = 2 * from
  // Two runs: from the oldest to the end of the columns, and from their beginning to the newest.
  const seam = oldest & (from - 1)
  const runs = [
    { at: seam, end: from, to: oldest & (to - 1) },
    { at: 0, end: seam, to: (oldest + from - seam) & (to - 1) },
  ]
  return (column) => {
    const bigger = new (column.constructor as new (length: number) => typeof column)(to)
    for (const run of runs) bigger.set(column.subarray(run.at, run.end), run.to)
    return bigger
  }
}
