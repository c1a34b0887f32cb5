/** `capture --web`: the live page, fed by the capture: packets as they are told, and the report twice a second. */

import type { LiveRecords } from '../capture/live/live-records.ts'
import type { RotatingFile } from '../capture/live/rotating-file.ts'
import type { Point } from '../capture/record.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import type { LiveListener } from '../live-analysis.ts'
import type { LiveView } from '../live-generation.ts'
import type { Receipts } from '../receipts/model.ts'
import { type FlowFilter, filterBy, selectFlows } from '../report/filter.ts'
import { harmless, harmlessCopy } from '../report/harmless.ts'
import type { LiveHello, LiveStatus } from '../report/page-live.ts'
import { Downloads } from '../serve/downloads.ts'
import { FrameRing } from '../serve/frame-ring.ts'
import { PacketFeed } from '../serve/packet-feed.ts'
import { PageServer } from '../serve/page-server.ts'
import { ReportFeed } from '../serve/report-feed.ts'
import { VERSION } from '../version.ts'
import { complain } from './output.ts'

/** Packets that are told at once, 20 times a second; less often where that takes more than its share of the time. */
const MAX_PACKETS_AT_ONCE = 4000
const REPORT_EVERY_MS = 500
/** Making reports may take one part in so many of the time. */
const REPORT_SHARE = 20
/** Flows that are looked at for each report: those that were active last; and at the end. */
const MAX_FLOWS = 500
const MAX_FLOWS_AT_END = 20_000

export interface LiveWebOptions {
  records: LiveRecords
  /** What can be saved. */
  kept: Pick<RotatingFile, 'parts' | 'lenBytes'> & { readonly problem?: string | null }
  filter: FlowFilter['expression'] | undefined
  tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined
  describe(point: Point): string
}

export class LiveWeb {
  /** Of the capture, for names of files. */
  readonly name: string
  /** Wants each record. */
  readonly frames = new FrameRing()
  readonly #title: string
  readonly #server: PageServer
  readonly #report = new ReportFeed()
  #packets: PacketFeed | null = null
  #options: LiveWebOptions | null = null
  #untold = 0
  #beganMs = 0
  #nextReportMs = 0
  #counted = { atMs: 0, packets: 0 }

  /** Takes the port, 0 for any; `subjects` are what is captured. Rejects with a `HoptraceError`. */
  static async open(port: number, subjects: readonly string[]): Promise<LiveWeb> {
    const title = harmless(subjects.join(' '))
    return new LiveWeb(await PageServer.listen(port, title), title)
  }

  private constructor(server: PageServer, title: string) {
    this.#server = server
    this.#title = title
    this.name =
      title
        .replace(/[^A-Za-z0-9]+/g, '-')
        .replace(/^-|-$/g, '')
        .slice(0, 40) || 'capture'
  }

  /** The capture has begun: says where the page is. */
  begin(options: LiveWebOptions): void {
    const { records, kept, filter, tunnelPorts } = options
    const packets = new PacketFeed(this.frames, tunnelPorts)
    this.#options = options
    this.#packets = packets
    this.#beganMs = performance.now()
    this.#server.serve({
      feeds: { report: this.#report, packets, hello: () => this.#hello() },
      downloads: new Downloads({
        parts: () => kept.parts(),
        name: this.name,
        tunnelPorts,
        filter: filter?.text,
      }),
      onStop: () => records.stop(),
    })
    complain(`the live page opens once, in a browser on this machine: ${this.#server.address}`)
  }

  /** Tells the page, and then this one. */
  listener(other: LiveListener): LiveListener {
    const { filter } = this.#options!
    return {
      ...(other.journeys || filter ? {} : { maxJourneysAtOnce: MAX_PACKETS_AT_ONCE }),
      journeys: async (reports, skipped, flowOf) => {
        const journeys = [...reports]
        const matching = filter ? journeys.filter(({ flow }) => filter.matches(flowOf(flow))) : journeys
        for (const journey of matching.slice(0, MAX_PACKETS_AT_ONCE)) this.#packets!.add(journey)
        this.#untold += skipped + Math.max(0, matching.length - MAX_PACKETS_AT_ONCE)
        this.#server.pump()
        await other.journeys?.(journeys, skipped, flowOf)
      },
      tick: async (view) => {
        if (this.#server.pages > 0 && performance.now() >= this.#nextReportMs)
          this.#update(view, MAX_FLOWS, [])
        await other.tick?.(view)
      },
      end: async (view, receipts) => {
        if (this.#server.pages > 0) this.#update(view, MAX_FLOWS_AT_END, receipts)
        await this.#server.end()
        await other.end?.(view, receipts)
      },
    }
  }

  close(): void {
    this.#server.close()
  }

  #update(view: LiveView, maxFlows: number, receipts: readonly Receipts[]): void {
    const [beginMs, before] = [performance.now(), process.cpuUsage()]
    const report = selectFlows(view.report(maxFlows, receipts), filterBy(this.#options!.filter))
    const isLast = maxFlows === MAX_FLOWS_AT_END
    this.#report.update(
      report,
      view.mergedIds(),
      this.#status(view, beginMs),
      isLast ? MAX_FLOWS_AT_END : undefined,
    )
    this.#server.pump()
    const { user, system } = process.cpuUsage(before)
    this.#nextReportMs = beginMs + Math.max(REPORT_EVERY_MS, (REPORT_SHARE * (user + system)) / 1000)
  }

  #status({ packets, flowCount }: LiveView, nowMs: number): LiveStatus {
    const { records, kept } = this.#options!
    const seconds = (nowMs - this.#counted.atMs) / 1000
    const packetsPerSecond = Math.round((packets - this.#counted.packets) / seconds)
    this.#counted = { atMs: nowMs, packets }
    return {
      elapsedMs: Math.round(nowMs - this.#beganMs),
      packets,
      packetsPerSecond,
      flows: flowCount,
      untold: this.#untold,
      drops: records.points.reduce((sum, { captureDrops }) => sum + (captureDrops ?? 0), 0),
      kept: { bytes: kept.lenBytes, problem: kept.problem ?? null },
    }
  }

  #hello(): LiveHello {
    const { records, tunnelPorts, describe } = this.#options!
    const descriptions = Object.fromEntries(records.points.map((point) => [point.name, describe(point)]))
    return {
      about: {
        schema: 'hoptrace.page/1',
        title: this.#title,
        version: VERSION,
        descriptions: harmlessCopy(descriptions),
        ...(tunnelPorts ? { tunnelPorts: [...tunnelPorts] } : {}),
        blocks: [],
      },
      earlierPackets: this.#packets!.first,
    }
  }
}
