/** Chains: the ways of traced packets through the rules, a line each; where a chain is not named again, it is the same. */

import type { RulePath } from '../correlate/joined-flow.ts'
import type { TraceStep } from '../receipts/model.ts'
import { harmless } from './harmless.ts'
import type { FlowReport } from './model.ts'
import type { Palette } from './palette.ts'
import { wrapText } from './width.ts'

const MAX_LINES = 20
const MAX_NAME = 60
const IPTABLES_TABLES = ['raw', 'mangle', 'nat', 'filter', 'security']
/** Bits of the TCP header (RFC 9293, 3.1). */
const FLAGS = [
  [0x02, 'SYN'],
  [0x10, 'ACK'],
  [0x01, 'FIN'],
  [0x04, 'RST'],
  [0x08, 'PSH'],
] as const
/** What a rule rewrites, in nft's words. */
const REWRITE =
  /\b((?:dnat|snat|redirect)(?: ip6?)?(?: prefix)? to \S+|masquerade|redirect|dnat|snat|reject)\b/

/** `#1 SYN  nat PREROUTING → DOCKER rule 2 dnat to 172.17.0.3:80 → filter FORWARD → DOCKER-USER rule 1 drop` */
export function renderChains(flows: Iterable<FlowReport>, columns: number, palette: Palette): string[] {
  const paths: { path: RulePath; head: string }[] = []
  for (const { id, protocol, rulePath = [] } of flows)
    for (const path of rulePath) paths.push({ path, head: `#${id} ${kindOf(protocol, path)}` })
  const lines = paths.slice(0, MAX_LINES).flatMap(({ path, head }) => {
    const where = path.namespace === 'host' ? '' : `  in ${harmless(path.namespace, MAX_NAME)}`
    const way = wayOf(path.steps).join(' → ')
    const isDropped = path.steps.at(-1)?.verdict === 'drop'
    const wrapped = wrapText(`  ${head}${where}  ${way}`, columns, '      ')
    return isDropped ? wrapped.map(palette.error) : wrapped
  })
  if (paths.length > MAX_LINES) lines.push(`  … ${paths.length - MAX_LINES} more: --json lists all`)
  return lines
}

function kindOf(protocol: string, { tcpFlags, direction }: RulePath): string {
  const names = FLAGS.flatMap(([bit, name]) => ((tcpFlags ?? 0) & bit ? name : []))
  const name = protocol === 'tcp' && names.length > 0 ? names.join(' ') : harmless(protocol, MAX_NAME)
  return direction === 'forward' ? name : `${name} back`
}

/** Each chain where the packet comes into it, with what happened there; jumps and returns are not told of their own. */
function wayOf(steps: readonly TraceStep[]): string[] {
  const way: string[] = []
  let [base, current] = ['', '']
  let called = new Set<string>()
  for (const step of steps) {
    const { family, table, chain, verdict } = step
    const here = `${family} ${table} ${chain}`
    if (here !== base && !called.has(here)) {
      way.push(`${tableName(step)} ${name(chain)}`)
      base = here
      called = new Set()
    } else if (here !== current && !isPassing(step)) way.push(name(chain))
    current = here
    const did = deed(step)
    if (did !== '') way[way.length - 1] += ` ${did}`
    const callee = /^(?:jump|goto) (.+)$/.exec(verdict)?.[1]
    if (callee === undefined) continue
    way.push(name(callee))
    current = `${family} ${table} ${callee}`
    called.add(current)
  }
  return way
}

/** Nothing happened but that it went on, or back. */
function isPassing({ verdict, isPolicy }: TraceStep): boolean {
  return /^(?:return|continue|jump .*|goto .*)$/.test(verdict) || (isPolicy && verdict === 'accept')
}

function deed(step: TraceStep): string {
  const { number, text, isPolicy, verdict } = step
  const rewrite = REWRITE.exec((text ?? '').replace(/"(?:[^"\\]|\\.)*"/g, '""'))?.[0]
  if (isPolicy) return verdict === 'accept' ? '' : `policy ${harmless(verdict, MAX_NAME)}`
  if (/^(?:jump|goto) |^return$/.test(verdict) || (verdict === 'continue' && !rewrite)) return ''
  return `rule ${number ?? '?'} ${harmless(rewrite ?? verdict, MAX_NAME)}`
}

function tableName({ family, table }: TraceStep): string {
  return IPTABLES_TABLES.includes(table) && family !== 'inet' && family !== 'bridge'
    ? table
    : `${family} ${name(table)}`
}

function name(text: string): string {
  return harmless(text, MAX_NAME)
}
