/** `hoptrace analyze`: reads captures, joins them, and prints what it found. */

import { createWriteStream, openSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { analyze } from '../analysis.ts'
import { HoptraceError } from '../errors.ts'
import { type FlowFilter, selectFlows } from '../report/filter.ts'
import { renderFlowDetail } from '../report/flow-detail.ts'
import { renderJourneyLine } from '../report/journey-lines.ts'
import { renderJsonChunks } from '../report/json.ts'
import type { Report } from '../report/model.ts'
import { renderPacketLine } from '../report/packet-line.ts'
import { renderText } from '../report/text.ts'
import { type Output, outputTo, standardOutput } from './output.ts'
import { progressBar } from './progress.ts'

interface AnalyzeFlags {
  path?: string[]
  json?: boolean
  journeys?: string
  packets?: boolean
  check?: boolean
  host?: string[]
  port?: number[]
  proto?: string[]
  flow?: number[]
}

const EXAMPLES = `
Examples:
  hoptrace analyze captures/                       each capture in the folder is a point
  hoptrace analyze container=c.pcap uplink=u.pcap  names for the points
  hoptrace analyze --path container,veth,uplink .  the order of the points is known
  hoptrace analyze . --host 172.17.0.3 --port 80   flows that look like this at any point
  hoptrace analyze . --flow 3 --packets            one flow, packet by packet
  hoptrace analyze . --json | jq '.flows[].translations'
  tcpdump -U -w - -i eth0 -c 100 | hoptrace analyze -`

/** Makes the command. */
export function analyzeCommand(): Command {
  return new Command('analyze')
    .description('reads captures, joins them, and shows each flow with its NAT, TTL and losses')
    .argument(
      '<input...>',
      'FILE, NAME=FILE, DIR (each capture in it is a point) or - (stdin); pcap or pcapng, also gzipped',
    )
    .option('--path <points>', 'order of the points, client side first: a,b,c', list)
    .option('--host <ip>', 'only flows with this address at any point (repeatable)', collect)
    .option('--port <number>', 'only flows with this port at any point (repeatable)', collectNumber)
    .option('--proto <name>', 'only flows of this protocol: tcp, udp, icmp, … (repeatable)', collect)
    .option('--flow <id>', 'only this flow, in detail (repeatable)', collectNumber)
    .option('--packets', 'list the packets of the selected flows, a line each')
    .option('--json', 'print one JSON document (schema hoptrace.report/1)')
    .option('--journeys <file>', 'write a line of JSON for each packet to FILE, or - for stdout')
    .option('--check', 'exit with 1 if a finding of severity error remains')
    .addHelpText('after', EXAMPLES)
    .action(run)
}

async function run(inputs: string[], flags: AnalyzeFlags): Promise<void> {
  if (flags.json && flags.journeys === '-')
    throw new HoptraceError('--json and --journeys - both want stdout: give --journeys a file')
  const stdout = standardOutput()
  const journeyFile =
    flags.journeys !== undefined && flags.journeys !== '-' ? openForWriting(flags.journeys) : null
  const bar = progressBar()
  const { report, failures, journeys } = await analyze(inputs, {
    journeys: flags.packets === true || flags.journeys !== undefined,
    onProgress: bar.update,
    ...(flags.path ? { path: flags.path } : {}),
  }).finally(bar.stop)
  for (const failure of failures) process.stderr.write(`hoptrace: ${failure}\n`)
  const selected = selectFlows(report, filterOf(flags))
  const ids = new Set(selected.flows.map((flow) => flow.id))
  if (flags.json) await stdout.writeAll(renderJsonChunks(selected))
  else if (flags.journeys !== '-') {
    await stdout.write(renderSelected(selected, flags, stdout))
    for (const warning of flags.flow || flags.packets ? report.warnings : [])
      process.stderr.write(`hoptrace: ${warning}\n`)
  }
  const journeyOutput = journeyFile ?? (flags.journeys === '-' ? stdout : null)
  if (journeyOutput || flags.packets) {
    const firstNs = new Map(selected.flows.map((flow) => [flow.id, flow.firstNs]))
    for (const journey of journeys()) {
      if (!ids.has(journey.flow)) continue
      if (journeyOutput) await journeyOutput.write(`${renderJourneyLine(journey)}\n`)
      else if (!flags.json) {
        const line = renderPacketLine(journey, { ...stdout, flowFirstNs: firstNs.get(journey.flow)! })
        await stdout.write(`${line}\n`)
      }
    }
  }
  await journeyFile?.end()
  if (failures.length > 0) process.exitCode = 2
  else if (flags.check && selected.findings.some((finding) => finding.severity === 'error'))
    process.exitCode = 1
}

function renderSelected(report: Report, flags: AnalyzeFlags, stdout: Output): string {
  const options = { columns: stdout.columns, color: stdout.color }
  if (flags.flow) return report.flows.map((flow) => renderFlowDetail(report, flow, options)).join('\n')
  return renderText(report, options)
}

function filterOf(flags: AnalyzeFlags): FlowFilter {
  return {
    hosts: flags.host ?? [],
    ports: flags.port ?? [],
    protocols: flags.proto ?? [],
    ids: flags.flow ?? [],
  }
}

function openForWriting(path: string): Output {
  try {
    return outputTo(createWriteStream(path, { fd: openSync(path, 'w') }))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new HoptraceError(
      `${path}: can't be written (${code}): give --journeys a file in a folder that you may write to`,
    )
  }
}

function list(value: string): string[] {
  const names = value.split(',').map((name) => name.trim())
  if (names.some((name) => name === ''))
    throw new InvalidArgumentError('give names separated by commas: a,b,c')
  return names
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

function collectNumber(value: string, before: number[] = []): number[] {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('give a number.')
  return [...before, Number(value)]
}
