/** Clocks: what two files' times of the same packets say about the offset and the skew between their clocks. */

import type { ClockError } from '../capture/clock.ts'
import type { ClockSamples } from './clock-samples.ts'

/** What packets of one moment may differ by at most, in ns: the delays there and back. */
const MAX_SPREAD_NS = 2e9
/** No clock gains or loses more: what drifts faster was set. */
const MAX_SKEW = 1e-3
/** Less than this may be taps that see a packet sooner or later than they should (−258 µs were published), and no clock. */
const LEAST_OFFSET_NS = 300e3
/** By so much a tap may err where packets of both directions bound the offset. */
const TAP_NS = 50e3
/** Offsets beyond this keep packets from being matched; below, a few packets are no reason to change times. */
const HARMFUL_NS = 0.5e9
const MIN_SAMPLES = { harmful: 2, harmless: 8 }
/** So many packets count as one where nothing but their contents tells them apart: such repeat themselves. */
const FEEBLE_PER_STRONG = 8
/** A skew that less time showed, or fewer packets in either direction, would be extended too far. */
const MIN_SKEW_SPAN_NS = 2e9
const MIN_SKEW_SAMPLES = 12
const MIN_SKEW_BINS = 4
const MAX_SKEW_BINS = 32
/** A drift is one if it is so many times what remains unexplained. */
const SKEW_SIGNIFICANCE = 6
/** Taps are no more regular than this, however regular a few of their times look. */
const LEAST_NOISE_NS = 1e3
/** What one-way traffic can't tell: a packet is seldom on its way for longer. */
const ONE_WAY_UNCERTAINTY_NS = 0.5e9
/** Samples that may contradict the others as they are no pairs: resent, cut or doubled packets. */
const OUTLIERS = 0.01
/** More contradictions than this, and the clocks don't keep one pace. */
const MAX_CONTRADICTIONS = 0.1
const UNEVEN_NS = 1e6

/** How far the clock of file `b` is ahead of that of file `a`. */
export interface ClockDifference {
  readonly a: number
  readonly b: number
  /** When A's clock showed `atNs`. */
  readonly offsetNs: number
  readonly atNs: number
  /** ns per ns of A's clock. */
  readonly skew: number
  readonly uncertaintyNs: number
  readonly samples: number
  readonly basis: ClockError['basis']
  /** Are these two clocks, beyond what taps and delays explain? */
  readonly differs: boolean
}

interface Line {
  offsetNs: number
  slope: number
}

/** Estimates the difference of two clocks; null where too little speaks for any. */
export function compareClocks(samples: ClockSamples): ClockDifference | null {
  const kept = densest(samples)
  const strong = kept.reduce((sum, i) => sum + samples.strong[i]!, 0)
  const evidence = strong + Math.floor((kept.length - strong) / FEEBLE_PER_STRONG)
  if (evidence === 0) return null
  const atNs = median(kept.map((i) => samples.timeNs[i]!))
  let { up, down } = byDirection(samples, kept, atNs, 0)
  const coarse = driftOf(up, down)
  // Where skew is more than the delay it hides the direction from packets that are far apart in time.
  if (coarse.isSignificant) ({ up, down } = byDirection(samples, kept, atNs, coarse.slope))
  const found = up.count > 0 && down.count > 0 ? fromBothWays(up, down) : fromOneWay(samples, kept, up, down)
  const { line, uncertaintyNs, basis } = found
  const span = spanOf(up, down)
  const largest = Math.max(...span.map((t) => Math.abs(line.offsetNs + line.slope * t)))
  const driftNs = Math.abs(line.slope) * (span[1] - span[0])
  const isHarmful = largest > HARMFUL_NS
  const isClear =
    basis === 'one-way'
      ? isHarmful
      : driftNs > LEAST_OFFSET_NS || largest > Math.max(LEAST_OFFSET_NS, uncertaintyNs + TAP_NS)
  const isEnough = evidence >= (isHarmful ? MIN_SAMPLES.harmful : MIN_SAMPLES.harmless)
  // Neither that these are two clocks nor that they are one.
  if ((isClear || isHarmful) && !isEnough) return null
  return {
    a: samples.a,
    b: samples.b,
    offsetNs: line.offsetNs,
    atNs,
    skew: line.slope,
    uncertaintyNs,
    samples: kept.length,
    basis,
    differs: isClear,
  }
}

/** Samples of one direction of travel: times relative to a common instant, and how much B's clock was ahead of A's. */
class Cloud {
  count = 0
  readonly timeNs: number[] = []
  readonly aheadNs: number[] = []

  add(timeNs: number, aheadNs: number): void {
    this.timeNs.push(timeNs)
    this.aheadNs.push(aheadNs)
    this.count++
  }
}

/** The samples within the band of `aheadNs` that holds most of them: others are no pairs. */
function densest({ count, timeNs, aheadNs }: ClockSamples): number[] {
  const all = Array.from({ length: count }, (_, i) => i).filter((i) => Number.isFinite(aheadNs[i]))
  const times = all.map((i) => timeNs[i]!).sort((a, b) => a - b)
  // Without the outermost: hostile times would make the band as wide as they like.
  const quantile = (q: number) => times[Math.floor(q * (times.length - 1))] ?? 0
  const width = MAX_SPREAD_NS + MAX_SKEW * (quantile(0.95) - quantile(0.05))
  all.sort((i, j) => aheadNs[i]! - aheadNs[j]!)
  let begin = 0
  let best = 0
  let bestBegin = 0
  for (let end = 0; end < all.length; end++) {
    while (aheadNs[all[end]!]! - aheadNs[all[begin]!]! > width) begin++
    if (end + 1 - begin > best) {
      best = end + 1 - begin
      bestBegin = begin
    }
  }
  return all.slice(bestBegin, bestBegin + best)
}

/**
 * Sorts the samples into those on their way from A to B (`up`: offset + delay) and from B to A (`down`: offset − delay).
 * Of a connection with both, the up side is the one that is ahead of the other at about the same time; else the TTL tells.
 */
function byDirection(
  samples: ClockSamples,
  kept: number[],
  atNs: number,
  slope: number,
): { up: Cloud; down: Cloud } {
  const { timeNs, aheadNs, connection, side, hops } = samples
  const order = kept.toSorted((i, j) => connection[i]! - connection[j]! || timeNs[i]! - timeNs[j]!)
  const up = new Cloud()
  const down = new Cloud()
  for (let begin = 0, end = 0; begin < order.length; begin = end) {
    const own = connection[order[begin]!]!
    let votes = 0
    const hopsOf = [0, 0]
    for (end = begin; end < order.length && connection[order[end]!] === own; end++) {
      const i = order[end]!
      hopsOf[side[i] ? 1 : 0]! += Math.sign(hops[i]!)
      if (end === begin) continue
      const before = order[end - 1]!
      if (side[before] === side[i]) continue
      // Close neighbours count for more: over seconds, skew is more than the delay.
      const gapNs = timeNs[i]! - timeNs[before]!
      const weight = 1 / (gapNs + 1e6)
      votes += (side[i] ? weight : -weight) * Math.sign(aheadNs[i]! - aheadNs[before]! - slope * gapNs)
    }
    for (let at = begin; at < end; at++) {
      const i = order[at]!
      const second = side[i] ? 1 : 0
      const direction = votes !== 0 ? (votes > 0 === (second === 1) ? 1 : -1) : Math.sign(hopsOf[second]!)
      if (direction > 0) up.add(timeNs[i]! - atNs, aheadNs[i]!)
      else if (direction < 0) down.add(timeNs[i]! - atNs, aheadNs[i]!)
    }
  }
  return { up, down }
}

function fromBothWays(
  up: Cloud,
  down: Cloud,
): { line: Line; uncertaintyNs: number; basis: ClockError['basis'] } {
  const drift = driftOf(up, down)
  const slope = drift.isSignificant ? drift.slope : 0
  const ups = residuals(up, slope)
  const downs = residuals(down, slope)
  const { low, high, contradictions } = separate(ups, downs)
  const offsetNs = (low + high) / 2
  const excess = [...ups.map((r) => offsetNs - r), ...downs.map((r) => r - offsetNs)]
    .map((ns) => Math.max(0, ns))
    .sort((a, b) => a - b)
  const contradictionNs = excess[Math.floor((1 - OUTLIERS) * (excess.length - 1))]!
  const [from, to] = spanOf(up, down)
  // What may be drift, but can't be told from delays, may stand on one side of the offset.
  const unsureNs = 2 * drift.noiseNs + (drift.isSignificant ? 0 : Math.abs(drift.slope) * (to - from))
  return {
    line: { offsetNs, slope },
    uncertaintyNs: (high - low) / 2 + contradictionNs + unsureNs,
    basis:
      contradictions > MAX_CONTRADICTIONS * excess.length && contradictionNs > UNEVEN_NS
        ? 'uneven'
        : 'both-ways',
  }
}

/**
 * One way only: the fastest packet counts as having taken no time. The TTL told which way it was, else half of
 * the packets are on either side.
 */
function fromOneWay(
  { aheadNs }: ClockSamples,
  kept: number[],
  up: Cloud,
  down: Cloud,
): { line: Line; uncertaintyNs: number; basis: 'one-way' } {
  const offsetNs =
    up.count > 0
      ? least(up.aheadNs)
      : down.count > 0
        ? -least(down.aheadNs.map((ns) => -ns))
        : median(kept.map((i) => aheadNs[i]!))
  return { line: { offsetNs, slope: 0 }, uncertaintyNs: ONE_WAY_UNCERTAINTY_NS, basis: 'one-way' }
}

/**
 * The drift along the lower edge of `up` and the upper edge of `down` (Moon 1999, Zhang 2002): packets that met
 * no queue. In place of the convex hull, which one false sample bends, the median of the slopes between the extremes of
 * stretches of time (Theil and Sen).
 */
function driftOf(up: Cloud, down: Cloud): { slope: number; noiseNs: number; isSignificant: boolean } {
  const none = { slope: 0, noiseNs: 0, isSignificant: false }
  const [from, to] = spanOf(up, down)
  const fewer = Math.min(up.count, down.count)
  if (!(to > from) || fewer < MIN_SKEW_SAMPLES) return none
  const bins = Math.max(MIN_SKEW_BINS, Math.min(MAX_SKEW_BINS, Math.floor(fewer / 3)))
  const lower = edge(up, from, to, bins, 1)
  const upper = edge(down, from, to, bins, -1)
  if (Math.min(lower.length, upper.length) < MIN_SKEW_BINS) return none
  const slopes = [slopesOf(lower), slopesOf(upper)]
  const [rising, falling] = slopes.map(median) as [number, number]
  const slope = median(slopes.flat())
  const noiseNs = Math.max(deviation(lower, slope), deviation(upper, slope), LEAST_NOISE_NS)
  const driftNs = Math.abs(slope) * (to - from)
  // Queues that grow move the two edges apart; a clock moves both alike.
  const disagreementNs = Math.abs(rising - falling) * (to - from)
  const isSignificant =
    to - from >= MIN_SKEW_SPAN_NS &&
    driftNs >= SKEW_SIGNIFICANCE * noiseNs &&
    disagreementNs <= Math.max(driftNs / 2, SKEW_SIGNIFICANCE * noiseNs) &&
    rising * falling > 0 &&
    Math.abs(slope) <= MAX_SKEW
  return { slope, noiseNs, isSignificant }
}

type Mark = { timeNs: number; aheadNs: number }

/** The extreme sample of each stretch of time: the least where `sign` is 1, the greatest where it is −1. */
function edge({ timeNs, aheadNs }: Cloud, from: number, to: number, bins: number, sign: 1 | -1): Mark[] {
  const marks: Mark[] = []
  timeNs.forEach((time, i) => {
    const bin = Math.min(bins - 1, Math.max(0, Math.floor(((time - from) / (to - from)) * bins)))
    const ahead = aheadNs[i]!
    const known = marks[bin]
    if (!known || sign * (ahead - known.aheadNs) < 0) marks[bin] = { timeNs: time, aheadNs: ahead }
  })
  return marks.filter((mark) => mark !== undefined)
}

function slopesOf(marks: Mark[]): number[] {
  return marks.flatMap((a, i) =>
    marks.slice(i + 1).flatMap((b) => {
      const span = b.timeNs - a.timeNs
      return span > 0 ? [(b.aheadNs - a.aheadNs) / span] : []
    }),
  )
}

/** Median distance from a line of this slope, in ns. */
function deviation(marks: Mark[], slope: number): number {
  const rest = marks.map(({ timeNs, aheadNs }) => aheadNs - slope * timeNs)
  const middle = median(rest)
  return median(rest.map((ns) => Math.abs(ns - middle)))
}

function residuals({ timeNs, aheadNs }: Cloud, slope: number): number[] {
  return aheadNs.map((ns, i) => ns - slope * timeNs[i]!)
}

/** The widest range of offsets that the fewest samples contradict: below all of `ups` and above all of `downs`, if it can be. */
function separate(ups: number[], downs: number[]): { low: number; high: number; contradictions: number } {
  const marks = [...downs.map((ns) => ({ ns, step: -1 })), ...ups.map((ns) => ({ ns, step: 1 }))]
  marks.sort((a, b) => a.ns - b.ns || a.step - b.step)
  let against = downs.length
  let contradictions = Number.POSITIVE_INFINITY
  let low = 0
  let high = 0
  for (let i = 0; i + 1 < marks.length; i++) {
    against += marks[i]!.step
    const isWider = marks[i + 1]!.ns - marks[i]!.ns > high - low
    if (against < contradictions || (against === contradictions && isWider)) {
      contradictions = against
      low = marks[i]!.ns
      high = marks[i + 1]!.ns
    }
  }
  return { low, high, contradictions }
}

/** From the first to the last sample; without the outermost, as a file's times may be anything. */
function spanOf(up: Cloud, down: Cloud): [number, number] {
  const times = [...up.timeNs, ...down.timeNs].sort((a, b) => a - b)
  const outer = Math.floor(OUTLIERS * times.length)
  return times.length === 0 ? [0, 0] : [times[outer]!, times[times.length - 1 - outer]!]
}

function least(values: readonly number[]): number {
  return values.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY)
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return 0
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
