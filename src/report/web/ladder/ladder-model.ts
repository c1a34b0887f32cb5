/** The packets of a flow as columns of numbers: what a ladder of any length is drawn from, and asked what is where. */

import type { JourneyOutcome } from '../../journey-lines.ts'
import type { PagePacket } from '../../page-data.ts'
import { nsBetween } from '../times.ts'
import { type Column, columnOf, indexAfter } from './ladder-columns.ts'

/** Position of a packet among those that the page has, from 0, in the order of their numbers. */
export type Row = number

export const PacketFlag = { Reverse: 1, Resent: 2, SeveralFrames: 4 } as const

/** What became of a packet. */
export const Ending = { Arrived: 0, Lost: 1, Answered: 2, Unseen: 3, Ambiguous: 4 } as const
const ENDINGS: Readonly<Record<JourneyOutcome, number>> = {
  delivered: Ending.Arrived,
  lost: Ending.Lost,
  answered: Ending.Answered,
  unseen: Ending.Unseen,
  ambiguous: Ending.Ambiguous,
}
const NO_COLUMN = -1

/** Grows at its end only. Times are ns since `originNs`. */
export class LadderModel {
  readonly columns: readonly Column[]
  /** ns since 1970 as a decimal string. */
  readonly originNs: string
  packets: readonly PagePacket[] = []
  count = 0
  /** Of the first and last sighting of each packet. */
  startNs = new Float64Array(64)
  endNs = new Float64Array(64)
  flags = new Uint8Array(64)
  ending = new Uint8Array(64)
  /** Where a lost packet was expected next; -1 where nothing says. */
  missed = new Int16Array(64)
  /** Sightings of row r are those from `sightingsFrom[r]` to before `sightingsFrom[r + 1]`. */
  sightingsFrom = new Uint32Array(65)
  column = new Int16Array(256)
  timeNs = new Float64Array(256)
  /** Packets that did not simply arrive, were sent again, or came in several frames. */
  readonly remarkable: Row[] = []
  /** Latest end up to a row, earliest start from a row on: both only ever rise, so that both can be searched. */
  #latestEnd = new Float64Array(64)
  #earliestStart = new Float64Array(64)

  constructor(columns: readonly Column[], originNs: string) {
    this.columns = columns
    this.originNs = originNs
  }

  /** Takes over the packets behind those that it has; `packets` begins with the same ones as before. */
  append(packets: readonly PagePacket[]): void {
    const before = this.count
    this.#makeRoom(packets)
    for (let row = before; row < packets.length; row++) this.#add(row, packets[row]!)
    this.packets = packets
    this.count = packets.length
    let earliest = Number.POSITIVE_INFINITY
    for (let row = this.count - 1; row >= 0; row--) {
      if (row < before && this.#earliestStart[row]! <= earliest) break
      earliest = Math.min(earliest, this.startNs[row]!)
      this.#earliestStart[row] = earliest
    }
  }

  /** Whether these packets are those that it has, and maybe more. */
  isBeginningOf(packets: readonly PagePacket[]): boolean {
    const last = this.count - 1
    return packets.length > last && (last < 0 || packets[last] === this.packets[last])
  }

  /** From the first packet's start to the last end, both ns since `originNs`. */
  get span(): [number, number] {
    if (this.count === 0) return [0, 0]
    return [this.#earliestStart[0]!, this.#latestEnd[this.count - 1]!]
  }

  /** Rows from the first (included) to the last (excluded) that may be on their way in this time. */
  rowsBetween(fromNs: number, toNs: number): [Row, Row] {
    const first = lowerBound(this.#latestEnd, this.count, fromNs)
    const last = upperBound(this.#earliestStart, this.count, toNs)
    return [Math.min(first, last), last]
  }

  /** The row of a packet, by its number in the flow; -1 where the page does not have it. */
  rowOf(number: number): Row {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.packets[middle]!.number < number) low = middle + 1
      else high = middle
    }
    return low < this.count && this.packets[low]!.number === number ? low : -1
  }

  isReverse(row: Row): boolean {
    return (this.flags[row]! & PacketFlag.Reverse) !== 0
  }

  #add(row: Row, packet: PagePacket): void {
    const { direction, sightings, outcome, retransmission } = packet
    const isForward = direction === 'forward'
    let at = isForward ? -1 : this.columns.length
    let to = this.sightingsFrom[row]!
    let isSeveral = false
    for (const sighting of sightings) {
      const column = columnOf(this.columns, at, direction, sighting)
      if (column < 0) continue
      at = column
      this.column[to] = column
      this.timeNs[to++] = nsBetween(this.originNs, sighting.timeNs) ?? 0
      isSeveral ||= sighting.frames.length > 1
    }
    const from = this.sightingsFrom[row]!
    this.sightingsFrom[row + 1] = to
    const previous = row === 0 ? 0 : this.startNs[row - 1]!
    const start = to > from ? this.timeNs[from]! : previous
    const end = to > from ? this.timeNs[to - 1]! : previous
    this.startNs[row] = start
    this.endNs[row] = end
    const latest = Math.max(start, end)
    this.#latestEnd[row] = row === 0 ? latest : Math.max(this.#latestEnd[row - 1]!, latest)
    const ending = ENDINGS[outcome] ?? Ending.Ambiguous
    this.ending[row] = ending
    this.missed[row] = ending === Ending.Lost ? this.#missedColumn(packet, at) : NO_COLUMN
    this.flags[row] =
      (isForward ? 0 : PacketFlag.Reverse) |
      (retransmission ? PacketFlag.Resent : 0) |
      (isSeveral ? PacketFlag.SeveralFrames : 0)
    if (retransmission || isSeveral || ending !== Ending.Arrived) this.remarkable.push(row)
  }

  #missedColumn({ direction, lostBetween }: PagePacket, last: number): number {
    const step = direction === 'forward' ? 1 : -1
    const named = lostBetween ? indexAfter(this.columns, last, step, lostBetween[1]) : -1
    const next = last + step
    return named >= 0 ? named : next >= 0 && next < this.columns.length ? next : NO_COLUMN
  }

  #makeRoom(packets: readonly PagePacket[]): void {
    let sightings = this.sightingsFrom[this.count]!
    for (let i = this.count; i < packets.length; i++) sightings += packets[i]!.sightings.length
    this.column = grown(this.column, sightings)
    this.timeNs = grown(this.timeNs, sightings)
    this.sightingsFrom = grown(this.sightingsFrom, packets.length + 1)
    this.startNs = grown(this.startNs, packets.length)
    this.endNs = grown(this.endNs, packets.length)
    this.flags = grown(this.flags, packets.length)
    this.ending = grown(this.ending, packets.length)
    this.missed = grown(this.missed, packets.length)
    this.#latestEnd = grown(this.#latestEnd, packets.length)
    this.#earliestStart = grown(this.#earliestStart, packets.length)
  }
}

type Numbers = Float64Array | Uint32Array | Int16Array | Uint8Array

/** The array, or a copy that is at least twice as long where `length` does not fit. */
function grown<T extends Numbers>(array: T, length: number): T {
  if (array.length >= length) return array
  const larger = new (array.constructor as new (length: number) => T)(Math.max(length, array.length * 2))
  larger.set(array)
  return larger
}

/** First index whose value is at least `value`. */
function lowerBound(sorted: Float64Array, count: number, value: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

/** First index whose value is greater than `value`. */
function upperBound(sorted: Float64Array, count: number, value: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}
