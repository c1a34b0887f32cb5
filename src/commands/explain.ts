/** `hoptrace explain`: walks one packet hop by hop, and says what happened to it and why. */

import { Command } from 'commander'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { HoptraceError } from '../errors.ts'
import { explainCaptures } from '../explanation.ts'
import { renderExplanationMarkdown } from '../report/explain/markdown.ts'
import { renderExplanationMermaid } from '../report/explain/mermaid.ts'
import type { Explanation } from '../report/explain/model.ts'
import { renderExplanation } from '../report/explain/text.ts'
import type { FlowFilter } from '../report/filter.ts'
import { harmlessJson } from '../report/harmless.ts'
import { isLive, reportOnInterrupt } from './live-input.ts'
import { count, decodeAs, filterExpression, interfaceName, nameList } from './option-values.ts'
import { complain, type Output, standardOutput } from './output.ts'
import { progressBar } from './progress.ts'
import { runQuiz } from './quiz.ts'

interface ExplainFlags {
  flow?: number
  packet?: number
  filter?: FlowFilter['expression']
  path?: string[]
  decodeAs?: ReadonlyMap<number, UdpTunnel>
  ifname?: ReadonlyMap<string, string>
  keepClocks?: boolean
  all?: boolean
  quiz?: boolean
  markdown?: boolean
  mermaid?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  hoptrace explain captures/outbound-masquerade              a SYN and its answer
  hoptrace explain captures/udp-and-ping --flow 2 --packet 7 that packet only
  hoptrace explain captures/double-nat --quiz                asks before it shows
  hoptrace explain captures/double-nat --markdown > nat.md   for a handout
  hoptrace explain captures/double-nat --mermaid             a sequence diagram
  hoptrace explain trace.pcapng --filter 'port 53'           the first such flow

≠ is a field that changed since the station before, + a header that is new.`

/** Makes the command. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('walks one packet and its answer hop by hop: every header field, what changed and why')
    .usage('[options] INPUT...')
    .argument('[input...]', 'FILE, NAME=FILE, DIR or -, as for analyze')
    .option('--flow <id>', 'this flow, as analyze numbers them (else the first with an answer)', count)
    .option('--packet <number>', 'this packet of the flow (else the first request and its answer)', count)
    .option('--filter <expr>', 'without --flow: the first flow for which this holds', filterExpression)
    .option('--path <points>', 'order of the points, client side first: a,b,c', nameList)
    .option('--decode-as <port=kind>', 'a tunnel behind this UDP port, as for analyze (repeatable)', decodeAs)
    .option('--ifname <index=name>', 'what to call an interface, as for analyze (repeatable)', interfaceName)
    .option('--keep-clocks', 'leave times as recorded')
    .option('--all', 'list all fields at stations where nothing changed, too')
    .option('--quiz', 'hide the next headers, ask for them, then show them')
    .option('--markdown', 'print Markdown, for slides and handouts')
    .option('--mermaid', 'print a Mermaid sequence diagram')
    .option('--json', 'print one JSON document (schema hoptrace.explain/1)')
    .addHelpText('after', EXAMPLES)
    .action(run)
}

async function run(inputs: string[], flags: ExplainFlags): Promise<void> {
  const { flow, packet, filter, quiz } = flags
  const kinds = [
    flags.quiz && '--quiz',
    flags.markdown && '--markdown',
    flags.mermaid && '--mermaid',
    flags.json && '--json',
  ]
  const asked = kinds.filter(Boolean)
  if (asked.length > 1) throw new HoptraceError(`${asked.join(' and ')} both want stdout: choose one`)
  if (flow !== undefined && filter)
    throw new HoptraceError('--flow and --filter both choose the flow: give one of them')
  if (quiz && inputs.some((input) => /(^|=)(-|\/dev\/stdin)$/.test(input)))
    throw new HoptraceError('--quiz reads answers from standard input: give the capture as a file')
  const bar = progressBar()
  if (inputs.some(isLive)) reportOnInterrupt()
  const { explanation, failures } = await explainCaptures(inputs, {
    ...(flow === undefined ? {} : { flow }),
    ...(packet === undefined ? {} : { packet }),
    ...(flags.path ? { path: flags.path } : {}),
    ...(flags.decodeAs ? { tunnelPorts: flags.decodeAs } : {}),
    ...(flags.ifname ? { interfaceNames: flags.ifname } : {}),
    ...(flags.keepClocks ? { keepClocks: true } : {}),
    filter,
    onProgress: bar.update,
  }).finally(bar.stop)
  for (const failure of failures) complain(failure)
  if (failures.length > 0) process.exitCode = 2
  const stdout = standardOutput()
  if (quiz) await runQuiz(explanation, stdout)
  else await stdout.write(rendered(explanation, flags, stdout))
  await stdout.end()
}

function rendered(explanation: Explanation, flags: ExplainFlags, { columns, color }: Output): string {
  if (flags.json) {
    const lines = JSON.stringify(explanation, null, 2).split('\n')
    return `${lines.map(harmlessJson).join('\n')}\n`
  }
  if (flags.markdown) return renderExplanationMarkdown(explanation)
  if (flags.mermaid) return renderExplanationMermaid(explanation)
  return renderExplanation(explanation, { columns, color, all: flags.all === true })
}
