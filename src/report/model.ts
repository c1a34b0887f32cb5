/** The report: what every rendering reads and `--json` prints. Its shape is the contract's `hoptrace.report/1`. */

import type { FlowList } from '../correlate/flow-list.ts'
import type {
  FlowDirection,
  IcmpErrorSummary,
  JoinedFlow,
  Latency,
  Loss,
  SpliceSummary,
  Translation,
} from '../correlate/joined-flow.ts'
import type { Link } from '../correlate/link-counts.ts'
import type { Finding } from '../diagnose/finding.ts'
import type { Receipts } from '../receipts/model.ts'

export type { Severity } from '../diagnose/finding.ts'
/** As `Finding`, with any code that the contract may get. */
export type FindingReport = Omit<Finding, 'code'> & { code: string }

export type { DirectionName, Encapsulation, Endpoint, FlowState, Station } from '../correlate/joined-flow.ts'
export type DirectionReport = FlowDirection
export type TranslationReport = Translation
export type LossReport = Loss
export type LatencyReport = Latency
export type IcmpErrorReport = IcmpErrorSummary
export type SpliceReport = SpliceSummary
export type FlowReport = JoinedFlow
export type { LinkDirection, LinkRelation } from '../correlate/link-counts.ts'
export type LinkReport = Link

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
  clock: ReportClock
}

/** How far a point's clock was off. Its times in the report are without that: `recorded − offsetNs` at its first packet. */
export interface ReportClock {
  /** Ahead of the reference at the point's first packet, negative where behind. */
  offsetNs: number
  /** How much faster it ran than the reference's. */
  skewPpm: number
  uncertaintyNs: number
  /** The point whose clock counts as right; not there where nothing was taken off. */
  reference?: string
}

/** Records that take no part in any flow, by reason and point. */
export interface NotJoinedReport {
  /** `arp`, `fragment`, `undecoded`, `link-type`, … */
  reason: string
  point: string
  packets: number
}

/** What came of one `--expect`. */
export interface ExpectationReport {
  /** As it was given. */
  expression: string
  holds: boolean
  /** What was seen, in one sentence. */
  evidence: string
  /** The flows that decide: those that do not meet it where it does not hold. The first 100; none where it is about none. */
  flows?: number[]
}

/** The report, with all flows at once; or, as a `StreamedReport`, with flows that are read one after the other. */
export interface Report<Flows extends FlowList = FlowReport[]> {
  schema: 'hoptrace.report/1'
  points: ReportPoint[]
  /** All points, client side first. */
  path: string[]
  /** What lies between points that are next to each other on the way of some flow, with its evidence. */
  links?: LinkReport[]
  /** Points by the traffic that they have in common; more than one group: these saw nothing in common. */
  groups?: string[][]
  flows: Flows
  findings: FindingReport[]
  notJoined: NotJoinedReport[]
  /** What the kernels counted while the captures ran, one of each host and capture; see `receipts/model.ts`. */
  receipts?: readonly Receipts[]
  /** Address → name of its container, network or host, as far as the capture tells. */
  names?: Record<string, string>
  /** In the order in which they were given; not there where none was. */
  expectations?: ExpectationReport[]
  /** Damaged or odd input, one line each, with file and byte offset. */
  warnings: string[]
}

export type { FlowList } from '../correlate/flow-list.ts'
/** A report about any number of flows. A `Report` is one, too. */
export type StreamedReport = Report<FlowList>

/** The report with an array of flows, made when it is first asked for. */
export function withArray(report: StreamedReport): Report {
  const { flows } = report
  return Array.isArray(flows) ? (report as Report) : { ...report, flows: [...flows] }
}
