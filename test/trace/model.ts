/** What a test asks of a generated trace, and the truth that it gets back. */

import type { Content, Endpoint, TunnelKind } from './frame.ts'

export type Side = 'client' | 'server'
export type Direction = 'forward' | 'reverse'
/** The hop behind station i (as a number), or the first one between these two points. */
export type Hop = number | readonly [string, string]

export interface PointOptions {
  name: string
  /** 802.1Q tag on every frame that this point sees. */
  vlan?: number
  /** The capture runs only from here to there, in ns since the trace began. */
  fromNs?: number
  untilNs?: number
  /** Bytes kept of each frame. */
  snapLen?: number
  /** How far this point's clock is ahead, in ns. */
  clockOffsetNs?: number
  /** How much faster its clock runs; `clockOffsetNs` holds at the trace's beginning. */
  clockSkewPpm?: number
  /** Packets are seen before the hardware fills in their TCP or UDP checksum. */
  offloaded?: boolean
  /** TCP packets are seen cut into segments of at most so many payload bytes, and travel on like that (GSO, TSO). */
  segments?: number
  /** Segments that come within so many ns behind each other are seen as one frame (GRO); they travel on by themselves. */
  joinsWithinNs?: number
}

export interface TraceOptions {
  seed: number
  /** From the client's side to the server's. */
  points: readonly (string | PointOptions)[]
  /** Hops with a router: TTL − 1 and other MACs. Default for conversations over all points. */
  routed?: readonly Hop[]
  /** Least and most time that a packet takes from a station to the next. */
  hopDelayNs?: readonly [number, number]
  /** The trace's beginning, in seconds since 1970. */
  startSeconds?: number
}

export interface Nat {
  /** Of the forward packet: its source → snat, its destination → dnat. */
  kind: 'snat' | 'dnat'
  between: Hop
  /** Where replies are translated back, if elsewhere (netfilter inside the bridge). */
  replyBetween?: Hop
  to: Endpoint
}

export interface Tunnel {
  kind: TunnelKind
  /** VNI, key or TEID; of replies, where it is another. */
  id?: number
  replyId?: number
  /** The hops in which packets from the client enter and leave it; replies the other way round. */
  within: readonly [Hop, Hop]
  /** Its ends on the client's and on the server's side. */
  client: string
  server: string
  /** UDP ports; the source port is another one for each conversation unless given. */
  port?: number
  srcPort?: number
  /** Of the outer header. */
  nat?: readonly { kind: 'snat' | 'dnat'; between: Hop; to: string }[]
}

export interface ConversationOptions {
  /** Both as the client's side sees them; for echo `port` is the identifier. */
  client: Endpoint
  server: Endpoint
  nat?: readonly Nat[]
  /** Stations from client to server; default: all points. */
  path?: readonly string[]
  routed?: readonly Hop[]
  /** Outermost first. A router inside of a tunnel lowers the TTL of the outermost header that passes it whole. */
  tunnels?: readonly Tunnel[]
  /** TTL at the first station of each direction; 64 by default. */
  clientTtl?: number
  serverTtl?: number
  /** ns since the trace began; default: when all that was said before has ended. */
  startNs?: number
  /** First sequence numbers of client and server (TCP). */
  isn?: readonly [number, number]
  /** First IPv4 Identification of client and server. */
  ipId?: readonly [number, number]
  /** TCP time stamps (RFC 7323) are used; true by default. */
  timestamps?: boolean
}

export interface PacketOptions {
  /** The packet vanishes here. */
  lostBetween?: Hop
  /** Of one that is in segments by then, only these vanish, counted from 0. */
  lostSegments?: readonly number[]
  /** Stations (or the first of that point) whose capture dropped it though it passed. */
  unseenAt?: readonly (number | string)[]
  /** Stations that record it twice. */
  duplicateAt?: readonly (number | string)[]
  /** Time spent in a hop on top of the usual, so that later packets overtake it there. */
  delayedBetween?: { hop: Hop; ns: number }
  /** TCP: more data follows, so no PSH. */
  more?: boolean
  /** The next packet follows at once, not after this one arrived. */
  burst?: boolean
  /** IPv4 Identification; default: a counter per sender, and 0 for SYN-ACK, RST and all of `ipId: 'zero'`. */
  ipId?: number
}

export interface TrueJourney {
  /** As `TrueFlow.id`. */
  flow: number
  direction: Direction
  content: Content
  /**
   * Sightings in the order of the way. `frames` counts from 1 in that point's file: all that carry bytes of this packet,
   * and perhaps of others, too. `copies` are those of them that say again what another one said.
   */
  sightings: { point: string; station: number; frames: number[]; copies: number[]; timeNs: number }[]
  /**
   * lost: vanished on the way, some of it at least · delivered: seen at the last station · unseen: arrived, but the last
   * capture lacks it.
   */
  outcome: 'delivered' | 'lost' | 'unseen'
  lostBetween: [string, string] | null
  /** What of the payload vanished there, [from, to) in bytes. */
  lostBytes: [from: number, to: number][]
  retransmissionOf: TrueJourney | null
}

export interface TrueEncapsulation {
  kind: TunnelKind
  id: number
  src: string
  dst: string
}

export interface TrueStation {
  point: string
  /** Tunnels around the packet, outermost first; not there where it is in none. */
  encapsulation?: TrueEncapsulation[]
  src: Endpoint
  dst: Endpoint
  ttl: number
  /** Packets of this direction that the point recorded here. */
  packets: number
}

export interface TrueFlow {
  id: number
  protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6'
  client: Endpoint
  server: Endpoint
  /** Packets as sent, counting those that at least one point saw. */
  forward: { packets: number; path: TrueStation[] }
  reverse: { packets: number; path: TrueStation[] }
  translations: { kind: 'snat' | 'dnat'; between: [string, string]; from: Endpoint; to: Endpoint }[]
  lost: { direction: Direction; between: [string, string]; packets: number }[]
  unseen: { direction: Direction; point: string; packets: number }[]
  /** Segments sent again of which a point saw both the first and this one. */
  retransmissions: { forward: number; reverse: number }
}

export interface Truth {
  points: string[]
  flows: TrueFlow[]
  journeys: TrueJourney[]
}

/** A frame as a point sees it, and whose bytes it carries: nobody's where it is no packet of a flow (ARP, an ICMP error). */
export interface Sighting {
  journeys: readonly TrueJourney[]
  /** The point recorded it once more. */
  isCopy?: boolean
  station: number
  point: number
  timeNs: number
  bytes: Uint8Array
}

/** A journey with what the builder alone needs to know. */
export interface Passage {
  journey: TrueJourney
  /** Stations that the packet reached, seen there or not. */
  reached: number[]
}
