/** ICMP errors: each is put to the flow whose packet it quotes, in the form that the quote has at the point (RFC 5508). */

import type { PointIndex } from '../capture/record.ts'
import type { Headers } from '../decode/headers.ts'
import { isIcmpError } from '../decode/icmp.ts'
import type { AddressIndex, AddressTable } from './addresses.ts'
import type { EncapsulationIndex } from './encapsulations.ts'
import type { DirectionIndex, FlowTable } from './flows.ts'
import { Protocol } from './identity.ts'
import type { LegFinder } from './leg-finder.ts'
import type { LegTable } from './legs.ts'
import { JourneyFlag, type JourneyWindow } from './window.ts'

/** Kinds of errors that are told apart in one direction; a further kind is counted with the last one. */
const MAX_KINDS = 8
/** How far back the packet that an error quotes is searched. */
const MAX_STEPS = 64

/** ICMP errors of one kind that answered packets of one direction. */
export interface IcmpErrorGroup {
  /** Place in `IcmpErrors.all`. */
  index: number
  direction: DirectionIndex
  from: AddressIndex
  ipVersion: number
  type: number
  code: number
  /** Next-hop MTU where the error tells one, else 0. */
  mtu: number
  /** Number of errors, and first few record numbers, by point in the order in which they were first seen. */
  points: Map<PointIndex, { packets: number; frames: number[] }>
}

export class IcmpErrors {
  /** All groups in the order in which they came up; journeys name theirs by its place here. */
  readonly all: IcmpErrorGroup[] = []
  readonly #groups = new Map<DirectionIndex, IcmpErrorGroup[]>()
  readonly #addresses: AddressTable
  readonly #legFinder: LegFinder
  readonly #legs: LegTable
  readonly #flows: FlowTable
  readonly #window: JourneyWindow

  constructor(
    addresses: AddressTable,
    legFinder: LegFinder,
    legs: LegTable,
    flows: FlowTable,
    window: JourneyWindow,
  ) {
    this.#addresses = addresses
    this.#legFinder = legFinder
    this.#legs = legs
    this.#flows = flows
    this.#window = window
  }

  /** Takes an error with a quoted packet. False where the quote belongs to no flow that was seen at this point. */
  add(point: PointIndex, frame: number, headers: Headers, encapsulation: EncapsulationIndex): boolean {
    const { quoted } = headers
    if (!isIcmpError(headers.ipVersion, headers.icmpType) || quoted.ipVersion === 0 || !quoted.hasTransport)
      return false
    const source = this.#addresses.intern(quoted.bytes, quoted.srcOffset, quoted.ipVersion)
    const destination = this.#addresses.intern(quoted.bytes, quoted.dstOffset, quoted.ipVersion)
    const ports = ((quoted.srcPort << 16) | quoted.dstPort) >>> 0
    // The packet went the other way through the same tunnels.
    const { protocol } = quoted
    const leg = this.#legFinder.findAnswering(point, protocol, source, destination, ports, encapsulation)
    if (leg < 0) return false
    const direction = this.#flows.find(this.#legs.direction[leg]!)
    const from = this.#addresses.intern(headers.bytes, headers.srcOffset, headers.ipVersion)
    this.#markAnswered(direction, quoted, this.#count(direction, from, point, frame, headers))
    return true
  }

  /** All groups of a direction, which must be a root. */
  of(direction: DirectionIndex): IcmpErrorGroup[] {
    return this.#byRoot.get(direction) ?? []
  }

  #roots: Map<DirectionIndex, IcmpErrorGroup[]> | null = null
  /** Groups by the direction that theirs was merged into. */
  get #byRoot(): Map<DirectionIndex, IcmpErrorGroup[]> {
    if (!this.#roots) {
      this.#roots = new Map()
      for (const [direction, groups] of this.#groups) {
        const root = this.#flows.find(direction)
        this.#roots.set(root, [...(this.#roots.get(root) ?? []), ...groups])
      }
    }
    return this.#roots
  }

  #count(
    direction: DirectionIndex,
    from: AddressIndex,
    point: PointIndex,
    frame: number,
    headers: Headers,
  ): number {
    this.#roots = null
    let groups = this.#groups.get(direction)
    if (!groups) {
      groups = []
      this.#groups.set(direction, groups)
    }
    const { icmpType: type, icmpCode: code, ipVersion } = headers
    // The same error has another sender's address on each side of a NAT, but not at one point; a translator between the
    // families makes an error of the other one of it.
    const kind = kindOf(ipVersion, type, code)
    const isOtherForm = (g: IcmpErrorGroup) => this.#addresses.isSameInOtherFamily(g.from, from)
    let group = groups.find(
      (g) =>
        kindOf(g.ipVersion, g.type, g.code) === kind &&
        (g.from === from || !g.points.has(point) || isOtherForm(g)),
    )
    if (group && group.ipVersion !== ipVersion && group.points.has(point)) return group.index
    if (!group) {
      group = {
        index: this.all.length,
        direction,
        from,
        ipVersion,
        type,
        code,
        mtu: headers.icmpMtu,
        points: new Map(),
      }
      if (groups.length < MAX_KINDS) {
        groups.push(group)
        this.all.push(group)
      } else group = groups[MAX_KINDS - 1]!
    }
    let seen = group.points.get(point)
    if (!seen) {
      seen = { packets: 0, frames: [] }
      group.points.set(point, seen)
    }
    if (seen.packets++ < 4) seen.frames.push(frame)
    return group.index
  }

  /** Finds the journey of the quoted packet: same IP ID where it has one, same TCP or echo sequence number, else the last one. */
  #markAnswered(direction: DirectionIndex, quoted: Headers, group: number): void {
    const window = this.#window
    const isEcho = quoted.protocol === Protocol.Icmp || quoted.protocol === Protocol.Icmpv6
    const quotedSeq = quoted.protocol === Protocol.Tcp ? quoted.tcpSeq : isEcho ? quoted.icmpSeq : -1
    let slot = window.slotOf(this.#flows.lastJourney[direction]!)
    for (let step = 0; slot >= 0 && step < MAX_STEPS; step++) {
      const sameId = quoted.ipVersion !== 4 || quoted.ipId === window.ipId[slot]
      const sameSeq = quotedSeq < 0 || quotedSeq === window.seq[slot]
      if (sameId && sameSeq) {
        window.flags[slot]! |= JourneyFlag.Answered
        window.answeredBy[slot] = group
        return
      }
      slot = window.slotOf(window.previous[slot]!)
    }
  }
}

/** Of an ICMPv6 error, what a translator makes of it (RFC 7915, 4.2 and 5.2); else a number of its own. */
function kindOf(ipVersion: number, type: number, code: number): number {
  if (ipVersion === 4) return (type << 8) | code
  if (type === 1) return (3 << 8) | ([1, 10, 1, 1, 3][code] ?? 1)
  if (type === 2) return (3 << 8) | 4
  if (type === 3) return (11 << 8) | code
  return (6 << 16) | (type << 8) | code
}
