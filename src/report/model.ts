/** The report: what every rendering reads and `--json` prints. Its shape is the contract's `hoptrace.report/1`. */

/** An address and port as seen at one point; `port` is the ICMP echo id for ICMP, 0 where the protocol has none. */
export interface Endpoint {
  ip: string
  port: number
}

export interface ReportPoint {
  name: string
  source: string
  /** Name of the LINKTYPE_, such as `EN10MB`. */
  linkType: string
  packets: number
  bytes: number
  /** ns since 1970 as decimal strings; null where the point has no packet. */
  firstNs: string | null
  lastNs: string | null
  /** null where the file does not say. */
  captureDrops: number | null
  /** Records in which decoding stopped before the transport header. */
  undecoded: number
  clock: { offsetNs: number; skewPpm: number; uncertaintyNs: number }
}

/** One station of a flow's direction: a point and how the packet looks there. A point may stand twice (hairpin). */
export interface Station {
  point: string
  src: Endpoint
  dst: Endpoint
  ttl: number
  packets: number
}

export interface DirectionReport {
  /** Packets and IP bytes as sent: each journey counts once. */
  packets: number
  bytes: number
  path: Station[]
}

export type DirectionName = 'forward' | 'reverse'

export interface TranslationReport {
  /** Of the forward packet: its source → snat, its destination → dnat. */
  kind: 'snat' | 'dnat'
  /**
   * The two points of the path between which the rewrite happens. Both are the same where only its result could be
   * seen (Docker's DNS: the request is translated before the first point, the reply shows it).
   */
  between: [string, string]
  from: Endpoint
  to: Endpoint
}

export interface LossReport {
  direction: DirectionName
  between: [string, string]
  packets: number
}

export interface LatencyReport {
  direction: DirectionName
  between: [string, string]
  minNs: number
  medianNs: number
  p99Ns: number
  packets: number
}

export type FlowState = 'syn-only' | 'refused' | 'established' | 'closed' | 'reset' | 'stateless'

/** An ICMP error that answered a packet of the flow. */
export interface IcmpErrorReport {
  /** Direction of the packets that died. */
  direction: DirectionName
  /** Who sent the error, as seen at the first point that saw it. */
  from: string
  type: number
  code: number
  /** In words, such as `port unreachable`. */
  name: string
  packets: number
}

export interface FlowReport {
  id: number
  /** tcp, udp, icmp, icmpv6 or the protocol's name or number. */
  protocol: string
  state: FlowState
  /** As seen at `forward.path[0]`. */
  client: Endpoint
  server: Endpoint
  firstNs: string
  lastNs: string
  forward: DirectionReport
  reverse: DirectionReport
  translations: TranslationReport[]
  lost: LossReport[]
  /** Packets that a point on their way did not show, though they passed it or the capture was not complete there. */
  unseen: { direction: DirectionName; point: string; packets: number }[]
  latency: LatencyReport[]
  retransmissions: { forward: number; reverse: number }
  /** Round trip of the handshake or of request and reply, at the client's side, or null. */
  rttNs: number | null
  icmpErrors: IcmpErrorReport[]
  /** Points at which the flow's bytes come in differently cut frames (offload); there only flow, NAT and TTL are joined. */
  segmentationDiffers: boolean
  ambiguous: number
  /** DNS question names seen in the flow, for display (control characters already made harmless). */
  dnsNames: string[]
}

export type Severity = 'error' | 'warning' | 'info'

export interface FindingReport {
  code: string
  severity: Severity
  /** null where the finding is about a point or the whole run. */
  flow: number | null
  /** One plain sentence. */
  summary: string
  evidence: {
    /** Record numbers per point (1-based, as Wireshark's frame.number), the first few. */
    frames?: Record<string, number[]>
    [key: string]: unknown
  }
}

/** Records that take no part in any flow, by reason and point. */
export interface NotJoinedReport {
  /** `arp`, `fragment`, `undecoded`, `other-link-layer`, … */
  reason: string
  point: string
  packets: number
}

export interface Report {
  schema: 'hoptrace.report/1'
  points: ReportPoint[]
  /** All points, client side first. */
  path: string[]
  flows: FlowReport[]
  findings: FindingReport[]
  notJoined: NotJoinedReport[]
  /** Damaged or odd input, one line each, with file and byte offset. */
  warnings: string[]
}
