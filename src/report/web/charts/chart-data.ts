/** What the charts of one flow show: latency of each hop, traffic and losses over time; numbers only, no drawing. */

import { groupBy } from '../../grouping.ts'
import type { SightingReport } from '../../journey-lines.ts'
import type { DirectionName, FlowReport, Station } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'
import { isNumeral } from '../../quantities.ts'
import { nsBetween } from '../times.ts'

/** Two points that are next to each other on the way of a direction. */
export interface Hop {
  direction: DirectionName
  from: string
  to: string
}

/** The packets of one direction: when each was seen first, and how long it took for each hop. */
export interface DirectionLatency {
  direction: DirectionName
  hops: Hop[]
  /** ns after the flow's first packet, ascending. */
  atNs: number[]
  /** By hop, by packet; null where one of the two points did not see it. */
  latencyNs: (number | null)[][]
}

export interface Summary {
  count: number
  minNs: number
  medianNs: number
  p99Ns: number
  maxNs: number
}

/** Values over time, or over something else: `x` ascends, and each series has a value or a gap for each. */
export interface Plotted {
  x: number[]
  series: (number | null)[][]
}

/** ns after the first packet at which each was first seen; packets whose time is no number are left out. */
export function timesOf(packets: readonly PagePacket[]): { packet: PagePacket; atNs: number }[] {
  // What is subtracted must be near: the difference has to fit a number.
  const reference = packets.find((packet) => isNumeral(timeOf(packet)))
  const referenceNs = reference ? timeOf(reference) : ''
  const timed = packets.flatMap((packet) => {
    const atNs = nsBetween(referenceNs, timeOf(packet))
    return atNs === null ? [] : [{ packet, atNs }]
  })
  timed.sort((a, b) => a.atNs - b.atNs)
  const firstNs = timed[0]?.atNs ?? 0
  for (const one of timed) one.atNs -= firstNs
  return timed
}

function timeOf({ sightings }: PagePacket): string {
  return sightings[0]?.timeNs ?? ''
}

/** How long each packet of one direction took for each hop of the flow's path. */
export function directionLatency(
  flow: FlowReport,
  packets: readonly PagePacket[],
  direction: DirectionName,
): DirectionLatency {
  const { path } = flow[direction]
  const hops = path.slice(1).map(({ point }, i): Hop => ({ direction, from: path[i]!.point, to: point }))
  const timed = timesOf(packets).filter(({ packet }) => packet.direction === direction)
  const latencyNs = hops.map(() => new Array<number | null>(timed.length).fill(null))
  timed.forEach(({ packet }, k) => {
    const { sightings } = packet
    const stations = stationsOf(packet, path)
    for (let i = 1; i < sightings.length; i++) {
      const from = stations[i - 1]!
      const to = stations[i]!
      if (from < 0 || to !== from + 1) continue
      latencyNs[from]![k] = nsBetween(sightings[i - 1]!.timeNs, sightings[i]!.timeNs)
    }
  })
  return { direction, hops, atNs: timed.map(({ atNs }) => atNs), latencyNs }
}

/** By sighting its place on the path, or -1. A point may stand there twice: addresses tell which of both it is. */
function stationsOf({ sightings }: PagePacket, path: readonly Station[]): number[] {
  let next = 0
  return sightings.map((sighting) => {
    let found = stationAfter(next, path, sighting, true)
    if (found < 0) found = stationAfter(next, path, sighting, false)
    if (found >= 0) next = found + 1
    return found
  })
}

function stationAfter(
  next: number,
  path: readonly Station[],
  { point, src, dst }: SightingReport,
  hasItsAddresses: boolean,
): number {
  for (let k = next; k < path.length; k++) {
    const station = path[k]!
    if (station.point !== point) continue
    if (!hasItsAddresses || (station.src.ip === src.ip && station.dst.ip === dst.ip)) return k
  }
  return -1
}

/** Percentiles by nearest rank, as the report has them; null where there is no value. */
export function summaryOf(values: readonly (number | null)[]): Summary | null {
  const sorted = sortedOf(values)
  const count = sorted.length
  if (count === 0) return null
  const at = (p: number) => sorted[Math.max(0, Math.ceil(p * count) - 1)]!
  return { count, minNs: sorted[0]!, medianNs: at(0.5), p99Ns: at(0.99), maxNs: sorted[count - 1]! }
}

function sortedOf(values: readonly (number | null)[]): Float64Array {
  return Float64Array.from(values.filter((value) => value !== null)).sort()
}

/** A chart with more points than this is a smear: values are put together in bins of time. */
export const MAX_SINGLE = 300
const BINS = 120

export interface LatencyOverTime extends Plotted {
  /** Where `series` has medians of bins of time: their width, and what else is known of each; null where it has each packet. */
  bins: { widthNs: number; least: (number | null)[][]; p99: (number | null)[][] } | null
}

/** Latency by hop over time: each packet, or where these are many the median of each bin. */
export function latencyOverTime({ atNs, latencyNs }: DirectionLatency): LatencyOverTime {
  if (atNs.length <= MAX_SINGLE) return { x: atNs, series: latencyNs, bins: null }
  const widthNs = niceStep(atNs.at(-1)! / BINS)
  // Times ascend, so bins do.
  const groups = [...groupBy(atNs.keys(), (i) => Math.floor(atNs[i]! / widthNs))]
  const summaries = latencyNs.map((values) =>
    groups.map(([, members]) => summaryOf(members.map((i) => values[i]!))),
  )
  const pick = (of: (summary: Summary) => number) =>
    summaries.map((list) => list.map((summary) => (summary === null ? null : of(summary))))
  return {
    x: groups.map(([bin]) => (bin + 0.5) * widthNs),
    series: pick(({ medianNs }) => medianNs),
    bins: { widthNs, least: pick(({ minNs }) => minNs), p99: pick(({ p99Ns }) => p99Ns) },
  }
}

const CDF_STEPS = 160

/** For each hop the share of its packets, in %, that took at most `x` ns; `x` ascends in equal factors where all is above 0. */
export function latencyDistribution({ latencyNs }: DirectionLatency): Plotted & { isLog: boolean } {
  const sorted = latencyNs.map(sortedOf)
  const all = sorted.flatMap((values) => (values.length > 0 ? [values[0]!, values.at(-1)!] : []))
  if (all.length === 0) return { x: [], series: latencyNs.map(() => []), isLog: false }
  const [least, most] = [Math.min(...all), Math.max(...all)]
  const isLog = least > 0
  const x = Array.from({ length: CDF_STEPS + 1 }, (_, i) => {
    const part = i / CDF_STEPS
    // The last step is the greatest value itself, whatever rounding says.
    if (i === CDF_STEPS) return most
    return isLog ? least * (most / least) ** part : least + (most - least) * part
  }).filter((value, i, list) => i === 0 || value > list[i - 1]!)
  const series = sorted.map((values) => {
    let below = 0
    return x.map((limit) => {
      while (below < values.length && values[below]! <= limit) below++
      return values.length === 0 ? null : (100 * below) / values.length
    })
  })
  return { x, series, isLog }
}

export interface Traffic {
  binNs: number
  /** Begin of each bin, in ns after the first packet. */
  x: number[]
  packets: Record<DirectionName, number[]>
  /** Payload of the transport. */
  bytes: Record<DirectionName, number[]>
  resent: number[]
  /** Of packets that were lost: how many, by where. */
  lost: { hop: Hop; counts: number[] }[]
}

/** What was sent in each bin of time, and what of that was lost; null where there are not two moments. */
export function trafficOf(packets: readonly PagePacket[]): Traffic | null {
  const timed = timesOf(packets)
  const lastNs = timed.at(-1)?.atNs ?? 0
  if (lastNs === 0) return null
  const binNs = niceStep(lastNs / BINS)
  const count = Math.floor(lastNs / binNs) + 1
  const empty = () => new Array<number>(count).fill(0)
  const traffic: Traffic = {
    binNs,
    x: Array.from({ length: count }, (_, i) => i * binNs),
    packets: { forward: empty(), reverse: empty() },
    bytes: { forward: empty(), reverse: empty() },
    resent: empty(),
    lost: [],
  }
  const lost = new Map<string, Traffic['lost'][number]>()
  for (const { packet, atNs } of timed) {
    const { direction, lenBytes, retransmission, outcome, lostBetween } = packet
    const bin = Math.floor(atNs / binNs)
    traffic.packets[direction][bin]!++
    traffic.bytes[direction][bin]! += lenBytes
    if (retransmission) traffic.resent[bin]!++
    if (outcome !== 'lost' || !lostBetween) continue
    const [from, to] = lostBetween
    const key = JSON.stringify([direction, from, to])
    if (!lost.has(key)) lost.set(key, { hop: { direction, from, to }, counts: empty() })
    lost.get(key)!.counts[bin]!++
  }
  traffic.lost = [...lost.values()]
  return traffic
}

/** 1, 2 or 5 times a power of ten, at least `atLeast` and at least 1. */
export function niceStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, atLeast)))
  const factor = [1, 2, 5, 10].find((one) => one * power >= atLeast * (1 - 1e-9))!
  return factor * power
}
