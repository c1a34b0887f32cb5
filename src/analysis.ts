/** The analysis: the whole way of the data in one place, from captures to the report. */

import { type ResolvedInputs, resolveInputs } from './capture/inputs.ts'
import { InterfaceNames } from './capture/interface-names.ts'
import { JoinedWriter } from './capture/joined-writer.ts'
import { MergedRecords } from './capture/merge.ts'
import { openPipeHeads } from './capture/pipe-heads.ts'
import { Epoch, type PointIndex } from './capture/record.ts'
import { withSeries } from './capture/series.ts'
import { surveyClocks } from './clock-survey.ts'
import { JourneyJournal } from './correlate/journal.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { HoptraceError } from './errors.ts'
import { Joining } from './joining.ts'
import type { Receipts } from './receipts/model.ts'
import { receiptComments, receiptsIn } from './receipts/receipts-text.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import { journeyReports } from './report/journeys.ts'
import { type FlowReport, type Report, type StreamedReport, withArray } from './report/model.ts'

export interface AnalysisOptions {
  /** The order of the points from client side to server side, by name; without it the order is worked out. */
  path?: readonly string[]
  /** Keep the journeys, for `Analysis.journeys`. They go to a temporary file where they are many. */
  journeys?: boolean
  /** UDP destination port → tunnel, instead of the usual ports: 4789 and 8472 vxlan, 6081 geneve, 2152 gtpu. */
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
  /** Names of interfaces that a file only numbers (LINUX_SLL2), by index, or by `FILE:INDEX` where files differ. */
  interfaceNames?: ReadonlyMap<string, string>
  /** Leave all times as recorded, though files show that their clocks differ. */
  keepClocks?: boolean
  /** Write all records into this pcapng file, each with the number of its packet. */
  write?: string
  /** Of very many flows, findings are told in full only of so many; where a few flows are wanted, all of theirs. */
  diagnoses?: (flow: FlowReport) => boolean
  /** All findings of however many flows. */
  keepsFindings?: boolean
  /** Called now and then while files are read. `totalBytes` is null where a pipe is among them. */
  onProgress?: (readBytes: number, totalBytes: number | null) => void
}

export interface Analysis {
  /** With an array of all flows, made when it is first asked for: a flow takes some kB. */
  readonly report: Report
  /** The same with flows that are read one after the other whenever they are gone through, for any number of them. */
  readonly streamed: StreamedReport
  /** What the kernel counted while these captures ran, as far as the files hold it; in the order of the inputs. */
  receipts: Receipts[]
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
  return await analyzeInputs(await resolveInputs(args), options)
}

/** The same for inputs that were found already. */
export async function analyzeInputs(
  { inputs: files, warnings, failures }: ResolvedInputs,
  options: AnalysisOptions = {},
): Promise<Analysis> {
  const captures = withSeries(files)
  const epoch = new Epoch()
  const comparesClocks = !options.keepClocks && captures.length > 1
  const inputs = comparesClocks ? await openPipeHeads(captures) : captures
  const clocks = comparesClocks ? await surveyClocks(inputs, epoch, options.tunnelPorts) : []
  const interfaceNames = new InterfaceNames(options.interfaceNames)
  const records = await MergedRecords.open(inputs, { epoch, clocks, interfaceNames })
  try {
    const statedPath = pointsOf(options.path ?? [], records)
    const journal = options.journeys ? new JourneyJournal() : null
    const writer =
      options.write === undefined ? null : await JoinedWriter.open(options.write, records, inputs)
    const joining = new Joining(records, {
      writer,
      tunnelPorts: options.tunnelPorts,
      onJourney: journal ? (journey) => journal.append(journey) : undefined,
    })
    let receipts: Receipts[] = []
    try {
      await joinAll(records, joining, options.onProgress)
      receipts = records
        .receiptComments()
        .flatMap(({ source, comments }) => receiptsIn(comments, source, warnings))
      await writer?.finish(receipts.flatMap(receiptComments))
    } finally {
      writer?.close()
    }
    const joined = joining.flows(statedPath())
    const streamed = joining.report(joined, {
      warnings: [...warnings, ...interfaceNames.warnings()],
      ...(options.diagnoses ? { diagnoses: options.diagnoses } : {}),
      receipts,
      keepsFindings: options.keepsFindings === true,
    })
    let report: Report | null = null
    return {
      streamed,
      get report() {
        report ??= withArray(streamed)
        return report
      },
      receipts,
      failures: [...failures, ...records.failures].map((failure) => failure.message),
      *journeys() {
        try {
          if (journal) yield* journeyReports(journal.read(), joining.correlator, joined, records.epoch)
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
  joining: Joining,
  onProgress: AnalysisOptions['onProgress'],
): Promise<void> {
  for (;;) {
    while (joining.takeRecords());
    if (records.done) break
    if (onProgress) {
      const { readBytes, totalBytes } = records.progress()
      onProgress(readBytes, totalBytes)
    }
    await records.fill()
  }
  joining.correlator.finish()
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
