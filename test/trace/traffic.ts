/** Traffic: generated traces of whole sites with everything that the issue of a joiner is about; seed and mix in, trace out. */

import { TraceBuilder } from './builder.ts'
import type { Conversation } from './conversation.ts'
import type { Endpoint } from './frame.ts'
import type { ConversationOptions, Nat, PacketOptions, PointOptions, Side } from './model.ts'
import { Random } from './random.ts'
import { type Route, SITES, type Site, type Version } from './sites.ts'
import { MSS_BYTES, Talk } from './talk.ts'

export interface TrafficOptions {
  /** The trace has about so many packets, and some more. */
  packets: number
  /** Probabilities per packet. */
  loss?: number
  captureDrop?: number
  duplicate?: number
  reorder?: number
  /** Share of packets that have an equal in their conversation, as near as the talk allows. */
  identical?: number
  /** Super-packets inside of the site, segments on the wire, and receive offload on the way in. */
  offload?: boolean
  /** Conversations that use a tuple or a mapping which another one had before. */
  reuse?: number
  /** Captures that begin late or end early, at some points or at all of them. */
  edges?: boolean
  /** The clock of the points outside of the host is seconds off and runs at another speed. */
  clocks?: boolean
}

type Protocol = 'tcp' | 'udp' | 'icmp'

/** A conversation that is over, and whose tuples may be used again. */
interface Ended {
  conversation: Conversation
  options: ConversationOptions
  protocol: Protocol
  route: Route
  version: Version
}

/** netfilter keeps the mapping of an unanswered UDP or ICMP conversation for 30 s. */
const UDP_MAPPING_NS = 31e9
/** Packets in a second of one trace. */
const PACKETS_PER_SECOND = 4000

/** A trace with about `packets` packets; deterministic. Call `build` or `write`. */
export function trafficTrace(seed: number, options: TrafficOptions): TraceBuilder {
  return new Traffic(seed, options).trace
}

class Traffic {
  readonly trace: TraceBuilder
  readonly #random: Random
  readonly #options: TrafficOptions
  readonly #site: Site
  readonly #talk: Talk
  readonly #taken = new Set<string>()
  readonly #ended: Ended[] = []
  readonly #withinNs: number
  /** Of the conversation that is being written. */
  #path: readonly string[] = []

  constructor(seed: number, options: TrafficOptions) {
    this.#options = options
    this.#random = new Random(seed ^ 0x7aff1c)
    this.#site = this.#random.pick(SITES)
    this.#withinNs = (options.packets / PACKETS_PER_SECOND) * 1e9
    this.trace = new TraceBuilder({ seed, points: this.#points() })
    this.#talk = new Talk({
      random: this.#random,
      trouble: (segments) => this.#trouble(segments),
      offloads: (from) => this.#offloads(from),
      spurious: (options.reorder ?? 0) / 2,
    })
    let packets = 0
    let equal = 0
    while (packets < options.packets) {
      const repeats = equal < (options.identical ?? 0) * packets
      const conversation = this.#converse(repeats)
      packets += conversation.passages.length
      equal += equalPackets(conversation)
    }
  }

  #points(): PointOptions[] {
    const random = this.#random
    const { points, wire } = this.#site
    const { offload, edges, clocks } = this.#options
    const onWire = points.slice(points.indexOf(wire))
    const offsetNs = Math.round(random.spread(1e6, 20e9)) * random.pick([1, -1])
    const skewPpm = random.integer(-100, 100)
    const late = random.pick(['all', 'one', 'each'] as const)
    const early = random.pick(['none', 'one', 'each'] as const)
    const odd = random.pick(points)
    const time = (from: number, to: number) =>
      Math.round(this.#withinNs * (from + (to - from) * random.next()))
    const all = time(0.1, 0.4)
    return points.map((name) => {
      const point: PointOptions = { name }
      if (offload && onWire.includes(name)) point.segments = MSS_BYTES
      else if (offload) point.joinsWithinNs = name === 'container' ? 12_000 : 25_000
      if (edges) {
        if (late === 'all') point.fromNs = all
        if (late === 'each') point.fromNs = time(0, 0.3)
        if (late === 'one' && name === odd) point.fromNs = time(0.1, 0.5)
        if (early === 'each' || (early === 'one' && name === odd)) point.untilNs = time(0.6, 1)
      }
      if (clocks && !['container', 'veth', 'bridge', 'uplink'].includes(name)) {
        point.clockOffsetNs = offsetNs
        point.clockSkewPpm = skewPpm
      }
      return point
    })
  }

  #trouble(segments: number): PacketOptions {
    const random = this.#random
    const { loss = 0, captureDrop = 0, duplicate = 0, reorder = 0 } = this.#options
    const lastHop = this.#path.length - 2
    const packet: PacketOptions = {}
    if (random.chance(loss)) {
      packet.lostBetween = random.integer(0, lastHop)
      if (segments > 1) packet.lostSegments = [random.integer(0, segments - 1)]
    } else if (random.chance(reorder))
      packet.delayedBetween = { hop: random.integer(0, lastHop), ns: random.integer(50_000, 900_000) }
    if (random.chance(captureDrop)) packet.unseenAt = [random.integer(0, lastHop + 1)]
    if (random.chance(duplicate)) packet.duplicateAt = [random.integer(0, lastHop + 1)]
    return packet
  }

  #offloads(from: Side): boolean {
    const { points, wire } = this.#site
    const first = from === 'client' ? this.#path[0] : this.#path.at(-1)!
    return this.#options.offload === true && points.indexOf(first) < points.indexOf(wire)
  }

  #converse(repeats: boolean): Conversation {
    const random = this.#random
    const { trace } = this
    const again = random.chance(this.#options.reuse ?? 0) ? this.#again() : null
    const protocol = again?.protocol ?? random.pick(['tcp', 'tcp', 'udp', 'icmp'] as const)
    const parts = again ?? this.#fresh(protocol)
    const options: ConversationOptions = {
      startNs: random.integer(0, this.#withinNs),
      ...parts.options,
      isn: [this.#isn(), this.#isn()],
      ipId: [this.#ipId(), this.#ipId()],
      timestamps: random.chance(0.7),
    }
    this.#path = options.path!
    let conversation: Conversation
    if (protocol === 'tcp') {
      const web = trace.tcp(options)
      this.#talk.web(web, repeats)
      conversation = web
    } else if (protocol === 'icmp') {
      const echo = trace.echo(options)
      this.#talk.pings(echo, repeats)
      conversation = echo
    } else {
      const udp = trace.udp(options)
      const kind = repeats ? random.pick(['dns', 'beats'] as const) : random.pick(['dns', 'stream'] as const)
      if (kind === 'dns') this.#talk.dns(udp, repeats)
      else if (kind === 'beats') this.#talk.heartbeats(udp)
      else this.#talk.stream(udp)
      conversation = udp
    }
    this.#ended.push({ conversation, options, protocol, route: parts.route, version: parts.version })
    return conversation
  }

  /** First numbers, one in five so high that they soon begin anew. */
  #isn(): number {
    return this.#random.chance(0.2)
      ? 2 ** 32 - this.#random.integer(1, 20_000)
      : this.#random.integer(0, 2 ** 32 - 1)
  }

  #ipId(): number {
    return this.#random.chance(0.2) ? 65_535 - this.#random.integer(0, 20) : this.#random.integer(1, 60_000)
  }

  /** Addresses and translations that nobody else has. */
  #fresh(protocol: Protocol): Pick<Ended, 'options' | 'route' | 'version'> {
    const random = this.#random
    const route = random.pick(this.#site.routes.filter(({ forEcho }) => forEcho || protocol !== 'icmp'))
    const version: Version = random.chance(0.3) ? 6 : 4
    for (;;) {
      const client = { ip: route.client(random, version), port: 45_000 + random.integer(0, 400) }
      const serverPort =
        protocol === 'icmp' ? client.port : protocol === 'udp' ? random.pick([53, 5000]) : 8080
      const server = { ip: route.server(random, version), port: serverPort }
      if (this.#take(protocol, client, server))
        return { options: this.#options_(route, version, protocol, client, server), route, version }
    }
  }

  #options_(
    route: Route,
    version: Version,
    protocol: Protocol,
    client: Endpoint,
    server: Endpoint,
  ): ConversationOptions {
    const random = this.#random
    const nat: Nat[] = []
    let [from, to] = [client, server]
    for (const rule of route.nat) {
      const ip = rule.to(random, version)
      for (let tries = 0; ; tries++) {
        // A masquerade keeps the port where it is free, unless told to choose at random.
        const kept = rule.kind === 'snat' ? from.port : random.pick([80, 3000, 9000])
        const other = tries > 0 || (rule.kind === 'snat' && random.chance(0.2))
        const end = { ip, port: other ? random.integer(1024, 65_535) : kept }
        const [src, dst] = rule.kind === 'snat' ? [end, to] : [from, end]
        const ends = protocol === 'icmp' ? [src, { ...dst, port: end.port }] : [src, dst]
        if (!this.#take(`${protocol} ${nat.length}`, ends[0], ends[1])) continue
        nat.push({ kind: rule.kind, between: rule.between, to: end })
        from = ends[0]
        to = ends[1]
        break
      }
    }
    return { client, server, nat, path: route.path, routed: route.routed }
  }

  /** What a conversation that is over used, again: its own tuple, or its mapping for somebody else. */
  #again(): Ended | null {
    const random = this.#random
    if (this.#ended.length === 0) return null
    const [old] = this.#ended.splice(random.integer(0, this.#ended.length - 1), 1)
    const { protocol, route, version } = old
    const gapNs = protocol === 'tcp' ? random.spread(2e6, 5e9) : UDP_MAPPING_NS + random.integer(0, 5e9)
    const startNs = old.conversation.nowNs + gapNs
    const { client, server } = old.options
    const isMasquerade = route.nat.length > 0 && route.nat.every(({ kind }) => kind === 'snat')
    if (isMasquerade && random.chance(0.5)) {
      const other = {
        ip: route.client(random, version),
        port: protocol === 'icmp' ? client.port : client.port + 1000,
      }
      if (other.ip !== client.ip && this.#take(protocol, other, server))
        return { ...old, options: { ...old.options, client: other, startNs } }
    }
    // The same tuple of TCP may keep its mapping. Of others the conversation would simply go on.
    const renewed =
      protocol === 'tcp' && random.chance(0.5)
        ? old.options
        : this.#options_(route, version, protocol, client, server)
    if (protocol !== 'tcp' && route.nat.length === 0) return null
    return { ...old, options: { ...renewed, startNs } }
  }

  #take(protocol: string, client: Endpoint, server: Endpoint): boolean {
    const tuple = `${protocol} ${client.ip} ${client.port} ${server.ip} ${server.port}`
    if (this.#taken.has(tuple)) return false
    this.#taken.add(tuple)
    return true
  }
}

/** Packets of a conversation that are like another one of theirs in everything that travels from end to end. */
export function equalPackets({ passages }: Pick<Conversation, 'passages'>): number {
  const counts = new Map<string, number>()
  for (const { journey } of passages) {
    const { payload, options, ...fields } = journey.content
    const key = `${journey.direction} ${JSON.stringify(fields)} ${Buffer.from(options).toString('latin1')} ${Buffer.from(payload).toString('latin1')}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  let equal = 0
  for (const count of counts.values()) if (count > 1) equal += count
  return equal
}
