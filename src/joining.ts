/** The joining: records of a run, from files or live, go in; the report of what they show comes out, at any time. */

import { offsetAt } from './capture/clock.ts'
import { linkTypeName } from './capture/link-types.ts'
import type { CaptureDamage } from './capture/reader.ts'
import type { CaptureRecord, Epoch, Point, PointIndex } from './capture/record.ts'
import { Correlator } from './correlate/correlator.ts'
import type { FlowIndex } from './correlate/flows.ts'
import type { JoinedFlow } from './correlate/joined-flow.ts'
import { Observations } from './correlate/observations.ts'
import { type JoinedFlows, joinedFlows } from './correlate/result.ts'
import type { FinishedJourney } from './correlate/tally.ts'
import { decodeFrame } from './decode/frame.ts'
import { Headers } from './decode/headers.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { diagnose } from './diagnose/diagnose.ts'
import { counted } from './diagnose/finding.ts'
import type { Receipts } from './receipts/model.ts'
import type { Report, StreamedReport } from './report/model.ts'

/** Reversals of less are what a capture on several processors looks like. */
const NOTABLE_REVERSAL_NS = 1e6
/** Live captures go on for ever: so often others get their turn. */
const RECORDS_AT_A_TIME = 1 << 15

/** Where records come from: `MergedRecords` or `LiveRecords`. */
export interface RecordStream {
  readonly epoch: Epoch
  readonly points: readonly Point[]
  /** Address → name. */
  readonly names: ReadonlyMap<string, string>
  readonly warnings: readonly string[]
  readonly damages: readonly CaptureDamage[]
  readonly record: CaptureRecord
  readonly point: PointIndex
  readonly snapLenBytes: number
  advance(): boolean
}

/** Whoever else wants each record, with the number of its packet, or -1 where it has none. */
export interface RecordWriter {
  add(point: PointIndex, record: CaptureRecord, packet: number): void
}

export class Joining {
  readonly correlator: Correlator
  readonly #records: RecordStream
  readonly #writer: RecordWriter | null
  readonly #observations = new Observations()
  readonly #headers = new Headers()
  #snapLenBytes: number

  constructor(
    records: RecordStream,
    options: {
      writer?: RecordWriter | null
      onJourney?: ((journey: FinishedJourney) => void) | undefined
      /** UDP destination ports of tunnels; the usual ones unless given. */
      tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
    } = {},
  ) {
    this.#records = records
    this.#writer = options.writer ?? null
    if (options.tunnelPorts) this.#headers.tunnelPorts = options.tunnelPorts
    this.#snapLenBytes = records.snapLenBytes
    this.correlator = new Correlator(records.points, {
      snapLenBytes: records.snapLenBytes,
      ...(options.onJourney ? { onJourney: options.onJourney } : {}),
    })
  }

  /** Joins the records that are there, up to a number; false where there is no further one at the moment. */
  takeRecords(limit: number = RECORDS_AT_A_TIME): boolean {
    const records = this.#records
    const headers = this.#headers
    const observations = this.#observations
    const { correlator } = this
    const writer = this.#writer
    if (records.snapLenBytes !== this.#snapLenBytes) {
      this.#snapLenBytes = records.snapLenBytes
      correlator.limitTo(this.#snapLenBytes)
    }
    for (let i = 0; i < limit; i++) {
      if (!records.advance()) return false
      const { record, point } = records
      decodeFrame(record.bytes, record.start, record.end, record.linkType, record.originalLenBytes, headers)
      observations.note(point, record, headers)
      const packet = correlator.add(point, record, headers)
      if (writer !== null) writer.add(point, record, packet)
    }
    return true
  }

  /** The flows as they stand; after `correlator.finish()` as they are. */
  flows(statedPath: readonly PointIndex[] = [], idOf?: (flow: FlowIndex) => number): JoinedFlows {
    return joinedFlows(this.correlator, this.#records.epoch, { statedPath, ...(idOf ? { idOf } : {}) })
  }

  /**
   * The report about these flows. `warnings` are what was noted before there were records, `receipts` what the
   * kernels counted meanwhile; for the others see `AnalysisOptions`.
   */
  report(
    joined: JoinedFlows,
    {
      warnings = [],
      receipts = [],
      diagnoses,
      keepsFindings = false,
    }: {
      warnings?: readonly string[]
      receipts?: readonly Receipts[]
      diagnoses?: (flow: JoinedFlow) => boolean
      keepsFindings?: boolean
    } = {},
  ): StreamedReport {
    const records = this.#records
    const { correlator } = this
    const { points, epoch, damages } = records
    const links = joined.surveyLinks()
    const findings = diagnose({
      points,
      flows: joined.flows,
      onFlow: (flow) => links.note(flow),
      ...(diagnoses ? { diagnoses } : {}),
      keepsFindings,
      observations: this.#observations,
      damages,
      receipts,
      endNs: epoch.toUnixNs(lastNs(points)),
    })
    return {
      schema: 'hoptrace.report/1',
      points: points.map((point) => ({
        ...pointReport(point, epoch, this.#observations),
        clock: clockReport(point, points),
      })),
      path: joined.path.map((point) => points[point]!.name),
      ...links.result(),
      flows: joined.flows,
      findings,
      notJoined: correlator.notJoined.list().map(({ reason, point, packets }) => ({
        reason,
        point: points[point]!.name,
        packets,
      })),
      ...(receipts.length > 0 ? { receipts } : {}),
      ...(records.names.size > 0 ? { names: Object.fromEntries(records.names) } : {}),
      warnings: [
        ...warnings,
        // Files that broke off are among the findings.
        ...records.warnings.filter((line) => !damages.some((damage) => damage.message === line)),
        ...oddities(points, correlator, this.#observations, joined),
      ],
    }
  }
}

function pointReport(
  point: Point,
  epoch: Epoch,
  observations: Observations,
): Omit<Report['points'][number], 'clock'> {
  const time = (ns: number) => (Number.isNaN(ns) ? null : epoch.toUnixNs(ns).toString())
  return {
    name: point.name,
    source: point.source,
    linkType: linkTypeName(point.linkType),
    packets: point.packets,
    bytes: point.bytes,
    firstNs: time(point.firstNs),
    lastNs: time(point.lastNs),
    captureDrops: point.captureDrops,
    undecoded: observations.at(point.index).undecoded,
  }
}

/** The error of a point's clock as it was taken off. `-0` would be a difference in JSON. */
function clockReport({ clock, firstNs }: Point, points: readonly Point[]): Report['points'][number]['clock'] {
  if (clock === null) return { offsetNs: 0, skewPpm: 0, uncertaintyNs: 0 }
  const offsetNs = offsetAt(clock, Number.isNaN(firstNs) ? clock.atNs - clock.offsetNs : firstNs)
  const reference = points.find(({ source }) => source === clock.reference)?.name
  return {
    offsetNs: Math.round(offsetNs) + 0,
    skewPpm: Math.round(clock.skew * 1e9) / 1e3 + 0,
    uncertaintyNs: Math.ceil(clock.uncertaintyNs),
    ...(reference === undefined ? {} : { reference }),
  }
}

/** Time of the last record of all, relative to the epoch; 0 where there is none. */
function lastNs(points: readonly Point[]): number {
  return points.reduce((last, point) => (point.lastNs > last ? point.lastNs : last), 0)
}

/** What is odd about the input as a whole, one line each. */
function oddities(
  points: readonly Point[],
  correlator: Correlator,
  observations: Observations,
  joined: JoinedFlows,
): string[] {
  const lines: string[] = []
  for (const { source, name, index, linkType, timeReversals, largestReversalNs } of points) {
    // Processors that write into one capture overtake each other by microseconds: that is no news.
    if (largestReversalNs >= NOTABLE_REVERSAL_NS)
      lines.push(
        `${source}: time goes backwards at ${counted(timeReversals, 'record')} of ${name}, by up to ${largestReversalNs / 1e9} s`,
      )
    const { unknownLinkType } = observations.at(index)
    if (unknownLinkType > 0)
      lines.push(
        `${source}: link type ${linkTypeName(linkType)} is not decoded: ${counted(unknownLinkType, 'frame')} of ${name} take no part`,
      )
  }
  if (correlator.joinedJourneys === 0 && areOfManyPoints(joined))
    lines.push(
      'no packet was seen at more than one point: these captures have no traffic in common' +
        (haveCommonEnds(joined)
          ? `, or their clocks differ by more than the window of ${correlator.windowNs / 1e9} s`
          : ''),
    )
  if (correlator.window.forced > 0)
    lines.push(
      `${correlator.window.forced} packets were joined with less time than the window allows, as there were too many at once`,
    )
  return lines
}

function areOfManyPoints({ flows }: JoinedFlows): boolean {
  let first: string | undefined
  return flows.some((flow) =>
    pointsOfFlow(flow).some((point) => {
      first ??= point
      return point !== first
    }),
  )
}

function pointsOfFlow({ forward, reverse }: JoinedFlow): string[] {
  return [...forward.path, ...reverse.path].map((station) => station.point)
}

/** Do flows of different points have a server in common? */
function haveCommonEnds({ flows }: JoinedFlows): boolean {
  const seen = new Map<string, string>()
  return flows.some((flow) => {
    const server = `${flow.protocol} ${flow.server.ip} ${flow.server.port}`
    const [point] = pointsOfFlow(flow)
    const other = seen.get(server)
    seen.set(server, point!)
    return other !== undefined && other !== point
  })
}
