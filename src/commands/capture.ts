/** `hoptrace capture`: captures on every point of a container's path, and tells each packet as it travels. */

import { accessSync, constants } from 'node:fs'
import { constants as os, setPriority } from 'node:os'
import { dirname } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { displayText } from '../capture/display-text.ts'
import type { JoinedFileAbout } from '../capture/joined-writer.ts'
import { becomeUser, sudoUser, type User } from '../capture/live/invoking-user.ts'
import { LiveRecords } from '../capture/live/live-records.ts'
import { RotatingFile, type Rotation } from '../capture/live/rotating-file.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { HoptraceError } from '../errors.ts'
import { type FoundPlaces, LivePoints } from '../live/live-points.ts'
import { ReceiptsHelper } from '../live/receipts-helper.ts'
import { isStream } from '../live/stream-points.ts'
import { traceTaskFor } from '../live/trace-task.ts'
import { analyzeLive, type LiveListener, recordLive } from '../live-analysis.ts'
import type { TraceTask } from '../receipts/tracing.ts'
import { type FlowFilter, selectFlows } from '../report/filter.ts'
import { renderJsonChunks } from '../report/json.ts'
import { renderText } from '../report/text.ts'
import { CapturedPage, checkPageFlags } from './captured-page.ts'
import {
  addExpectationOptions,
  checkExpectationFlags,
  type ExpectationFlags,
  streamsTap,
  Verdicts,
} from './expectation-options.ts'
import { ExplainedCapture } from './explained-capture.ts'
import { KeptCapture } from './kept-capture.ts'
import { jsonListener, textListener } from './live-output.ts'
import { LiveWeb } from './live-web.ts'
import { addPid, addText, count, decodeAs, filterExpression, portOrAny } from './option-values.ts'
import { complain, type Output, standardOutput } from './output.ts'
import { byteSize, rotation, timeSpan } from './quantity-values.ts'
import { requireTerminal } from './screen.ts'
import { Watch } from './watch.ts'

interface CaptureFlags extends ExpectationFlags {
  container?: string[]
  pid?: number[]
  netns?: string[]
  point?: string[]
  backend: 'ring' | 'cap'
  filter?: FlowFilter['expression']
  decodeAs?: ReadonlyMap<number, UdpTunnel>
  bpf?: string
  snaplen?: number
  buffer: number
  promiscuous: boolean
  duration?: number
  count?: number
  write?: string
  join: boolean
  receipts: boolean
  traceRules?: boolean
  rotate?: { bytes?: number; everyMs?: number }
  ringSize?: number
  json?: boolean
  ndjson?: boolean
  watch?: boolean
  explain?: boolean
  html?: string
  /** Port; 0 or true for any. */
  web?: number | true
  keepClocks?: boolean
}

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
    .option('--container <name>', 'container by name, id or the beginning of either (repeatable)', addText)
    .option('--pid <number>', 'the network namespace of this process (repeatable)', addPid)
    .option('--netns <name>', 'a network namespace by name or path (repeatable)', addText)
    .option(
      '--point <name=place>',
      'NAME=[NETNS:]INTERFACE, NAME=FIFO or NAME=exec:PROGRAM … (repeatable)',
      addText,
    )
    .option(
      '--filter <expr>',
      'show only flows that match at any point: host, net, port, tcp, and, or, not',
      filterExpression,
    )
    .option(
      '--decode-as <port=kind>',
      'a tunnel behind this UDP port: 8888=vxlan, geneve, gtpu or none (repeatable)',
      decodeAs,
    )
    .option('--bpf <expr>', 'capture only frames that match as they are at each point (pcap-filter)')
    .option('-w, --write <file>', 'write all frames into one pcapng, a point an interface')
    .option('--no-join', 'with -w: only write, at the least cost; hoptrace analyze joins it later')
    .option('--no-receipts', 'do not read what the kernel counts meanwhile: rules, conntrack, drops')
    .option(
      '--trace-rules',
      'trace packets through the rules: adds an nftables table that marks them, until the end',
    )
    .option('--rotate <size|time>', 'begin a new file at this size or age: 100MB, 10min', rotation)
    .option('--ring-size <files>', 'with --rotate: keep only the newest files', count)
    .option('--duration <time>', 'end after this time: 30s, 10min', timeSpan)
    .option(
      '--count <packets>',
      'end after so many packets, each counted once for all points (or a few more)',
      count,
    )
    .option(
      '--snaplen <bytes>',
      'keep so many bytes of each frame (default: all with -w, else 2048)',
      snapLength,
    )
    .option('--buffer <size>', 'memory for frames that wait, at each point', byteSize, 16 << 20)
    .option('--no-promiscuous', 'do not ask interfaces for frames that are meant for others')
    .addOption(
      new Option('--backend <name>', 'ring: AF_PACKET; cap: libpcap, without exact times and drops')
        .choices(['ring', 'cap'])
        .default('ring'),
    )
    .option('--keep-clocks', 'leave times as other hosts recorded them, even where their clocks differ')
    .option('--json', 'print one JSON document at the end (schema hoptrace.report/1)')
    .option('--ndjson', 'print a line of JSON for each packet as it completes')
    .option('--watch', 'show the live flows as a table that fills the terminal')
    .option('--explain', 'at the end, explain the first request and its answer as hoptrace explain does')
    .option('--html <file>', 'at the end, write one HTML page about it, as hoptrace report does')
    .option(
      '--web [port]',
      'show packets on a live page on 127.0.0.1, at this port or any, instead of as lines',
      portOrAny,
    )
    .addHelpText('after', EXAMPLES)
    .action(run)
  return addExpectationOptions(command)
}

async function run(flags: CaptureFlags): Promise<void> {
  check(flags)
  const { filter } = flags
  const stdout = standardOutput()
  // What is cut without anybody having asked for it, as nobody will see it, is not worth a word.
  const records = new LiveRecords(flags.snaplen !== undefined || flags.write !== undefined)
  let watch: Watch | null = null
  const web =
    flags.web === undefined ? null : await LiveWeb.open(flags.web === true ? 0 : flags.web, namesOf(flags))
  const receipts = wantsReceipts(flags) ? new ReceiptsHelper() : null
  let receiptsBegun: Promise<void> | undefined
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
    (line) => {
      if (watch) watch.message = line
      else complain(line)
    },
    (found) => {
      const { namespaces, addresses } = found
      receiptsBegun = receipts?.begin({ namespaces, addresses, trace: traceTaskOf(flags, found) })
    },
  )
  const readReceipts = async () => (await receipts?.end()) ?? null
  let file: RotatingFile | null = null
  let explained: ExplainedCapture | null = null
  let kept: KeptCapture | null = null
  try {
    const user = sudoUser()
    points.follow(user !== null)
    // Files are the user's from the beginning: root would write through any link, wherever that leads.
    if (user !== null) {
      becomeUser(user)
      if (flags.rotate) requireFolderOf(user, flags.write!)
    }
    const page = flags.html === undefined ? null : await CapturedPage.open(flags.html)
    if (flags.explain || page) explained = new ExplainedCapture(flags.write)
    const about = aboutFile(flags, records, points)
    file = await openFile(flags, about, explained?.path ?? flags.write)
    if (web && file === null) kept = await KeptCapture.open(about, web.name)
    const verdicts = await Verdicts.open(flags, stdout)
    await receiptsBegun
    await points.begin()
    letOthersGoFirst()
    records.onGap = () => (file ?? kept)?.noteGaps()
    endOn(records, flags)
    announce(points)
    const lineOptions = {
      filter,
      names: points.names,
      count: flags.count ?? Number.POSITIVE_INFINITY,
      onCount: () => records.stop(),
    }
    if (!flags.join && file !== null) {
      const error = await recordLive(records, file, {
        keepClocks: flags.keepClocks,
        tunnelPorts: flags.decodeAs,
        readReceipts,
      })
      points.close()
      reportFileError(error)
      reportReceipts(receipts)
      complain(framesText(records))
      if (records.hasFailed) process.exitCode = 2
      return
    }
    web?.begin({
      records,
      kept: (file ?? kept)!,
      filter,
      tunnelPorts: flags.decodeAs,
      describe: (point) => points.describe(point).description,
    })
    if (flags.watch)
      watch = new Watch(records, { ...lineOptions, isMissing: (name) => points.isMissing(name) })
    const listener = watch?.listener ?? listenerFor(flags, stdout, lineOptions)
    const { report, fileError } = await analyzeLive(records, {
      file: file ?? kept,
      ...(web ? { alsoTo: web.frames } : {}),
      listener: web ? web.listener(listener) : listener,
      tunnelPorts: flags.decodeAs,
      readReceipts,
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
    const filtered = selectFlows(report, {
      hosts: [],
      ports: [],
      protocols: [],
      ids: [],
      ...(filter ? { expression: filter } : {}),
    })
    const selected = verdicts.judge(filtered)
    if (flags.json) for (const piece of renderJsonChunks(selected)) await stdout.write(piece)
    else if (flags.ndjson) verdicts.complain(selected)
    else if (!streamsTap(flags))
      await stdout.write(
        `\n${renderText(selected, { columns: stdout.columns, color: stdout.color, hidesLinks: true })}`,
      )
    await verdicts.write(selected, suiteOf(flags))
    if (flags.explain) await explained!.tell({ filter, tunnelPorts: flags.decodeAs }, stdout)
    await page?.write(explained!.path, { ...flags, title: suiteOf(flags), judged: selected })
    await stdout.end()
  } finally {
    watch?.close()
    points.close()
    receipts?.close()
    file?.close()
    records.close()
    explained?.remove()
    web?.close()
    kept?.remove()
  }
}

/** Not for programs and FIFOs alone: their packets are another host's. */
function wantsReceipts({ receipts, container, pid, netns, point = [] }: CaptureFlags): boolean {
  if (!receipts || process.platform !== 'linux') return false
  return Boolean(container ?? pid ?? netns) || point.some((text) => !isStream(text))
}

/** Says what will be done before that is done. */
function traceTaskOf({ traceRules, filter, bpf }: CaptureFlags, found: FoundPlaces): TraceTask | null {
  if (!traceRules) return null
  const { task, about } = traceTaskFor(found, filter?.text ?? bpf)
  complain(about)
  return task
}

/** Names the run for whoever reads many of them. */
function suiteOf(flags: CaptureFlags): string {
  return ['hoptrace capture', ...namesOf(flags)].join(' ')
}

/** What is captured, as the user named it. */
function namesOf({ container = [], netns = [], pid = [], point = [] }: CaptureFlags): string[] {
  return [...container, ...netns, ...pid.map(String), ...point]
}

/** On a busy machine the traffic that is watched goes first: what waits meanwhile is in the rings. */
function letOthersGoFirst(): void {
  try {
    setPriority(os.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // Then not.
  }
}

/** What contradicts itself on the command line. */
function check(flags: CaptureFlags): void {
  const outputs = [flags.json && '--json', flags.ndjson && '--ndjson', flags.watch && '--watch'].filter(
    Boolean,
  )
  if (outputs.length > 1) throw new HoptraceError(`${outputs.join(' and ')} both want stdout: choose one`)
  checkExpectationFlags(flags, outputs, [flags.write, flags.html])
  checkPageFlags(flags)
  if (
    !flags.join &&
    (flags.write === undefined ||
      outputs.length > 0 ||
      flags.filter ||
      flags.expect ||
      flags.count !== undefined)
  )
    throw new HoptraceError(
      '--no-join only writes: give it -w, and leave out --json, --ndjson, --watch, --filter, --expect and --count',
    )
  if (flags.explain && (outputs.length > 0 || !flags.join || flags.rotate || streamsTap(flags)))
    throw new HoptraceError(
      '--explain tells of one file, in words: leave out --json, --ndjson, --watch, --tap -, --rotate and --no-join',
    )
  if (flags.web !== undefined && (flags.watch || !flags.join))
    throw new HoptraceError('--web shows packets as they are joined: leave out --watch and --no-join')
  if (flags.traceRules && !flags.receipts)
    throw new HoptraceError('--trace-rules belongs to the receipts: leave out --no-receipts')
  if (flags.traceRules && !wantsReceipts(flags))
    throw new HoptraceError(
      '--trace-rules is about the rules of this host: name a container, or an interface with --point',
    )
  if (flags.watch) requireTerminal()
  if (flags.rotate && flags.write === undefined)
    throw new HoptraceError('--rotate is about the file that is written: name it with -w')
  if (flags.ringSize !== undefined && flags.rotate === undefined)
    throw new HoptraceError(
      '--ring-size says how many files to keep: say with --rotate when a new one begins',
    )
  if (flags.write === '-' || flags.write === '/dev/stdout')
    throw new HoptraceError('--write wants a file: stdout has the packets')
}

/** Without a file the headers are all that is looked at; super-packets of offload need not be copied. */
function snapLenOf({ snaplen, write }: CaptureFlags): number {
  return snaplen ?? (write === undefined ? 2048 : 262_144)
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

function aboutFile(flags: CaptureFlags, records: LiveRecords, points: LivePoints): JoinedFileAbout {
  return {
    points: records.points,
    epoch: records.epoch,
    snapLenBytes: snapLenOf(flags),
    describe: (point) => points.describe(point),
    names: points.names,
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

function listenerFor(
  flags: CaptureFlags,
  stdout: Output,
  options: Parameters<typeof textListener>[1],
): LiveListener {
  if (flags.ndjson) return jsonListener(stdout, options)
  if (flags.json || flags.web !== undefined || streamsTap(flags)) return {}
  return textListener(stdout, options)
}

function snapLength(value: string): number {
  if (!/^\d{1,7}$/.test(value) || Number(value) < 14 || Number(value) > 262_144)
    throw new InvalidArgumentError('Give a number of bytes from 14 to 262144')
  return Number(value)
}
