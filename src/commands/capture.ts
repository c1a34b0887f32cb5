/** `hoptrace capture`: captures on every point of a container's path, and tells each packet as it travels. */

import { Command } from 'commander'
import type { LiveRecords } from '../capture/live/live-records.ts'
import type { RotatingFile } from '../capture/live/rotating-file.ts'
import type { HoptraceError } from '../errors.ts'
import type { ReceiptsHelper } from '../live/receipts-helper.ts'
import { analyzeLive, type LiveListener, recordLive } from '../live-analysis.ts'
import { filterBy, selectFlows } from '../report/filter.ts'
import { renderJsonChunks } from '../report/json.ts'
import type { Report } from '../report/model.ts'
import { renderText } from '../report/text.ts'
import { addCaptureOptions, type CaptureFlags, checkCaptureFlags, suiteOf } from './capture-options.ts'
import { addExpectationOptions, streamsTap } from './expectation-options.ts'
import { jsonListener, type LineOptions, textListener } from './live-output.ts'
import { complain, type Output } from './output.ts'
import { beginCapture, type RunningCapture } from './running-capture.ts'
import { Watch } from './watch.ts'

const EXAMPLES = `
Examples:
  sudo hoptrace capture --container web                 each packet, hop by hop
  sudo hoptrace capture --container web -w web.pcapng   and all frames into one file
  sudo hoptrace capture --container web --filter 'port 80 or 443'
  sudo hoptrace capture --container a --container b --duration 30s
  sudo hoptrace capture --netns blue --watch            a namespace; flows as a table
  sudo hoptrace capture --point in=blue:eth0 --point out=eth1
  sudo hoptrace capture --container web \\
    --point far='exec:ssh host2 tcpdump -U -w - -i eth0'
  sudo hoptrace capture --container web -w t.pcapng --rotate 100MB --ring-size 10
  sudo hoptrace capture --container web --explain       walk a packet, hop by hop
  sudo hoptrace capture --container web --web           live in a browser
  sudo hoptrace capture --container web --count 50 --expect 'flow(tcp): snat'

Ctrl-C ends it with the summary that hoptrace analyze gives.`

/** Makes the command. */
export function captureCommand(): Command {
  const command = new Command('capture')
    .description('captures on all points of a container’s path at once, and joins each packet live')
    .usage('--container NAME [options]')
  return addExpectationOptions(addCaptureOptions(command).addHelpText('after', EXAMPLES).action(run))
}

async function run(flags: CaptureFlags): Promise<void> {
  checkCaptureFlags(flags)
  const closing: (() => void)[] = []
  try {
    const capture = await beginCapture(flags, closing)
    if (!flags.join && capture.file !== null) await record(capture, capture.file)
    else await tell(capture, await analyze(capture))
  } finally {
    for (const close of closing.reverse()) close()
  }
}

/** `--no-join`: writes all frames, and says at the end how many there were. */
async function record(
  { flags, records, points, receipts }: RunningCapture,
  file: RotatingFile,
): Promise<void> {
  const error = await recordLive(records, file, {
    keepClocks: flags.keepClocks,
    tunnelPorts: flags.decodeAs,
    readReceipts: async () => (await receipts?.end()) ?? null,
  })
  points.close()
  reportFileError(error)
  reportReceipts(receipts)
  complain(framesText(records))
  if (records.hasFailed) process.exitCode = 2
}

/** Joins until the capture ends, and shows packets meanwhile as the flags say. */
async function analyze(capture: RunningCapture): Promise<Report> {
  const { flags, stdout, records, points, receipts, file, kept, web } = capture
  const lineOptions: LineOptions = {
    filter: flags.filter,
    names: points.names,
    count: flags.count ?? Number.POSITIVE_INFINITY,
    onCount: () => records.stop(),
  }
  web?.begin({
    records,
    kept: (file ?? kept)!,
    filter: flags.filter,
    tunnelPorts: flags.decodeAs,
    describe: (point) => points.describe(point).description,
  })
  const watch = flags.watch ? beginWatch(capture, lineOptions) : null
  const listener = watch?.listener ?? listenerFor(flags, stdout, lineOptions)
  const { report, fileError } = await analyzeLive(records, {
    file: file ?? kept,
    ...(web ? { alsoTo: web.frames } : {}),
    listener: web ? web.listener(listener) : listener,
    tunnelPorts: flags.decodeAs,
    readReceipts: async () => (await receipts?.end()) ?? null,
    keepClocks: flags.keepClocks,
    activePoints: () => points.active(),
    // Lines are counted where they are told.
    ...(listener.journeys === undefined || flags.watch ? { maxPackets: lineOptions.count } : {}),
  })
  points.close()
  watch?.close()
  reportFileError(fileError)
  reportReceipts(receipts)
  // What went wrong was said when it did.
  if (records.hasFailed) process.exitCode = 2
  return report
}

/** What is left to say when the capture has ended. */
async function tell(capture: RunningCapture, report: Report): Promise<void> {
  const { flags, stdout, explained, page, verdicts } = capture
  const selected = verdicts.judge(selectFlows(report, filterBy(flags.filter)))
  if (flags.json) for (const piece of renderJsonChunks(selected)) await stdout.write(piece)
  else if (flags.ndjson) verdicts.complain(selected)
  else if (!streamsTap(flags))
    await stdout.write(
      `\n${renderText(selected, { columns: stdout.columns, color: stdout.color, hidesLinks: true })}`,
    )
  await verdicts.write(selected, suiteOf(flags))
  if (flags.explain) await explained!.tell({ filter: flags.filter, tunnelPorts: flags.decodeAs }, stdout)
  await page?.write(explained!.path, { ...flags, title: suiteOf(flags), judged: selected })
  await stdout.end()
}

/** Takes over the terminal, and what happens to points is told there. */
function beginWatch({ records, points, notes, closing }: RunningCapture, options: LineOptions): Watch {
  const watch = new Watch(records, { ...options, isMissing: (name) => points.isMissing(name) })
  closing.push(() => watch.close())
  notes.tell = (line) => {
    watch.message = line
  }
  return watch
}

function listenerFor(
  flags: CaptureFlags,
  stdout: Output,
  options: Parameters<typeof textListener>[1],
): LiveListener {
  if (flags.ndjson) return jsonListener(stdout, options)
  if (flags.json || flags.web !== undefined || streamsTap(flags)) return {}
  return textListener(stdout, options)
}

function reportFileError(error: HoptraceError | null): void {
  if (error === null) return
  complain(`${error.message}; the capture has ended, what was written before can be read`)
  process.exitCode = 2
}

function reportReceipts(receipts: ReceiptsHelper | null): void {
  if (receipts?.hasFailed)
    complain('what the kernel counted could not be read: the process for it has ended, or took too long')
}

/** What a run that only writes has to say at its end. */
function framesText({ points }: LiveRecords): string {
  const counts = points.map(({ name, packets, captureDrops }) => {
    const drops = captureDrops === null ? 'drops unknown' : `${captureDrops} dropped`
    return `${name} ${packets} (${drops})`
  })
  return `frames written: ${counts.join(', ')}`
}
