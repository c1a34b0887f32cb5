/** The live analysis: joins what running captures see, tells each packet as it completes, and reports at the end. */

import { setImmediate, setTimeout } from 'node:timers/promises'
import type { LiveRecords } from './capture/live/live-records.ts'
import type { RotatingFile } from './capture/live/rotating-file.ts'
import type { PointIndex } from './capture/record.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { HoptraceError } from './errors.ts'
import type { RecordWriter } from './joining.ts'
import { LiveClocks } from './live-clocks.ts'
import { Generation, type LiveView } from './live-generation.ts'
import type { Receipts } from './receipts/model.ts'
import { receiptComments } from './receipts/receipts-text.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import { type FlowReport, type Report, withArray } from './report/model.ts'

/** How often packets are told, in ms; less often where telling takes long. */
const TELL_EVERY_MS = 50
/** At the end whoever is told gets so long to take it in, in ms: a reader may have stopped. */
const LAST_TELL_MS = 2000
/** Telling may take one part in so many of the time: of the processor's, as the clock of a busy machine says little. */
const TELL_SHARE = 5
/** Between two looks at whether it is time to end. */
const FRAMES_AT_A_TIME = 1 << 16
/** Between two looks at whether there were packets enough. */
const FEW_RECORDS = 64
/** Flows that are kept for the report: they take 3 kB each, and the report about them more. */
const MAX_FLOWS = 50_000

/** Whoever watches. Each call may take its time: frames wait in the rings meanwhile, and what is lost there is counted. */
export interface LiveListener {
  /**
   * Packets that have arrived, or had their time, in the order in which they began; `flowOf` gives a packet's flow. Both
   * may be used only until the first `await`.
   */
  journeys?(
    reports: Iterable<JourneyReport>,
    skipped: number,
    flowOf: (id: number) => FlowReport,
  ): Promise<void>
  /** Of the packets that begin within 50 ms only so many are told; all unless given. */
  maxJourneysAtOnce?: number
  /** Called every 50 ms or so. */
  tick?(view: LiveView): Promise<void>
  /** Called once, when all packets have been told. */
  end?(view: LiveView, receipts: readonly Receipts[]): Promise<void>
}

/** Where frames are written to. What it throws or rejects with ends the capture. */
export type CaptureFile = Pick<RotatingFile, 'add' | 'flush' | 'finish'>

export interface LiveOptions {
  file?: CaptureFile | null
  /** Gets each record, after the file. */
  alsoTo?: RecordWriter
  listener?: LiveListener
  /** Points that are captured at the moment: a packet that all of these have seen has arrived. */
  activePoints?: () => PointIndex[]
  /** Ends after so many packets, or a few more. */
  maxPackets?: number
  /** So many flows are kept for the report; 50,000 unless given. */
  maxFlows?: number
  /** UDP destination ports of tunnels; the usual ones unless given. */
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
  /** Called once, after the last record: reads what the kernel counted meanwhile. */
  readReceipts?: () => Promise<Receipts | null>
  /** Leave the times of programs and pipes as they come, though their hosts' clocks may differ from ours. */
  keepClocks?: boolean | undefined
}

/**
 * Joins until the records end (`records.stop()`). Rejects with what the listener rejects with; where the file can't be
 * written any more, the capture ends and the report's warnings say why.
 */
export async function analyzeLive(
  records: LiveRecords,
  options: LiveOptions = {},
): Promise<{ report: Report; receipts: Receipts | null; fileError: HoptraceError | null }> {
  const { listener, file, alsoTo } = options
  if (!options.keepClocks) records.compareClocks(new LiveClocks(options.tunnelPorts))
  const maxTold = listener?.journeys ? listener.maxJourneysAtOnce : 0
  let fileError: HoptraceError | null = null
  const noteFileError = (error: unknown) => {
    if (!(error instanceof HoptraceError)) throw error
    fileError ??= error
    records.stop()
  }
  const fileWriter: RecordWriter | null = file
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
  const writer = both(fileWriter, alsoTo ?? null)
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
  // Writing waits for whoever reads; capturing and joining do not wait for that.
  let telling: Promise<unknown> | null = null
  const tell = async (isLast: boolean) => {
    const before = process.cpuUsage()
    const points = options.activePoints?.() ?? records.points.map((point) => point.index)
    if (telling === null) {
      const told = maxTold === 0 ? null : generation.take(points)
      const written = told && listener?.journeys?.(told.reports, told.skipped, told.flowOf)
      if (written) {
        telling = written.finally(() => {
          telling = null
        })
        // What it rejects with is met where it is awaited.
        telling.catch(() => {})
        await Promise.race([telling, setTimeout(isLast ? LAST_TELL_MS : TELL_EVERY_MS)])
      }
    }
    if (!isLast) await listener?.tick?.(generation.view())
    const { user, system } = process.cpuUsage(before)
    nextTellMs = performance.now() + Math.max(TELL_EVERY_MS, (TELL_SHARE * (user + system)) / 1000)
  }
  const { maxPackets = Number.POSITIVE_INFINITY } = options
  for (;;) {
    const hasMore = generation.joining.takeRecords(
      maxPackets < Number.POSITIVE_INFINITY ? FEW_RECORDS : undefined,
    )
    if (generation.packets >= maxPackets) records.stop()
    if (performance.now() >= nextTellMs) {
      // On a quiet line as well, journeys have to leave the window.
      if (!hasMore) generation.joining.correlator.advanceTo(records.settledNs)
      flush()
      await tell(false)
    }
    if (generation.isFull(options.maxFlows ?? MAX_FLOWS)) {
      generation.finish()
      await tell(true)
      generation = newGeneration(generation)
    }
    if (hasMore) await setImmediate()
    else if (records.done) break
    else await records.fill()
  }
  const receipts = (await options.readReceipts?.()) ?? null
  generation.finish()
  // The file first: it waits for nobody.
  if (file && fileError === null) await file.finish(commentsOf(receipts)).catch(noteFileError)
  await tell(true)
  if (telling !== null) await Promise.race([telling, setTimeout(LAST_TELL_MS)])
  await tell(true)
  await listener?.end?.(generation.view(), receipts === null ? [] : [receipts])
  const report = withArray(
    generation.joining.report(generation.flows(), {
      warnings: generation.warnings(),
      receipts: receipts === null ? [] : [receipts],
    }),
  )
  return { report, receipts, fileError }
}

/** Only writes, until the records end. Joining is left for later; but for clocks, as in one file there is only one. */
export async function recordLive(
  records: LiveRecords,
  file: RotatingFile,
  {
    keepClocks,
    tunnelPorts,
    readReceipts,
  }: Pick<LiveOptions, 'keepClocks' | 'tunnelPorts' | 'readReceipts'> = {},
): Promise<HoptraceError | null> {
  if (!keepClocks) records.compareClocks(new LiveClocks(tunnelPorts))
  try {
    for (;;) {
      for (let left = FRAMES_AT_A_TIME; left > 0 && records.advance(); left--)
        file.add(records.point, records.record, -1)
      file.flush(records.nowNs())
      if (records.done) break
      await records.fill()
    }
    await file.finish(commentsOf((await readReceipts?.()) ?? null))
    return null
  } catch (error) {
    if (!(error instanceof HoptraceError)) throw error
    records.stop()
    return error
  }
}

function both(one: RecordWriter | null, other: RecordWriter | null): RecordWriter | null {
  if (one === null || other === null) return one ?? other
  return {
    add(point, record, packet) {
      one.add(point, record, packet)
      other.add(point, record, packet)
    },
  }
}

function commentsOf(receipts: Receipts | null): string[] {
  return receipts === null ? [] : receiptComments(receipts)
}
