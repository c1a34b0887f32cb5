/** The correlator: takes sightings in the order of time, joins them to journeys, and counts the journeys towards flows. */

import type { CaptureRecord, Point, PointIndex } from '../capture/record.ts'
import { dnsQuestionName } from '../decode/dns.ts'
import { type Headers, TcpFlag } from '../decode/headers.ts'
import { type AddressIndex, AddressTable } from './addresses.ts'
import { Coverage } from './coverage.ts'
import { type EncapsulationIndex, EncapsulationTable } from './encapsulations.ts'
import { type DirectionIndex, FlowTable, Seen } from './flows.ts'
import { FragmentTable, type LaterFragment } from './fragments.ts'
import { IcmpErrors } from './icmp-errors.ts'
import { Identity, Protocol } from './identity.ts'
import { Latencies } from './latencies.ts'
import { LegFinder } from './leg-finder.ts'
import { type LegIndex, LegTable } from './legs.ts'
import { LinkHeaderTable } from './link-headers.ts'
import { Match, Matcher, sequenceLength } from './matcher.ts'
import { NotJoined, reasonNotJoined } from './not-joined.ts'
import { PatternTable } from './patterns.ts'
import { type FinishedJourney, Tally } from './tally.ts'
import { Twins } from './twins.ts'
import { UdpSegments } from './udp-segments.ts'
import { JourneyFlag, type JourneySlot, JourneyWindow } from './window.ts'

/** A journey waits so long for further sightings. */
export const DEFAULT_WINDOW_NS = 1e9
const MAX_NAMES_PER_FLOW = 3
const UDP_HEADER_BYTES = 8
const ECHO_HEADER_BYTES = 8
const IP_HEADER_BYTES = 20
const MAX_NAMES = 100_000
/** How often the window may be gone through because an address turned out to have two families. */
const MAX_REKEYS = 256
/** How many packets back the first copy of a retransmission is searched. */
const MAX_RESENT_STEPS = 256

export interface CorrelatorOptions {
  windowNs?: number
  /** The smallest snaplen of all captures, 0 where they keep whole frames. */
  snapLenBytes?: number
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
  readonly encapsulations = new EncapsulationTable(this.addresses)
  readonly legs = new LegTable()
  readonly linkHeaders = new LinkHeaderTable()
  readonly patterns = new PatternTable()
  readonly latency = new Latencies(this.legs)
  readonly flows = new FlowTable(this.legs, this.patterns, this.latency)
  readonly window = new JourneyWindow()
  readonly twins = new Twins(this)
  readonly notJoined = new NotJoined()
  readonly icmpErrors: IcmpErrors
  /** DNS question names by direction, for display. */
  readonly names = new Map<DirectionIndex, string[]>()
  readonly #identity = new Identity()
  readonly #fragments = new FragmentTable(this.addresses, (point, count) => {
    for (let i = 0; i < count; i++) this.notJoined.add('fragment', point)
  })
  readonly #legFinder = new LegFinder(this.addresses, this.encapsulations, this.legs, this.flows)
  readonly #matcher: Matcher
  readonly #udpSegments: UdpSegments
  /** How long a journey waits for further sightings, in ns. */
  readonly windowNs: number
  readonly #coverage: Coverage
  readonly #tally: Tally
  #nowNs = Number.NEGATIVE_INFINITY
  #nameCount = 0
  #rekeys = 0
  /** Journeys that were seen at more than one point. */
  get joinedJourneys(): number {
    return this.#tally.joinedJourneys
  }

  /** `points` may grow while records are added. */
  constructor(points: readonly Point[], options: CorrelatorOptions = {}) {
    this.points = points
    this.windowNs = options.windowNs ?? DEFAULT_WINDOW_NS
    this.#identity.limitTo(options.snapLenBytes ?? 0)
    this.#coverage = new Coverage(points)
    this.#tally = new Tally(this, this.#coverage, options.onJourney)
    this.#matcher = new Matcher(this, this.#identity, this.windowNs)
    this.#udpSegments = new UdpSegments(this, this.#matcher, this.#identity)
    this.addresses.onSecondFamily = (ipv4) => this.#forgetIds(ipv4)
    this.icmpErrors = new IcmpErrors(this.addresses, this.#legFinder, this.legs, this.flows, this.window)
  }

  /**
   * Joins one record. `frame` must have been decoded from it; of a packet in a tunnel, the innermost headers count. Returns the serial number of the journey that it
   * belongs to (from 0), or -1 where it takes no part (counted in `notJoined`).
   */
  add(point: PointIndex, record: CaptureRecord, frame: Headers): number {
    const { legs } = this
    const known = legs.count
    const serial = this.#join(point, record, frame)
    // Once for each leg: MAC addresses change with a flow's way, hardly within one.
    for (let leg = known; leg < legs.count; leg++) legs.link[leg] = this.linkHeaders.intern(frame)
    return serial
  }

  #join(point: PointIndex, record: CaptureRecord, frame: Headers): number {
    let headers = frame
    let encapsulation = 0
    while (headers.hasInner && isPacket(headers.inner)) {
      const entered = this.encapsulations.intern(headers, encapsulation)
      if (entered < 0) break
      encapsulation = entered
      headers = headers.inner
    }
    const timeNs = record.timeNs
    this.#coverage.note(point, timeNs)
    this.advanceTo(timeNs)
    if (headers.hasQuoted) {
      if (!this.icmpErrors.add(point, record.frame, headers, encapsulation))
        this.notJoined.add('icmp-error', point)
      return -1
    }
    if (headers.fragmentOffset > 0) return this.#addLaterFragment(point, encapsulation, record, headers)
    const reason = reasonNotJoined(headers)
    if (reason) {
      this.notJoined.add(reason, point)
      return -1
    }
    while (this.window.isFull) this.#forceOldest()
    let leg = this.#legFinder.legOf(point, headers, timeNs, encapsulation)
    this.#identity.of(headers, this.addresses.hasTwoFamilies && this.#isInTwoFamilies(leg))
    let matched = this.#matcher.match(leg, headers, timeNs)
    if (matched === Match.NewMapping) {
      this.#legFinder.forget(leg)
      leg = this.#legFinder.legOf(point, headers, timeNs, encapsulation)
      matched = this.#matcher.match(leg, headers, timeNs)
    }
    if (headers.protocol !== Protocol.Tcp) this.legs.lastNs.set(leg, timeNs)
    const length = headers.payloadLenBytes
    switch (matched) {
      case Match.Sighting: {
        const slot = this.#matcher.slot
        this.twins.noteDelay(leg, timeNs - this.window.firstNs[slot]!)
        if (this.addresses.hasTwoFamilies && headers.ipVersion === 4) this.window.ipId[slot] = headers.ipId
        this.window.see(slot, point, leg, record.frame, timeNs, headers.ttl, length)
        if (headers.moreFragments || this.window.flags[slot]! & JourneyFlag.Recut)
          this.#noteFragments(slot, point, encapsulation, leg, headers)
        return this.window.serial[slot]!
      }
      case Match.Copy:
        this.legs.duplicates.add(leg, 1)
        return this.window.serial[this.#matcher.slot]!
      case Match.SecondVisit: {
        const slot = this.#matcher.slot
        this.window.see(
          slot,
          point,
          this.#legFinder.secondVisit(leg, timeNs),
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
    if (headers.protocol === Protocol.Udp && matched === Match.None) {
      matched = this.#udpSegments.match(leg, headers, record.frame, timeNs)
      if (matched === Match.Copy) this.legs.duplicates.add(leg, 1)
      if (matched === Match.Sighting || matched === Match.Copy)
        return this.window.serial[this.#udpSegments.slot]!
    }
    const slot = this.#begin(direction, headers, point, record.frame, timeNs)
    if (matched === Match.Undecided) this.window.flags[slot]! |= JourneyFlag.Ambiguous
    this.window.see(slot, point, leg, record.frame, timeNs, headers.ttl, length)
    if (headers.moreFragments) this.#noteFragments(slot, point, encapsulation, leg, headers)
    else if (headers.protocol === Protocol.Udp) this.#udpSegments.noteFirst(slot, headers)
    return this.window.serial[slot]!
  }

  #isInTwoFamilies(leg: LegIndex): boolean {
    const { addresses, legs } = this
    return addresses.isInTwoFamilies(legs.source[leg]!) || addresses.isInTwoFamilies(legs.destination[leg]!)
  }

  /** Takes the Identification out of the identities of what this address sends and gets: it may be found again as IPv6. */
  #forgetIds(ipv4: AddressIndex): void {
    const { window, legs } = this
    if (++this.#rekeys > MAX_REKEYS) return
    let changed = 0
    for (let serial = window.oldest; serial < window.nextSerial; serial++) {
      const slot = window.slotOf(serial)
      const leg = window.leg[window.firstSighting[slot]!]!
      const [source, destination] = [legs.source[leg]!, legs.destination[leg]!]
      if (source !== ipv4 && destination !== ipv4) continue
      if (!Identity.hasIpId(legs.protocol[leg]!)) continue
      // The other address may have been known to have two families before.
      if (this.addresses.isInTwoFamilies(source === ipv4 ? destination : source)) continue
      window.keyLow[slot]! ^= Identity.lowOfId(window.ipId[slot]!)
      window.keyHigh[slot]! ^= Identity.highOfId(window.ipId[slot]!)
      changed++
    }
    if (changed > 0) window.rehash()
  }

  /** A datagram that some points see in pieces: a station has shown it once all of its bytes were there. */
  #noteFragments(
    slot: JourneySlot,
    point: PointIndex,
    encapsulation: EncapsulationIndex,
    leg: LegIndex,
    headers: Headers,
  ): void {
    const { window } = this
    if (headers.protocol === Protocol.Tcp && !headers.moreFragments) return
    const whole =
      headers.protocol === Protocol.Udp ? headers.udpLengthField - UDP_HEADER_BYTES : headers.payloadLenBytes
    if (whole > window.payloadLenBytes[slot]!) window.payloadLenBytes[slot] = whole
    if (!headers.moreFragments) return
    window.flags[slot]! |= JourneyFlag.Recut
    const early = this.#fragments.noteFirst(point, encapsulation, headers, window.serial[slot]!, leg)
    for (const fragment of early) this.#seeFragment(slot, leg, fragment)
  }

  #addLaterFragment(
    point: PointIndex,
    encapsulation: EncapsulationIndex,
    { frame, timeNs }: CaptureRecord,
    headers: Headers,
  ): number {
    const { ttl, fragmentOffset, moreFragments } = headers
    const lenBytes = headers.payloadLenBytes
    const wholeLenBytes = moreFragments ? 0 : fragmentOffset + lenBytes
    const fragment = { frame, timeNs, ttl, lenBytes, wholeLenBytes }
    const datagram =
      headers.ipVersion !== 0 ? this.#fragments.noteLater(point, encapsulation, headers, fragment) : null
    const slot = datagram === null ? -1 : this.window.slotOf(datagram.serial)
    if (datagram === null || (datagram.serial >= 0 && slot < 0)) this.notJoined.add('fragment', point)
    if (datagram === null || slot < 0) return -1
    this.#seeFragment(slot, datagram.leg, fragment)
    return datagram.serial
  }

  #seeFragment(
    slot: JourneySlot,
    leg: LegIndex,
    { frame, timeNs, ttl, lenBytes, wholeLenBytes }: LaterFragment,
  ): void {
    const { window } = this
    window.see(slot, this.legs.point[leg]!, leg, frame, timeNs, ttl, lenBytes)
    if (wholeLenBytes === 0) return
    const isEcho = this.legs.protocol[leg] === Protocol.Icmp || this.legs.protocol[leg] === Protocol.Icmpv6
    const payload = wholeLenBytes - (isEcho ? ECHO_HEADER_BYTES : UDP_HEADER_BYTES)
    if (payload > window.payloadLenBytes[slot]!) window.payloadLenBytes[slot] = payload
    const total = wholeLenBytes + IP_HEADER_BYTES
    if (total > window.lenBytes[slot]!) window.lenBytes[slot] = total
  }

  /** Lets all journeys leave the window: no record will follow. */
  finish(): void {
    this.#fragments.finish()
    while (this.window.size > 0) this.#tally.finishOldest()
    // What is told of the flows takes memory, too.
    this.window.release()
    this.legs.forgetTuples()
  }

  /** It is this late, whether or not a record says so: journeys that have waited long enough leave the window. */
  advanceTo(timeNs: number): void {
    if (timeNs <= this.#nowNs) return
    this.#nowNs = timeNs
    this.#expire(timeNs)
  }

  /** A journey that is still in the window, as it stands; valid until the next call of any kind. */
  preview(slot: JourneySlot): FinishedJourney {
    return this.#tally.preview(slot)
  }

  /** From now on a capture keeps only so many bytes of each frame (0: all). */
  limitTo(snapLenBytes: number): void {
    this.#identity.limitTo(snapLenBytes)
  }

  /** Lets the oldest journey go before its time. */
  #forceOldest(): void {
    this.window.flags[this.window.oldestSlot()]! |= JourneyFlag.Forced
    this.window.forced++
    this.#tally.finishOldest()
  }

  /** Lets journeys go that have waited long enough. */
  #expire(nowNs: number): void {
    const { window } = this
    const limit = nowNs - this.windowNs
    while (window.size > 0 && window.firstNs[window.oldestSlot()]! < limit) this.#tally.finishOldest()
  }

  /** Only bytes that were sent before can be known already in another cut. */
  #isBelowSequence(direction: DirectionIndex, headers: Headers): boolean {
    return (
      (this.flows.seen[direction]! & Seen.Any) !== 0 &&
      ((headers.tcpSeq - this.flows.seqEnd[direction]!) | 0) < 0
    )
  }

  #begin(
    direction: DirectionIndex,
    headers: Headers,
    point: PointIndex,
    frame: number,
    timeNs: number,
  ): JourneySlot {
    const { window, flows } = this
    const slot = window.open(this.#identity.low, this.#identity.high, timeNs)
    window.direction[slot] = direction
    window.lenBytes[slot] = headers.ipTotalLenBytes
    window.payloadLenBytes[slot] = headers.payloadLenBytes
    window.ipId[slot] = headers.ipVersion === 4 ? headers.ipId : 0
    window.previous[slot] = flows.lastJourney[direction]!
    flows.lastJourney[direction] = window.serial[slot]!
    if (timeNs < flows.firstNs[direction]!) flows.firstNs[direction] = timeNs
    if (timeNs > flows.lastNs[direction >> 1]!) flows.lastNs[direction >> 1] = timeNs
    if (headers.protocol === Protocol.Tcp) {
      this.#beginTcp(slot, direction, headers, point, timeNs)
      flows.signs.note(direction, headers, point, frame, timeNs)
    } else {
      window.tcpFlags[slot] = 0
      window.seq[slot] = Math.max(0, headers.icmpSeq)
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

  #beginTcp(
    slot: JourneySlot,
    direction: DirectionIndex,
    headers: Headers,
    point: PointIndex,
    timeNs: number,
  ): void {
    const { window, flows } = this
    const { tcpFlags } = headers
    window.tcpFlags[slot] = tcpFlags
    window.seq[slot] = headers.tcpSeq
    window.tsVal[slot] = headers.tcpHasTimestamps ? headers.tcpTsVal : 0
    let seen = 0
    if (tcpFlags & TcpFlag.Syn) {
      seen |= tcpFlags & TcpFlag.Ack ? Seen.SynAck : Seen.Syn
      flows.starts.begin(direction, headers, point)
    }
    if (tcpFlags & TcpFlag.Fin) seen |= Seen.Fin
    if (tcpFlags & TcpFlag.Rst) seen |= Seen.Rst
    else {
      if (headers.payloadLenBytes > 0) {
        seen |= Seen.Data
        if (flows.starts.wanted[direction] !== 0) flows.starts.take(direction, headers, timeNs)
      }
      const isControl = (tcpFlags & (TcpFlag.Syn | TcpFlag.Fin)) !== 0
      // In a simultaneous open the SYN-ACK repeats the SYN's sequence number, and is no retransmission.
      const repeatsSyn = (seen & Seen.SynAck) !== 0 && (flows.seen[direction]! & Seen.Syn) !== 0
      if (
        flows.advanceSequence(direction, headers.tcpSeq >>> 0, sequenceLength(headers), isControl) &&
        !repeatsSyn
      ) {
        window.flags[slot]! |= JourneyFlag.Retransmission
        flows.retransmissions.add(direction, 1)
        flows.signs.noteResent(direction, headers, (seqEnd) => flows.isAcked(direction, seqEnd))
        this.#markResent(slot, headers.tcpSeq, sequenceLength(headers))
      }
    }
    flows.seen[direction]! |= seen
    if (tcpFlags & TcpFlag.Ack) flows.advanceAck(direction, headers.tcpAck >>> 0)
  }

  /** Marks the journeys in the window that carried these bytes before. */
  #markResent(resent: JourneySlot, seq: number, lenBytes: number): void {
    const { window } = this
    let slot = window.slotOf(window.previous[resent]!)
    for (let step = 0; slot >= 0 && step < MAX_RESENT_STEPS; step++) {
      const offset = (seq - window.seq[slot]!) | 0
      const theirs = window.sequenceLenBytes(slot)
      if (Math.min(offset + lenBytes, theirs) > Math.max(offset, 0)) window.flags[slot]! |= JourneyFlag.Resent
      slot = window.slotOf(window.previous[slot]!)
    }
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
}

/** Is there something to follow inside of the tunnel, or to say why not? */
function isPacket(inner: Headers): boolean {
  return inner.ipVersion !== 0 || inner.isArp
}
