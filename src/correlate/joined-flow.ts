/** The joined flow: one conversation with every address as it was at every point; plain data for findings and reports. */

import type { ConntrackEntry, RuleReceipt, TraceReceipt } from '../receipts/model.ts'

/** An address and port as seen at one point; `port` is the ICMP echo id for ICMP, 0 where the protocol has none. */
export interface Endpoint {
  ip: string
  port: number
}

/** A tunnel around a packet: the addresses of its outer header, in the direction of the packet. */
export interface Encapsulation {
  kind: 'vxlan' | 'geneve' | 'gre' | 'ipip' | 'gtpu'
  /** VNI of VXLAN and Geneve, key of GRE, TEID of GTP-U, else 0. */
  id: number
  src: string
  dst: string
}

/** One station of a flow's direction: a point and how the packet looks there. A point may stand twice (hairpin). */
export interface Station {
  point: string
  /** The tunnels that the packet is inside of here, outermost first; nothing where it is in none. */
  encapsulation?: Encapsulation[]
  src: Endpoint
  dst: Endpoint
  ttl: number
  packets: number
}

export interface FlowDirection {
  /** Packets and IP bytes as sent: each journey counts once. */
  packets: number
  bytes: number
  path: Station[]
}

export type DirectionName = 'forward' | 'reverse'

export interface Translation {
  /** Of the forward packet: its source → snat, its destination → dnat. */
  kind: 'snat' | 'dnat'
  /**
   * The two points of the path between which the rewrite happens. Both are the same where only its result could be
   * seen (Docker's DNS: the request is translated before the first point, the reply shows it).
   */
  between: [string, string]
  from: Endpoint
  to: Endpoint
  /** The rule that made it, where the capture's receipts say so. */
  rule?: RuleName
  /** The entry of connection tracking that remembers it, likewise. */
  conntrack?: ConntrackEntry
}

/** A netfilter rule, and how many packets it counted during the capture; see `RuleReceipt`. */
export type RuleName = Pick<
  RuleReceipt,
  'backend' | 'family' | 'table' | 'chain' | 'number' | 'handle' | 'text'
> & { namespace: string; packets: number }

/** The way of one packet through the rules of a namespace, as the kernel traced it. */
export interface RulePath extends Pick<TraceReceipt, 'timeNs' | 'tcpFlags' | 'ipId' | 'steps'> {
  direction: DirectionName
  namespace: string
  /** As it came in there. */
  src: string
  dst: string
}

export interface Loss {
  direction: DirectionName
  between: [string, string]
  packets: number
  /** Record numbers of the first few at the last point that showed them. */
  frames: { point: string; frames: number[] }
}

export interface Latency {
  direction: DirectionName
  between: [string, string]
  minNs: number
  medianNs: number
  p99Ns: number
  packets: number
}

export type FlowState = 'syn-only' | 'refused' | 'established' | 'closed' | 'reset' | 'stateless'

/** An ICMP error that answered a packet of the flow. */
export interface IcmpErrorSummary {
  /** Direction of the packets that died. */
  direction: DirectionName
  /** Who sent the error, as seen at the first point that saw it. */
  from: string
  type: number
  code: number
  /** In words, such as `port unreachable`. */
  name: string
  /** Next-hop MTU that "fragmentation needed" and "packet too big" tell, else 0. */
  mtu: number
  packets: number
  /** First few record numbers of the errors, by point. */
  frames: Record<string, number[]>
}

/** The flow is one half of an exchange through a proxy, which ends one connection and opens another. */
export interface SpliceSummary {
  /** Which half it is: client → proxy, or proxy → server. */
  side: 'client' | 'server'
  /** The flow that is the other half. */
  flow: number
  /** The proxy, as an end of this flow. */
  proxy: Endpoint
  /** Payload bytes, from each direction's first one on, that were compared and are the same in both halves. */
  matchedBytes: { forward: number; reverse: number }
  /** From the SYN to the proxy to the proxy's own. */
  betweenSynsNs: number
}

/** A router told one side that the other takes smaller segments than it said itself (TCPMSS). */
export interface MssChange {
  /** Of the SYN or SYN-ACK. */
  direction: DirectionName
  between: [string, string]
  from: number
  to: number
}

/** What the segments of a TCP connection say beside what was lost; each is there only where it is so. */
export interface FlowSigns {
  /** The first RST: where it was seen first, and its TTL there; and whether it ended nothing that was under way. */
  reset?: { direction: DirectionName; point: string; frame: number; ttl: number; isUsual?: true }
  /** Segments that told the other side to stop sending, and the first few of them. */
  zeroWindows?: { direction: DirectionName; packets: number; point: string; frames: number[] }[]
  /** Bytes that were sent again and again and never acknowledged, in packets larger than any that arrived. */
  stuck?: { direction: DirectionName; lenBytes: number; times: number }
  /**
   * The request was acknowledged, and the server never sent a byte: for how long, and whether the client ended the
   * connection then.
   */
  silence?: { forNs: number; hasGivenUp: boolean }
}

export interface JoinedFlow {
  id: number
  /** tcp, udp, icmp, icmpv6 or the protocol's name or number. */
  protocol: string
  state: FlowState
  /** As seen at `forward.path[0]`. */
  client: Endpoint
  server: Endpoint
  firstNs: string
  lastNs: string
  forward: FlowDirection
  reverse: FlowDirection
  translations: Translation[]
  lost: Loss[]
  /** Packets that a point on their way did not show, though they passed it or the capture was not complete there. */
  unseen: { direction: DirectionName; point: string; packets: number }[]
  latency: Latency[]
  retransmissions: { forward: number; reverse: number }
  /** Round trip of the handshake or of request and reply, at the client's side, or null. */
  rttNs: number | null
  icmpErrors: IcmpErrorSummary[]
  /** The flow's bytes come in differently cut frames at different points (offload): they were matched byte by byte. */
  segmentationDiffers: boolean
  ambiguous: number
  /** DNS question names seen in the flow, for display (control characters already made harmless). */
  dnsNames: string[]
  /** Points that a packet of the flow passes twice (hairpin, or a capture on all interfaces). */
  passedTwice: string[]
  /** Sightings of packets that a point had already shown in the same form (the capture or the network doubled them). */
  duplicates: number
  /** Not there where every point saw the same sizes. */
  mssChanges?: MssChange[]
  /** Not there where nothing is odd. */
  signs?: FlowSigns
  /** Not there where no proxy was recognised; two where the flow joins two proxies. */
  spliced?: SpliceSummary[]
  /** Of the first packets and of one that was dropped; only with `--trace-rules`. */
  rulePath?: RulePath[]
}
