/** The leg finder: which leg a packet is on; makes new ones, and knows when a tuple begins another conversation. */

import type { PointIndex } from '../capture/record.ts'
import { i32 } from '../decode/big-endian.ts'
import { type Headers, TcpFlag } from '../decode/headers.ts'
import type { AddressIndex, AddressTable } from './addresses.ts'
import { finish, mix } from './columns.ts'
import type { EncapsulationIndex, EncapsulationTable } from './encapsulations.ts'
import type { FlowTable } from './flows.ts'
import { Protocol } from './identity.ts'
import { type LegIndex, type LegTable, OWN_ANSWER } from './legs.ts'

/** A conversation without a handshake ends after this silence, as its NAT mapping does (RFC 4787: two minutes). */
const IDLE_NS = 120e9
const RECENT_LEGS = 1 << 14
const RECENT_WORDS = 8

export class LegFinder {
  readonly #addresses: AddressTable
  readonly #encapsulations: EncapsulationTable
  readonly #legs: LegTable
  readonly #flows: FlowTable
  readonly #recent = new Int32Array(RECENT_LEGS * RECENT_WORDS).fill(-1)

  constructor(addresses: AddressTable, encapsulations: EncapsulationTable, legs: LegTable, flows: FlowTable) {
    this.#addresses = addresses
    this.#encapsulations = encapsulations
    this.#legs = legs
    this.#flows = flows
  }

  /**
   * The leg of a packet. IPv4 legs that were asked for lately are found by their raw header words in `#recent`, a
   * direct-mapped cache: one line of memory instead of one for each of a leg's columns.
   */
  legOf(point: PointIndex, headers: Headers, timeNs: number, encapsulation: EncapsulationIndex): LegIndex {
    if (headers.ipVersion !== 4) return this.#findLeg(point, headers, timeNs, encapsulation)
    const { bytes, srcOffset, dstOffset } = headers
    const source = i32(bytes, srcOffset)
    const destination = i32(bytes, dstOffset)
    // To itself a host sends requests and answers with the same words.
    if (source === destination) return this.#findLeg(point, headers, timeNs, encapsulation)
    const ports = headers.hasTransport ? (headers.srcPort << 16) | headers.dstPort : 0
    const where = (encapsulation << 18) | (point << 8) | headers.protocol
    const at = (finish(mix(mix(mix(where, source), destination), ports)) % RECENT_LEGS) * RECENT_WORDS
    const recent = this.#recent
    if (
      recent[at] === source &&
      recent[at + 1] === destination &&
      recent[at + 2] === ports &&
      recent[at + 3] === where
    ) {
      const leg = recent[at + 4]!
      const isSyn = headers.protocol === Protocol.Tcp && (headers.tcpFlags & TcpFlag.Syn) !== 0
      if (!isSyn && !this.#isReused(leg, false, headers, timeNs)) return leg
    }
    const leg = this.#findLeg(point, headers, timeNs, encapsulation)
    recent[at] = source
    recent[at + 1] = destination
    recent[at + 2] = ports
    recent[at + 3] = where
    recent[at + 4] = leg
    return leg
  }

  #findLeg(point: PointIndex, headers: Headers, timeNs: number, encapsulation: EncapsulationIndex): LegIndex {
    const addresses = this.#addresses
    const legs = this.#legs
    const source = addresses.intern(headers.bytes, headers.srcOffset, headers.ipVersion)
    const destination = addresses.intern(headers.bytes, headers.dstOffset, headers.ipVersion)
    const ports = headers.hasTransport ? ((headers.srcPort << 16) | headers.dstPort) >>> 0 : 0
    const isOwnEcho = source === destination && headers.icmpType >= 0
    const ownAnswer = isOwnEcho && isEchoAnswer(headers) ? OWN_ANSWER : 0
    const variant = (encapsulation << 1) | ownAnswer
    const leg = legs.find(point, headers.protocol, source, destination, ports, variant)
    const isSyn = headers.protocol === Protocol.Tcp && (headers.tcpFlags & TcpFlag.Syn) !== 0
    if (leg >= 0 && !this.#isReused(leg, isSyn, headers, timeNs)) {
      if (isSyn) this.#noteClient(leg, headers)
      return leg
    }
    const fresh = legs.add(point, headers.protocol, source, destination, ports, variant)
    const turnedPorts = ((ports << 16) | (ports >>> 16)) >>> 0
    let mirror =
      encapsulation === 0
        ? legs.find(
            point,
            headers.protocol,
            destination,
            source,
            turnedPorts,
            isOwnEcho ? ownAnswer ^ OWN_ANSWER : 0,
          )
        : this.findAnswering(point, headers.protocol, destination, source, turnedPorts, encapsulation)
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
      this.#flows.join(fresh, this.#flows.find(legs.direction[mirror]!) ^ 1)
    } else this.#flows.join(fresh, this.#flows.add(headers.protocol))
    if (isSyn) this.#noteClient(fresh, headers)
    return fresh
  }

  /** The leg with this tuple whose answers come through these tunnels, or -1. */
  findAnswering(
    point: PointIndex,
    protocol: number,
    source: AddressIndex,
    destination: AddressIndex,
    ports: number,
    encapsulation: EncapsulationIndex,
  ): LegIndex {
    for (const back of this.#encapsulations.answers(encapsulation)) {
      const leg = this.#legs.find(point, protocol, source, destination, ports, back << 1)
      if (leg < 0) continue
      this.#encapsulations.pair(encapsulation, back)
      return leg
    }
    return -1
  }

  /** Does this packet begin another conversation with a tuple that was used before? */
  #isReused(leg: LegIndex, isSyn: boolean, headers: Headers, timeNs: number): boolean {
    if (this.#legs.stale[leg]) return true
    if (headers.protocol !== Protocol.Tcp) return timeNs - this.#legs.lastNs.get(leg) > IDLE_NS
    if (!isSyn) return false
    // A SYN behind other packets: what was there before was the rest of an older connection.
    const isn = this.#flows.starts.isnOf(this.#flows.find(this.#legs.direction[leg]!))
    return isn < 0 ? (headers.tcpFlags & TcpFlag.Ack) === 0 : isn !== headers.tcpSeq >>> 0
  }

  #noteClient(leg: LegIndex, headers: Headers): void {
    if (headers.tcpMss > 0) this.#legs.mss[leg] = headers.tcpMss
    const direction = this.#flows.find(this.#legs.direction[leg]!)
    this.#flows.setForward(headers.tcpFlags & TcpFlag.Ack ? direction ^ 1 : direction)
  }

  /**
   * Docker's DNS: the request is seen on lo after its DNAT to 127.0.0.11 and a random port, the answer already with
   * port 53. The two have client and server address in common; the resolver talks to nobody else like this.
   */
  #halfTranslatedRequest(reply: LegIndex, headers: Headers, timeNs: number): LegIndex {
    const legs = this.#legs
    if (headers.srcPort !== 53 || !this.#addresses.isLoopback(legs.source[reply]!)) return -1
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
        !(timeNs - legs.lastNs.get(leg) >= 10e9)
      ) {
        if (found >= 0) return -1
        found = leg
      }
    }
    return found
  }

  /** The leg for a packet that passes the point of `leg` again with its tuple unchanged. */
  secondVisit(leg: LegIndex, timeNs: number): LegIndex {
    const legs = this.#legs
    const point = legs.point[leg]!
    const source = legs.source[leg]!
    const destination = legs.destination[leg]!
    const variant = legs.variant[leg]! | 1
    let second = legs.find(point, legs.protocol[leg]!, source, destination, legs.ports[leg]!, variant)
    const direction = this.#flows.find(legs.direction[leg]!)
    if (second < 0 || this.#flows.find(legs.direction[second]!) !== direction) {
      second = legs.add(point, legs.protocol[leg]!, source, destination, legs.ports[leg]!, variant)
      this.#flows.join(second, direction)
    }
    if (legs.protocol[leg] !== Protocol.Tcp) legs.lastNs.set(second, timeNs)
    return second
  }

  /** The leg's tuple begins another conversation with its next packet, in both directions. */
  forget(leg: LegIndex): void {
    this.#legs.stale[leg] = 1
    const mirror = this.#legs.mirror[leg]!
    if (mirror >= 0) this.#legs.stale[mirror] = 1
  }
}

/** Echo reply of ICMP (RFC 792) or ICMPv6 (RFC 4443). */
function isEchoAnswer({ protocol, icmpType }: Headers): boolean {
  return icmpType === (protocol === Protocol.Icmp ? 0 : 129)
}
