/** Options of `hoptrace capture`: what is captured, how, and what comes of it; and which of them contradict each other. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { HoptraceError } from '../errors.ts'
import { isStream } from '../live/stream-points.ts'
import type { FlowFilter } from '../report/filter.ts'
import { checkPageFlags } from './captured-page.ts'
import { checkExpectationFlags, type ExpectationFlags, streamsTap } from './expectation-options.ts'
import { addPid, addText, count, decodeAs, filterExpression, portOrAny } from './option-values.ts'
import { byteSize, rotation, timeSpan } from './quantity-values.ts'
import { requireTerminal } from './screen.ts'

/** As commander gives them. */
export interface CaptureFlags extends ExpectationFlags {
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

/** Adds the options. */
export function addCaptureOptions(command: Command): Command {
  return command
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
}

/** Throws a `HoptraceError` where options contradict each other. */
export function checkCaptureFlags(flags: CaptureFlags): void {
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

/** Not for programs and FIFOs alone: their packets are another host's. */
export function wantsReceipts({ receipts, container, pid, netns, point = [] }: CaptureFlags): boolean {
  if (!receipts || process.platform !== 'linux') return false
  return Boolean(container ?? pid ?? netns) || point.some((text) => !isStream(text))
}

/** Without a file the headers are all that is looked at; super-packets of offload need not be copied. */
export function snapLenOf({ snaplen, write }: CaptureFlags): number {
  return snaplen ?? (write === undefined ? 2048 : 262_144)
}

/** Names the run for whoever reads many of them. */
export function suiteOf(flags: CaptureFlags): string {
  return ['hoptrace capture', ...namesOf(flags)].join(' ')
}

/** What is captured, as the user named it. */
export function namesOf({ container = [], netns = [], pid = [], point = [] }: CaptureFlags): string[] {
  return [...container, ...netns, ...pid.map(String), ...point]
}

function snapLength(value: string): number {
  if (!/^\d{1,7}$/.test(value) || Number(value) < 14 || Number(value) > 262_144)
    throw new InvalidArgumentError('Give a number of bytes from 14 to 262144')
  return Number(value)
}
