/** Patterns: which stations the journeys of a direction reached, counted; what was lost where is read from these at the end. */

import { finish, grown, mix } from './columns.ts'

/** A direction's stations are bits in two 31-bit words. */
export const MAX_STATIONS = 62
/** Bits in each of the words. */
export const STATION_BITS = 31
/** So many different patterns a direction may have; further ones are counted with the last one, as ambiguous. */
const MAX_PATTERNS = 64
/** First few records of a pattern that are kept as evidence. */
export const EVIDENCE_FRAMES = 16
/** Most patterns have no more journeys than this, and need no more room. */
const FEW_FRAMES = 4

export const PatternFlag = {
  /** Undecided journeys: neither delivered nor lost. */
  Ambiguous: 1,
  /** An ICMP error answered them. */
  Answered: 2,
  /** Some of their bytes came in other frames at some point. */
  Recut: 4,
  /** They had to leave the window early: what they lack may have come later. */
  Forced: 8,
  /** TCP acknowledged all of it though it was sent but once: it arrived, whatever the points show. */
  Acked: 16,
} as const

/** What journeys of one pattern have in common; the same few come up in a million flows. */
class Shapes {
  count = 0
  low = new Int32Array(64)
  high = new Int32Array(64)
  outside = new Uint32Array(64)
  flags = new Uint8Array(64)
  #slots = new Int32Array(256)
  readonly #seed = (Math.random() * 0xffffffff) | 0

  constructor() {
    // See `LegTable`.
    this.#grow()
  }

  is(shape: number, low: number, high: number, outside: number, flags: number): boolean {
    return (
      this.low[shape] === low &&
      this.high[shape] === high &&
      this.outside[shape] === outside &&
      this.flags[shape] === flags
    )
  }

  /** The number of a shape, a new one where it has none. */
  intern(low: number, high: number, outside: number, flags: number): number {
    const mask = this.#slots.length - 1
    let slot = this.#hashOf(low, high, outside, flags) & mask
    for (; this.#slots[slot]! > 0; slot = (slot + 1) & mask)
      if (this.is(this.#slots[slot]! - 1, low, high, outside, flags)) return this.#slots[slot]! - 1
    const shape = this.count++
    this.low[shape] = low
    this.high[shape] = high
    this.outside[shape] = outside
    this.flags[shape] = flags
    this.#slots[slot] = shape + 1
    if (this.count === this.low.length) this.#grow()
    return shape
  }

  #hashOf(low: number, high: number, outside: number, flags: number): number {
    return finish(mix(mix(mix(this.#seed ^ flags, low), high), outside))
  }

  #grow(): void {
    const capacity = 2 * this.low.length
    this.low = grown(this.low, capacity)
    this.high = grown(this.high, capacity)
    this.outside = grown(this.outside, capacity)
    this.flags = grown(this.flags, capacity)
    this.#slots = new Int32Array(4 * capacity)
    const mask = this.#slots.length - 1
    for (let shape = 0; shape < this.count; shape++) {
      let slot =
        this.#hashOf(this.low[shape]!, this.high[shape]!, this.outside[shape]!, this.flags[shape]!) & mask
      while (this.#slots[slot]! > 0) slot = (slot + 1) & mask
      this.#slots[slot] = shape + 1
    }
  }
}

/** Rows of patterns in columns, chained by direction. */
export class PatternTable {
  count = 0
  next = new Int32Array(64)
  packets = new Uint32Array(64)
  bytes = new Float64Array(64)
  #shape = new Uint32Array(64)
  readonly #shapes = new Shapes()
  /** Record numbers of the first few journeys at the last leg that showed them: that of the first, or a place in the pool. */
  #frames = new Uint32Array(64)
  /** Places for `FEW_FRAMES` or `EVIDENCE_FRAMES` of them; `#freeFrames` is the last of the smaller ones that is free again. */
  #pool = new Uint32Array(1024)
  #poolUsed = FEW_FRAMES
  #freeFrames = 0

  constructor() {
    // See `LegTable`.
    this.#grow(512)
    this.#pool = grown(this.#pool, 2048)
  }

  /** The row of this pattern in the list that begins at `head`, made where missing: a new one has 0 packets. */
  row(head: number, low: number, high: number, outside: number, flags: number): number {
    let length = 0
    for (let row = head; row >= 0; row = this.next[row]!) {
      if (this.#shapes.is(this.#shape[row]!, low, high, outside, flags)) return row
      length++
    }
    if (length >= MAX_PATTERNS) {
      // The newest row takes them in, which is hardly the one that most journeys have.
      const { low, high, outside, flags } = this.#shapes
      const shape = this.#shape[head]!
      this.#shape[head] = this.#shapes.intern(
        low[shape]!,
        high[shape]!,
        outside[shape]!,
        flags[shape]! | PatternFlag.Ambiguous,
      )
      return head
    }
    const row = this.count++
    if (row === this.next.length) this.#grow(2 * row)
    this.next[row] = head
    this.#shape[row] = this.#shapes.intern(low, high, outside, flags)
    return row
  }

  /** Counts one journey, which had this record number where it was seen last. */
  add(row: number, bytes: number, frame: number): void {
    const n = this.packets[row]!++
    this.bytes[row]! += bytes
    if (n < EVIDENCE_FRAMES) this.#addFrame(row, n, frame)
  }

  /** Record numbers of the first few journeys where they were seen last. */
  evidence(row: number): number[] {
    const n = Math.min(this.packets[row]!, EVIDENCE_FRAMES)
    const at = this.#frames[row]!
    return n === 1 ? [at] : [...this.#pool.subarray(at, at + n)]
  }

  /** See `PatternFlag`. */
  flags(row: number): number {
    return this.#shapes.flags[this.#shape[row]!]!
  }

  /** Points whose capture did not run at the time of these journeys: bit of the point; bit 31 for all from 31 on. */
  outside(row: number): number {
    return this.#shapes.outside[this.#shape[row]!]!
  }

  has(row: number, station: number): boolean {
    const shape = this.#shape[row]!
    return station < STATION_BITS
      ? (this.#shapes.low[shape]! >>> station) % 2 === 1
      : (this.#shapes.high[shape]! >>> (station - STATION_BITS)) % 2 === 1
  }

  /** How many stations a row has. */
  stationCount(row: number): number {
    let count = 0
    for (let station = 0; station < MAX_STATIONS; station++) if (this.has(row, station)) count++
    return count
  }

  /** Renumbers the stations of a whole list: bit n becomes bit n + `by`. */
  shift(head: number, by: number): void {
    const { low, high, outside, flags } = this.#shapes
    for (let row = head; row >= 0; row = this.next[row]!) {
      const shape = this.#shape[row]!
      // 62 bits fit a float64 only in halves; BigInt is slow, but two flows rarely turn out as one so late.
      const bits = ((BigInt(high[shape]!) << 31n) | BigInt(low[shape]!)) << BigInt(by)
      this.#shape[row] = this.#shapes.intern(
        Number(bits & 0x7fffffffn),
        Number((bits >> 31n) & 0x7fffffffn),
        outside[shape]!,
        flags[shape]!,
      )
    }
  }

  /** Keeps the record number of journey `n`, counted from 0. */
  #addFrame(row: number, n: number, frame: number): void {
    if (n === 0) {
      this.#frames[row] = frame
      return
    }
    if (n === 1) {
      const at = this.#takeFew()
      this.#pool[at] = this.#frames[row]!
      this.#frames[row] = at
    } else if (n === FEW_FRAMES) {
      const few = this.#frames[row]!
      const at = this.#take(EVIDENCE_FRAMES)
      this.#pool.copyWithin(at, few, few + FEW_FRAMES)
      this.#pool[few] = this.#freeFrames
      this.#freeFrames = few
      this.#frames[row] = at
    }
    this.#pool[this.#frames[row]! + n] = frame
  }

  #takeFew(): number {
    const free = this.#freeFrames
    if (free === 0) return this.#take(FEW_FRAMES)
    this.#freeFrames = this.#pool[free]!
    return free
  }

  #take(length: number): number {
    if (this.#poolUsed + length > this.#pool.length) this.#pool = grown(this.#pool, 2 * this.#pool.length)
    this.#poolUsed += length
    return this.#poolUsed - length
  }

  #grow(capacity: number): void {
    this.next = grown(this.next, capacity)
    this.packets = grown(this.packets, capacity)
    this.bytes = grown(this.bytes, capacity)
    this.#shape = grown(this.#shape, capacity)
    this.#frames = grown(this.#frames, capacity)
  }
}
