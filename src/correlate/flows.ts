/** Flows: two directions each, grown together from legs as journeys show which of them belong to one conversation. */

import { grown, SparseCounts } from './columns.ts'
import { Protocol } from './identity.ts'
import type { Latencies } from './latencies.ts'
import { type LegIndex, type LegTable, NO_STATION } from './legs.ts'
import { MAX_STATIONS, type PatternTable } from './patterns.ts'
import { StreamStarts } from './stream-starts.ts'
import { TcpSigns } from './tcp-signs.ts'

/** Index of a direction; its flow is `direction >> 1`, the opposite direction `direction ^ 1`. */
export type DirectionIndex = number
/** Index of a flow. */
export type FlowIndex = number

/** What was seen of TCP in one direction. */
export const Seen = { Syn: 1, SynAck: 2, Fin: 4, Rst: 8, Data: 16, Any: 32, Ack: 64 } as const

/** Gaps in the sequence space that a direction remembers; the oldest is forgotten first. */
const MAX_HOLES = 64

/**
 * All flows in columns. Two flows that turn out to be one are merged; the indexes of the merged one stay valid and
 * lead to the other by `find`.
 */
export class FlowTable {
  /** Number of flows ever made, merged ones included. */
  count = 0
  /** Of these, the ones that are part of another by now. */
  mergedCount = 0
  // By direction
  #parent = new Int32Array(64)
  /** First and last leg in the order of first records (linked by `legs.sibling`), or -1. */
  firstLeg = new Int32Array(64)
  lastLeg = new Int32Array(64)
  stations = new Uint8Array(64)
  patternHead = new Int32Array(64)
  lastJourney = new Float64Array(64)
  firstNs = new Float64Array(64)
  seen = new Uint8Array(64)
  /** Sequence number behind the highest byte seen; valid where `seen` has `Any`. */
  seqEnd = new Uint32Array(64)
  /** Highest acknowledgment number that the direction has sent; valid where `seen` has `Ack`. */
  ackEnd = new Uint32Array(64)
  readonly retransmissions = new SparseCounts()
  recut = new Uint8Array(64)
  /** The newest of `BigDatagrams`, 0 for none. */
  readonly lastBig = new SparseCounts()
  /** Of TCP. */
  readonly starts = new StreamStarts()
  /** Of TCP. */
  readonly signs = new TcpSigns()
  #holes = new Map<DirectionIndex, number[]>()
  // By flow
  lastNs = new Float64Array(32)
  protocol = new Uint8Array(32)
  /** 0 or 1: which of the two directions is client → server; 255 while only the order of packets says so. */
  forward = new Uint8Array(32)
  /** Round trip at the client's side in ns, NaN while unknown; and when which leg saw the request of it. */
  rttNs = new Float64Array(32)
  requestNs = new Float64Array(32)
  requestLeg = new Int32Array(32)
  requestSeq = new Uint32Array(32)

  readonly #legs: LegTable
  readonly #patterns: PatternTable
  readonly #latency: Latencies

  constructor(legs: LegTable, patterns: PatternTable, latency: Latencies) {
    this.#legs = legs
    this.#patterns = patterns
    this.#latency = latency
    // See `LegTable`.
    this.#grow(256)
  }

  /** Makes a flow without legs; returns its first direction. */
  add(protocol: number): DirectionIndex {
    const flow = this.count++
    if (flow === this.protocol.length) this.#grow(2 * flow)
    this.protocol[flow] = protocol
    this.lastNs[flow] = Number.NEGATIVE_INFINITY
    this.forward[flow] = 255
    this.rttNs[flow] = Number.NaN
    this.requestNs[flow] = Number.NaN
    this.requestLeg[flow] = -1
    for (let direction = 2 * flow; direction < 2 * flow + 2; direction++) {
      this.#parent[direction] = direction
      this.firstLeg[direction] = -1
      this.lastLeg[direction] = -1
      this.patternHead[direction] = -1
      this.lastJourney[direction] = -1
      this.firstNs[direction] = Number.POSITIVE_INFINITY
    }
    return 2 * flow
  }

  /** The direction that `direction` is now part of. */
  find(direction: DirectionIndex): DirectionIndex {
    let d = direction
    while (this.#parent[d] !== d) {
      const up = this.#parent[d]!
      this.#parent[d] = this.#parent[up]!
      d = up
    }
    return d
  }

  isMerged(flow: FlowIndex): boolean {
    return this.#parent[2 * flow] !== 2 * flow
  }

  /** Adds a leg to a direction. */
  join(leg: LegIndex, direction: DirectionIndex): void {
    this.#legs.direction[leg] = direction
    const last = this.lastLeg[direction]!
    if (last < 0) this.firstLeg[direction] = leg
    else this.#legs.sibling[last] = leg
    this.lastLeg[direction] = leg
  }

  /** Says which direction is client → server. The first word counts. */
  setForward(direction: DirectionIndex): void {
    const flow = direction >> 1
    if (this.forward[flow] === 255) this.forward[flow] = direction & 1
  }

  /** The client → server direction of a flow: the SYN's, else that of the first packet. */
  forwardOf(flow: FlowIndex): DirectionIndex {
    const said = this.forward[flow]!
    if (said !== 255) return 2 * flow + said
    const client = this.#clientByPort(flow)
    if (client >= 0) return client
    return this.firstNs[2 * flow + 1]! < this.firstNs[2 * flow]! ? 2 * flow + 1 : 2 * flow
  }

  /**
   * Of a conversation whose beginning nobody saw, the direction from a port that systems give to clients to one that they
   * don't (Linux: ip_local_port_range), or -1.
   */
  #clientByPort(flow: FlowIndex): DirectionIndex {
    const protocol = this.protocol[flow]
    if (protocol !== Protocol.Tcp && protocol !== Protocol.Udp) return -1
    for (const direction of [2 * flow, 2 * flow + 1]) {
      const leg = this.firstLeg[direction]!
      if (leg < 0) continue
      const [from, to] = [
        isClientPort(this.#legs.sourcePort(leg)),
        isClientPort(this.#legs.destinationPort(leg)),
      ]
      if (from !== to) return from ? direction : direction ^ 1
    }
    return -1
  }

  /** Could the two be one direction without more stations than there are bits for? */
  fitTogether(a: DirectionIndex, b: DirectionIndex): boolean {
    return (
      this.stations[a]! + this.stations[b]! <= MAX_STATIONS &&
      this.stations[a ^ 1]! + this.stations[b ^ 1]! <= MAX_STATIONS
    )
  }

  /** Makes one flow of two, `a` and `b` one direction; both must be roots and of different flows. Returns the direction. */
  merge(a: DirectionIndex, b: DirectionIndex): DirectionIndex {
    const [into, from] = a < b ? [a, b] : [b, a]
    const flow = into >> 1
    const other = from >> 1
    const isUnused = this.#isUnused(other)
    if (isUnused) this.#moveLegs(into, from)
    this.#mergeDirection(into, from)
    this.#mergeDirection(into ^ 1, from ^ 1)
    // Each point makes a flow of what it sees, until the packet is known: most of them need no memory for longer.
    if (isUnused) this.count--
    else this.mergedCount++
    this.lastNs[flow] = Math.max(this.lastNs[flow]!, this.lastNs[other]!)
    const turned = (into ^ from) & 1
    if (this.forward[flow] === 255 && this.forward[other] !== 255)
      this.forward[flow] = this.forward[other]! ^ turned
    if (Number.isNaN(this.rttNs[flow]!)) this.rttNs[flow] = this.rttNs[other]!
    if (Number.isNaN(this.requestNs[flow]!)) {
      this.requestNs[flow] = this.requestNs[other]!
      this.requestLeg[flow] = this.requestLeg[other]!
      this.requestSeq[flow] = this.requestSeq[other]!
    }
    return into
  }

  /** Is it the newest flow, and has no packet begun in it? */
  #isUnused(flow: FlowIndex): boolean {
    return flow === this.count - 1 && this.lastJourney[2 * flow]! < 0 && this.lastJourney[2 * flow + 1]! < 0
  }

  #moveLegs(into: DirectionIndex, from: DirectionIndex): void {
    const { direction, sibling } = this.#legs
    for (const side of [0, 1])
      for (let leg = this.firstLeg[from ^ side]!; leg >= 0; leg = sibling[leg]!) direction[leg] = into ^ side
  }

  /**
   * Notes a TCP segment's place in its direction's sequence space (`lenBytes` includes SYN and FIN, which `isControl`
   * tells of). Returns true where all of it lies below what was sent before and fills no gap: a retransmission.
   */
  advanceSequence(direction: DirectionIndex, seq: number, lenBytes: number, isControl: boolean): boolean {
    const end = (seq + lenBytes) >>> 0
    if (!(this.seen[direction]! & Seen.Any)) {
      this.seen[direction]! |= Seen.Any
      this.seqEnd[direction] = end
      return false
    }
    const known = this.seqEnd[direction]!
    const ahead = (seq - known) | 0
    if (ahead > 0) this.#openHole(direction, known, seq)
    if (((end - known) | 0) > 0) {
      this.seqEnd[direction] = end
      return false
    }
    if (lenBytes === 0) return false
    // A keep-alive probe repeats one byte on purpose.
    if (lenBytes === 1 && end === known && !isControl) return false
    return !this.#fillHole(direction, seq, end)
  }

  /** Notes an acknowledgment number that the direction has sent. */
  advanceAck(direction: DirectionIndex, ack: number): void {
    if (this.seen[direction]! & Seen.Ack && ((ack - this.ackEnd[direction]!) | 0) <= 0) return
    this.seen[direction]! |= Seen.Ack
    this.ackEnd[direction] = ack
  }

  /** Has the other side acknowledged everything up to here? */
  isAcked(direction: DirectionIndex, seqEnd: number): boolean {
    const other = direction ^ 1
    return (this.seen[other]! & Seen.Ack) !== 0 && ((this.ackEnd[other]! - seqEnd) | 0) >= 0
  }

  #openHole(direction: DirectionIndex, from: number, to: number): void {
    let holes = this.#holes.get(direction)
    if (!holes) {
      holes = []
      this.#holes.set(direction, holes)
    }
    if (holes.length >= 2 * MAX_HOLES) holes.splice(0, 2)
    holes.push(from, to)
  }

  /** Was [seq, end) inside of a gap? Then that part of the gap is closed. */
  #fillHole(direction: DirectionIndex, seq: number, end: number): boolean {
    const holes = this.#holes.get(direction)
    if (!holes) return false
    for (let i = 0; i < holes.length; i += 2) {
      const from = holes[i]!
      const to = holes[i + 1]!
      if (((seq - from) | 0) < 0 || ((to - end) | 0) < 0) continue
      const rest: number[] = []
      if (seq !== from) rest.push(from, seq)
      if (end !== to) rest.push(end, to)
      holes.splice(i, 2, ...rest)
      if (holes.length === 0) this.#holes.delete(direction)
      return true
    }
    return false
  }

  #mergeDirection(into: DirectionIndex, from: DirectionIndex): void {
    const legs = this.#legs
    this.#parent[from] = into
    if (this.stations[from]! > 0) this.#mergePatterns(into, from)
    if (this.firstLeg[from]! >= 0) {
      if (this.lastLeg[into]! < 0) this.firstLeg[into] = this.firstLeg[from]!
      else legs.sibling[this.lastLeg[into]!] = this.firstLeg[from]!
      this.lastLeg[into] = this.lastLeg[from]!
    }
    this.lastJourney[into] = Math.max(this.lastJourney[into]!, this.lastJourney[from]!)
    this.firstNs[into] = Math.min(this.firstNs[into]!, this.firstNs[from]!)
    if (this.seen[from]! & Seen.Any) {
      if (!(this.seen[into]! & Seen.Any) || ((this.seqEnd[from]! - this.seqEnd[into]!) | 0) > 0)
        this.seqEnd[into] = this.seqEnd[from]!
    }
    if (this.seen[from]! & Seen.Ack) this.advanceAck(into, this.ackEnd[from]!)
    this.seen[into]! |= this.seen[from]!
    this.retransmissions.add(into, this.retransmissions.get(from))
    this.recut[into]! |= this.recut[from]!
    if (this.lastBig.get(from) > this.lastBig.get(into)) this.lastBig.set(into, this.lastBig.get(from))
    this.starts.merge(into, from)
    this.signs.merge(into, from)
    const holes = this.#holes.get(from)
    if (holes && !this.#holes.has(into)) this.#holes.set(into, holes)
    this.#holes.delete(from)
  }

  /** Journeys of both have already left the window: their stations are numbered one behind the other, their way sorted by TTL. */
  #mergePatterns(into: DirectionIndex, from: DirectionIndex): void {
    const legs = this.#legs
    const patterns = this.#patterns
    const shift = this.stations[into]!
    this.#latency.leaveFirst(into, this.firstLeg[into]!)
    this.#latency.leaveFirst(from, this.firstLeg[from]!)
    let last = this.patternHead[from]!
    if (last >= 0) {
      patterns.shift(last, shift)
      while (patterns.next[last]! >= 0) last = patterns.next[last]!
      patterns.next[last] = this.patternHead[into]!
      this.patternHead[into] = this.patternHead[from]!
    }
    const way = this.wayOf(into)
    for (const leg of this.wayOf(from)) {
      legs.station[leg]! += shift
      way.splice(way.findLastIndex((other) => legs.ttl[other]! >= legs.ttl[leg]!) + 1, 0, leg)
    }
    this.stations[into]! += this.stations[from]!
    way.forEach((leg, rank) => {
      legs.rank[leg] = rank
    })
  }

  /** The legs of a direction that have a station, in the order of the way. */
  wayOf(direction: DirectionIndex): LegIndex[] {
    const { station, sibling, rank } = this.#legs
    const way: LegIndex[] = []
    for (let leg = this.firstLeg[direction]!; leg >= 0; leg = sibling[leg]!)
      if (station[leg] !== NO_STATION) way[rank[leg]!] = leg
    return way
  }

  /** Puts a leg on the way of its direction, at this place: those from there on go one further. */
  insertOnWay(direction: DirectionIndex, leg: LegIndex, place: number): void {
    const { station, sibling, rank } = this.#legs
    for (let other = this.firstLeg[direction]!; other >= 0; other = sibling[other]!)
      if (station[other] !== NO_STATION && rank[other]! >= place) rank[other]!++
    rank[leg] = place
    station[leg] = this.stations[direction]!++
  }

  #grow(flows: number): void {
    const directions = 2 * flows
    this.#parent = grown(this.#parent, directions)
    this.firstLeg = grown(this.firstLeg, directions)
    this.lastLeg = grown(this.lastLeg, directions)
    this.stations = grown(this.stations, directions)
    this.patternHead = grown(this.patternHead, directions)
    this.lastJourney = grown(this.lastJourney, directions)
    this.firstNs = grown(this.firstNs, directions)
    this.seen = grown(this.seen, directions)
    this.seqEnd = grown(this.seqEnd, directions)
    this.ackEnd = grown(this.ackEnd, directions)
    this.recut = grown(this.recut, directions)
    this.starts.grow(directions)
    this.lastNs = grown(this.lastNs, flows)
    this.protocol = grown(this.protocol, flows)
    this.forward = grown(this.forward, flows)
    this.rttNs = grown(this.rttNs, flows)
    this.requestNs = grown(this.requestNs, flows)
    this.requestSeq = grown(this.requestSeq, flows)
    this.requestLeg = grown(this.requestLeg, flows)
  }
}

function isClientPort(port: number): boolean {
  return port >= 32_768 && port <= 60_999
}
