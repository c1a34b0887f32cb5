/** Latency between two legs: exact while there are few samples, a histogram when there are many; memory stays bounded. */

import { grown } from './columns.ts'
import type { LegIndex } from './legs.ts'

/** So many samples of a row are kept as they are; medians and percentiles are exact up to here. */
const EXACT_SAMPLES = 128
/** What a row has that was never measured; many flows have but one packet. */
const NO_SAMPLES = new Int32Array(0)
/** Each power of two is cut into so many buckets: a percentile read from them is off by at most 1/32. */
const BUCKETS_PER_OCTAVE = 16
/** Latencies up to 2³¹ ns; what is longer counts as that. */
const OCTAVES = 28
const HALF = BUCKETS_PER_OCTAVE * OCTAVES

/** Summary of one row, in ns. */
export interface LatencySummary {
  packets: number
  minNs: number
  medianNs: number
  p99Ns: number
}

/** Rows of signed latencies in ns from one leg to the next one; a clock that is off makes them negative. */
export class LatencyTable {
  count = 0
  #from = new Int32Array(64)
  /** Next row of the same `to` leg; `#head` has the newest row of a leg, plus 1. */
  #next = new Int32Array(64)
  #head = new Int32Array(64)
  #samples = new Uint32Array(64)
  #negative = new Uint32Array(64)
  #minNs = new Float64Array(64)
  #maxNs = new Float64Array(64)
  /** First bucket of the row's histogram: it has only those between its least and greatest latency, by octaves. */
  #base = new Int32Array(64)
  /** Samples (Int32, ns, saturating) while few, then the histogram. */
  readonly #store: Int32Array[] = []

  constructor() {
    // See `LegTable`.
    this.#grow(512)
    this.#head = grown(this.#head, 1024)
  }

  /** The row for `from` → `to`, or -1. */
  find(from: LegIndex, to: LegIndex): number {
    if (to >= this.#head.length) return -1
    for (let row = this.#head[to]! - 1; row >= 0; row = this.#next[row]!)
      if (this.#from[row] === from) return row
    return -1
  }

  /** The row for `from` → `to`, made where missing. */
  row(from: LegIndex, to: LegIndex): number {
    const found = this.find(from, to)
    if (found >= 0) return found
    const row = this.count++
    if (row === this.#from.length) this.#grow(2 * row)
    if (to >= this.#head.length) this.#head = grown(this.#head, 2 * to + 2)
    this.#from[row] = from
    this.#next[row] = this.#head[to]! - 1
    this.#head[to] = row + 1
    this.#minNs[row] = Number.POSITIVE_INFINITY
    this.#maxNs[row] = Number.NEGATIVE_INFINITY
    this.#store.push(NO_SAMPLES)
    return row
  }

  negative(row: number): number {
    return this.#negative[row]!
  }

  add(row: number, latencyNs: number): void {
    const n = this.#samples[row]!++
    if (latencyNs < 0) this.#negative[row]!++
    if (latencyNs < this.#minNs[row]!) this.#minNs[row] = latencyNs
    if (latencyNs > this.#maxNs[row]!) this.#maxNs[row] = latencyNs
    if (n < EXACT_SAMPLES) {
      let store = this.#store[row]!
      if (n === store.length) this.#store[row] = store = grown(store, Math.max(2, 2 * n))
      store[n] = Math.max(-0x80000000, Math.min(0x7fffffff, latencyNs))
      return
    }
    if (n === EXACT_SAMPLES) this.#toHistogram(row)
    this.#count(row, bucketOf(latencyNs))
  }

  #toHistogram(row: number): void {
    const samples = this.#store[row]!
    this.#base[row] = octaveBegin(bucketOf(samples[0]!))
    this.#store[row] = new Int32Array(BUCKETS_PER_OCTAVE)
    for (const sample of samples) this.#count(row, bucketOf(sample))
  }

  #count(row: number, bucket: number): void {
    const base = this.#base[row]!
    if (bucket < base || bucket >= base + this.#store[row]!.length) this.#widen(row, bucket)
    this.#store[row]![bucket - this.#base[row]!]!++
  }

  /** Makes room for a bucket, by whole octaves. */
  #widen(row: number, bucket: number): void {
    const old = this.#store[row]!
    const oldBase = this.#base[row]!
    const base = Math.min(oldBase, octaveBegin(bucket))
    const end = Math.max(oldBase + old.length, octaveBegin(bucket) + BUCKETS_PER_OCTAVE)
    const wider = new Int32Array(end - base)
    wider.set(old, oldBase - base)
    this.#base[row] = base
    this.#store[row] = wider
  }

  /** Figures from one leg to the next, whichever of the two was measured from; null where neither was. */
  between(from: LegIndex, to: LegIndex): LatencySummary | null {
    const row = this.find(from, to)
    if (row >= 0) return this.summary(row)
    const turned = this.find(to, from)
    return turned >= 0 ? this.summary(turned, true) : null
  }

  /** Figures of a row; `turned` reads it against its direction (`to` → `from`). */
  summary(row: number, turned = false): LatencySummary {
    const n = this.#samples[row]!
    const store = this.#store[row]!
    if (n <= EXACT_SAMPLES) {
      const samples = Array.from(store.subarray(0, n), (sample) => (turned ? -sample : sample))
      return { ...exactSummary(samples), minNs: turned ? -this.#maxNs[row]! + 0 : this.#minNs[row]! }
    }
    const at = (rank: number) => {
      let before = 0
      for (let bucket = 0; bucket < store.length; bucket++) {
        before += store[bucket]!
        if (before > rank)
          return Math.min(this.#maxNs[row]!, Math.max(this.#minNs[row]!, middleOf(bucket + this.#base[row]!)))
      }
      return this.#maxNs[row]!
    }
    const [median, p99] = [rankOf(0.5, n), rankOf(0.99, n)]
    // `+ 0` turns -0, which JSON would print as 0 but tests would tell from it.
    if (turned)
      return {
        packets: n,
        minNs: -this.#maxNs[row]! + 0,
        medianNs: -at(n - 1 - median) + 0,
        p99Ns: -at(n - 1 - p99) + 0,
      }
    return { packets: n, minNs: this.#minNs[row]!, medianNs: at(median), p99Ns: at(p99) }
  }

  #grow(capacity: number): void {
    this.#from = grown(this.#from, capacity)
    this.#next = grown(this.#next, capacity)
    this.#samples = grown(this.#samples, capacity)
    this.#negative = grown(this.#negative, capacity)
    this.#minNs = grown(this.#minNs, capacity)
    this.#maxNs = grown(this.#maxNs, capacity)
    this.#base = grown(this.#base, capacity)
  }
}

/** Figures of a few latencies, at least one; sorts them. */
export function exactSummary(samplesNs: number[]): LatencySummary {
  const n = samplesNs.length
  const sorted = samplesNs.sort((a, b) => a - b)
  const at = (rank: number) => sorted[rank]! + 0
  return { packets: n, minNs: at(0), medianNs: at(rankOf(0.5, n)), p99Ns: at(rankOf(0.99, n)) }
}

function rankOf(p: number, n: number): number {
  return Math.min(n - 1, Math.max(0, Math.ceil(p * n) - 1))
}

function octaveBegin(bucket: number): number {
  return bucket - (bucket % BUCKETS_PER_OCTAVE)
}

/** Buckets ascend with the value: [−2³¹ ns … 0) in the lower half, [0 … 2³¹ ns) in the upper. */
function bucketOf(latencyNs: number): number {
  const size = Math.min(0x7fffffff, Math.abs(latencyNs)) | 0
  let bucket = size
  if (size >= BUCKETS_PER_OCTAVE) {
    // The leading bit names the octave, the four behind it the bucket inside.
    const octave = 31 - Math.clz32(size)
    bucket = (octave - 3) * BUCKETS_PER_OCTAVE + ((size >>> (octave - 4)) & (BUCKETS_PER_OCTAVE - 1))
  }
  return latencyNs < 0 ? HALF - 1 - bucket : HALF + bucket
}

/** The middle of a bucket. */
function middleOf(bucket: number): number {
  const negative = bucket < HALF
  const index = negative ? HALF - 1 - bucket : bucket - HALF
  let size = index
  if (index >= BUCKETS_PER_OCTAVE) {
    const octave = Math.floor(index / BUCKETS_PER_OCTAVE) + 3
    size = 2 ** octave * (1 + ((index % BUCKETS_PER_OCTAVE) + 0.5) / BUCKETS_PER_OCTAVE)
  }
  return Math.round(negative ? -size : size)
}
