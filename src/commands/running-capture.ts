/** A running capture: all that is opened for it, in the order in which root is given up and captures begin. */

import { accessSync, constants } from 'node:fs'
import { constants as os, setPriority } from 'node:os'
import { dirname } from 'node:path'
import { displayText } from '../capture/display-text.ts'
import type { JoinedFileAbout } from '../capture/joined-writer.ts'
import { becomeUser, sudoUser, type User } from '../capture/live/invoking-user.ts'
import { LiveRecords } from '../capture/live/live-records.ts'
import { RotatingFile, type Rotation } from '../capture/live/rotating-file.ts'
import { HoptraceError } from '../errors.ts'
import { type FoundPlaces, LivePoints } from '../live/live-points.ts'
import { ReceiptsHelper } from '../live/receipts-helper.ts'
import { traceTaskFor } from '../live/trace-task.ts'
import type { TraceTask } from '../receipts/tracing.ts'
import { type CaptureFlags, namesOf, snapLenOf, wantsReceipts } from './capture-options.ts'
import { CapturedPage } from './captured-page.ts'
import { Verdicts } from './expectation-options.ts'
import { ExplainedCapture } from './explained-capture.ts'
import { KeptCapture } from './kept-capture.ts'
import { LiveWeb } from './live-web.ts'
import { complain, type Output, standardOutput } from './output.ts'

export interface RunningCapture {
  readonly flags: CaptureFlags
  readonly stdout: Output
  readonly records: LiveRecords
  readonly points: LivePoints
  readonly receipts: ReceiptsHelper | null
  readonly file: RotatingFile | null
  /** What --web can save where no file is written. */
  readonly kept: KeptCapture | null
  readonly web: LiveWeb | null
  readonly explained: ExplainedCapture | null
  readonly page: CapturedPage | null
  readonly verdicts: Verdicts
  /** Where what happens to points is told. */
  readonly notes: { tell: (line: string) => void }
  /** Closes what is open, the last first. */
  readonly closing: (() => void)[]
}

/**
 * Opens all that the run needs, so that what cannot be had is told before the capture; then begins to capture. `closing`
 * gets what is to be called at the end, the last first, also where this rejects with a `HoptraceError`.
 */
export async function beginCapture(flags: CaptureFlags, closing: (() => void)[]): Promise<RunningCapture> {
  const stdout = standardOutput()
  // What is cut without anybody having asked for it, as nobody will see it, is not worth a word.
  const records = new LiveRecords(flags.snaplen !== undefined || flags.write !== undefined)
  closing.push(() => records.close())
  const web =
    flags.web === undefined ? null : await LiveWeb.open(flags.web === true ? 0 : flags.web, namesOf(flags))
  closing.push(() => web?.close())
  const receipts = wantsReceipts(flags) ? new ReceiptsHelper() : null
  closing.push(() => receipts?.close())
  let receiptsBegun: Promise<void> | undefined
  const notes = { tell: complain }
  const points = await LivePoints.open(
    {
      containers: flags.container ?? [],
      pids: flags.pid ?? [],
      netns: flags.netns ?? [],
      points: flags.point ?? [],
    },
    {
      backend: flags.backend,
      snapLenBytes: snapLenOf(flags),
      bpf: flags.bpf,
      bufferBytes: flags.buffer,
      promiscuous: flags.promiscuous,
    },
    records,
    (line) => notes.tell(line),
    (found) => {
      const { namespaces, addresses } = found
      receiptsBegun = receipts?.begin({ namespaces, addresses, trace: traceTaskOf(flags, found) })
    },
  )
  closing.push(() => points.close())
  giveUpRoot(flags, points)
  const page = flags.html === undefined ? null : await CapturedPage.open(flags.html)
  const explained = flags.explain || page ? new ExplainedCapture(flags.write) : null
  closing.push(() => explained?.remove())
  const about: JoinedFileAbout = {
    points: records.points,
    epoch: records.epoch,
    snapLenBytes: snapLenOf(flags),
    describe: (point) => points.describe(point),
    names: points.names,
  }
  const file = await openFile(flags, about, explained?.path ?? flags.write)
  closing.push(() => file?.close())
  const kept = web && file === null ? await KeptCapture.open(about, web.name) : null
  closing.push(() => kept?.remove())
  const verdicts = await Verdicts.open(flags, stdout)
  await receiptsBegun
  await points.begin()
  letOthersGoFirst()
  records.onGap = () => (file ?? kept)?.noteGaps()
  endOn(records, flags)
  announce(points)
  return {
    flags,
    stdout,
    records,
    points,
    receipts,
    file,
    kept,
    web,
    explained,
    page,
    verdicts,
    notes,
    closing,
  }
}

/** Says what will be done before that is done. */
function traceTaskOf({ traceRules, filter, bpf }: CaptureFlags, found: FoundPlaces): TraceTask | null {
  if (!traceRules) return null
  const { task, about } = traceTaskFor(found, filter?.text ?? bpf)
  complain(about)
  return task
}

/** Files are the user's from the beginning: root would write through any link, wherever that leads. */
function giveUpRoot({ rotate, write }: CaptureFlags, points: LivePoints): void {
  const user = sudoUser()
  points.follow(user !== null)
  if (user === null) return
  becomeUser(user)
  if (rotate) requireFolderOf(user, write!)
}

/** Throws a `HoptraceError` where this process, which is the user's by now, may not create files beside `path`. */
function requireFolderOf({ uid }: User, path: string): void {
  const folder = dirname(path)
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new HoptraceError(
      `${displayText(folder, 400)}: --rotate creates files as user ${uid}, who called sudo, and who may not do that there (${code}): give --write a folder of theirs`,
    )
  }
}

async function openFile(
  { rotate, ringSize }: CaptureFlags,
  about: JoinedFileAbout,
  write: string | undefined,
): Promise<RotatingFile | null> {
  if (write === undefined) return null
  const rule: Rotation | null = rotate
    ? {
        ...(rotate.bytes === undefined ? {} : { bytes: rotate.bytes }),
        ...(rotate.everyMs === undefined ? {} : { everyNs: rotate.everyMs * 1e6 }),
        ...(ringSize === undefined ? {} : { keepFiles: ringSize }),
      }
    : null
  return await RotatingFile.open(write, about, rule)
}

/** On a busy machine the traffic that is watched goes first: what waits meanwhile is in the rings. */
function letOthersGoFirst(): void {
  try {
    setPriority(os.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // Then not.
  }
}

/** Signals and --duration end the capture; a second Ctrl-C gives up. */
function endOn(records: LiveRecords, { duration }: CaptureFlags): void {
  let signals = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (++signals > 1) process.exit(130)
      records.stop()
    })
  if (duration !== undefined) setTimeout(() => records.stop(), duration).unref()
}

function announce(points: LivePoints): void {
  for (const remark of points.remarks) complain(remark)
  complain(`captures on ${points.titles().join(', ')}; Ctrl-C ends it`)
}
