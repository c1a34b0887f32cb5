/** `hoptrace report`: one self-contained HTML page about captures. */

import { Command, InvalidArgumentError } from 'commander'
import { analyzeInputs } from '../analysis.ts'
import { displayText } from '../capture/display-text.ts'
import { type CaptureInput, resolveInputs } from '../capture/inputs.ts'
import { isSameFile } from '../capture/joined-writer.ts'
import { KeptPipes } from '../capture/kept-pipes.ts'
import { HoptraceError } from '../errors.ts'
import { PAYLOAD_BYTES } from '../page/frames.ts'
import { PAGE_PACKETS, ReportPage } from '../page/html-report.ts'
import { selectForPage } from '../page/selection.ts'
import { flowTest, isEmpty, renderNoMatch } from '../report/filter.ts'
import { formatCount } from '../report/quantities.ts'
import { STDOUT_NAMES } from './expectation-options.ts'
import { isLive, reportOnInterrupt } from './live-input.ts'
import { complain, type Output, outputFile, standardOutput } from './output.ts'
import { writePage } from './page-file.ts'
import { progressBar } from './progress.ts'
import { addSelectionOptions, filterOf, readingOptions, type SelectionFlags } from './selection-options.ts'

interface ReportFlags extends SelectionFlags {
  output: string
  maxPackets: number
  payload: number
  title?: string
}

/** Twice as many may be in a page, of those that did not simply arrive. More than a browser holds. */
const MAX_PACKETS = 4_000_000
const MAX_PAYLOAD_BYTES = 65_535

const EXAMPLES = `
Examples:
  hoptrace report captures/double-nat -o nat.html      then open it in a browser
  hoptrace report . --filter 'port 53 or lost' -o dns.html
  hoptrace report . --payload 0 -o shared.html         headers, and no contents
  hoptrace report . --title 'Ticket 42' -o ticket.html
  tcpdump -U -w - -i eth0 -c 100 | hoptrace report - -o now.html

The page holds all that it shows: path, flows, findings, packets with their first
bytes. It loads nothing, and opens from disk. Addresses, names and the paths of the
captures are in it; --payload 0 leaves out only what packets carry, also
the names that DNS was asked for. --flow, --filter and the like leave out names and
connections of other flows, and not the host's points, interfaces, rules, counters.`

/** Makes the command. */
export function reportCommand(): Command {
  const command = new Command('report')
    .description('writes one HTML page that shows path, flows, packets and findings, for any browser')
    .usage('[options] INPUT... -o FILE')
    .argument('[input...]', 'FILE, NAME=FILE, DIR or -, as for analyze')
    .requiredOption('-o, --output <file>', 'the page to write, or - for stdout')
  return addSelectionOptions(command)
    .option(
      '--max-packets <number>',
      `packets that the page shows, of each large flow the same number, and those that were lost or resent`,
      packetLimit,
      PAGE_PACKETS,
    )
    .option('--payload <bytes>', 'of each packet’s contents keep so much, or 0', payloadLimit, PAYLOAD_BYTES)
    .option('--title <text>', 'what the page is called (default: its inputs)')
    .addHelpText('after', EXAMPLES)
    .action(run)
}

async function run(args: string[], flags: ReportFlags): Promise<void> {
  const pipes = new KeptPipes()
  try {
    const resolved = await resolveInputs(args)
    const file = await openPage(flags.output, resolved.inputs)
    if (args.some(isLive)) reportOnInterrupt()
    const inputs = await pipes.keep(resolved.inputs)
    const filter = filterOf(flags)
    const reading = readingOptions(flags)
    const bar = progressBar()
    const analysis = await analyzeInputs(
      { ...resolved, inputs },
      {
        ...reading,
        ...(isEmpty(filter) ? {} : { diagnoses: flowTest(filter) }),
        journeys: true,
        onProgress: bar.update,
      },
    ).finally(bar.stop)
    const { failures, streamed } = analysis
    for (const failure of failures) complain(failure)
    if (failures.length > 0) process.exitCode = 2
    const selected = selectForPage(streamed, filter)
    if (selected.flows.length === 0 && streamed.flows.length > 0) complain(renderNoMatch(streamed, filter))
    const page = new ReportPage(selected, {
      title: flags.title ?? args.join(' '),
      maxPackets: flags.maxPackets,
      payloadBytes: flags.payload,
      tunnelPorts: reading.tunnelPorts,
      failures,
    })
    for (const journey of analysis.journeys()) page.take(journey)
    const written = await writePage(page, inputs, file)
    if (STDOUT_NAMES.includes(flags.output)) return
    const stdout = standardOutput()
    await stdout.write(`${displayText(flags.output, 400)}: ${written}\n`)
    await stdout.end()
  } finally {
    pipes.remove()
  }
}

async function openPage(path: string, inputs: readonly CaptureInput[]): Promise<Output> {
  if (STDOUT_NAMES.includes(path)) {
    const stdout = standardOutput()
    if (stdout.isTerminal)
      throw new HoptraceError('--output - is a terminal: give it a file, or redirect standard output')
    return stdout
  }
  if (inputs.some((input) => isSameFile(path, input.path)))
    throw new HoptraceError(
      `${displayText(path, 400)}: is one of the inputs, writing would destroy it: give --output another file`,
    )
  return await outputFile(path, '--output')
}

function packetLimit(value: string): number {
  if (!/^\d{1,7}$/.test(value) || Number(value) < 1 || Number(value) > MAX_PACKETS)
    throw new InvalidArgumentError(`Give a number from 1 to ${formatCount(MAX_PACKETS)}`)
  return Number(value)
}

function payloadLimit(value: string): number {
  if (!/^\d{1,5}$/.test(value) || Number(value) > MAX_PAYLOAD_BYTES)
    throw new InvalidArgumentError(`Give a number of bytes from 0 to ${MAX_PAYLOAD_BYTES}`)
  return Number(value)
}
