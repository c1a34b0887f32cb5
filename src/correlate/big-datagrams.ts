/** Big datagrams: the bytes of those that may be cut later on, and which of their pieces have been seen on which leg. */

import type { LegIndex } from './legs.ts'

/** Number of a datagram in the table, from 1; 0 stands for none. */
export type BigIndex = number
/** A datagram on a leg that saw pieces of it. */
export type PlaceIndex = number

/** How bytes compare with those of a datagram: a snaplen, or time, may have taken what they would be compared with. */
export const Compared = { Different: 0, Equal: 1, Unknown: 2 } as const
export type Compared = (typeof Compared)[keyof typeof Compared]

const MAX_DATAGRAMS = 1024
/** Room for 64 of the longest. */
const PAYLOAD_BYTES = 1 << 22
const PLACES = 16
/** Pieces that a place tells apart; the kernel cuts a datagram into 64 or 128 (UDP_MAX_SEGMENTS). */
const PIECES = 128
/** With fewer equal bytes than this, equality says little. */
const ENOUGH_BYTES = 16

/** The newest datagrams, in rings of fixed size that are allocated with the first one: under 5 MB. */
export class BigDatagrams {
  count = 0
  serial = new Float64Array(0)
  /** The datagram before it in the same direction. */
  previous = new Uint32Array(0)
  /** Length of its pieces as seen so far (the last one may be shorter), or 0. */
  pieceLenBytes = new Uint16Array(0)
  #start = new Float64Array(0)
  #capturedBytes = new Uint32Array(0)
  #places = new Uint8Array(0)
  #leg = new Int32Array(0)
  /** By place: where the piece that is farthest behind ends, and how many bytes were seen. */
  seenEnd = new Uint32Array(0)
  seenBytes = new Uint32Array(0)
  #seenPieces = new Uint8Array(0)
  #payload = Buffer.alloc(0)
  #written = 0
  readonly #bySerial = new Map<number, BigIndex>()

  /** Keeps the journey `serial`, the newest of its direction but for `previous`, with what there is of its payload. */
  add(serial: number, previous: BigIndex, bytes: Uint8Array, from: number, to: number): BigIndex {
    if (this.count === 0) this.#allocate()
    const at = ++this.count % MAX_DATAGRAMS
    if (this.#bySerial.get(this.serial[at]!) === this.count - MAX_DATAGRAMS)
      this.#bySerial.delete(this.serial[at]!)
    this.#bySerial.set(serial, this.count)
    this.serial[at] = serial
    this.previous[at] = previous
    this.pieceLenBytes[at] = 0
    this.#places[at] = 0
    const captured = Math.max(0, Math.min(to - from, PAYLOAD_BYTES))
    const room = PAYLOAD_BYTES - (this.#written % PAYLOAD_BYTES)
    if (room < captured) this.#written += room
    this.#start[at] = this.#written
    this.#capturedBytes[at] = captured
    this.#payload.set(bytes.subarray(from, from + captured), this.#written % PAYLOAD_BYTES)
    this.#written += captured
    return this.count
  }

  /** The index of a journey that is kept, or 0. */
  of(serial: number): BigIndex {
    return this.#bySerial.get(serial) ?? 0
  }

  isKept(big: BigIndex): boolean {
    return big > 0 && big > this.count - MAX_DATAGRAMS
  }

  serialOf(big: BigIndex): number {
    return this.serial[big % MAX_DATAGRAMS]!
  }

  previousOf(big: BigIndex): BigIndex {
    return this.previous[big % MAX_DATAGRAMS]!
  }

  pieceLenOf(big: BigIndex): number {
    return this.pieceLenBytes[big % MAX_DATAGRAMS]!
  }

  /** Compares `lenBytes` bytes at `from` (as many as were captured, up to `end`) with the datagram's at `offset`. */
  compare(
    big: BigIndex,
    offset: number,
    bytes: Uint8Array,
    from: number,
    lenBytes: number,
    end: number,
  ): Compared {
    const at = big % MAX_DATAGRAMS
    const start = this.#start[at]!
    const common = Math.min(lenBytes, end - from, this.#capturedBytes[at]! - offset)
    if (common < Math.min(lenBytes, ENOUGH_BYTES) || start < this.#written - PAYLOAD_BYTES)
      return Compared.Unknown
    const there = (start % PAYLOAD_BYTES) + offset
    // Most of what differs does so at once.
    if (this.#payload[there] !== bytes[from]) return Compared.Different
    const order = this.#payload.compare(bytes, from, from + common, there, there + common)
    return order === 0 ? Compared.Equal : Compared.Different
  }

  /** Where the pieces of a datagram on a leg are noted, or -1. */
  placeOf(big: BigIndex, leg: LegIndex): PlaceIndex {
    const at = big % MAX_DATAGRAMS
    for (let place = at * PLACES; place < at * PLACES + this.#places[at]!; place++)
      if (this.#leg[place] === leg) return place
    return -1
  }

  /** Makes a place; -1 where a datagram has too many. */
  addPlace(big: BigIndex, leg: LegIndex): PlaceIndex {
    const at = big % MAX_DATAGRAMS
    if (this.#places[at] === PLACES) return -1
    const place = at * PLACES + this.#places[at]!++
    this.#leg[place] = leg
    this.seenEnd[place] = 0
    this.seenBytes[place] = 0
    this.#seenPieces.fill(0, place * PIECES, (place + 1) * PIECES)
    return place
  }

  /** Were the bytes at `offset` seen at a place? Beyond what it tells apart: are they in front of others that were? */
  isSeen(big: BigIndex, place: PlaceIndex, offset: number): boolean {
    if (place < 0 || offset >= this.seenEnd[place]!) return false
    const length = this.pieceLenOf(big)
    const piece = length > 0 ? Math.floor(offset / length) : PIECES
    return piece >= PIECES || this.#seenPieces[place * PIECES + piece] === 1
  }

  /** Notes bytes that a place has seen; `pieceLenBytes` where they are one piece that is not the last one, else 0. */
  see(big: BigIndex, place: PlaceIndex, offset: number, lenBytes: number, pieceLenBytes: number): void {
    const at = big % MAX_DATAGRAMS
    if (pieceLenBytes > 0 && this.pieceLenBytes[at] === 0) {
      this.pieceLenBytes[at] = pieceLenBytes
      // What was seen in longer pieces before this one came.
      for (let other = at * PLACES; other < at * PLACES + this.#places[at]!; other++)
        this.#mark(other, 0, this.seenEnd[other]!, pieceLenBytes)
    }
    this.seenEnd[place] = Math.max(this.seenEnd[place]!, offset + lenBytes)
    this.seenBytes[place]! += lenBytes
    this.#mark(place, offset, offset + lenBytes, this.pieceLenBytes[at]!)
  }

  #mark(place: PlaceIndex, from: number, to: number, pieceLenBytes: number): void {
    if (pieceLenBytes === 0) return
    const first = Math.min(PIECES, Math.floor(from / pieceLenBytes))
    const behind = Math.min(PIECES, Math.ceil(to / pieceLenBytes))
    this.#seenPieces.fill(1, place * PIECES + first, place * PIECES + behind)
  }

  #allocate(): void {
    this.serial = new Float64Array(MAX_DATAGRAMS).fill(-1)
    this.previous = new Uint32Array(MAX_DATAGRAMS)
    this.pieceLenBytes = new Uint16Array(MAX_DATAGRAMS)
    this.#start = new Float64Array(MAX_DATAGRAMS)
    this.#capturedBytes = new Uint32Array(MAX_DATAGRAMS)
    this.#places = new Uint8Array(MAX_DATAGRAMS)
    this.#leg = new Int32Array(MAX_DATAGRAMS * PLACES)
    this.seenEnd = new Uint32Array(MAX_DATAGRAMS * PLACES)
    this.seenBytes = new Uint32Array(MAX_DATAGRAMS * PLACES)
    this.#seenPieces = new Uint8Array(MAX_DATAGRAMS * PLACES * PIECES)
    this.#payload = Buffer.alloc(PAYLOAD_BYTES)
  }
}
