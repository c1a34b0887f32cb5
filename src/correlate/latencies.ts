/** Latencies between the legs of a direction: of short flows their few journeys as they were, of longer ones figures. */

import { grown } from './columns.ts'
import type { DirectionIndex } from './flows.ts'
import { exactSummary, type LatencySummary, LatencyTable } from './latency.ts'
import { type LegIndex, type LegTable, NO_STATION } from './legs.ts'

/** So many journeys of a direction are kept as they were. */
const MAX_KEPT = 16
/** Sightings of a journey that can be kept. */
const MAX_SIGHTINGS = 40
/** A journey that took longer is not kept: the difference of any two times fits 32 bits. */
const MAX_DELAY_NS = 2 ** 30
/** Instead of a number of journeys kept: the direction has rows. */
const ROWS = 255
/** So many packets of a leg are measured against the last two stations. */
const MEASURED_TWICE = 64
const NONE = 0
/** A kept journey: the link to another one and the number of sightings, then a station and up to 5 bytes of time for each. */
const HEAD_BYTES = 5
const MAX_BYTES = HEAD_BYTES + 6 * MAX_SIGHTINGS

/**
 * Where two legs are neighbours on the way, their latency is wanted; but two neighbours may change places when all is
 * known. So the first packets are measured over one station, too. A row for each such pair costs a hundred times as much
 * as a packet's few times do: most flows are short, and never get any.
 */
export class Latencies {
  readonly #legs: LegTable
  readonly #rows = new LatencyTable()
  /** By direction: the journey that was kept last, and how many are. */
  #last = new Uint32Array(1024)
  #kept = new Uint8Array(1024)
  /**
   * Journeys: the one that the direction kept before it, or `NONE`; the number of its sightings; for each of them its
   * station, and how far it is behind the one before in ns.
   */
  #pool = new Uint8Array(8192)
  #used = 1
  /** By length: the last place that is free again, or `NONE`; the next such place is written there. */
  readonly #free = new Uint32Array(MAX_BYTES + 1)
  readonly #written = new Uint8Array(MAX_BYTES)
  /** The journey that was read last: its stations, and their times behind the first one. */
  readonly #stations = new Uint8Array(MAX_SIGHTINGS)
  readonly #delaysNs = new Float64Array(MAX_SIGHTINGS)
  #lengthBytes = 0

  constructor(legs: LegTable) {
    this.#legs = legs
    // See `LegTable`.
    this.#last = grown(this.#last, 2048)
    this.#kept = grown(this.#kept, 2048)
    this.#pool = grown(this.#pool, 16_384)
  }

  /** Takes a journey of a direction: the first `n` of these columns, along the way. `firstLeg` is the direction's. */
  add(direction: DirectionIndex, firstLeg: LegIndex, n: number, leg: Int32Array, timeNs: Float64Array): void {
    if (n < 2) return
    if (direction >= this.#kept.length) this.#grow(2 * direction)
    if (this.#kept[direction] !== ROWS) {
      if (this.#keep(direction, n, leg, timeNs)) return
      this.leaveFirst(direction, firstLeg)
    }
    this.#measure(n, leg, timeNs)
  }

  /** Makes rows of the journeys that were kept of a direction: stations are about to get other numbers, or there are many. */
  leaveFirst(direction: DirectionIndex, firstLeg: LegIndex): void {
    if (direction >= this.#kept.length) this.#grow(2 * direction)
    if (this.#kept[direction] === ROWS) return
    this.#kept[direction] = ROWS
    const { station, sibling } = this.#legs
    const byStation: LegIndex[] = []
    for (let leg = firstLeg; leg >= 0; leg = sibling[leg]!) byStation[station[leg]!] = leg
    const leg = new Int32Array(MAX_SIGHTINGS)
    for (let at = this.#last[direction]!; at !== NONE; ) {
      const n = this.#read(at)
      for (let i = 0; i < n; i++) leg[i] = byStation[this.#stations[i]!]!
      this.#measure(n, leg, this.#delaysNs)
      const next = readLink(this.#pool, at)
      this.#release(at, this.#lengthBytes)
      at = next
    }
  }

  /** Figures from one leg of a direction to the next, whichever of the two was measured from; null where neither was. */
  between(direction: DirectionIndex, from: LegIndex, to: LegIndex): LatencySummary | null {
    if (direction >= this.#kept.length) return null
    if (this.#kept[direction] === ROWS) return this.#rows.between(from, to)
    const [a, b] = [this.#legs.station[from]!, this.#legs.station[to]!]
    const straight = this.#samples(direction, a, b)
    if (straight.length > 0) return exactSummary(straight)
    const turned = this.#samples(direction, b, a)
    return turned.length > 0 ? exactSummary(turned.map((sample) => -sample)) : null
  }

  #measure(n: number, leg: Int32Array, timeNs: Float64Array): void {
    const rows = this.#rows
    const legs = this.#legs
    let before = -1
    let beforeNs = 0
    let second = -1
    let secondNs = 0
    for (let i = 0; i < n; i++) {
      const here = leg[i]!
      if (before === here) continue
      const hereNs = timeNs[i]!
      if (before >= 0) rows.add(rows.row(before, here), hereNs - beforeNs)
      if (second >= 0 && legs.hasAtMost(here, MEASURED_TWICE))
        rows.add(rows.row(second, here), hereNs - secondNs)
      second = before
      secondNs = beforeNs
      before = here
      beforeNs = hereNs
    }
    // The way's end was passed before its beginning: a router may have raised the TTL in between.
    if (n > 2 && timeNs[0]! > beforeNs) rows.add(rows.row(before, leg[0]!), timeNs[0]! - beforeNs)
  }

  /** False where the journey can't be kept as it was. */
  #keep(direction: DirectionIndex, n: number, leg: Int32Array, timeNs: Float64Array): boolean {
    if (this.#kept[direction]! >= MAX_KEPT || n > MAX_SIGHTINGS) return false
    const legs = this.#legs
    const written = this.#written
    let length = HEAD_BYTES
    let beforeNs = 0
    for (let i = 0; i < n; i++) {
      const here = leg[i]!
      const station = legs.station[here]!
      const delayNs = timeNs[i]! - timeNs[0]!
      if (station === NO_STATION || !legs.hasAtMost(here, MEASURED_TWICE)) return false
      if (Math.abs(delayNs) > MAX_DELAY_NS || !Number.isInteger(delayNs)) return false
      // Frames that carry pieces of one packet.
      if (i > 0 && leg[i - 1] === here) return false
      written[length++] = station
      length = writeVarint(written, length, delayNs - beforeNs)
      beforeNs = delayNs
    }
    const at = this.#take(length)
    writeLink(written, 0, this.#last[direction]!)
    written[HEAD_BYTES - 1] = n
    this.#pool.set(written.subarray(0, length), at)
    this.#last[direction] = at
    this.#kept[direction]!++
    return true
  }

  /** Reads a journey into `#stations` and `#delaysNs`; returns the number of its sightings. */
  #read(at: number): number {
    const pool = this.#pool
    const n = pool[at + HEAD_BYTES - 1]!
    let next = at + HEAD_BYTES
    let delayNs = 0
    for (let i = 0; i < n; i++) {
      this.#stations[i] = pool[next++]!
      let zigzag = 0
      for (let shift = 0; ; shift += 7) {
        const byte = pool[next++]!
        zigzag |= (byte & 0x7f) << shift
        if (byte < 0x80) break
      }
      delayNs += (zigzag >>> 1) ^ -(zigzag & 1)
      this.#delaysNs[i] = delayNs
    }
    this.#lengthBytes = next - at
    return n
  }

  /** Latencies of the journeys that passed the one station next, or next but one, before the other. */
  #samples(direction: DirectionIndex, from: number, to: number): number[] {
    const samples: number[] = []
    for (let at = this.#last[direction]!; at !== NONE; at = readLink(this.#pool, at)) {
      const n = this.#read(at)
      for (let i = 1; i < n; i++) {
        if (this.#stations[i] !== to) continue
        for (let j = Math.max(0, i - 2); j < i; j++)
          if (this.#stations[j] === from) samples.push(this.#delaysNs[i]! - this.#delaysNs[j]!)
      }
      const isTurned = n > 2 && this.#delaysNs[n - 1]! < 0
      if (isTurned && this.#stations[n - 1] === from && this.#stations[0] === to)
        samples.push(-this.#delaysNs[n - 1]!)
    }
    return samples
  }

  #take(length: number): number {
    const free = this.#free[length]!
    if (free !== NONE) {
      this.#free[length] = readLink(this.#pool, free)
      return free
    }
    if (this.#used + length > this.#pool.length) this.#pool = grown(this.#pool, 2 * this.#pool.length)
    this.#used += length
    return this.#used - length
  }

  #release(at: number, length: number): void {
    writeLink(this.#pool, at, this.#free[length]!)
    this.#free[length] = at
  }

  #grow(directions: number): void {
    this.#last = grown(this.#last, directions)
    this.#kept = grown(this.#kept, directions)
  }
}

/** A place in the pool, in bytes. */
function readLink(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

function writeLink(bytes: Uint8Array, at: number, link: number): void {
  bytes[at] = link
  bytes[at + 1] = link >>> 8
  bytes[at + 2] = link >>> 16
  bytes[at + 3] = link >>> 24
}

/** Writes a signed 32-bit number in as many bytes as it needs, 1 to 5 (Protocol Buffers: sint32); returns where it ends. */
function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80
  bytes[at++] = rest
  return at
}
