/** Latencies between the legs of a direction: of short flows their few journeys as they were, of longer ones figures. */

import { grown } from './columns.ts'
import type { DirectionIndex } from './flows.ts'
import { exactSummary, type LatencySummary, LatencyTable } from './latency.ts'
import { type LegIndex, type LegTable, NO_STATION } from './legs.ts'

/** So many journeys of a direction are kept as they were. */
const MAX_KEPT = 16
/** Sightings of a journey that can be kept. */
const MAX_SIGHTINGS = 40
/** Instead of a number of journeys kept: the direction has rows. */
const ROWS = 255
/** So many packets of a leg are measured against the last two stations. */
const MEASURED_TWICE = 64
const NONE = 0

/**
 * Where two legs are neighbours on the way, their latency is wanted; but two neighbours may change places when all is
 * known. So the first packets are measured over one station, too. A row for each such pair costs a hundred times as much
 * as a packet's few times do: most flows are short, and never get any.
 */
export class Latencies {
  readonly #legs: LegTable
  readonly #rows = new LatencyTable()
  /** By direction: the journey that was kept last, and how many are. */
  #last = new Int32Array(1024)
  #kept = new Uint8Array(1024)
  /**
   * Journeys: the one that the direction kept before it, or `NONE`; in bytes, the number of its sightings and their
   * stations; their times behind the first one in ns.
   */
  #pool = new Int32Array(4096)
  #used = 1
  /** By length: the last place that is free again, or `NONE`; the next such place is written there. */
  readonly #free = new Int32Array(2 * MAX_SIGHTINGS)

  constructor(legs: LegTable) {
    this.#legs = legs
    // See `LegTable`.
    this.#last = grown(this.#last, 2048)
    this.#kept = grown(this.#kept, 2048)
    this.#pool = grown(this.#pool, 8192)
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
    const timeNs = new Float64Array(MAX_SIGHTINGS)
    for (let at = this.#last[direction]!; at !== NONE; ) {
      const n = this.#sightings(at)
      for (let i = 0; i < n; i++) {
        leg[i] = byStation[this.#station(at, i)]!
        timeNs[i] = this.#delayNs(at, n, i)
      }
      this.#measure(n, leg, timeNs)
      const next = this.#pool[at]!
      this.#release(at, lengthOf(n))
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
    const { packets } = this.#legs
    let before = -1
    let beforeNs = 0
    let second = -1
    let secondNs = 0
    for (let i = 0; i < n; i++) {
      const here = leg[i]!
      if (before === here) continue
      const hereNs = timeNs[i]!
      if (before >= 0) rows.add(rows.row(before, here), hereNs - beforeNs)
      if (second >= 0 && packets[here]! <= MEASURED_TWICE) rows.add(rows.row(second, here), hereNs - secondNs)
      second = before
      secondNs = beforeNs
      before = here
      beforeNs = hereNs
    }
  }

  /** False where the journey can't be kept as it was. */
  #keep(direction: DirectionIndex, all: number, leg: Int32Array, timeNs: Float64Array): boolean {
    const { station, packets } = this.#legs
    if (this.#kept[direction]! >= MAX_KEPT || all > MAX_SIGHTINGS) return false
    let n = 0
    for (let i = 0; i < all; i++) {
      const here = leg[i]!
      if (i > 0 && leg[i - 1] === here) continue
      if (station[here] === NO_STATION || packets[here]! > MEASURED_TWICE) return false
      if (timeNs[i]! - timeNs[0]! !== ((timeNs[i]! - timeNs[0]!) | 0)) return false
      n++
    }
    if (n < 2) return true
    const at = this.#take(lengthOf(n))
    const pool = this.#pool
    pool.fill(0, at, at + lengthOf(n))
    pool[at] = this.#last[direction]!
    this.#last[direction] = at
    this.#kept[direction]!++
    pool[at + 1] = n
    let place = 0
    for (let i = 0; i < all; i++) {
      if (i > 0 && leg[i - 1] === leg[i]) continue
      pool[at + 1 + ((place + 1) >> 2)]! |= station[leg[i]!]! << (8 * ((place + 1) & 3))
      if (place > 0) pool[at + bytesEnd(n) + place - 1] = timeNs[i]! - timeNs[0]!
      place++
    }
    return true
  }

  #sightings(at: number): number {
    return this.#pool[at + 1]! & 0xff
  }

  #station(at: number, i: number): number {
    return (this.#pool[at + 1 + ((i + 1) >> 2)]! >>> (8 * ((i + 1) & 3))) & 0xff
  }

  #delayNs(at: number, n: number, i: number): number {
    return i === 0 ? 0 : this.#pool[at + bytesEnd(n) + i - 1]!
  }

  /** Latencies of the journeys that passed the one station next, or next but one, before the other. */
  #samples(direction: DirectionIndex, from: number, to: number): number[] {
    const samples: number[] = []
    for (let at = this.#last[direction]!; at !== NONE; at = this.#pool[at]!) {
      const n = this.#sightings(at)
      for (let i = 1; i < n; i++) {
        if (this.#station(at, i) !== to) continue
        for (let j = Math.max(0, i - 2); j < i; j++)
          if (this.#station(at, j) === from) samples.push(this.#delayNs(at, n, i) - this.#delayNs(at, n, j))
      }
    }
    return samples
  }

  #take(length: number): number {
    const free = this.#free[length]!
    if (free !== NONE) {
      this.#free[length] = this.#pool[free]!
      return free
    }
    if (this.#used + length > this.#pool.length) this.#pool = grown(this.#pool, 2 * this.#pool.length)
    this.#used += length
    return this.#used - length
  }

  #release(at: number, length: number): void {
    this.#pool[at] = this.#free[length]!
    this.#free[length] = at
  }

  #grow(directions: number): void {
    this.#last = grown(this.#last, directions)
    this.#kept = grown(this.#kept, directions)
  }
}

/** Where a journey of so many sightings has its times, from its place in the pool on. */
function bytesEnd(n: number): number {
  return 1 + ((n + 4) >> 2)
}

function lengthOf(n: number): number {
  return bytesEnd(n) + n - 1
}
