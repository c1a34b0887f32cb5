/**
 * UDP segments: joins a datagram that segmentation offload cuts on its way (UDP_SEGMENT), or that receive offload puts
 * together from several (UDP_GRO), with the journeys whose bytes it carries. Linux cuts into pieces of one length, the last
 * one may be shorter, and numbers them on from the datagram's IPv4 ID (`inet_gso_segment`); it joins likewise.
 */

import { Headers } from '../decode/headers.ts'
import type { AddressTable } from './addresses.ts'
import { BigDatagrams, type BigIndex, Compared } from './big-datagrams.ts'
import type { DirectionIndex, FlowTable } from './flows.ts'
import { Identity, Protocol } from './identity.ts'
import type { LegIndex, LegTable } from './legs.ts'
import { isNumbered, Match, type Matcher, type Tables } from './matcher.ts'
import { Fit, MAX_PIECE_BYTES, MAX_PIECES, PieceFits } from './piece-fits.ts'
import { JourneyFlag, type JourneySlot, type JourneyWindow } from './window.ts'

/** Longer payloads hardly go through a network in one piece (MTU 1500). */
const BIG_BYTES = 1472
/** Big datagrams of one direction that a piece is looked for in, and older ones behind those that were finished. */
const MAX_BIG = 64
const MAX_LATE = 8
/** The same for a piece whose direction nothing is known about. */
const MAX_UNLINKED = 16
/** Journeys that begin with the same bytes, journeys behind the last one that fitted, and comparisons for one packet. */
const MAX_STEPS = 128
const MAX_AHEAD = 1024
const MAX_TRIES = 256
const UDP_HEADER_BYTES = 8
/** Better than any score of another flow's; and what such a score must be where little else speaks for it. */
const SAME_DIRECTION = 5
const WEAK_SCORE = 3

export class UdpSegments {
  /** The first journey that `match` found; valid until its next call. */
  slot: JourneySlot = -1
  readonly #addresses: AddressTable
  readonly #legs: LegTable
  readonly #flows: FlowTable
  readonly #window: JourneyWindow
  readonly #matcher: Matcher
  readonly #identity: Identity
  readonly #big = new BigDatagrams()
  readonly #fits: PieceFits
  /** The journeys that a packet carries bytes of, where in each they begin, and how many. */
  readonly #partSlot = new Int32Array(MAX_PIECES)
  readonly #partOffset = new Int32Array(MAX_PIECES)
  readonly #partBytes = new Int32Array(MAX_PIECES)
  #parts = 0
  /** Nothing but an order that was not kept speaks for the match. */
  #isDoubtful = false
  #tries = 0
  #chosen: JourneySlot = -1
  #chosenOffset = 0
  #chosenScore = -1
  #isTied = false
  /** The headers that a part has, or had, as a datagram of its own: as far as a key needs them. */
  readonly #part = new Headers()
  readonly #recent = new Uint32Array(MAX_BIG)

  constructor({ addresses, legs, flows, window }: Tables, matcher: Matcher, identity: Identity) {
    this.#addresses = addresses
    this.#legs = legs
    this.#flows = flows
    this.#window = window
    this.#matcher = matcher
    this.#identity = identity
    this.#fits = new PieceFits(this.#big, addresses, window)
  }

  /** A datagram begins a journey: it is kept where it may be cut later. */
  noteFirst(slot: JourneySlot, headers: Headers): void {
    const direction = this.#flows.find(this.#window.direction[slot]!)
    if (headers.moreFragments || headers.payloadLenBytes === 0) return
    if (headers.payloadLenBytes > BIG_BYTES || this.#flows.recut[direction] === 1)
      this.#keep(slot, direction, headers, headers.payloadOffset)
  }

  /**
   * For a whole datagram that has no equal: finds the journeys whose bytes it carries, links its flow with theirs, and adds
   * it to them. `None` where it carries nobody else's bytes, `Undecided` where it may be several flows', `Copy` where a
   * piece was seen on this leg before. Uses `identity`, but leaves the packet's key in it.
   */
  match(leg: LegIndex, headers: Headers, frame: number, timeNs: number): Match {
    const flows = this.#flows
    if (headers.moreFragments || headers.payloadLenBytes === 0) return Match.None
    const direction = flows.find(this.#legs.direction[leg]!)
    this.#parts = 0
    this.#isDoubtful = false
    let found: Match = flows.lastBig.get(direction) === 0 ? Match.None : this.#goOn(direction, leg, headers)
    if (found === Match.None) found = this.#beginAnew(direction, leg, headers, timeNs)
    if (found === Match.None && flows.lastJourney[direction]! < 0)
      found = this.#beginInside(direction, leg, headers, timeNs)
    if (found !== Match.Sighting) return found
    this.slot = this.#partSlot[0]!
    if (!this.#extend(headers, leg)) return Match.None
    const theirs = flows.find(this.#window.direction[this.slot]!)
    const joined = theirs === direction ? direction : flows.merge(direction, theirs)
    flows.recut[joined] = 1
    for (let part = 0; part < this.#parts; part++) this.#see(part, leg, headers, frame, timeNs)
    return Match.Sighting
  }

  #keep(slot: JourneySlot, direction: DirectionIndex, { bytes, end }: Headers, from: number): BigIndex {
    const to = Math.min(end, from + this.#window.payloadLenBytes[slot]!)
    const serial = this.#window.serial[slot]!
    const big = this.#big.add(serial, this.#flows.lastBig.get(direction), bytes, from, to)
    this.#flows.lastBig.set(direction, big)
    return big
  }

  #slotOf(big: BigIndex): JourneySlot {
    return this.#big.isKept(big) ? this.#window.slotOf(this.#big.serialOf(big)) : -1
  }

  /** The next piece of a big datagram of the same direction: networks keep the order, but lose some. */
  #goOn(direction: DirectionIndex, leg: LegIndex, headers: Headers): Match {
    const recent = this.#recent
    let known = 0
    let big = this.#flows.lastBig.get(direction)
    for (let isBegun = false; known < MAX_BIG && !isBegun; big = this.#big.previousOf(big)) {
      const slot = this.#slotOf(big)
      if (slot < 0) break
      const place = this.#fits.placeOf(big, slot, leg)
      isBegun = place >= 0
      recent[known++] = big
    }
    // The oldest of these is underway on this leg, or none is.
    let best: Fit = Fit.No
    for (let i = known - 1; i >= 0 && best < Fit.Next; i--)
      best = this.#better(best, recent[i]!, leg, headers)
    for (let late = 0; best === Fit.No && late < MAX_LATE && this.#slotOf(big) >= 0; late++) {
      best = this.#better(Fit.ByOrder, big, leg, headers)
      if (best === Fit.ByOrder) best = Fit.No
      big = this.#big.previousOf(big)
    }
    if (best !== Fit.No) return Match.Sighting
    if (known === 0 || !this.#fits.isCopy(recent[known - 1]!, leg, headers)) return Match.None
    this.slot = this.#slotOf(recent[known - 1]!)
    return Match.Copy
  }

  /** Makes it the first part where it fits better. */
  #better(best: Fit, big: BigIndex, leg: LegIndex, headers: Headers): Fit {
    const fit = this.#fits.fit(big, leg, headers)
    if (fit <= best) return best
    const slot = this.#slotOf(big)
    const room = this.#window.payloadLenBytes[slot]! - this.#fits.offset
    this.#parts = 0
    this.#addPart(slot, this.#fits.offset, Math.min(room, headers.payloadLenBytes))
    const hasBody = this.#identity.bodyBytes > 0
    this.#isDoubtful = fit === Fit.ByOrder && (!hasBody || this.#fits.offset !== this.#fits.endOn(big, leg))
    return fit
  }

  /** The first piece of some datagram, or the datagram that some piece begins: both have the same key but for the length. */
  #beginAnew(direction: DirectionIndex, leg: LegIndex, headers: Headers, timeNs: number): Match {
    const { low, high } = this.#identity
    const window = this.#window
    this.#resetChoice()
    let steps = 0
    for (let slot = window.newest(low); slot >= 0 && ++steps <= MAX_STEPS; slot = window.older(slot)) {
      if (window.keyLow[slot] !== low || window.keyHigh[slot] === high) continue
      if (!this.#mayCarry(slot, headers) || this.#fits.isSeenOn(slot, leg)) continue
      this.#consider(slot, 0, direction, leg, headers, timeNs)
    }
    return this.#choice(headers)
  }

  /** For the first packet of a direction: a later piece of some datagram, whose first one was lost? */
  #beginInside(direction: DirectionIndex, leg: LegIndex, headers: Headers, timeNs: number): Match {
    this.#resetChoice()
    for (let i = 0, big = this.#big.count; i < MAX_UNLINKED && this.#slotOf(big) >= 0; i++, big--) {
      const fit = this.#fits.fit(big, leg, headers)
      if (fit !== Fit.Next && fit !== Fit.ByBytes) continue
      this.#consider(this.#slotOf(big), this.#fits.offset, direction, leg, headers, timeNs)
    }
    return this.#choice(headers)
  }

  #resetChoice(): void {
    this.#chosen = -1
    this.#chosenScore = -1
    this.#isTied = false
  }

  /** Takes the oldest journey of the same direction, else the one whose flow has most in common. */
  #consider(
    slot: JourneySlot,
    offset: number,
    direction: DirectionIndex,
    leg: LegIndex,
    headers: Headers,
    timeNs: number,
  ): void {
    const flows = this.#flows
    const theirs = flows.find(this.#window.direction[slot]!)
    if (theirs === (direction ^ 1) || flows.protocol[theirs >> 1] !== Protocol.Udp) return
    const isOwn = theirs === direction
    const score = isOwn ? SAME_DIRECTION : this.#matcher.scoreOf(leg, slot, headers, timeNs)
    if (score < 0 || score < this.#chosenScore) return
    const before = this.#chosen < 0 ? theirs : flows.find(this.#window.direction[this.#chosen]!)
    this.#isTied = score === this.#chosenScore && (this.#isTied || before !== theirs)
    this.#chosen = slot
    this.#chosenOffset = offset
    this.#chosenScore = score
  }

  #choice(headers: Headers): Match {
    if (this.#chosen < 0) return Match.None
    // As in `Matcher.match`: too little speaks for it, or as much for another flow.
    if (this.#isTied || (this.#identity.weak && this.#chosenScore < WEAK_SCORE)) {
      this.#window.flags[this.#chosen]! |= JourneyFlag.Ambiguous
      return Match.Undecided
    }
    const room = this.#window.payloadLenBytes[this.#chosen]! - this.#chosenOffset
    this.#parts = 0
    this.#isDoubtful = false
    this.#addPart(this.#chosen, this.#chosenOffset, Math.min(room, headers.payloadLenBytes))
    return Match.Sighting
  }

  /** Is one a beginning of the other, as far as can be told? */
  #mayCarry(slot: JourneySlot, headers: Headers): boolean {
    const length = this.#window.payloadLenBytes[slot]!
    const hasId = isNumbered(headers)
    if (length <= headers.payloadLenBytes) return length > 0 && this.#isPart(slot, headers, 0)
    const big = this.#big.of(this.#window.serial[slot]!)
    if (!this.#big.isKept(big)) return hasId
    const { bytes, payloadOffset, payloadLenBytes, end } = headers
    const compared = this.#big.compare(big, 0, bytes, payloadOffset, payloadLenBytes, end)
    return compared === Compared.Equal || (compared === Compared.Unknown && hasId)
  }

  /** Finds what else the packet carries behind its first part; false where much of it is nobody's. */
  #extend(headers: Headers, leg: LegIndex): boolean {
    const total = headers.payloadLenBytes
    let at = this.#partBytes[0]!
    if (at === total) return true
    const { low, high, weak } = this.#identity
    const isSmall = this.#partOffset[0] === 0 && at <= MAX_PIECE_BYTES
    const unit = isSmall ? at : 0
    let last = this.#partSlot[0]!
    let missing = 0
    this.#tries = 0
    while (at < total && this.#parts < MAX_PIECES) {
      const next = this.#successor(last, headers, leg, at, unit)
      const length = next < 0 ? unit : this.#window.payloadLenBytes[next]!
      if (length === 0) break
      const bytes = Math.min(length, total - at)
      if (next < 0) missing += bytes
      else {
        this.#addPart(next, 0, bytes)
        last = next
      }
      at += bytes
    }
    this.#identity.low = low
    this.#identity.high = high
    this.#identity.weak = weak
    missing += total - at
    return missing === 0 || (this.#parts > 1 && 2 * missing < total)
  }

  /** The next journey of the same direction that the bytes at `at` begin, or are; -1 where there is none. */
  #successor(last: JourneySlot, headers: Headers, leg: LegIndex, at: number, unit: number): JourneySlot {
    const window = this.#window
    const direction = this.#flows.find(window.direction[last]!)
    const from = window.serial[last]! + 1
    const to = Math.min(window.nextSerial, from + MAX_AHEAD)
    for (let serial = from; serial < to && this.#tries < MAX_TRIES; serial++) {
      const slot = window.slotOf(serial)
      if (this.#flows.find(window.direction[slot]!) !== direction) continue
      const length = window.payloadLenBytes[slot]!
      const rest = headers.payloadLenBytes - at
      // Receive offload ends with the first piece that is shorter.
      if (length === 0 || (unit > 0 && (length > unit || (length < unit && length !== rest)))) continue
      this.#tries++
      if (this.#isPart(slot, headers, at) && !this.#fits.isSeenOn(slot, leg)) return slot
    }
    return -1
  }

  /** Do the bytes at `at` look like this journey, or its beginning? Overwrites the key in `identity`. */
  #isPart(slot: JourneySlot, headers: Headers, at: number): boolean {
    const window = this.#window
    const length = window.payloadLenBytes[slot]!
    const from = headers.payloadOffset + at
    const to = headers.payloadOffset + Math.min(headers.payloadLenBytes, at + length)
    const id = window.ipId[slot]!
    const { bodyBytes } = this.#identity
    if (bodyBytes === 0 || from + Math.min(bodyBytes, to - from) > headers.end) {
      if (headers.ipVersion === 4 && id !== 0) return ((id - headers.ipId) & 0xffff) < MAX_PIECES
      this.#isDoubtful = true
      return true
    }
    const { low, high, weak } = this.#identity
    const part = this.#part
    part.ipVersion = headers.ipVersion
    part.protocol = headers.protocol
    part.ipId = id
    part.bytes = headers.bytes
    part.udpLengthField = UDP_HEADER_BYTES + length
    part.payloadOffset = from
    part.payloadLenBytes = to - from
    part.end = Math.min(headers.end, to)
    part.packetEnd = to
    this.#identity.of(part)
    const isWhole = to - from === length
    let { low: partLow, high: partHigh } = this.#identity
    if (partLow !== window.keyLow[slot] && this.#addresses.hasTwoFamilies) {
      partLow ^= Identity.lowOfId(id)
      partHigh ^= Identity.highOfId(id)
    }
    const isEqual = partLow === window.keyLow[slot] && (!isWhole || partHigh === window.keyHigh[slot])
    this.#identity.low = low
    this.#identity.high = high
    this.#identity.weak = weak
    return isEqual
  }

  #addPart(slot: JourneySlot, offset: number, lenBytes: number): void {
    this.#partSlot[this.#parts] = slot
    this.#partOffset[this.#parts] = offset
    this.#partBytes[this.#parts++] = lenBytes
  }

  /** Adds the packet to the journey of one of its parts. */
  #see(part: number, leg: LegIndex, headers: Headers, frame: number, timeNs: number): void {
    const window = this.#window
    const slot = this.#partSlot[part]!
    const offset = this.#partOffset[part]!
    const lenBytes = this.#partBytes[part]!
    const isWhole = lenBytes === window.payloadLenBytes[slot]
    let big = this.#big.of(window.serial[slot]!)
    if (!this.#big.isKept(big)) {
      const direction = this.#flows.find(window.direction[slot]!)
      big = isWhole ? 0 : this.#keep(slot, direction, headers, headers.end)
    }
    if (big > 0) {
      let place = this.#fits.placeOf(big, slot, leg)
      if (place < 0) place = this.#big.addPlace(big, leg)
      const isPiece =
        this.#parts === 1 && lenBytes <= MAX_PIECE_BYTES && offset + lenBytes < window.payloadLenBytes[slot]!
      if (place >= 0) this.#big.see(big, place, offset, lenBytes, isPiece ? lenBytes : 0)
    }
    window.see(slot, this.#legs.point[leg]!, leg, frame, timeNs, headers.ttl, lenBytes)
    window.flags[slot]! |= JourneyFlag.Recut | (this.#isDoubtful ? JourneyFlag.Ambiguous : 0)
    if (window.ipId[slot] === 0) this.#markTwins(slot)
  }

  /** Equal datagrams without an ID are told apart by nothing but their order. */
  #markTwins(slot: JourneySlot): void {
    const { keyLow, keyHigh, flags } = this.#window
    for (const other of [this.#window.older(slot), this.#window.newest(keyLow[slot]!)]) {
      if (other < 0 || other === slot) continue
      if (keyLow[other] !== keyLow[slot] || keyHigh[other] !== keyHigh[slot]) continue
      flags[other]! |= JourneyFlag.Twin
      flags[slot]! |= JourneyFlag.Twin
    }
  }
}
