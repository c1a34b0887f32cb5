/** The live analysis: joins what running captures see, tells each packet as it completes, and reports at the end. */

import { setImmediate } from 'node:timers/promises'
import type { LiveRecords } from './capture/live/live-records.ts'
import type { RotatingFile } from './capture/live/rotating-file.ts'
import type { PointIndex } from './capture/record.ts'
import type { FlowIndex } from './correlate/flows.ts'
import { LiveJourneys } from './correlate/live-journeys.ts'
import type { PatternOutcome } from './correlate/outcomes.ts'
import { type JoinedFlows, joinedFlows } from './correlate/result.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { HoptraceError } from './errors.ts'
import { Joining, type RecordWriter } from './joining.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import { journeyReports } from './report/journeys.ts'
import type { FlowReport, Report } from './report/model.ts'

/** How often packets are told, in ms; less often where telling takes long. */
const TELL_EVERY_MS = 50
/** Telling may take one part in so many of the time. */
const TELL_SHARE = 5
/** Flows that are looked at for what one packet of another is told from: the newest ones. */
const FLOWS_IN_VIEW = 1000
/** Between two looks at whether it is time to end. */
const FRAMES_AT_A_TIME = 1 << 16
/** Of very many flows, only those that had a packet since are listed, in ns. */
const RECENT_NS = 60e9
/** Flows that are kept for the report: they take 3 kB each, and the report about them more. */
const MAX_FLOWS = 50_000

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
  /** UDP destination ports of tunnels; the usual ones unless given. */
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
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
  const maxTold = listener?.journeys ? listener.maxJourneysAtOnce : 0
  let fileError: HoptraceError | null = null
  const noteFileError = (error: unknown) => {
    if (!(error instanceof HoptraceError)) throw error
    fileError ??= error
    records.stop()
  }
  const writer: RecordWriter | null = file
    ? {
        add(point, record, packet) {
          try {
            file.add(point, record, packet)
          } catch (error) {
            noteFileError(error)
          }
        },
      }
    : null
  const newGeneration = (before: Generation | null) =>
    new Generation(records, { writer, maxJourneysAtOnce: maxTold, tunnelPorts: options.tunnelPorts }, before)
  let generation = newGeneration(null)
  let nextTellMs = 0
  const flush = () => {
    try {
      file?.flush(records.nowNs())
    } catch (error) {
      noteFileError(error)
    }
  }
  const tell = async (isLast: boolean) => {
    const beginMs = performance.now()
    const points = options.activePoints?.() ?? records.points.map((point) => point.index)
    const told = maxTold === 0 ? null : generation.take(points)
    if (told) await listener?.journeys?.(told.reports, told.skipped, told.flowOf)
    if (!isLast) await listener?.tick?.(generation.view())
    nextTellMs = performance.now() + Math.max(TELL_EVERY_MS, TELL_SHARE * (performance.now() - beginMs))
  }
  for (;;) {
    const hasMore = generation.joining.takeRecords()
    if (performance.now() >= nextTellMs) {
      // On a quiet line as well, journeys have to leave the window.
      if (!hasMore) generation.joining.correlator.advanceTo(records.settledNs)
      flush()
      await tell(false)
    }
    if (generation.isFull) generation = newGeneration(generation)
    if (hasMore) await setImmediate()
    else if (records.done) break
    else await records.fill()
  }
  const { joining } = generation
  joining.correlator.finish()
  await tell(true)
  if (file && fileError === null) {
    await file.finish().catch(noteFileError)
  }
  const report = joining.report(joining.flows(), generation.warnings())
  return { report, fileError }
}

/** Only writes, until the records end; `onFrames` is told their number now and then. Joining is left for later. */
export async function recordLive(
  records: LiveRecords,
  file: RotatingFile,
  onFrames: (frames: number) => void,
): Promise<HoptraceError | null> {
  try {
    for (let frames = 0; ; ) {
      for (let left = FRAMES_AT_A_TIME; left > 0 && records.advance(); left--) {
        file.add(records.point, records.record, -1)
        frames++
      }
      file.flush(records.nowNs())
      onFrames(frames)
      if (records.done) break
      await records.fill()
    }
    await file.finish()
    return null
  } catch (error) {
    if (!(error instanceof HoptraceError)) throw error
    records.stop()
    return error
  }
}

/**
 * The tables of a stretch of the capture. Flows are kept for the report, which can't go on for ever: where there are too
 * many, a new generation begins, and the flows of the old one are forgotten.
 */
class Generation {
  readonly joining: Joining
  readonly #records: LiveRecords
  readonly #journeys: LiveJourneys
  readonly #forgottenFlows: number
  readonly #forgottenPackets: number
  /** Outcomes by pattern as they stood when packets were told last. */
  #outcomes: ReadonlyMap<number, PatternOutcome> = new Map()
  #skipped = 0
  readonly #ids = new Map<FlowIndex, number>()
  /** Flows up to here have their numbers. */
  #numbered = 0

  constructor(
    records: LiveRecords,
    {
      writer,
      maxJourneysAtOnce,
      tunnelPorts,
    }: {
      writer: RecordWriter | null
      maxJourneysAtOnce: number | undefined
      tunnelPorts: LiveOptions['tunnelPorts']
    },
    before: Generation | null,
  ) {
    this.#records = records
    this.#journeys = new LiveJourneys(maxJourneysAtOnce)
    this.#forgottenFlows = before?.flowCount ?? 0
    this.#forgottenPackets = before?.packets ?? 0
    const first = this.#forgottenPackets
    this.joining = new Joining(records, {
      tunnelPorts,
      // Numbers of packets go on where those of the last generation ended.
      writer: writer && {
        add: (point, record, packet) => writer.add(point, record, packet < 0 ? packet : packet + first),
      },
      onJourney: maxJourneysAtOnce === 0 ? undefined : (journey) => this.#journeys.noteFinished(journey),
    })
  }

  get isFull(): boolean {
    return this.joining.correlator.flows.count >= MAX_FLOWS
  }

  /** Flows since the capture began. */
  get flowCount(): number {
    const { flows } = this.joining.correlator
    return this.#forgottenFlows + flows.count - flows.mergedCount
  }

  /** Packets since the capture began, each counted once. */
  get packets(): number {
    return this.#forgottenPackets + this.joining.correlator.window.nextSerial
  }

  warnings(): string[] {
    if (this.#forgottenFlows === 0) return []
    return [
      `the first ${this.#forgottenFlows} flows are left out here, as there were too many to keep: -w has kept their frames, where it was given`,
    ]
  }

  /** What is to be told now, or null. */
  take(points: readonly PointIndex[]): {
    reports: Iterable<JourneyReport>
    skipped: number
    flowOf: (id: number) => FlowReport
  } | null {
    const { correlator } = this.joining
    const journeys = this.#journeys
    const told = journeys.take(correlator, this.#records.nowNs(), points, this.#outcomes)
    const skipped = journeys.skipped - this.#skipped
    if (told.length === 0 && skipped === 0) return null
    this.#skipped = journeys.skipped
    const only = new Set<FlowIndex>()
    for (const { direction } of told) only.add(correlator.flows.find(direction) >> 1)
    const joined = this.#joined(only)
    this.#outcomes = joined.outcomes
    const byId = new Map(joined.flows.map((flow) => [flow.id, flow]))
    const reports = journeyReports(told, correlator, joined, this.#records.epoch)
    return { reports, skipped, flowOf: (id) => byId.get(id)! }
  }

  view(): LiveView {
    const { flows } = this.joining.correlator
    return {
      nowNs: this.#records.nowNs(),
      packets: this.packets,
      flowCount: this.flowCount,
      flows: (count) => {
        const lastNs = (flow: FlowIndex) => Math.max(flows.lastNs[2 * flow]!, flows.lastNs[2 * flow + 1]!)
        let active: FlowIndex[] = []
        for (let flow = 0; flow < flows.count; flow++) if (!flows.isMerged(flow)) active.push(flow)
        const recentNs = this.#records.nowNs() - RECENT_NS
        if (active.length > FLOWS_IN_VIEW) active = active.filter((flow) => lastNs(flow) >= recentNs)
        active.sort((a, b) => lastNs(b) - lastNs(a))
        return this.#joined(new Set(active.slice(0, count)))
      },
    }
  }

  /** These flows, told from what they and the newest others show. */
  #joined(only: Set<FlowIndex>): JoinedFlows {
    const { correlator } = this.joining
    const { count } = correlator.flows
    for (let flow = Math.max(0, count - FLOWS_IN_VIEW); flow < count; flow++) only.add(flow)
    this.#number()
    return joinedFlows(correlator, this.#records.epoch, { only, idOf: (flow) => this.#ids.get(flow) ?? 0 })
  }

  /** Numbers flows in the order in which they began, as the report at the end does. */
  #number(): void {
    const { flows } = this.joining.correlator
    for (; this.#numbered < flows.count; this.#numbered++) {
      const flow = flows.find(2 * this.#numbered) >> 1
      if (!this.#ids.has(flow)) this.#ids.set(flow, this.#forgottenFlows + this.#ids.size + 1)
    }
  }
}
