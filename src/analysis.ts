/** The analysis: the whole way of the data in one place, from captures to the report. */

import { resolveInputs } from './capture/inputs.ts'
import { JoinedWriter } from './capture/joined-writer.ts'
import { linkTypeName } from './capture/link-types.ts'
import { MergedRecords } from './capture/merge.ts'
import type { Point, PointIndex } from './capture/record.ts'
import { Correlator } from './correlate/correlator.ts'
import type { JoinedFlow } from './correlate/joined-flow.ts'
import { JourneyJournal } from './correlate/journal.ts'
import { Observations } from './correlate/observations.ts'
import { type JoinedFlows, joinedFlows } from './correlate/result.ts'
import { decodeFrame } from './decode/frame.ts'
import { Headers } from './decode/headers.ts'
import { diagnose } from './diagnose/diagnose.ts'
import { counted } from './diagnose/finding.ts'
import { HoptraceError } from './errors.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import { journeyReports } from './report/journeys.ts'
import type { Report } from './report/model.ts'

/** Reversals of less are what a capture on several processors looks like. */
const NOTABLE_REVERSAL_NS = 1e6

export interface AnalysisOptions {
  /** The order of the points from client side to server side, by name; without it the order is worked out. */
  path?: readonly string[]
  /** Keep the journeys, for `Analysis.journeys`. They go to a temporary file where they are many. */
  journeys?: boolean
  /** Write all records into this pcapng file, each with the number of its packet. */
  write?: string
  /** Called now and then while files are read. `totalBytes` is null where a pipe is among them. */
  onProgress?: (readBytes: number, totalBytes: number | null) => void
}

export interface Analysis {
  report: Report
  /** Inputs that were named and could not be read, one line each; the report is about the others. */
  failures: string[]
  /** All journeys in the order of their first sightings, once; empty unless asked for. */
  journeys(): Generator<JourneyReport>
}

/**
 * Reads captures, joins them and diagnoses. `args` are inputs as the command line takes them: `FILE`, `NAME=FILE`, `DIR`
 * or `-`. Rejects with a `HoptraceError` where none of them can be read or an option does not fit them.
 */
export async function analyze(args: readonly string[], options: AnalysisOptions = {}): Promise<Analysis> {
  const { inputs, warnings, failures } = await resolveInputs(args)
  const records = await MergedRecords.open(inputs)
  try {
    const statedPath = pointsOf(options.path ?? [], records)
    const journal = options.journeys ? new JourneyJournal() : null
    const correlator = new Correlator(records.points, {
      snapLenBytes: records.snapLenBytes,
      ...(journal ? { onJourney: (journey) => journal.append(journey) } : {}),
    })
    const observations = new Observations()
    const writer =
      options.write === undefined
        ? null
        : await JoinedWriter.open(options.write, records.points, inputs, records.epoch, records.snapLenBytes)
    try {
      await joinAll(records, correlator, observations, writer, options.onProgress)
      await writer?.finish()
    } finally {
      writer?.close()
    }
    const joined = joinedFlows(correlator, records.epoch, { statedPath: statedPath() })
    const findings = diagnose({
      points: records.points,
      flows: joined.flows,
      observations,
      damages: records.damages,
      endNs: records.epoch.toUnixNs(lastNs(records.points)),
    })
    const report: Report = {
      schema: 'hoptrace.report/1',
      points: records.points.map((point) => pointReport(point, records, observations)),
      path: joined.path.map((point) => records.points[point]!.name),
      flows: joined.flows,
      findings,
      notJoined: correlator.notJoined.list().map(({ reason, point, packets }) => ({
        reason,
        point: records.points[point]!.name,
        packets,
      })),
      warnings: [
        ...warnings,
        // Files that broke off are among the findings.
        ...records.warnings.filter((line) => !records.damages.some((damage) => damage.message === line)),
        ...oddities(records, correlator, observations, joined),
      ],
    }
    return {
      report,
      failures: [...failures, ...records.failures].map((failure) => failure.message),
      *journeys() {
        try {
          if (journal) yield* journeyReports(journal.read(), correlator, joined, records.epoch)
        } finally {
          journal?.close()
        }
      },
    }
  } finally {
    await records.close()
  }
}

async function joinAll(
  records: MergedRecords,
  correlator: Correlator,
  observations: Observations,
  writer: JoinedWriter | null,
  onProgress: AnalysisOptions['onProgress'],
): Promise<void> {
  const headers = new Headers()
  for (;;) {
    while (records.advance()) {
      const { record, point } = records
      decodeFrame(record.bytes, record.start, record.end, record.linkType, record.originalLenBytes, headers)
      observations.note(point, record.frame, headers)
      const packet = correlator.add(point, record, headers)
      writer?.add(point, record, packet)
    }
    if (records.done) break
    if (onProgress) {
      const { readBytes, totalBytes } = records.progress()
      onProgress(readBytes, totalBytes)
    }
    await records.fill()
  }
  correlator.finish()
}

/** The points that `--path` names. They may appear only while records are read: looked up when called. */
function pointsOf(names: readonly string[], records: MergedRecords): () => PointIndex[] {
  const find = (isFinal: boolean) => {
    const found = names.map((name) => records.points.findIndex((point) => point.name === name))
    const unknown = names.filter((_, i) => found[i]! < 0)
    if (unknown.length > 0 && isFinal)
      throw new HoptraceError(
        `--path names ${unknown.join(', ')}, which is no point here: the points are ${records.points.map((p) => p.name).join(', ')}`,
      )
    if (new Set(found).size < found.length && unknown.length === 0)
      throw new HoptraceError('--path names a point twice: name each point once, client side first')
    return found
  }
  // Interfaces come to light as a pcapng or SLL2 file is read; else a mistake need not wait for gigabytes.
  find(records.hasAllPoints)
  return () => find(true)
}

function pointReport(
  point: Point,
  records: MergedRecords,
  observations: Observations,
): Report['points'][number] {
  const time = (ns: number) => (Number.isNaN(ns) ? null : records.epoch.toUnixNs(ns).toString())
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
    clock: { offsetNs: 0, skewPpm: 0, uncertaintyNs: 0 },
  }
}

/** Time of the last record of all, relative to the epoch; 0 where there is none. */
function lastNs(points: readonly Point[]): number {
  return points.reduce((last, point) => (point.lastNs > last ? point.lastNs : last), 0)
}

/** What is odd about the input as a whole, one line each. */
function oddities(
  records: MergedRecords,
  correlator: Correlator,
  observations: Observations,
  joined: JoinedFlows,
): string[] {
  const lines: string[] = []
  for (const { source, name, index, linkType, timeReversals, largestReversalNs } of records.points) {
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
  if (correlator.joinedJourneys === 0 && new Set(joined.flows.flatMap(pointsOfFlow)).size > 1)
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
