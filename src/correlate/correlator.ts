/** The correlator: takes sightings in the order of time, joins them to journeys, and counts the journeys towards flows. */

import type { CaptureRecord, Point, PointIndex } from '../capture/record.ts'
import { dnsQuestionName } from '../decode/dns.ts'
import { type Headers, TcpFlag } from '../decode/headers.ts'
import { AddressTable } from './addresses.ts'
import { type DirectionIndex, FlowTable, Seen } from './flows.ts'
import { IcmpErrors } from './icmp-errors.ts'
import { Identity, Protocol } from './identity.ts'
import { LatencyTable } from './latency.ts'
import { type LegIndex, LegTable } from './legs.ts'
import { Match, Matcher, sequenceLength } from './matcher.ts'
import { NotJoined, reasonNotJoined } from './not-joined.ts'
import { MAX_STATIONS, PatternFlag, PatternTable } from './patterns.ts'
import { JourneyFlag, type JourneySlot, JourneyWindow } from './window.ts'

/** A journey waits so long for further sightings. */
export const DEFAULT_WINDOW_NS = 2e9
/** A conversation without a handshake ends after this silence, as its NAT mapping does (RFC 4787: two minutes). */
const IDLE_NS = 120e9
const MAX_NAMES_PER_FLOW = 3
const MAX_NAMES = 100_000

/**
 * One journey that leaves the window: valid during the call. Sightings are sorted along the way.
 * `pattern` is the row in `PatternTable` that tells its outcome once all is read.
 */
export interface FinishedJourney {
  serial: number
  direction: DirectionIndex
  pattern: number
  flags: number
  lenBytes: number
  payloadLenBytes: number
  tcpFlags: number
  seq: number
  ack: number
  sightings: number
  /** Columns of the sightings, the first `sightings` elements. */
  leg: Int32Array
  frame: Uint32Array
  timeNs: Float64Array
  ttl: Uint8Array
}

export interface CorrelatorOptions {
  windowNs?: number
  /** Called for each journey that leaves the window. */
  onJourney?: (journey: FinishedJourney) => void
}

/**
 * Feed it with `add` for each record in the order of time, then `finish`. What it found stands in its tables; see
 * `joinedFlows` in `result.ts` for a readable view.
 */
export class Correlator {
  readonly points: readonly Point[]
  readonly addresses = new AddressTable()
  readonly legs = new LegTable()
  readonly patterns = new PatternTable()
  readonly flows = new FlowTable(this.legs, this.patterns)
  readonly latency = new LatencyTable()
  readonly window = new JourneyWindow()
  readonly notJoined = new NotJoined()
  readonly icmpErrors: IcmpErrors
  /** DNS question names by direction, for display. */
  readonly names = new Map<DirectionIndex, string[]>()
  /** Journeys that were seen at more than one point. */
  joinedJourneys = 0
  readonly #identity = new Identity()
  readonly #matcher: Matcher
  /** How long a journey waits for further sightings, in ns. */
  readonly windowNs: number
  readonly #onJourney: ((journey: FinishedJourney) => void) | undefined
  #nowNs = Number.NEGATIVE_INFINITY
  /** By source: time of its first and last record so far. */
  readonly #sources: { name: string; firstNs: number; lastNs: number; points: Point[] }[] = []
  readonly #sourceOf: number[] = []
  #allBegunNs = Number.NEGATIVE_INFINITY
  #nameCount = 0
  readonly #journey: FinishedJourney = {
    serial: 0,
    direction: 0,
    pattern: 0,
    flags: 0,
    lenBytes: 0,
    payloadLenBytes: 0,
    tcpFlags: 0,
    seq: 0,
    ack: 0,
    sightings: 0,
    leg: new Int32Array(256),
    frame: new Uint32Array(256),
    timeNs: new Float64Array(256),
    ttl: new Uint8Array(256),
  }

  /** `points` may grow while records are added. */
  constructor(points: readonly Point[], options: CorrelatorOptions = {}) {
    this.points = points
    this.windowNs = options.windowNs ?? DEFAULT_WINDOW_NS
    this.#onJourney = options.onJourney
    this.#matcher = new Matcher(this.legs, this.flows, this.window, this.#identity, this.windowNs)
    this.icmpErrors = new IcmpErrors(this.addresses, this.legs, this.flows, this.window)
  }

  /**
   * Joins one record. `headers` must have been decoded from it. Returns the serial number of the journey that it
   * belongs to (from 0), or -1 where it takes no part (counted in `notJoined`).
   */
  add(point: PointIndex, record: CaptureRecord, headers: Headers): number {
    const timeNs = record.timeNs
    this.#noteTime(point, timeNs)
    if (headers.hasQuoted) {
      if (!this.icmpErrors.add(point, record.frame, headers)) this.notJoined.add('icmp-error', point)
      return -1
    }
    const reason = reasonNotJoined(headers)
    if (reason) {
      this.notJoined.add(reason, point)
      return -1
    }
    const leg = this.#legOf(point, record.frame, headers, timeNs)
    this.legs.lastNs[leg] = timeNs
    this.#identity.of(headers)
    const matched = this.#matcher.match(leg, headers, timeNs)
    const length = headers.payloadLenBytes
    switch (matched) {
      case Match.Sighting: {
        const slot = this.#matcher.slot
        this.#noteDelay(leg, timeNs - this.window.firstNs[slot]!)
        this.window.see(slot, leg, record.frame, timeNs, headers.ttl, length)
        return this.window.serial[slot]!
      }
      case Match.Copy:
        this.legs.duplicates[leg]!++
        return this.window.serial[this.#matcher.slot]!
      case Match.SecondVisit: {
        const slot = this.#matcher.slot
        this.window.see(
          slot,
          this.#secondVisit(leg, record.frame, timeNs),
          record.frame,
          timeNs,
          headers.ttl,
          length,
        )
        return this.window.serial[slot]!
      }
    }
    const direction = this.flows.find(this.legs.direction[leg]!)
    if (headers.protocol === Protocol.Tcp && length > 0 && this.#isBelowSequence(direction, headers)) {
      if (this.#matcher.matchPieces(leg, headers, record.frame, timeNs) > 0)
        return this.window.serial[this.#matcher.slot]!
    }
    const slot = this.#begin(direction, headers, timeNs)
    if (matched === Match.Undecided) this.window.flags[slot]! |= JourneyFlag.Ambiguous
    this.window.see(slot, leg, record.frame, timeNs, headers.ttl, length)
    return this.window.serial[slot]!
  }

  /** Lets all journeys leave the window: no record will follow. */
  finish(): void {
    while (this.window.size > 0) this.#finishOldest()
  }

  /** Did the capture of a point run at this time? Its file's first and last records say so. */
  #isOutside(point: PointIndex, timeNs: number): boolean {
    const source = this.#sources[this.#sourceOf[point]!]
    if (!source || timeNs < source.firstNs) return true
    return timeNs > source.lastNs && source.points.every((p) => p.ended)
  }

  #noteTime(point: PointIndex, timeNs: number): void {
    if (timeNs > this.#nowNs) {
      this.#nowNs = timeNs
      const limit = timeNs - this.windowNs
      while (this.window.size > 0 && this.window.firstNs[this.window.oldestSlot()]! < limit)
        this.#finishOldest()
    }
    let number = this.#sourceOf[point]
    if (number === undefined) number = this.#newSource(point)
    const source = this.#sources[number]!
    if (source.firstNs > timeNs) {
      source.firstNs = timeNs
      this.#allBegunNs = Math.max(this.#allBegunNs, timeNs)
    }
    if (source.lastNs < timeNs) source.lastNs = timeNs
  }

  #newSource(point: PointIndex): number {
    const p = this.points[point]!
    let number = this.#sources.findIndex((s) => s.name === p.source)
    if (number < 0)
      number =
        this.#sources.push({
          name: p.source,
          firstNs: Number.POSITIVE_INFINITY,
          lastNs: Number.NEGATIVE_INFINITY,
          points: [],
        }) - 1
    this.#sources[number]!.points.push(p)
    this.#sourceOf[point] = number
    return number
  }

  #legOf(point: PointIndex, frame: number, headers: Headers, timeNs: number): LegIndex {
    const { addresses, legs } = this
    const source = addresses.intern(headers.bytes, headers.srcOffset, headers.ipVersion)
    const destination = addresses.intern(headers.bytes, headers.dstOffset, headers.ipVersion)
    const ports = headers.hasTransport ? ((headers.srcPort << 16) | headers.dstPort) >>> 0 : 0
    const leg = legs.find(point, headers.protocol, source, destination, ports)
    const isSyn = headers.protocol === Protocol.Tcp && (headers.tcpFlags & TcpFlag.Syn) !== 0
    if (leg >= 0 && !this.#isReused(leg, isSyn, headers, timeNs)) {
      if (isSyn) this.#noteIsn(leg, headers)
      return leg
    }
    const fresh = legs.add(point, headers.protocol, source, destination, ports)
    legs.firstFrame[fresh] = frame
    let mirror = legs.find(
      point,
      headers.protocol,
      destination,
      source,
      ((ports << 16) | (ports >>> 16)) >>> 0,
    )
    if (mirror === fresh) mirror = -1
    if (mirror >= 0 && leg >= 0 && !legs.stale[leg]) {
      // The tuple begins anew with this packet: what comes back belongs to the new conversation too.
      legs.stale[mirror] = 1
      mirror = -1
    }
    if (mirror < 0) mirror = this.#halfTranslatedRequest(fresh, headers, timeNs)
    if (mirror >= 0 && !legs.stale[mirror]) {
      legs.mirror[fresh] = mirror
      if (legs.mirror[mirror]! < 0) legs.mirror[mirror] = fresh
      this.flows.join(fresh, this.flows.find(legs.direction[mirror]!) ^ 1)
    } else this.flows.join(fresh, this.flows.add(headers.protocol))
    if (isSyn) this.#noteIsn(fresh, headers)
    return fresh
  }

  /** Does this packet begin another conversation with a tuple that was used before? */
  #isReused(leg: LegIndex, isSyn: boolean, headers: Headers, timeNs: number): boolean {
    if (this.legs.stale[leg]) return true
    if (headers.protocol !== Protocol.Tcp) return timeNs - this.legs.lastNs[leg]! > IDLE_NS
    return isSyn && this.legs.hasIsn[leg] === 1 && this.legs.isn[leg] !== headers.tcpSeq >>> 0
  }

  #noteIsn(leg: LegIndex, headers: Headers): void {
    this.legs.isn[leg] = headers.tcpSeq
    this.legs.hasIsn[leg] = 1
    const direction = this.flows.find(this.legs.direction[leg]!)
    this.flows.setForward(headers.tcpFlags & TcpFlag.Ack ? direction ^ 1 : direction)
  }

  /**
   * Docker's DNS: the request is seen on lo after its DNAT to 127.0.0.11 and a random port, the answer already with
   * port 53. The two have client and server address in common; the resolver talks to nobody else like this.
   */
  #halfTranslatedRequest(reply: LegIndex, headers: Headers, timeNs: number): LegIndex {
    const { legs } = this
    if (headers.srcPort !== 53 || !this.addresses.isLoopback(legs.source[reply]!)) return -1
    let found = -1
    for (let leg = legs.count - 1, looked = 0; leg >= 0 && looked < 1000; leg--, looked++) {
      if (
        legs.point[leg] === legs.point[reply] &&
        legs.protocol[leg] === headers.protocol &&
        legs.source[leg] === legs.destination[reply] &&
        legs.destination[leg] === legs.source[reply] &&
        legs.sourcePort(leg) === headers.dstPort &&
        legs.mirror[leg]! < 0 &&
        leg !== reply &&
        timeNs - legs.lastNs[leg]! < 10e9
      ) {
        if (found >= 0) return -1
        found = leg
      }
    }
    return found
  }

  #secondVisit(leg: LegIndex, frame: number, timeNs: number): LegIndex {
    const { legs } = this
    const point = legs.point[leg]!
    const source = legs.source[leg]!
    const destination = legs.destination[leg]!
    let second = legs.find(point, legs.protocol[leg]!, source, destination, legs.ports[leg]!, 1)
    const direction = this.flows.find(legs.direction[leg]!)
    if (second < 0 || this.flows.find(legs.direction[second]!) !== direction) {
      second = legs.add(point, legs.protocol[leg]!, source, destination, legs.ports[leg]!, 1)
      legs.firstFrame[second] = frame
      this.flows.join(second, direction)
    }
    legs.lastNs[second] = timeNs
    return second
  }

  #noteDelay(leg: LegIndex, delayNs: number): void {
    const usual = this.legs.usualDelayNs[leg]!
    this.legs.usualDelayNs[leg] = Number.isNaN(usual) ? delayNs : usual + (delayNs - usual) / 8
  }

  /** Only bytes that were sent before can be known already in another cut. */
  #isBelowSequence(direction: DirectionIndex, headers: Headers): boolean {
    return (
      (this.flows.seen[direction]! & Seen.Any) !== 0 &&
      ((headers.tcpSeq - this.flows.seqEnd[direction]!) | 0) < 0
    )
  }

  #begin(direction: DirectionIndex, headers: Headers, timeNs: number): JourneySlot {
    const { window, flows } = this
    if (window.isFull) {
      window.flags[window.oldestSlot()]! |= JourneyFlag.Forced
      window.forced++
      this.#finishOldest()
    }
    const slot = window.open(this.#identity.low, this.#identity.high, timeNs)
    window.direction[slot] = direction
    window.lenBytes[slot] = headers.ipTotalLenBytes
    window.payloadLenBytes[slot] = headers.payloadLenBytes
    window.ipId[slot] = headers.ipVersion === 4 ? headers.ipId : 0
    window.previous[slot] = flows.lastJourney[direction]!
    flows.lastJourney[direction] = window.serial[slot]!
    if (timeNs < flows.firstNs[direction]!) flows.firstNs[direction] = timeNs
    if (timeNs > flows.lastNs[direction]!) flows.lastNs[direction] = timeNs
    if (headers.protocol === Protocol.Tcp) this.#beginTcp(slot, direction, headers)
    else {
      window.tcpFlags[slot] = 0
      window.seq[slot] = Math.max(0, headers.icmpSeq)
      window.ack[slot] = 0
      if (headers.protocol === Protocol.Icmp || headers.protocol === Protocol.Icmpv6) {
        const isRequest = headers.icmpType === 8 || headers.icmpType === 128
        flows.setForward(isRequest ? direction : direction ^ 1)
      } else if (headers.srcPort === 53 || headers.dstPort === 53 || headers.dstPort === 5353) {
        this.#noteName(direction, headers)
      } else if (this.addresses.isLoopback(this.legs.destination[flows.firstLeg[direction]!]!)) {
        this.#noteName(direction, headers)
      }
    }
    return slot
  }

  #beginTcp(slot: JourneySlot, direction: DirectionIndex, headers: Headers): void {
    const { window, flows } = this
    const { tcpFlags } = headers
    window.tcpFlags[slot] = tcpFlags
    window.seq[slot] = headers.tcpSeq
    window.ack[slot] = headers.tcpAck
    window.tsVal[slot] = headers.tcpHasTimestamps ? headers.tcpTsVal : 0
    let seen = 0
    if (tcpFlags & TcpFlag.Syn) seen |= tcpFlags & TcpFlag.Ack ? Seen.SynAck : Seen.Syn
    if (tcpFlags & TcpFlag.Fin) seen |= Seen.Fin
    if (tcpFlags & TcpFlag.Rst) {
      seen |= Seen.Rst
      if (!(flows.seen[direction]! & (Seen.SynAck | Seen.Data))) seen |= Seen.RstToSyn
    } else {
      if (headers.payloadLenBytes > 0) seen |= Seen.Data
      if (flows.advanceSequence(direction, headers.tcpSeq >>> 0, sequenceLength(headers))) {
        window.flags[slot]! |= JourneyFlag.Retransmission
        flows.retransmissions[direction]!++
      }
    }
    flows.seen[direction]! |= seen
  }

  #noteName(direction: DirectionIndex, headers: Headers): void {
    let names = this.names.get(direction)
    if (names && names.length >= MAX_NAMES_PER_FLOW) return
    if (this.#nameCount >= MAX_NAMES) return
    const name = dnsQuestionName(headers)
    if (name === null || names?.includes(name)) return
    if (!names) {
      names = []
      this.names.set(direction, names)
    }
    names.push(name)
    this.#nameCount++
  }

  /** Takes the oldest journey out of the window and counts it. */
  #finishOldest(): void {
    const { window, legs, flows } = this
    const slot = window.oldestSlot()
    const direction = flows.find(window.direction[slot]!)
    const journey = this.#journey
    let n = 0
    for (let s = window.firstSighting[slot]!; s >= 0; s = window.nextSighting[s]!) {
      if (n === journey.leg.length) break
      const leg = window.leg[s]!
      if (legs.station[leg] === 255 && flows.stations[direction]! < MAX_STATIONS)
        this.#newStation(direction, leg, n, window.ttl[s]!)
      journey.leg[n] = leg
      journey.frame[n] = window.frame[s]!
      journey.timeNs[n] = window.timeNs[s]!
      journey.ttl[n] = window.ttl[s]!
      n++
    }
    journey.sightings = n
    this.#sortAlongTheWay(n)
    const whole = this.#wholeStations(slot)
    this.#measure(n)
    let flags = 0
    const journeyFlags = window.flags[slot]!
    if (journeyFlags & (JourneyFlag.Ambiguous | JourneyFlag.Twin | JourneyFlag.Forced))
      flags |= PatternFlag.Ambiguous
    if (journeyFlags & JourneyFlag.Answered) flags |= PatternFlag.Answered
    if (journeyFlags & JourneyFlag.Recut) flags |= PatternFlag.Recut
    const head = flows.patternHead[direction]!
    const outside = this.#outsideMask(window.firstNs[slot]!)
    const pattern = this.patterns.row(head, whole.low, whole.high, outside, flags)
    if (pattern === this.patterns.count - 1 && this.patterns.next[pattern] === head && pattern !== head)
      flows.patternHead[direction] = pattern
    this.patterns.add(pattern, window.lenBytes[slot]!, journey.leg[n - 1]!, journey.frame[n - 1]!)
    if (legs.point[journey.leg[0]!] !== legs.point[journey.leg[n - 1]!]) this.joinedJourneys++
    if (this.#onJourney) {
      journey.serial = window.serial[slot]!
      journey.direction = direction
      journey.pattern = pattern
      journey.flags = journeyFlags
      journey.lenBytes = window.lenBytes[slot]!
      journey.payloadLenBytes = window.payloadLenBytes[slot]!
      journey.tcpFlags = window.tcpFlags[slot]!
      journey.seq = window.seq[slot]!
      journey.ack = window.ack[slot]!
      this.#onJourney(journey)
    }
    this.#noteRoundTrip(direction, slot)
    window.closeOldest()
  }

  readonly #whole = { low: 0, high: 0 }

  /** The stations that showed all of the journey's payload, as pattern bits. */
  #wholeStations(slot: JourneySlot): { low: number; high: number } {
    const { window, legs } = this
    const recut = (window.flags[slot]! & JourneyFlag.Recut) !== 0
    const length = window.payloadLenBytes[slot]!
    let low = 0
    let high = 0
    for (let s = window.firstSighting[slot]!; s >= 0; s = window.nextSighting[s]!) {
      const leg = window.leg[s]!
      const station = legs.station[leg]!
      if (station >= MAX_STATIONS) continue
      if (recut && window.coveredBytes[s]! < length) {
        let covered = 0
        for (let t = window.firstSighting[slot]!; t >= 0; t = window.nextSighting[t]!)
          if (window.leg[t] === leg) covered += window.coveredBytes[t]!
        if (covered < length) continue
      }
      if (station < 31) low |= 1 << station
      else high |= 1 << (station - 31)
    }
    this.#whole.low = low
    this.#whole.high = high
    return this.#whole
  }

  /** Gives a leg its place on the way: behind the legs in front of it in this journey, but never behind a lower TTL. */
  #newStation(direction: DirectionIndex, leg: LegIndex, seenBefore: number, ttl: number): void {
    const { legs, flows } = this
    let after = -1
    for (let other = flows.wayHead[direction]!; other >= 0; other = legs.next[other]!) {
      let inFront = legs.ttl[other]! > ttl
      if (legs.ttl[other] === ttl)
        for (let i = 0; i < seenBefore; i++) inFront ||= this.#journey.leg[i] === other
      if (inFront) after = other
    }
    legs.ttl[leg] = ttl
    legs.station[leg] = flows.stations[direction]!++
    flows.insertOnWay(direction, leg, after)
  }

  #sortAlongTheWay(n: number): void {
    const { leg, frame, timeNs, ttl } = this.#journey
    const rank = this.legs.rank
    for (let i = 1; i < n; i++) {
      for (let j = i; j > 0 && rank[leg[j]!]! < rank[leg[j - 1]!]!; j--) {
        swap(leg, j)
        swap(frame, j)
        swap(timeNs, j)
        swap(ttl, j)
      }
    }
  }

  /** Counts TTLs, and the latencies between neighbours on the way. */
  #measure(n: number): void {
    const { legs, latency } = this
    const { leg, timeNs, ttl } = this.#journey
    for (let i = 0; i < n; i++) {
      const here = leg[i]!
      if (i > 0 && leg[i - 1] === here) continue
      legs.voteTtl(here, ttl[i]!)
      legs.packets[here]!++
      if (i > 0) latency.add(latency.row(leg[i - 1]!, here), timeNs[i]! - timeNs[i - 1]!)
    }
  }

  /** Points whose captures did not run at this time, as bits. */
  #outsideMask(timeNs: number): number {
    let mask = 0
    if (timeNs >= this.#allBegunNs && !this.#anyEnded()) return 0
    for (let point = 0; point < this.points.length; point++)
      if (this.#isOutside(point, timeNs)) mask |= 1 << Math.min(31, point)
    return mask >>> 0
  }

  #anyEnded(): boolean {
    for (const point of this.points) if (point.ended) return true
    return false
  }

  /** Takes the time from the first request to its answer, at the point of the client's side that saw both. */
  #noteRoundTrip(direction: DirectionIndex, slot: JourneySlot): void {
    const { flows, legs } = this
    const flow = direction >> 1
    if (!Number.isNaN(flows.rttNs[flow]!)) return
    const isTcp = flows.protocol[flow] === Protocol.Tcp
    const tcpFlags = this.window.tcpFlags[slot]!
    const { leg, timeNs, sightings } = this.#journey
    if (direction === flows.forwardOf(flow)) {
      if (isTcp && (tcpFlags & (TcpFlag.Syn | TcpFlag.Ack)) !== TcpFlag.Syn) return
      flows.requestNs[flow] = timeNs[0]!
      flows.requestLeg[flow] = leg[0]!
      return
    }
    if (isTcp && (tcpFlags & (TcpFlag.Syn | TcpFlag.Ack)) !== (TcpFlag.Syn | TcpFlag.Ack)) return
    const requestLeg = flows.requestLeg[flow]!
    if (requestLeg < 0) return
    for (let i = sightings - 1; i >= 0; i--) {
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
