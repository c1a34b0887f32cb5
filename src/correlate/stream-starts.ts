/** Stream starts: how each direction of a TCP connection began, by which the two halves of a proxied exchange are known. */

import type { PointIndex } from '../capture/record.ts'
import { type Headers, TcpFlag } from '../decode/headers.ts'
import { finish, grown, mix, SparseCounts, SparseTimes } from './columns.ts'
import type { DirectionIndex } from './flows.ts'

/** Payload bytes that are looked at in each direction. */
export const START_BYTES = 256
/** What hosts write into the TTL; less than that, and a router has passed the packet on. */
const INITIAL_TTLS: ReadonlySet<number> = new Set([64, 128, 255])

/** What is known of a direction's start. */
export const Start = { None: 0, Known: 1, Spoilt: 2 } as const
/** In `sender`. */
export const Sender = { Elsewhere: 0, Unnamed: 1 } as const

/** Columns by direction. Of the payload nothing but a hash is kept. */
export class StreamStarts {
  /** `Known` where the SYN was seen and no byte was missing from its frame so far. */
  state = new Uint8Array(64)
  /** Payload bytes that are yet to go into the hash; 0 where no more are wanted. */
  wanted = new Uint16Array(64)
  isn = new Uint32Array(64)
  readonly hash = new SparseCounts()
  /** When the first payload byte was seen, in ns; NaN before. */
  readonly dataNs = new SparseTimes()
  /**
   * Who sent the SYN, where it was seen first: a hash of point and source MAC, `Unnamed` where the frame has no MAC,
   * `Elsewhere` where a router stands in between.
   */
  sender = new Uint32Array(64)

  /** Payload bytes that went into the hash, from the first one on. */
  taken(direction: DirectionIndex): number {
    return this.state[direction] === Start.Known ? START_BYTES - this.wanted[direction]! : 0
  }

  /** Notes a SYN or SYN-ACK at the point that sees it first. */
  begin(direction: DirectionIndex, headers: Headers, point: PointIndex): void {
    const isn = headers.tcpSeq >>> 0
    if (this.state[direction] !== Start.None) {
      if (this.isn[direction] !== isn) this.#spoil(direction)
      return
    }
    this.state[direction] = Start.Known
    this.wanted[direction] = START_BYTES
    this.isn[direction] = isn
    this.sender[direction] = senderOf(headers, point)
  }

  /** The initial sequence number of the direction's SYN (or SYN-ACK), or -1 where none was seen. */
  isnOf(direction: DirectionIndex): number {
    return this.state[direction] === Start.None ? -1 : this.isn[direction]!
  }

  /** Takes what is new of a segment's payload, if it follows what is there already. RFC 9293 sequence arithmetic. */
  take(direction: DirectionIndex, headers: Headers, timeNs: number): void {
    const wanted = this.wanted[direction]!
    const taken = START_BYTES - wanted
    const first = headers.tcpSeq + (headers.tcpFlags & TcpFlag.Syn ? 1 : 0)
    const known = (this.isn[direction]! + 1 + taken - first) | 0
    const count = Math.min(headers.payloadLenBytes - known, wanted)
    if (known < 0 || count <= 0) return
    const from = headers.payloadOffset + known
    if (from + count > headers.end) {
      this.#spoil(direction)
      return
    }
    let hash = this.hash.get(direction)
    for (let at = from; at < from + count; at++) hash = mix(hash, headers.bytes[at]!)
    this.hash.set(direction, hash)
    if (taken === 0) this.dataNs.set(direction, timeNs)
    this.wanted[direction] = wanted - count
  }

  /** `from` turned out to be the same direction as `into`. */
  merge(into: DirectionIndex, from: DirectionIndex): void {
    if (this.state[from] === Start.None) return
    const isKnown = this.state[into] !== Start.None
    if (isKnown && (this.isn[into] !== this.isn[from] || this.state[from] === Start.Spoilt)) {
      this.#spoil(into)
      return
    }
    if (isKnown && this.taken(into) >= this.taken(from)) return
    this.state[into] = this.state[from]!
    this.wanted[into] = this.wanted[from]!
    this.isn[into] = this.isn[from]!
    this.hash.set(into, this.hash.get(from))
    this.dataNs.set(into, this.dataNs.get(from))
    if (!isKnown) this.sender[into] = this.sender[from]!
  }

  grow(directions: number): void {
    this.state = grown(this.state, directions)
    this.wanted = grown(this.wanted, directions)
    this.isn = grown(this.isn, directions)
    this.sender = grown(this.sender, directions)
  }

  #spoil(direction: DirectionIndex): void {
    this.state[direction] = Start.Spoilt
    this.wanted[direction] = 0
  }
}

function senderOf({ bytes, macOffset, ttl }: Headers, point: PointIndex): number {
  if (!INITIAL_TTLS.has(ttl)) return Sender.Elsewhere
  if (macOffset < 0) return Sender.Unnamed
  let hash = mix(0, point)
  let any = 0
  for (let at = macOffset + 6; at < macOffset + 12; at++) {
    any |= bytes[at]!
    hash = mix(hash, bytes[at]!)
  }
  // On lo there are only zeros.
  return any === 0 ? Sender.Unnamed : (finish(hash) | 2) >>> 0
}
