/** The tally: counts journeys, as they leave the window, towards their flows: stations, patterns, latency, round trip. */

import { TcpFlag } from '../decode/headers.ts'
import type { Coverage } from './coverage.ts'
import type { DirectionIndex, FlowTable } from './flows.ts'
import { Protocol } from './identity.ts'
import type { Latencies } from './latencies.ts'
import { type LegIndex, type LegTable, NO_STATION } from './legs.ts'
import { MAX_STATIONS, PatternFlag, type PatternTable, STATION_BITS } from './patterns.ts'
import type { Twins } from './twins.ts'
import { JourneyFlag, type JourneySlot, type JourneyWindow } from './window.ts'

/** Sightings of one journey that are told; a capture can double a packet for ever. */
const MAX_SIGHTINGS = 1024
/** Instead of the leg of a request. */
const NO_REQUEST = -1
const UNDECIDED = -2

/**
 * One journey that leaves the window: valid during the call. Sightings are sorted along the way.
 * `pattern` is the row in `PatternTable` that tells its outcome once all is read.
 */
export interface FinishedJourney {
  /** Number of the journey in the run, from 0. */
  serial: number
  direction: DirectionIndex
  /** -1 where the journey has not left the window. */
  pattern: number
  flags: number
  payloadLenBytes: number
  tcpFlags: number
  seq: number
  /** Valid with `JourneyFlag.Answered`: see `IcmpErrors.all`. */
  answeredBy: number
  sightings: number
  /** Columns of the sightings, the first `sightings` elements. */
  leg: Int32Array
  frame: Uint32Array
  timeNs: Float64Array
  ttl: Uint8Array
}

/** An empty `FinishedJourney` with room for any. */
export function newFinishedJourney(): FinishedJourney {
  return {
    serial: 0,
    direction: 0,
    pattern: 0,
    flags: 0,
    payloadLenBytes: 0,
    tcpFlags: 0,
    seq: 0,
    answeredBy: 0,
    sightings: 0,
    leg: new Int32Array(MAX_SIGHTINGS),
    frame: new Uint32Array(MAX_SIGHTINGS),
    timeNs: new Float64Array(MAX_SIGHTINGS),
    ttl: new Uint8Array(MAX_SIGHTINGS),
  }
}

/** The tables that the tally reads and writes. */
export interface Tables {
  readonly window: JourneyWindow
  readonly legs: LegTable
  readonly flows: FlowTable
  readonly patterns: PatternTable
  readonly latency: Latencies
  readonly twins: Twins
}

export class Tally {
  /** Journeys that were seen at more than one point. */
  joinedJourneys = 0
  readonly #tables: Tables
  readonly #coverage: Coverage
  readonly #onJourney: ((journey: FinishedJourney) => void) | undefined
  readonly #journey = newFinishedJourney()

  constructor(tables: Tables, coverage: Coverage, onJourney?: (journey: FinishedJourney) => void) {
    this.#tables = tables
    this.#coverage = coverage
    this.#onJourney = onJourney
  }

  /** Takes the oldest journey out of the window and counts it. */
  finishOldest(): void {
    const { window, legs, flows, patterns, twins } = this.#tables
    const slot = window.oldestSlot()
    const direction = flows.find(window.direction[slot]!)
    const n = this.#gather(slot, direction)
    const { leg, frame } = this.#journey
    if (window.flags[slot]! & JourneyFlag.Twin) twins.compare(slot, direction)
    const journeyFlags = window.flags[slot]!
    const pattern = this.#patternOf(slot, direction, n, journeyFlags)
    patterns.add(pattern, window.lenBytes[slot]!, frame[n - 1]!)
    this.#measure(direction, n)
    // Through a hairpin it ends where it began.
    const first = legs.point[leg[0]!]
    if (n > 1 && (first !== legs.point[leg[n - 1]!] || first !== legs.point[leg[1]!])) this.joinedJourneys++
    if (Number.isNaN(flows.rttNs[direction >> 1]!)) this.#noteRoundTrip(slot, direction, n)
    if (this.#onJourney) this.#onJourney(this.#describe(slot, direction, pattern, n))
    window.closeOldest()
  }

  /** A journey as it stands, which stays in the window and is not counted yet; valid until the next call. */
  preview(slot: JourneySlot): FinishedJourney {
    const { window, flows } = this.#tables
    const direction = flows.find(window.direction[slot]!)
    return this.#describe(slot, direction, -1, this.#gather(slot, direction))
  }

  #describe(slot: JourneySlot, direction: DirectionIndex, pattern: number, n: number): FinishedJourney {
    const { window } = this.#tables
    const journey = this.#journey
    journey.serial = window.serial[slot]!
    journey.direction = direction
    journey.pattern = pattern
    journey.flags = window.flags[slot]!
    journey.payloadLenBytes = window.payloadLenBytes[slot]!
    journey.tcpFlags = window.tcpFlags[slot]!
    journey.seq = window.seq[slot]!
    journey.answeredBy = window.answeredBy[slot]!
    journey.sightings = n
    return journey
  }

  /** Copies the sightings out, sorted along the way; legs that are new on it get their place. Returns their number. */
  #gather(slot: JourneySlot, direction: DirectionIndex): number {
    const { window, legs, flows } = this.#tables
    const { leg, frame, timeNs, ttl } = this.#journey
    let n = 0
    let isSorted = true
    let lastRank = -1
    for (let s = window.firstSighting[slot]!; s >= 0 && n < MAX_SIGHTINGS; s = window.nextSighting[s]!) {
      const here = window.leg[s]!
      leg[n] = here
      frame[n] = window.frame[s]!
      timeNs[n] = window.timeNs[s]!
      ttl[n] = window.ttl[s]!
      if (legs.station[here] === NO_STATION && flows.stations[direction]! < MAX_STATIONS) {
        this.#newStation(direction, n)
        isSorted = false
      }
      const rank = legs.rank[here]!
      if (rank < lastRank) isSorted = false
      lastRank = rank
      n++
    }
    if (!isSorted) this.#sortAlongTheWay(n)
    return n
  }

  /** Gives the leg of sighting `n` its place: behind the legs in front of it in this journey, never behind a lower TTL. */
  #newStation(direction: DirectionIndex, n: number): void {
    const { legs, flows } = this.#tables
    const leg = this.#journey.leg[n]!
    const ttl = this.#journey.ttl[n]!
    let place = 0
    for (let other = flows.firstLeg[direction]!; other >= 0; other = legs.sibling[other]!) {
      if (legs.station[other] === NO_STATION) continue
      let inFront = legs.ttl[other]! > ttl
      if (legs.ttl[other] === ttl) for (let i = 0; i < n; i++) inFront ||= this.#journey.leg[i] === other
      if (inFront) place = Math.max(place, legs.rank[other]! + 1)
    }
    legs.ttl[leg] = ttl
    flows.insertOnWay(direction, leg, place)
  }

  #sortAlongTheWay(n: number): void {
    const { leg, frame, timeNs, ttl } = this.#journey
    const { rank } = this.#tables.legs
    for (let i = 1; i < n; i++) {
      for (let j = i; j > 0 && rank[leg[j]!]! < rank[leg[j - 1]!]!; j--) {
        swap(leg, j)
        swap(frame, j)
        swap(timeNs, j)
        swap(ttl, j)
      }
    }
  }

  /** The row of the stations that showed all of the journey's payload. */
  #patternOf(slot: JourneySlot, direction: DirectionIndex, n: number, journeyFlags: number): number {
    const { window, legs, flows, patterns } = this.#tables
    const { leg } = this.#journey
    let flags = 0
    if (journeyFlags !== 0) {
      if (journeyFlags & JourneyFlag.Ambiguous) flags |= PatternFlag.Ambiguous
      if (journeyFlags & JourneyFlag.Forced) flags |= PatternFlag.Forced
      if (journeyFlags & JourneyFlag.Answered) flags |= PatternFlag.Answered
      if (journeyFlags & JourneyFlag.Recut) flags |= PatternFlag.Recut
    }
    let low = 0
    let high = 0
    for (let i = 0; i < n; i++) {
      const station = legs.station[leg[i]!]!
      if (station >= MAX_STATIONS || (i > 0 && leg[i] === leg[i - 1])) continue
      if (flags & PatternFlag.Recut && this.#coveredOn(slot, leg[i]!) < window.payloadLenBytes[slot]!)
        continue
      if (station < STATION_BITS) low |= 1 << station
      else high |= 1 << (station - STATION_BITS)
    }
    if (n < flows.stations[direction]! && this.#isKnownToHaveArrived(slot, direction))
      flags |= PatternFlag.Acked
    const head = flows.patternHead[direction]!
    const row = patterns.row(head, low, high, this.#coverage.outsideMask(window.firstNs[slot]!), flags)
    if (patterns.next[row] === head && row !== head && patterns.packets[row] === 0)
      flows.patternHead[direction] = row
    return row
  }

  /** TCP: sent once, and acknowledged by the other side. */
  #isKnownToHaveArrived(slot: JourneySlot, direction: DirectionIndex): boolean {
    const { window, flows } = this.#tables
    if (flows.protocol[direction >> 1] !== Protocol.Tcp || window.flags[slot]! & JourneyFlag.Resent)
      return false
    const length = window.sequenceLenBytes(slot)
    return length > 0 && flows.isAcked(direction, window.seq[slot]! + length)
  }

  #coveredOn(slot: JourneySlot, leg: LegIndex): number {
    const { firstSighting, nextSighting, leg: sightingLeg, coveredBytes } = this.#tables.window
    let covered = 0
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!)
      if (sightingLeg[s] === leg) covered += coveredBytes[s]!
    return covered
  }

  /** Counts packets and TTLs of the legs, and the latencies between them. */
  #measure(direction: DirectionIndex, n: number): void {
    const { legs, flows, latency } = this.#tables
    const { leg, timeNs, ttl } = this.#journey
    let before = -1
    for (let i = 0; i < n; i++) {
      const here = leg[i]!
      // Frames that carry pieces of one packet past a leg count once.
      if (before === here) continue
      before = here
      legs.voteTtl(here, ttl[i]!)
      legs.countPacket(here)
    }
    latency.add(direction, flows.firstLeg[direction]!, n, leg, timeNs)
  }

  /** Takes the time from the first request to its answer, at the point of the client's side that saw both. */
  #noteRoundTrip(slot: JourneySlot, direction: DirectionIndex, n: number): void {
    const { flows, legs, window } = this.#tables
    const flow = direction >> 1
    const isTcp = flows.protocol[flow] === Protocol.Tcp
    const synAndAck = window.tcpFlags[slot]! & (TcpFlag.Syn | TcpFlag.Ack)
    const { leg, timeNs } = this.#journey
    const seq = window.seq[slot]!
    if (direction === flows.forwardOf(flow)) {
      if (isTcp && synAndAck !== TcpFlag.Syn) return
      if (flows.requestLeg[flow]! !== NO_REQUEST) {
        // After a second SYN nothing says which one the answer is for (Karn); other requests may well be on their way.
        if (isTcp) flows.requestLeg[flow] = UNDECIDED
        return
      }
      flows.requestNs[flow] = timeNs[0]!
      flows.requestLeg[flow] = leg[0]!
      flows.requestSeq[flow] = seq
      return
    }
    const requestLeg = flows.requestLeg[flow]!
    if (requestLeg < 0 || (isTcp && synAndAck !== (TcpFlag.Syn | TcpFlag.Ack))) return
    if (!isTcp && seq !== flows.requestSeq[flow]) {
      // The answer to a later echo request: the first one has none.
      flows.requestLeg[flow] = NO_REQUEST
      return
    }
    for (let i = n - 1; i >= 0; i--) {
      if (legs.point[leg[i]!] !== legs.point[requestLeg]) continue
      flows.rttNs[flow] = timeNs[i]! - flows.requestNs[flow]!
      return
    }
  }
}

function swap(column: Int32Array | Uint32Array | Float64Array | Uint8Array, j: number): void {
  const held = column[j]!
  column[j] = column[j - 1]!
  column[j - 1] = held
}
