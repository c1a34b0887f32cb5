/** `hoptrace analyze`: reads captures, joins them, and prints what it found. */

import { Command } from 'commander'
import { type Analysis, analyzeInputs } from '../analysis.ts'
import { displayText } from '../capture/display-text.ts'
import { resolveInputs } from '../capture/inputs.ts'
import { KeptPipes } from '../capture/kept-pipes.ts'
import { HoptraceError } from '../errors.ts'
import { ReportPage } from '../page/html-report.ts'
import { withoutOthers } from '../page/selection.ts'
import { flowTest, isEmpty, renderNoMatch, selectFlows } from '../report/filter.ts'
import { renderFlowDetail } from '../report/flow-detail.ts'
import { renderJourneyLine } from '../report/journey-lines.ts'
import { renderJsonChunks } from '../report/json.ts'
import type { FlowList, StreamedReport } from '../report/model.ts'
import { renderPacketLine } from '../report/packet-line.ts'
import { renderText } from '../report/text.ts'
import {
  addExpectationOptions,
  checkExpectationFlags,
  type ExpectationFlags,
  STDOUT_NAMES,
  streamsTap,
  Verdicts,
} from './expectation-options.ts'
import { isLive, reportOnInterrupt } from './live-input.ts'
import { complain, type Output, outputFile, standardOutput } from './output.ts'
import { writePage } from './page-file.ts'
import { progressBar } from './progress.ts'
import { addSelectionOptions, filterOf, readingOptions, type SelectionFlags } from './selection-options.ts'

interface AnalyzeFlags extends ExpectationFlags, SelectionFlags {
  json?: boolean
  journeys?: string
  packets?: boolean
  write?: string
  html?: string
  check?: boolean
}

const EXAMPLES = `
Examples:
  hoptrace analyze captures/udp-and-ping           each capture in it is a point
  hoptrace analyze in=c.pcap out=u.pcap            the points get these names
  hoptrace analyze . --path container,veth,uplink  the order of points is known
  hoptrace analyze . --host 172.17.0.3 --port 80   as seen at any of the points
  hoptrace analyze . --filter 'port 53 or lost'    as tcpdump's, for flows
  hoptrace analyze . --flow 3 --packets            one flow, packet by packet
  hoptrace analyze . --json | jq '.flows[].translations'
  hoptrace analyze . --expect snat --expect 'lost==0' --junit hops.xml
  tcpdump -U -w - -i eth0 -c 100 | hoptrace analyze -`

/** Makes the command. */
export function analyzeCommand(): Command {
  const command = new Command('analyze')
    .description('reads captures, joins them, and shows each flow with its NAT, TTL and losses')
    .usage('[options] INPUT...')
    .argument(
      '[input...]',
      'FILE, NAME=FILE, DIR (each capture in it is a point) or - (stdin); pcap or pcapng, also gzipped',
    )
  addSelectionOptions(command)
    .option('--packets', 'list the packets of the selected flows, a line each')
    .option('--json', 'print one JSON document (schema hoptrace.report/1)')
    .option('--journeys <file>', 'write a line of JSON for each packet to FILE, or - for stdout')
    .option('-w, --write <file>', 'write all records into one pcapng, with the identity of each packet')
    .option('--html <file>', 'write one HTML page about it, as hoptrace report does')
    .option('--check', 'exit with 1 if a finding of severity error remains')
    .addHelpText('after', EXAMPLES)
    .action(run)
  return addExpectationOptions(command)
}

async function run(args: string[], flags: AnalyzeFlags): Promise<void> {
  const pipes = new KeptPipes()
  await analyzed(args, flags, pipes).finally(() => pipes.remove())
}

async function analyzed(args: string[], flags: AnalyzeFlags, pipes: KeptPipes): Promise<void> {
  const { journeys: journeyPath } = flags
  const streamsJourneys = journeyPath !== undefined && STDOUT_NAMES.includes(journeyPath)
  if (flags.json && streamsJourneys)
    throw new HoptraceError('--json and --journeys - both want stdout: give --journeys a file')
  if (flags.write !== undefined && STDOUT_NAMES.includes(flags.write))
    throw new HoptraceError('--write wants a file: stdout has the report')
  if (flags.write !== undefined && flags.write === journeyPath)
    throw new HoptraceError('--write and --journeys name the same file: give each its own')
  if (flags.html !== undefined && STDOUT_NAMES.includes(flags.html))
    throw new HoptraceError('--html wants a file: stdout has the report (hoptrace report writes to stdout)')
  if (flags.html !== undefined && [flags.write, journeyPath].includes(flags.html))
    throw new HoptraceError(
      `${displayText(flags.html, 400)} is to be written twice: give --html its own file`,
    )
  checkExpectationFlags(
    flags,
    [flags.json && '--json', streamsJourneys && '--journeys -', flags.packets && '--packets'],
    [flags.write, journeyPath, flags.html],
  )
  const stdout = standardOutput()
  const showsReport = !streamsJourneys && !streamsTap(flags)
  const journeyFile =
    journeyPath === undefined || streamsJourneys ? null : await outputFile(journeyPath, '--journeys')
  const pageFile = flags.html === undefined ? null : await outputFile(flags.html, '--html')
  const verdicts = await Verdicts.open(flags, stdout)
  const resolved = await resolveInputs(args)
  const listsPackets = flags.packets === true && !flags.json && !streamsJourneys
  const bar = progressBar()
  if (args.some(isLive)) reportOnInterrupt()
  const filter = filterOf(flags)
  const inputs = pageFile ? await pipes.keep(resolved.inputs) : resolved.inputs
  const analysis = await analyzeInputs(
    { ...resolved, inputs },
    {
      ...readingOptions(flags),
      ...(isEmpty(filter) ? {} : { diagnoses: flowTest(filter) }),
      keepsFindings: flags.expect !== undefined,
      journeys: listsPackets || journeyPath !== undefined || pageFile !== null,
      onProgress: bar.update,
      ...(flags.write === undefined ? {} : { write: flags.write }),
    },
  ).finally(bar.stop)
  for (const failure of analysis.failures) complain(failure)
  const { streamed } = analysis
  const selected = selectFlows(streamed, filter)
  // Set in front of all output: it stands whether or not somebody reads that to its end.
  if (analysis.failures.length > 0) process.exitCode = 2
  else if (flags.check && selected.findings.some((finding) => finding.severity === 'error'))
    process.exitCode = 1

  if (flags.check && selected.flows.length === 0 && streamed.flows.length > 0) process.exitCode = 2

  const judged = verdicts.judge(selected)
  const noMatch =
    selected.flows.length === 0 && streamed.flows.length > 0 ? renderNoMatch(streamed, filter) : null
  if (flags.json) {
    for (const piece of renderJsonChunks(judged)) await stdout.write(piece)
  } else if (showsReport) {
    await stdout.write(
      noMatch === null ? renderSelected(judged, flags, stdout, selected !== streamed) : `${noMatch}\n`,
    )
    if (noMatch !== null || flags.flow) await stdout.write(verdicts.section(judged, stdout))
  } else if (streamsJourneys) verdicts.complain(judged)
  if (noMatch !== null && (flags.json || !showsReport)) complain(noMatch)
  const showsWarnings = flags.json || (showsReport && noMatch === null && !flags.flow)
  if (!showsWarnings) for (const warning of selected.warnings) complain(warning)
  const title = args.join(' ')
  const { failures } = analysis
  const page =
    pageFile &&
    new ReportPage(withoutOthers(judged, filter), { title, tunnelPorts: flags.decodeAs, failures })
  await writeJourneys(analysis, selected, {
    json: streamsJourneys ? stdout : journeyFile,
    text: listsPackets ? stdout : null,
    page,
  })
  await verdicts.write(judged, `hoptrace analyze ${title}`)
  await stdout.end()
  await journeyFile?.end()
  if (page && pageFile) complain(`${flags.html}: ${await writePage(page, inputs, pageFile)}`)
}

/** One pass for all: the journeys can be had only once. */
async function writeJourneys(
  { journeys }: Analysis,
  { flows }: StreamedReport,
  { json, text, page }: { json: Output | null; text: Output | null; page: ReportPage | null },
): Promise<void> {
  if (!(json || text || page) || flows.length === 0) return
  const { firstNsOf, lastId } = timesOf(flows)
  const idColumns = flows.length > 1 ? String(lastId).length + 2 : 0
  const options = text && {
    // A file or a pipe has room for all of a packet's way, and `grep` finds it there.
    columns: text.isTerminal ? text.columns - idColumns : Number.POSITIVE_INFINITY,
    color: text.color,
  }
  await text?.write('\n')
  for (const journey of journeys()) {
    const flowFirstNs = firstNsOf(journey.flow)
    if (flowFirstNs === undefined) continue
    page?.take(journey)
    if (json) await json.write(`${renderJourneyLine(journey)}\n`)
    if (text && options) {
      const id = idColumns > 0 ? `#${String(journey.flow).padEnd(idColumns - 1)}` : ''
      await text.write(`${id}${renderPacketLine(journey, { ...options, flowFirstNs })}\n`)
    }
    if (!page && (!json || json.closed) && (!text || text.closed)) break
  }
}

/** When flows began, by their numbers; undefined where the flow is not among them. 8 bytes for each. */
function timesOf(flows: FlowList): { firstNsOf: (id: number) => string | undefined; lastId: number } {
  let times = new BigInt64Array(1024)
  let lastId = 0
  for (const { id, firstNs } of flows) {
    if (id >= times.length) {
      const more = new BigInt64Array(2 * id)
      more.set(times)
      times = more
    }
    times[id] = BigInt(firstNs)
    lastId = id
  }
  return { firstNsOf: (id) => (times[id] ? String(times[id]) : undefined), lastId }
}

function renderSelected(
  report: StreamedReport,
  flags: AnalyzeFlags,
  stdout: Output,
  isPart: boolean,
): string {
  const options = { columns: stdout.columns, color: stdout.color }
  if (flags.flow) return report.flows.map((flow) => renderFlowDetail(report, flow, options)).join('\n')
  // Whoever states the path knows it; and what is told of all traffic is not about a few flows of it.
  return renderText(report, { ...options, hidesLinks: flags.path !== undefined || isPart })
}
