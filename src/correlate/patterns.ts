/** Patterns: which stations the journeys of a direction reached, counted; what was lost where is read from these at the end. */

import { grown } from './columns.ts'
import type { LegIndex } from './legs.ts'

/** A direction's stations are bits in two 31-bit words. */
export const MAX_STATIONS = 62
/** Bits in each of the words. */
export const STATION_BITS = 31
/** So many different patterns a direction may have; further ones are counted with the last one, as ambiguous. */
const MAX_PATTERNS = 64
/** First few records of a pattern that are kept as evidence. */
export const EVIDENCE_FRAMES = 16

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

/** Rows of patterns in columns, chained by direction. */
export class PatternTable {
  count = 0
  next = new Int32Array(64)
  low = new Int32Array(64)
  high = new Int32Array(64)
  /** Points whose capture did not run at the time of these journeys: bit of the point; bit 31 for all from 31 on. */
  outside = new Uint32Array(64)
  flags = new Uint8Array(64)
  packets = new Uint32Array(64)
  bytes = new Float64Array(64)
  /** The last leg that showed the journeys, and their first few record numbers there. */
  lastLeg = new Int32Array(64)
  frames = new Uint32Array(64 * EVIDENCE_FRAMES)

  constructor() {
    // See `LegTable`.
    this.#grow(512)
  }

  /** The row of this pattern in the list that begins at `head`, made where missing: a new one has 0 packets. */
  row(head: number, low: number, high: number, outside: number, flags: number): number {
    let length = 0
    for (let row = head; row >= 0; row = this.next[row]!) {
      if (
        this.low[row] === low &&
        this.high[row] === high &&
        this.outside[row] === outside &&
        this.flags[row] === flags
      )
        return row
      length++
    }
    if (length >= MAX_PATTERNS) {
      // The newest row takes them in, which is hardly the one that most journeys have.
      this.flags[head]! |= PatternFlag.Ambiguous
      return head
    }
    const row = this.count++
    if (row === this.next.length) this.#grow(2 * row)
    this.next[row] = head
    this.low[row] = low
    this.high[row] = high
    this.outside[row] = outside
    this.flags[row] = flags
    this.lastLeg[row] = -1
    return row
  }

  /** Counts one journey. */
  add(row: number, bytes: number, lastLeg: LegIndex, frame: number): void {
    const n = this.packets[row]!++
    this.bytes[row]! += bytes
    if (n < EVIDENCE_FRAMES) {
      this.lastLeg[row] = lastLeg
      this.frames[row * EVIDENCE_FRAMES + n] = frame
    }
  }

  has(row: number, station: number): boolean {
    return station < STATION_BITS
      ? (this.low[row]! >>> station) % 2 === 1
      : (this.high[row]! >>> (station - STATION_BITS)) % 2 === 1
  }

  /** How many stations a row has. */
  stationCount(row: number): number {
    let count = 0
    for (let station = 0; station < MAX_STATIONS; station++) if (this.has(row, station)) count++
    return count
  }

  /** Renumbers the stations of a whole list: bit n becomes bit n + `by`. */
  shift(head: number, by: number): void {
    for (let row = head; row >= 0; row = this.next[row]!) {
      // 62 bits fit a float64 only in halves; BigInt is slow, but two flows rarely turn out as one so late.
      const bits = ((BigInt(this.high[row]!) << 31n) | BigInt(this.low[row]!)) << BigInt(by)
      this.low[row] = Number(bits & 0x7fffffffn)
      this.high[row] = Number((bits >> 31n) & 0x7fffffffn)
    }
  }

  #grow(capacity: number): void {
    this.next = grown(this.next, capacity)
    this.low = grown(this.low, capacity)
    this.high = grown(this.high, capacity)
    this.outside = grown(this.outside, capacity)
    this.flags = grown(this.flags, capacity)
    this.packets = grown(this.packets, capacity)
    this.bytes = grown(this.bytes, capacity)
    this.lastLeg = grown(this.lastLeg, capacity)
    this.frames = grown(this.frames, capacity * EVIDENCE_FRAMES)
  }
}
