/** The matcher: decides which journey in the window a sighting belongs to, and which flows thereby turn out to be one. */

import { type Headers, TcpFlag } from '../decode/headers.ts'
import type { AddressTable } from './addresses.ts'
import type { EncapsulationTable } from './encapsulations.ts'
import type { DirectionIndex, FlowTable } from './flows.ts'
import { type Identity, Protocol } from './identity.ts'
import type { LegIndex, LegTable } from './legs.ts'
import type { Twins } from './twins.ts'
import { JourneyFlag, type JourneySlot, type JourneyWindow, pointBit, type SightingIndex } from './window.ts'

/** Journeys of equal identity that are looked at for one sighting, those of them that it may belong to, and other flows. */
const MAX_STEPS = 1024
const MAX_CANDIDATES = 64
const MAX_LINKS = 64
/** An echo that was first seen not longer ago may be the one, though others look the same. */
const PROMPT_NS = 5e6
/** Ends of two tuples that are equal where hardly anything in the packet speaks for it. */
const LEAST_WEAK_SCORE = 3
/** How often one packet may pass one point. */
const MAX_VISITS = 4
/** A NAT mapping that was silent for so long may have been given to somebody else, or renewed (RFC 4787, 4.3; netfilter: 30 s). */
const MAPPING_NS = 10e9
/** Journeys of the same direction that are looked at when bytes may have been cut differently (64 kB are 45 frames). */
const MAX_RECUT_CANDIDATES = 256
/** The same packet at the same place again within this time is a copy, later it is something else. */
const COPY_NS = 100e6
/** The same for packets without an IPv4 ID: soon enough that no sender can have missed an answer. */
const QUICK_COPY_NS = 200e3
/** IPv4 IDs of the pieces of one super-packet follow each other within this distance. */
const MAX_PIECES = 64

/** How `match` ended. */
export const Match = {
  /** The first sighting of a packet. */
  None: 0,
  /** A further sighting of the journey in `slot`. */
  Sighting: 1,
  /** The journey in `slot` was already seen here in the very same form: the capture doubled it. */
  Copy: 2,
  /** The journey in `slot` comes past this point again with its tuple unchanged and its TTL lower. */
  SecondVisit: 3,
  /** Several journeys would fit equally well. */
  Undecided: 4,
  /** The journey is another conversation's: the leg's tuple, silent for long, now belongs to that one. */
  NewMapping: 5,
} as const
export type Match = (typeof Match)[keyof typeof Match]

/** The tables that the matcher reads and writes. */
export interface Tables {
  readonly addresses: AddressTable
  readonly legs: LegTable
  readonly encapsulations: EncapsulationTable
  readonly flows: FlowTable
  readonly window: JourneyWindow
  readonly twins: Twins
}

export class Matcher {
  /** The journey that `match` found; valid until its next call. */
  slot: JourneySlot = -1
  readonly #addresses: AddressTable
  readonly #legs: LegTable
  readonly #encapsulations: EncapsulationTable
  readonly #flows: FlowTable
  readonly #window: JourneyWindow
  readonly #twins: Twins
  readonly #identity: Identity
  readonly #windowNs: number
  /** A journey was refused only because its flow looks otherwise at another point. */
  #conflict = false
  /** An equal packet was seen in another network's tunnel. */
  #isInTwoNetworks = false
  readonly #candidates = new Int32Array(MAX_CANDIDATES)

  constructor(
    { addresses, legs, encapsulations, flows, window, twins }: Tables,
    identity: Identity,
    windowNs: number,
  ) {
    this.#addresses = addresses
    this.#legs = legs
    this.#encapsulations = encapsulations
    this.#flows = flows
    this.#window = window
    this.#twins = twins
    this.#identity = identity
    this.#windowNs = windowNs
  }

  /**
   * Finds the journey of a packet that was seen on `leg`; `identity` must hold its key. Links the flows of leg and
   * journey where they were not known to be one.
   */
  match(leg: LegIndex, headers: Headers, timeNs: number): Match {
    const { keyLow, keyHigh, direction: journeyDirection, firstNs, pointsSeen, ipId } = this.#window
    const bit = pointBit(this.#legs.point[leg]!)
    const { low, high } = this.#identity
    const direction = this.#flows.find(this.#legs.direction[leg]!)
    this.slot = -1
    let known = 0
    let renumbered: JourneySlot = -1
    let best: JourneySlot = -1
    let bestRank = -1
    let isVisit = false
    let tied = false
    let linked = 0
    let equal = 0
    let steps = 0
    this.#conflict = false
    this.#isInTwoNetworks = false
    for (let slot = this.#window.newest(low); slot >= 0; slot = this.#window.older(slot)) {
      if (++steps > MAX_STEPS || known === MAX_CANDIDATES) break
      if (keyHigh[slot] !== high || keyLow[slot] !== low) continue
      if (Math.abs(timeNs - firstNs[slot]!) > this.#windowNs) continue
      equal++
      const theirs = this.#flows.find(journeyDirection[slot]!)
      if (theirs === (direction ^ 1) || this.#hasOtherTimestamp(headers, slot)) continue
      const isRenumbered = headers.ipId !== ipId[slot] && this.#hasOtherId(headers, slot)
      if (isRenumbered && !this.#mayBeRenumbered(leg, headers, slot)) continue
      const here = pointsSeen[slot]! & bit ? this.#seenAt(slot, leg) : -1
      if (here >= 0 && this.#window.leg[here] === leg) {
        if (isRenumbered) continue
        const again = this.#isSeenAgain(headers, here, timeNs)
        if (again === Match.None) continue
        this.slot = slot
        return again
      }
      if (theirs === direction) {
        if (isRenumbered) renumbered = slot
        else this.#candidates[known++] = slot
        continue
      }
      if (isRenumbered && (headers.tcpFlags & TcpFlag.Syn) === 0) continue
      const kin = this.#legs.variant[leg]! > 1 ? this.#tunnelKin(slot, leg, headers) : 0
      if (kin < 0 || known > 0 || linked >= MAX_LINKS) continue
      linked++
      const score = this.#linkScore(leg, direction, theirs, slot, here, headers, timeNs)
      if (score < 0) continue
      const rank = 2 * score + kin
      if (rank > bestRank) {
        best = slot
        bestRank = rank
        isVisit = here >= 0
        tied = false
      } else if (rank === bestRank) tied ||= this.#flows.find(journeyDirection[best]!) !== theirs
    }
    if (known > 0) {
      if (known > 1) this.slot = this.#twins.choose(this.#candidates, known, leg, timeNs)
      else {
        this.slot = this.#candidates[0]!
        if (this.#window.flags[this.slot]! & JourneyFlag.Twin) this.#twins.doubtLate(this.slot, leg, timeNs)
      }
      if (this.#isInTwoNetworks) this.#doubtOutside(this.slot, headers)
      if (headers.ipId !== 0 && headers.ipId === ipId[this.slot]) this.#legs.keepsIpId[leg] = 1
      return Match.Sighting
    }
    if (renumbered >= 0) {
      this.slot = renumbered
      return Match.Sighting
    }
    if (tied) {
      this.#window.flags[best]! |= JourneyFlag.Ambiguous
      return Match.Undecided
    }
    if (best < 0 && this.#conflict) return Match.NewMapping
    if (best < 0) return Match.None
    if (
      (this.#identity.weak && bestRank < 2 * LEAST_WEAK_SCORE) ||
      this.#mayBeAnother(headers, bestRank >> 1, equal, isVisit, timeNs - firstNs[best]!)
    ) {
      // So little speaks for it that an equal packet of somebody else would look the same.
      this.#window.flags[best]! |= JourneyFlag.Ambiguous
      return Match.Undecided
    }
    this.slot = best
    if (this.#isInTwoNetworks) this.#doubtOutside(best, headers)
    this.#flows.merge(direction, this.#flows.find(journeyDirection[best]!))
    return Match.Sighting
  }

  /**
   * For a TCP segment that has no equal: finds journeys of its direction whose bytes it carries in another cut
   * (segmentation or receive offload), and adds it to them. Returns how many there were. RFC 9293 sequence arithmetic.
   */
  matchPieces(leg: LegIndex, headers: Headers, frame: number, timeNs: number): number {
    const window = this.#window
    const direction = this.#flows.find(this.#legs.direction[leg]!)
    const length = headers.payloadLenBytes
    let matched = 0
    let covered = 0
    let looked = 0
    let slot = window.slotOf(this.#flows.lastJourney[direction]!)
    for (; slot >= 0 && ++looked <= MAX_RECUT_CANDIDATES; slot = window.slotOf(window.previous[slot]!)) {
      const theirLength = window.payloadLenBytes[slot]!
      if (theirLength === 0) continue
      const offset = (headers.tcpSeq - window.seq[slot]!) | 0
      const overlap = Math.min(offset + length, theirLength) - Math.max(offset, 0)
      if (overlap <= 0 || (offset === 0 && length === theirLength)) continue
      if (this.#hasOtherTimestamp(headers, slot)) continue
      if (!this.#isPieceById(headers, slot) && !this.#mayBeRenumbered(leg, headers, slot)) continue
      if (this.#coveredAt(slot, this.#legs.point[leg]!) + overlap > theirLength) continue
      window.see(slot, this.#legs.point[leg]!, leg, frame, timeNs, headers.ttl, overlap)
      window.flags[slot]! |= JourneyFlag.Recut
      this.slot = slot
      matched++
      covered += overlap
      if (covered >= length) break
    }
    if (matched > 0) this.#flows.recut[direction] = 1
    return matched
  }

  /** How well a leg fits the flow of a journey that shares bytes with a packet on it; -1 where they can't be one flow. */
  scoreOf(leg: LegIndex, slot: JourneySlot, headers: Headers, timeNs: number): number {
    const direction = this.#flows.find(this.#legs.direction[leg]!)
    const theirs = this.#flows.find(this.#window.direction[slot]!)
    return this.#linkScore(leg, direction, theirs, slot, this.#seenAt(slot, leg), headers, timeNs)
  }

  #isPieceById(headers: Headers, slot: JourneySlot): boolean {
    if (headers.ipVersion !== 4) return true
    const distance = ((headers.ipId - this.#window.ipId[slot]!) << 16) >> 16
    return Math.abs(distance) <= MAX_PIECES
  }

  /** Payload bytes of a journey that were seen at a point. */
  #coveredAt(slot: JourneySlot, point: number): number {
    let bytes = 0
    const { firstSighting, nextSighting, leg, coveredBytes } = this.#window
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!)
      if (this.#legs.point[leg[s]!] === point) bytes += coveredBytes[s]!
    return bytes
  }

  /** A sighting of the journey on this very leg, else the last one at the leg's point, else -1. */
  #seenAt(slot: JourneySlot, leg: LegIndex): SightingIndex {
    const { firstSighting, nextSighting, leg: sightingLeg } = this.#window
    const point = this.#legs.point[leg]!
    let found = -1
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!) {
      const other = sightingLeg[s]!
      if (other === leg) return s
      if (this.#legs.point[other] === point) found = s
    }
    return found
  }

  /** TCP timestamps tell a retransmission from the same packet; a snaplen may have cut them off at one point. */
  #hasOtherTimestamp(headers: Headers, slot: JourneySlot): boolean {
    const theirs = this.#window.tsVal[slot]!
    return (
      headers.protocol === Protocol.Tcp &&
      theirs !== 0 &&
      headers.tcpHasTimestamps &&
      headers.tcpTsVal !== theirs
    )
  }

  /**
   * Of two packets of equal identity with different IPv4 Identifications, where these take no part in the identity: does
   * that make them two? A packet that was last seen as an IPv6 packet may have any.
   */
  #hasOtherId(headers: Headers, slot: JourneySlot): boolean {
    if (headers.ipVersion !== 4) return false
    const last = this.#window.leg[this.#window.lastSighting[slot]!]!
    return this.#addresses.version(this.#legs.source[last]!) === 4
  }

  /**
   * May a router have given the segment another Identification, as translators to IPv6 and back do, and some firewalls?
   * Equal TCP timestamps say so, as long as this leg has never shown a packet with the Identification of its sender.
   */
  #mayBeRenumbered(leg: LegIndex, headers: Headers, slot: JourneySlot): boolean {
    return (
      headers.protocol === Protocol.Tcp &&
      headers.tcpHasTimestamps &&
      headers.tcpTsVal === this.#window.tsVal[slot] &&
      this.#legs.keepsIpId[leg] === 0
    )
  }

  /** A packet of equal identity on the same leg: the same one again, or one that was sent again? */
  #isSeenAgain(headers: Headers, sighting: SightingIndex, timeNs: number): Match {
    const gapNs = timeNs - this.#window.timeNs[sighting]!
    if (gapNs > COPY_NS) return Match.None
    if (headers.ttl < this.#window.ttl[sighting]!) return Match.SecondVisit
    // Senders number their packets: only the same packet has the same ID so soon. Without an ID it may be a twin, but
    // no sender repeats the same bytes (or the same ping) without waiting for an answer first.
    if (isNumbered(headers)) return Match.Copy
    // The same goes for a point that sees all interfaces of a host (LINUX_SLL): it sees each packet once on each.
    const isUnique =
      seesAllInterfaces(headers) ||
      (headers.protocol === Protocol.Tcp ? sequenceLength(headers) > 0 : headers.icmpType >= 0)
    return isUnique && gapNs < QUICK_COPY_NS ? Match.Copy : Match.None
  }

  /**
   * How well a leg fits a journey of another flow: the number of equal addresses and ports, or -1 where the two flows
   * can't be one.
   */
  #linkScore(
    leg: LegIndex,
    direction: DirectionIndex,
    theirs: DirectionIndex,
    slot: JourneySlot,
    here: SightingIndex,
    headers: Headers,
    timeNs: number,
  ): number {
    const legs = this.#legs
    if (!this.#flows.fitTogether(direction, theirs)) return -1
    const point = legs.point[leg]!
    let score = -1
    let visits = 0
    let isRenewed = false
    for (let other = this.#flows.firstLeg[theirs]!; other >= 0; other = legs.sibling[other]!) {
      score = Math.max(score, this.#sameEndpoints(leg, other))
      if (legs.point[other] !== point) continue
      if (here >= 0) {
        if (++visits >= MAX_VISITS) return -1
        continue
      }
      // Their flow already has another tuple at this point, and this packet did not show it: two conversations,
      // unless a NAT mapping timed out and a new one took its place.
      if (headers.protocol === Protocol.Tcp) return -1
      if (timeNs - legs.lastNs.get(other) < MAPPING_NS) return -1
      isRenewed = true
    }
    if (score < 0) return -1
    if (here >= 0) {
      // Past the same point again with another tuple (hairpin): a router in between took one from the TTL. Only where a
      // point sees all interfaces can it come by before that, too.
      const hasId = isNumbered(headers)
      const sameId = seesAllInterfaces(headers) && hasId && score >= 2
      if (headers.ttl < this.#window.ttl[here]! || sameId) return score
      return this.#isInOrOut(leg, this.#window.leg[here]!) && (hasId || score === 4) ? score : -1
    }
    if (score < 4 && this.#isAskedAnew(slot, headers, theirs, score, timeNs)) return -1
    if (
      this.#differElsewhere(direction, theirs, point) ||
      this.#differElsewhere(direction ^ 1, theirs ^ 1, point)
    ) {
      const isSilent = timeNs - legs.lastNs.get(leg) > MAPPING_NS
      // The number that its sender gave it leaves no doubt, even where somebody has just taken the mapping away.
      // Of an echo only one address is left where its identifier, which stands for both ports, is translated.
      const least = headers.icmpType >= 0 ? 1 : 2
      this.#conflict ||=
        (isSilent || isNumbered(headers)) && headers.protocol !== Protocol.Tcp && score >= least
      return -1
    }
    // Hardly anything speaks for it then: to be told as ambiguous.
    return isRenewed && this.#identity.weak ? Math.min(score, LEAST_WEAK_SCORE - 1) : score
  }

  /**
   * May the only journey that a packet without an ID fits be another conversation's all the same? Any translation but two
   * at once leaves one of its ends as it was: that is two of address and port. Where so much is not equal (of an echo, whose
   * identifier changes, it can't be: it has to come by soon) the content has to prove it, which proves nothing where it is seen again. Nothing at all
   * is equal only where one router translates both ends: it was at the same point just before, on a hairpin.
   */
  #mayBeAnother(headers: Headers, score: number, equal: number, isVisit: boolean, delayNs: number): boolean {
    if (headers.protocol === Protocol.Tcp || isNumbered(headers)) return false
    if (headers.icmpType >= 0 && score === 1 && delayNs <= PROMPT_NS) return false
    return equal > 1 ? score < 2 : score === 0 && !isVisit
  }

  /**
   * Equal bytes of somebody else, who sends them only now: of packets that no sender numbers (IPv6, DF) one that went on
   * through routers, is an answer itself or was answered, or is long gone, does not come by with its TTL restored.
   */
  #isAskedAnew(
    slot: JourneySlot,
    headers: Headers,
    theirs: DirectionIndex,
    score: number,
    timeNs: number,
  ): boolean {
    if (headers.protocol === Protocol.Tcp || isNumbered(headers)) return false
    const last = this.#window.lastSighting[slot]!
    if (headers.ttl <= this.#window.ttl[last]!) return false
    const lastNs = this.#window.timeNs[last]!
    const answer = this.#window.slotOf(this.#flows.lastJourney[theirs ^ 1]!)
    const isAnswered = answer >= 0 && this.#window.firstNs[answer]! > lastNs
    return score < 2 || isAnswered || timeNs - lastNs > COPY_NS
  }

  /**
   * How many of the addresses and ports of two legs are the same: 0–4, or -1 where one has IPv4, the other one IPv6, and
   * neither address of the one is inside of one of the other.
   */
  #sameEndpoints(leg: LegIndex, other: LegIndex): number {
    const legs = this.#legs
    const addresses = this.#addresses
    const same = legs.sameEndpoints(leg, other)
    if (addresses.version(legs.source[leg]!) === addresses.version(legs.source[other]!)) return same
    if (!addresses.hasTwoFamilies) return -1
    const translated =
      (addresses.isSameInOtherFamily(legs.source[leg]!, legs.source[other]!) ? 1 : 0) +
      (addresses.isSameInOtherFamily(legs.destination[leg]!, legs.destination[other]!) ? 1 : 0)
    return translated === 0 ? -1 : same + translated
  }

  /** Is one of two legs at a point inside of tunnels that the other is not in: did the packet enter or leave them there? */
  #isInOrOut(leg: LegIndex, other: LegIndex): boolean {
    const legs = this.#legs
    if (((legs.variant[leg]! | legs.variant[other]!) & ~1) === 0) return false
    const depth = (which: LegIndex) => this.#encapsulations.depth(legs.encapsulation(which))
    return depth(leg) !== depth(other)
  }

  /**
   * For a packet in a tunnel: 1 where the journey was seen in the same one, -1 where it is another network's, that may use
   * the same addresses, and no router has passed it on to this one; else 0.
   */
  #tunnelKin(slot: JourneySlot, leg: LegIndex, headers: Headers): number {
    const { firstSighting, nextSighting, leg: legOf, ttl } = this.#window
    const encapsulation = this.#legs.encapsulation(leg)
    let kin = 0
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!) {
      const other = this.#legs.encapsulation(legOf[s]!)
      if (other === 0) continue
      if (ttl[s] === headers.ttl && this.#encapsulations.areApart(encapsulation, other)) kin = -1
      else if (kin === 0 && this.#encapsulations.haveSameId(encapsulation, other)) kin = 1
    }
    if (kin < 0) {
      this.#isInTwoNetworks = true
      this.#doubtOutside(slot, headers)
    }
    return kin
  }

  /** Two networks carry the same bytes: what was seen outside of the tunnels may be the one's or the other's. */
  #doubtOutside(slot: JourneySlot, headers: Headers): void {
    if (headers.protocol === Protocol.Tcp || isNumbered(headers)) return
    const { firstSighting, nextSighting, leg, flags } = this.#window
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!)
      if (this.#legs.encapsulation(leg[s]!) === 0) flags[slot]! |= JourneyFlag.Ambiguous
  }

  /** Do two directions both have a leg at some other point? Then they are two conversations. */
  #differElsewhere(a: DirectionIndex, b: DirectionIndex, point: number): boolean {
    const { point: pointOf, sibling } = this.#legs
    for (let mine = this.#flows.firstLeg[a]!; mine >= 0; mine = sibling[mine]!) {
      if (pointOf[mine] === point) continue
      for (let their = this.#flows.firstLeg[b]!; their >= 0; their = sibling[their]!)
        if (pointOf[mine] === pointOf[their]) return true
    }
    return false
  }
}

/** Did its sender number the packet, so that only the same one has the same Identification soon (RFC 6864)? */
export function isNumbered(headers: Headers): boolean {
  return headers.ipVersion === 4 && headers.ipId !== 0
}

/** LINUX_SLL without interface indexes: one point for all interfaces of a host. */
function seesAllInterfaces(headers: Headers): boolean {
  return headers.sllPacketType >= 0 && headers.sllInterfaceIndex < 0
}

/** Sequence space that a segment takes: its payload, SYN and FIN (RFC 9293, section 3.4). */
export function sequenceLength(headers: Headers): number {
  const { tcpFlags } = headers
  return headers.payloadLenBytes + (tcpFlags & TcpFlag.Syn ? 1 : 0) + (tcpFlags & TcpFlag.Fin ? 1 : 0)
}
