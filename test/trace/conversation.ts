/** Conversations: packets along a path, translated and routed on the way, with a clock of their own. */

import type { TraceBuilder } from './builder.ts'
import {
  buildArp,
  buildError,
  buildFrame,
  type Content,
  type Endpoint,
  ipBytes,
  isIpv6,
  type Outer,
  type Protocol,
  type Wrapping,
} from './frame.ts'
import type {
  ConversationOptions,
  Direction,
  Hop,
  Nat,
  PacketOptions,
  Passage,
  Side,
  TrueFlow,
  TrueJourney,
  TrueStation,
  Tunnel,
} from './model.ts'
import { type Arrival, ReceiveOffload } from './receive-offload.ts'
import { cut } from './segments.ts'

/** Segments of one packet follow each other so closely: 1500 bytes at 10 Gbit/s. */
const PIECE_NS = 1_200

/** What TCP, UDP and echo have in common: a path, addresses along it, and a clock of its own. */
export abstract class Conversation {
  nowNs: number
  readonly passages: Passage[] = []
  protected readonly trace: TraceBuilder
  readonly #id: number
  readonly #protocol: Protocol
  readonly #options: ConversationOptions
  readonly #path: readonly string[]
  readonly #routed: ReadonlySet<number>
  readonly #nat: readonly { rule: Nat; hop: number; replyHop: number }[]
  readonly #tunnels: readonly { tunnel: Tunnel; enter: number; leave: number }[]
  readonly #ipId = { client: 0, server: 0 }
  /** The shortest segments that a packet is cut into on its way, in bytes: so many IDs it takes. */
  readonly #leastCutBytes: number
  /** Frames on their way through receive offload, by direction and station. */
  readonly #receiveOffload = new ReceiveOffload()
  /** Per direction and station, when the last packet passed: wires keep order unless told otherwise. */
  readonly #lastNs: { forward: number[]; reverse: number[] } = { forward: [], reverse: [] }

  constructor(trace: TraceBuilder, id: number, protocol: Protocol, options: ConversationOptions) {
    this.trace = trace
    this.#id = id
    this.#protocol = protocol
    this.#options = options
    this.#path = options.path ?? trace.points.map(({ name }) => name)
    this.#routed = new Set((options.routed ?? trace.routed).map((hop) => this.#hop(hop)))
    this.#nat = (options.nat ?? []).map((rule) => {
      const hop = this.#hop(rule.between)
      return { rule, hop, replyHop: rule.replyBetween === undefined ? hop : this.#hop(rule.replyBetween) }
    })
    this.#tunnels = (options.tunnels ?? []).map((tunnel) => {
      const [enter, leave] = tunnel.within.map((hop) => this.#hop(hop)) as [number, number]
      return { tunnel, enter, leave }
    })
    this.nowNs = options.startNs ?? trace.nowNs
    for (const side of ['client', 'server'] as const) this.#ipId[side] = trace.random.integer(1, 30_000)
    if (options.ipId) [this.#ipId.client, this.#ipId.server] = options.ipId
    const cuts = this.#path.map((_, station) => trace.points[this.#pointAt(station)].segments ?? Infinity)
    this.#leastCutBytes = Math.min(...cuts)
  }

  /** Lets time pass in this conversation. */
  wait(ns: number): void {
    this.nowNs += Math.round(ns)
  }

  /** Sends one packet along the path and moves the clock to where the other side can answer it. */
  protected emit(from: Side, parts: Partial<Content>, options: PacketOptions = {}): TrueJourney {
    const { random, hopDelayNs } = this.trace
    const direction = from === 'client' ? 'forward' : 'reverse'
    let ipId = options.ipId ?? parts.ipId
    if (ipId === undefined) {
      ipId = this.#ipId[from] & 0xffff
      this.#ipId[from] += Math.max(1, Math.ceil((parts.payload?.length ?? 0) / this.#leastCutBytes))
    }
    const content: Content = {
      protocol: this.#protocol,
      payload: new Uint8Array(0),
      ...{ seq: 0, ack: 0, flags: 0, window: 502, options: new Uint8Array(0), echoReply: false, echoSeq: 0 },
      ...parts,
      ipId,
    }
    const journey: TrueJourney = {
      ...{ flow: this.#id, direction, content, sightings: [] },
      ...{ outcome: 'delivered', lostBetween: null, lostBytes: [], retransmissionOf: null },
    }
    const passage: Passage = { journey, reached: [] }
    const lostHop = options.lostBetween === undefined ? -1 : this.#hop(options.lostBetween)
    const delayHop = options.delayedBetween ? this.#hop(options.delayedBetween.hop) : -1
    const unseen = (options.unseenAt ?? []).map((station) => this.#station(station))
    const twice = (options.duplicateAt ?? []).map((station) => this.#station(station))
    let pieces = [content]
    let timeNs = this.nowNs
    let overtaken = false
    let onWire = false
    for (const station of this.#stations(direction)) {
      const hop = direction === 'forward' ? station - 1 : station
      if (passage.reached.length > 0) {
        if (hop === lostHop) {
          pieces = this.#lose(journey, pieces, options.lostSegments)
          journey.lostBetween = [this.#path[passage.reached.at(-1)!], this.#path[station]]
          if (pieces.length === 0) break
        }
        timeNs += random.integer(...(hopDelayNs as [number, number]))
        if (hop === delayHop) timeNs += options.delayedBetween!.ns
        overtaken ||= hop === delayHop
      }
      const point = this.#pointAt(station)
      const { segments } = this.trace.points[point]
      if (segments) pieces = pieces.flatMap((piece) => cut(piece, segments))
      onWire ||= segments !== undefined
      const last = this.#lastNs[direction]
      if (!overtaken) timeNs = Math.max(timeNs, (last[station] ?? 0) + 1_000)
      passage.reached.push(station)
      if (!unseen.includes(station))
        for (const [i, piece] of pieces.entries())
          this.#arrive(
            { journey, piece, onWire, timeNs: timeNs + i * PIECE_NS },
            station,
            twice.includes(station),
          )
      if (!overtaken) last[station] = timeNs + (pieces.length - 1) * PIECE_NS
    }
    this.passages.push(passage)
    const sentNs = (pieces.length - 1) * PIECE_NS
    this.nowNs = options.burst
      ? this.nowNs + random.integer(2_000, 9_000)
      : timeNs + sentNs + random.integer(20_000, 200_000)
    return journey
  }

  /** Takes what vanishes out of `pieces`, and notes it. */
  #lose(journey: TrueJourney, pieces: readonly Content[], which?: readonly number[]): Content[] {
    const vanishes = pieces.map((_, i) => pieces.length === 1 || which === undefined || which.includes(i))
    journey.outcome = 'lost'
    for (const [i, { seq, payload }] of pieces.entries()) {
      const from = seq - journey.content.seq
      if (vanishes[i]) journey.lostBytes.push([from, from + payload.length])
    }
    return pieces.filter((_, i) => !vanishes[i])
  }

  /** A frame comes by a station: the point records it, perhaps once others have joined it. */
  #arrive(arrival: Arrival, station: number, isTwice: boolean): void {
    const { journey, piece, onWire, timeNs } = arrival
    const { direction } = journey
    const point = this.#pointAt(station)
    const seen = { journeys: [journey], station, point }
    if (this.trace.points[point].joinsWithinNs && onWire && this.#protocol === 'tcp') {
      this.#receiveOffload.take(arrival, station)
      return
    }
    const bytes = buildFrame(piece, this.#wrapping(direction, station, point))
    this.trace.see({ ...seen, timeNs, bytes })
    if (isTwice) this.trace.see({ ...seen, timeNs: timeNs + 900, bytes, isCopy: true })
  }

  /** No further packet will come: what receive offload still holds is recorded. */
  settle(): void {
    const withinNs = (station: number) => this.trace.points[this.#pointAt(station)].joinsWithinNs!
    for (const { direction, station, content, journeys, timeNs } of this.#receiveOffload.settle(withinNs)) {
      const point = this.#pointAt(station)
      const bytes = buildFrame(content, this.#wrapping(direction, station, point))
      this.trace.see({ journeys, station, point, timeNs, bytes })
    }
  }

  /** A router answers a packet that got as far as `station` with an ICMP error (IPv4); all stations on the way back see it. */
  refuse(
    journey: TrueJourney,
    station: number | string,
    error: { from: string; type: number; code: number },
  ): void {
    const back = journey.direction === 'forward' ? 'reverse' : 'forward'
    const way = this.#stations(back)
    for (const at of way.slice(way.indexOf(this.#station(station)))) {
      const point = this.#pointAt(at)
      const there = this.#wrapping(journey.direction, at, point)
      const bytes = buildError(journey.content, there, this.#wrapping(back, at, point), { ...error, ipId: 7 })
      this.nowNs += 20_000
      this.trace.see({ journeys: [], station: at, point, timeNs: this.nowNs, bytes })
    }
  }

  /** The client's side asks for the server's MAC address through the tunnels; seen at `station`, which must be inside. */
  arp(station: number | string): void {
    const at = this.#station(station)
    const point = this.#pointAt(at)
    const bytes = buildArp(this.#wrapping('forward', at, point))
    this.trace.see({ journeys: [], station: at, point, timeNs: this.nowNs, bytes })
  }

  #pointAt(station: number): number {
    return this.trace.points.findIndex(({ name }) => name === this.#path[station])
  }

  /** The truth about this conversation; call it when all sightings have their frame numbers. */
  truth(): TrueFlow {
    const { client, server } = this.#endpoints('forward', 0)
    const flow: TrueFlow = {
      id: this.#id,
      protocol: this.#protocol === 'icmp' && isIpv6(client.ip) ? 'icmpv6' : this.#protocol,
      ...{
        client,
        server,
        translations: [],
        lost: [],
        unseen: [],
        retransmissions: { forward: 0, reverse: 0 },
      },
      forward: { packets: 0, path: this.#truePath('forward') },
      reverse: { packets: 0, path: this.#truePath('reverse') },
    }
    for (const { rule, hop } of this.#nat) {
      const side = rule.kind === 'snat' ? 'client' : 'server'
      const between: [string, string] = [this.#path[hop], this.#path[hop + 1]]
      const [from, to] = [this.#endpoints('forward', hop)[side], this.#endpoints('forward', hop + 1)[side]]
      flow.translations.push({ kind: rule.kind, between, from, to })
    }
    for (const { journey, reached } of this.passages) {
      const { direction, sightings, lostBetween, retransmissionOf } = journey
      const stations = this.#stations(direction)
      sightings.sort((a, b) => stations.indexOf(a.station) - stations.indexOf(b.station))
      if (journey.outcome !== 'lost') {
        journey.outcome = sightings.at(-1)?.station === stations.at(-1) ? 'delivered' : 'unseen'
      }
      if (sightings.length === 0) continue
      flow[direction].packets++
      if (retransmissionOf && this.#seenTogether(journey, retransmissionOf)) flow.retransmissions[direction]++
      if (lostBetween) {
        const known = flow.lost.find(
          (l) => l.direction === direction && String(l.between) === String(lostBetween),
        )
        if (known) known.packets++
        else flow.lost.push({ direction, between: lostBetween, packets: 1 })
      }
      for (const station of reached) {
        const point = this.#path[station]
        if (sightings.some((sighting) => sighting.station === station)) continue
        const known = flow.unseen.find((u) => u.direction === direction && u.point === point)
        if (known) known.packets++
        else flow.unseen.push({ direction, point, packets: 1 })
      }
    }
    return flow
  }

  #seenTogether(a: TrueJourney, b: TrueJourney): boolean {
    return a.sightings.some(({ point }) => b.sightings.some((other) => other.point === point))
  }

  #truePath(direction: Direction): TrueStation[] {
    return this.#stations(direction).map((station) => {
      const { src, dst } = this.#endpoints(direction, station)
      const seen = this.passages.filter(
        ({ journey }) =>
          journey.direction === direction &&
          journey.sightings.some((sighting) => sighting.station === station),
      )
      const ttl = this.#ttl(direction, station)
      const encapsulation = this.#outers(direction, station).map(({ kind, id, ...ends }) => {
        return { kind, id, src: ends.src, dst: ends.dst }
      })
      return {
        point: this.#path[station],
        ...(encapsulation.length > 0 ? { encapsulation } : {}),
        ...{ src, dst, ttl, packets: seen.length },
      }
    })
  }

  /** All stations in the order in which this direction passes them. */
  #stations(direction: Direction): number[] {
    const stations = [...this.#path.keys()]
    return direction === 'forward' ? stations : stations.reverse()
  }

  #endpoints(direction: Direction, station: number) {
    let { client, server } = this.#options
    for (const { rule, hop, replyHop } of this.#nat) {
      if ((direction === 'forward' ? hop : replyHop) >= station) continue
      if (rule.kind === 'snat') client = rule.to
      else server = rule.to
      // The echo identifier is one number for both sides.
      if (this.#protocol === 'icmp')
        [client, server] = [client, server].map((e) => ({ ...e, port: rule.to.port })) as [Endpoint, Endpoint]
    }
    const [src, dst] = direction === 'forward' ? [client, server] : [server, client]
    return { client, server, src, dst }
  }

  #ttl(direction: Direction, station: number): number {
    const { clientTtl = 64, serverTtl = 64 } = this.#options
    const first = direction === 'forward' ? clientTtl : serverTtl
    return first - this.#routersPassed(direction, station, -1)
  }

  /** Routers so far that were met by the tunnel of this number in `#tunnels`, or by the packet itself (-1). */
  #routersPassed(direction: Direction, station: number, layer: number): number {
    const layerAt = (hop: number) => this.#tunnels.findIndex(({ enter, leave }) => enter < hop && hop < leave)
    return [...this.#routed].filter(
      (hop) => layerAt(hop) === layer && (direction === 'forward' ? hop < station : hop >= station),
    ).length
  }

  /** Headers of the tunnels that are around the packet here, outermost first. */
  #outers(direction: Direction, station: number): Outer[] {
    return this.#tunnels.flatMap(({ tunnel, enter, leave }, layer) => {
      if (station <= enter || station > leave) return []
      let { client, server } = tunnel
      for (const { kind, between, to } of tunnel.nat ?? []) {
        if (this.#hop(between) >= station) continue
        if (kind === 'snat') client = to
        else server = to
      }
      const isForward = direction === 'forward'
      const [src, dst] = isForward ? [client, server] : [server, client]
      const { id = 0, replyId = id, srcPort = 49_152 + this.#id * 7 } = tunnel
      return {
        ...{ kind: tunnel.kind, src, dst, id: isForward ? id : replyId },
        ttl: 64 - this.#routersPassed(direction, station, layer),
        srcPort: isForward ? srcPort : srcPort + 1000,
        dstPort: tunnel.port ?? { vxlan: 4789, geneve: 6081, gtpu: 2152, gre: 0, ipip: 0 }[tunnel.kind],
      }
    })
  }

  #wrapping(direction: Direction, station: number, point: number): Wrapping {
    const { src, dst } = this.#endpoints(direction, station)
    const { vlan = null, offloaded = false } = this.trace.points[point]
    // Routers cut the path into segments; the client's own MAC follows from its address, as Docker makes it.
    const macs = (segment: number): Uint8Array[] => {
      const own = [2, 0x42, ...ipBytes(this.#options.client.ip).slice(-4)]
      const near = Uint8Array.from(segment === 0 ? own : [2, 0, 0, 0, segment, 1])
      const far = Uint8Array.from([2, 0, 0, 0, segment, 2])
      return direction === 'forward' ? [near, far] : [far, near]
    }
    const [srcMac, dstMac] = macs([...this.#routed].filter((hop) => hop < station).length)
    const [insideSrcMac, insideDstMac] = macs(this.#routersPassed('forward', station, -1))
    const tunnels = this.#outers(direction, station)
    const ttl = this.#ttl(direction, station)
    return { srcMac, dstMac, insideSrcMac, insideDstMac, tunnels, vlan, src, dst, ttl, offloaded }
  }

  #hop(hop: Hop): number {
    if (typeof hop === 'number') return hop
    const found = this.#path.findIndex((name, at) => name === hop[0] && this.#path[at + 1] === hop[1])
    if (found < 0) throw new Error(`no hop from ${hop[0]} to ${hop[1]} in ${this.#path.join(', ')}`)
    return found
  }

  #station(station: number | string): number {
    return typeof station === 'number' ? station : this.#path.indexOf(station)
  }
}

export class UdpConversation extends Conversation {
  /** Payload bytes, or so many random letters. */
  send(from: Side, payload: Uint8Array | number, options?: PacketOptions): TrueJourney {
    return this.emit(
      from,
      { payload: typeof payload === 'number' ? this.trace.random.text(payload) : payload },
      options,
    )
  }
}

export class EchoConversation extends Conversation {
  /** An echo request; equal ones need `ipId: 0` and the same `seq` and payload. */
  request(seq: number, payload = new Uint8Array(56), options?: PacketOptions): TrueJourney {
    return this.emit('client', { echoSeq: seq, payload }, options)
  }

  reply(seq: number, payload = new Uint8Array(56), options?: PacketOptions): TrueJourney {
    return this.emit('server', { echoSeq: seq, payload, echoReply: true }, options)
  }
}
