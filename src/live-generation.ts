/** Generations: the tables of a live capture, told from while they grow, and begun anew before they grow too large. */

import type { LiveRecords } from './capture/live/live-records.ts'
import type { PointIndex } from './capture/record.ts'
import type { FlowIndex } from './correlate/flows.ts'
import { LiveJourneys } from './correlate/live-journeys.ts'
import type { Outcomes } from './correlate/outcomes.ts'
import { type JoinedFlows, joinedFlows } from './correlate/result.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { Joining, type RecordWriter } from './joining.ts'
import type { Receipts } from './receipts/model.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import { journeyReports } from './report/journeys.ts'
import type { FlowReport, Report } from './report/model.ts'

/** Flows that are looked at for what one packet of another is told from: the newest ones. */
const FLOWS_IN_VIEW = 1000
/** Of very many flows, only those that had a packet since are listed, in ns. */
const RECENT_NS = 60e9
/** Each point makes a flow of its own of a conversation, until a packet shows that they are one. */
const MAX_MERGED = 20

export interface LiveView {
  readonly nowNs: number
  /** Packets so far, each counted once, and flows. */
  readonly packets: number
  readonly flowCount: number
  /** The flows that were active last, as they stand. */
  flows(count: number): JoinedFlows
  /** The report as it stands, about the flows that were active last; about all once no packet can follow. */
  report(count: number, receipts?: readonly Receipts[]): Report
  /** Numbers that flows had which turned out to be part of others. */
  mergedIds(): Iterable<number>
}

/**
 * The tables of a stretch of the capture. Flows are kept for the report, which can't go on for ever: where there are too
 * many, a new generation begins, and all flows of the old one are forgotten, running ones as well. What is underway at
 * that moment comes out in two pieces.
 */
export class Generation {
  readonly joining: Joining
  readonly #records: LiveRecords
  readonly #journeys: LiveJourneys
  readonly #forgottenFlows: number
  /** Numbers that were given before; more than flows, as some turn out to be part of others. */
  readonly #idsBefore: number
  readonly #forgottenPackets: number
  /** Outcomes by pattern as they stood when packets were told last. */
  #outcomes: Pick<Outcomes, 'get'> = new Map()
  #skipped = 0
  #isFinished = false
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
      tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined
    },
    before: Generation | null,
  ) {
    this.#records = records
    this.#journeys = new LiveJourneys(maxJourneysAtOnce)
    this.#forgottenFlows = before?.flowCount ?? 0
    this.#idsBefore = before === null ? 0 : before.#idsBefore + before.#ids.size
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

  /** Are there more flows than may be kept? What became part of another flow takes room, too. */
  isFull(maxFlows: number): boolean {
    const { count, mergedCount } = this.joining.correlator.flows
    return count - mergedCount >= maxFlows || count >= MAX_MERGED * maxFlows
  }

  /** No record will follow: all packets have had their time. */
  finish(): void {
    this.#isFinished = true
    this.joining.correlator.finish()
  }

  /** The flows at the end, with the numbers that they were told by where some have been forgotten. */
  flows(): JoinedFlows {
    if (this.#forgottenFlows === 0) return this.joining.flows()
    this.#number()
    return this.joining.flows([], (flow) => this.#ids.get(flow) ?? 0)
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
    return {
      nowNs: this.#records.nowNs(),
      packets: this.packets,
      flowCount: this.flowCount,
      flows: (count) => this.#joined(new Set(this.#active(count))),
      report: (count, receipts = []) => this.#report(count, receipts),
      mergedIds: () => this.#mergedIds(),
    }
  }

  /** The flows that were active last. */
  #active(count: number): FlowIndex[] {
    const { flows } = this.joining.correlator
    const lastNs = (flow: FlowIndex) => flows.lastNs[flow]!
    let active: FlowIndex[] = []
    // What no packet has been told of yet has no way to show.
    const hasWay = (flow: FlowIndex) => flows.stations[2 * flow]! + flows.stations[2 * flow + 1]! > 0
    for (let flow = 0; flow < flows.count; flow++)
      if (!flows.isMerged(flow) && hasWay(flow)) active.push(flow)
    const recentNs = this.#records.nowNs() - RECENT_NS
    if (active.length > FLOWS_IN_VIEW && !this.#isFinished)
      active = active.filter((flow) => lastNs(flow) >= recentNs)
    return active.sort((a, b) => lastNs(b) - lastNs(a)).slice(0, count)
  }

  #report(count: number, receipts: readonly Receipts[]): Report {
    const chosen = this.#active(count)
    const joined = this.#joined(new Set(chosen))
    const ids = new Set(chosen.map((flow) => this.#ids.get(flow)))
    const report = this.joining.report(joined, {
      warnings: this.warnings(),
      receipts,
      diagnoses: ({ id }) => ids.has(id),
    })
    return { ...report, flows: report.flows.flatMap((flow) => (ids.has(flow.id) ? flow : [])) }
  }

  *#mergedIds(): Generator<number> {
    const { flows } = this.joining.correlator
    for (const [flow, id] of this.#ids) if (flows.isMerged(flow)) yield id
  }

  /** These flows, told from what they and the newest others show. */
  #joined(only: Set<FlowIndex>): JoinedFlows {
    const { correlator } = this.joining
    const { count } = correlator.flows
    for (let flow = Math.max(0, count - FLOWS_IN_VIEW); flow < count; flow++) only.add(flow)
    this.#number()
    return joinedFlows(correlator, this.#records.epoch, {
      ...(this.#isFinished ? {} : { nowNs: this.#records.settledNs }),
      only,
      idOf: (flow) => this.#ids.get(flow) ?? 0,
    })
  }

  /** Numbers flows in the order in which they began, as the report at the end does. */
  #number(): void {
    const { flows } = this.joining.correlator
    for (; this.#numbered < flows.count; this.#numbered++) {
      const flow = flows.find(2 * this.#numbered) >> 1
      if (!this.#ids.has(flow)) this.#ids.set(flow, this.#idsBefore + this.#ids.size + 1)
    }
  }
}
