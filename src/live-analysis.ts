/** The live analysis: joins what running captures see, tells each packet as it completes, and reports at the end. */

import { setImmediate } from 'node:timers/promises'
import type { LiveRecords } from './capture/live/live-records.ts'
import type { RotatingFile } from './capture/live/rotating-file.ts'
import type { PointIndex } from './capture/record.ts'
import type { FlowIndex } from './correlate/flows.ts'
import { LiveJourneys } from './correlate/live-journeys.ts'
import type { PatternOutcome } from './correlate/outcomes.ts'
import { type JoinedFlows, joinedFlows } from './correlate/result.ts'
import type { FinishedJourney } from './correlate/tally.ts'
import { HoptraceError } from './errors.ts'
import { Joining } from './joining.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import { journeyReports } from './report/journeys.ts'
import type { FlowReport, Report } from './report/model.ts'

/** How often packets are told, in ms; less often where telling takes long. */
const TELL_EVERY_MS = 50
/** Telling may take one part in so many of the time. */
const TELL_SHARE = 5
/** Flows that are looked at for what one packet of another is told from: the newest ones. */
const FLOWS_IN_VIEW = 1000

/** Whoever watches. Each call may take its time: frames wait in the rings meanwhile, and what is lost there is counted. */
export interface LiveListener {
  /** Packets that have arrived, or had their time, in the order in which they began; `flowOf` gives a packet's flow. */
  journeys?(
    reports: Iterable<JourneyReport>,
    skipped: number,
    flowOf: (id: number) => FlowReport,
  ): Promise<void>
  /** Of the packets that begin within 50 ms only so many are told; all unless given. */
  maxJourneysAtOnce?: number
  /** Called every 50 ms or so. */
  tick?(view: LiveView): Promise<void>
}

export interface LiveView {
  readonly nowNs: number
  /** Packets so far, each counted once, and flows. */
  readonly packets: number
  readonly flowCount: number
  /** The flows that were active last, as they stand. */
  flows(count: number): JoinedFlows
}

export interface LiveOptions {
  file?: RotatingFile | null
  listener?: LiveListener
  /** Points that are captured at the moment: a packet that all of these have seen has arrived. */
  activePoints?: () => PointIndex[]
}

/**
 * Joins until the records end (`records.stop()`). Rejects with what the listener rejects with; where the file can't be
 * written any more, the capture ends and the report's warnings say why.
 */
export async function analyzeLive(
  records: LiveRecords,
  options: LiveOptions = {},
): Promise<{ report: Report; fileError: HoptraceError | null }> {
  const { listener, file } = options
  const tells = listener?.journeys !== undefined
  const journeys = new LiveJourneys(listener?.maxJourneysAtOnce)
  let fileError: HoptraceError | null = null
  const guarded = (write: () => void) => {
    try {
      write()
    } catch (error) {
      if (!(error instanceof HoptraceError)) throw error
      fileError ??= error
      records.stop()
    }
  }
  const writer = file && {
    add: (...args: Parameters<RotatingFile['add']>) => guarded(() => file.add(...args)),
  }
  const joining = new Joining(records, {
    writer: writer ?? null,
    onJourney: tells ? (journey) => journeys.noteFinished(journey) : undefined,
  })
  const { correlator } = joining
  const teller = new Teller(joining, records)
  let nextTellMs = 0
  let skipped = 0
  const tell = async (isLast: boolean) => {
    const beginMs = performance.now()
    if (tells) {
      const points = options.activePoints?.() ?? records.points.map((point) => point.index)
      const told = journeys.take(correlator, records.nowNs(), points, teller.outcomes)
      if (told.length > 0 || journeys.skipped > skipped) {
        const { reports, flowOf } = teller.reports(told)
        await listener.journeys!(reports, journeys.skipped - skipped, flowOf)
        skipped = journeys.skipped
      }
    }
    if (!isLast) await listener?.tick?.(teller.view())
    nextTellMs = performance.now() + Math.max(TELL_EVERY_MS, TELL_SHARE * (performance.now() - beginMs))
  }
  for (;;) {
    const hasMore = joining.takeRecords()
    if (performance.now() >= nextTellMs) {
      // A quiet line has its journeys leave the window as well.
      if (!hasMore) correlator.advanceTo(records.settledNs)
      if (file) guarded(() => file.flush(records.nowNs()))
      await tell(false)
    }
    if (hasMore) await setImmediate()
    else if (records.done) break
    else await records.fill()
  }
  correlator.finish()
  if (tells) await tell(true)
  if (file && fileError === null)
    await file.finish().catch((error) =>
      guarded(() => {
        throw error
      }),
    )
  const report = joining.report(joining.flows())
  return { report, fileError }
}

/** Reads flows and packets from the tables while these still grow. */
class Teller {
  /** Outcomes by pattern as they stood when packets were told last. */
  outcomes: ReadonlyMap<number, PatternOutcome> = new Map()
  readonly #joining: Joining
  readonly #records: LiveRecords
  readonly #ids = new Map<FlowIndex, number>()
  /** Flows up to here have their numbers. */
  #numbered = 0

  constructor(joining: Joining, records: LiveRecords) {
    this.#joining = joining
    this.#records = records
  }

  reports(told: readonly FinishedJourney[]): {
    reports: Iterable<JourneyReport>
    flowOf: (id: number) => FlowReport
  } {
    const { correlator } = this.#joining
    const only = new Set<FlowIndex>()
    for (const { direction } of told) only.add(correlator.flows.find(direction) >> 1)
    const joined = this.#joined(only)
    this.outcomes = joined.outcomes
    const byId = new Map(joined.flows.map((flow) => [flow.id, flow]))
    return {
      reports: journeyReports(told, correlator, joined, this.#records.epoch),
      flowOf: (id) => byId.get(id)!,
    }
  }

  view(): LiveView {
    const { correlator } = this.#joining
    const { flows, window } = correlator
    return {
      nowNs: this.#records.nowNs(),
      packets: window.nextSerial,
      flowCount: flows.count - flows.mergedCount,
      flows: (count) => {
        const lastNs = (flow: FlowIndex) => Math.max(flows.lastNs[2 * flow]!, flows.lastNs[2 * flow + 1]!)
        const active: FlowIndex[] = []
        for (let flow = flows.count - 1; flow >= 0 && active.length < FLOWS_IN_VIEW; flow--)
          if (!flows.isMerged(flow)) active.push(flow)
        active.sort((a, b) => lastNs(b) - lastNs(a))
        return this.#joined(new Set(active.slice(0, count)))
      },
    }
  }

  /** These flows, told from what they and the newest others show. */
  #joined(only: Set<FlowIndex>): JoinedFlows {
    const { correlator } = this.#joining
    for (
      let flow = Math.max(0, correlator.flows.count - FLOWS_IN_VIEW);
      flow < correlator.flows.count;
      flow++
    )
      only.add(flow)
    this.#number()
    return joinedFlows(correlator, this.#records.epoch, { only, idOf: (flow) => this.#ids.get(flow) ?? 0 })
  }

  /** Numbers flows in the order in which they began, as the report at the end does. */
  #number(): void {
    const { flows } = this.#joining.correlator
    for (; this.#numbered < flows.count; this.#numbered++) {
      const flow = flows.find(2 * this.#numbered) >> 1
      if (!this.#ids.has(flow)) this.#ids.set(flow, this.#ids.size + 1)
    }
  }
}
