/** Rules of the packet filter as branches of the tree: those that do something to a packet, with their counters. */

import type { Rule } from '../topology/topology.ts'
import { harmless } from './harmless.ts'
import type { Palette } from './palette.ts'
import { formatBytes, formatCount } from './quantities.ts'
import type { Branch, Line } from './tree.ts'

const MAX_RULES = 14
const REWRITING = ['MASQUERADE', 'SNAT', 'DNAT', 'REDIRECT', 'NETMAP']
const DENYING = ['DROP', 'REJECT']
const PASSING = ['RETURN', 'CONTINUE', 'DOCKER']

/** One branch for the host's rules, one for those inside of the container; none where there are none. */
export function renderRules(rules: readonly Rule[], palette: Palette): Branch[] {
  return (['host', 'container'] as const).flatMap((where) => {
    const some = rules.filter((rule) => rule.where === where)
    const title = where === 'host' ? 'rules that may touch its packets' : 'rules inside of it'
    return some.length > 0 ? [branchOf(some, title, palette)] : []
  })
}

function branchOf(rules: readonly Rule[], title: string, palette: Palette): Branch {
  const shown = choose(rules.filter(acts))
  const counters = shown.map(({ packets, bytes }) => [
    packets === null ? '–' : formatCount(packets),
    bytes === null ? '–' : formatBytes(bytes),
  ])
  const widths = [0, 1].map((column) => Math.max(0, ...counters.map((texts) => texts[column].length)))
  const lines: Line[] = shown.map((rule, i) => {
    const numbers = counters[i].map((text, column) => text.padStart(widths[column])).join('  ')
    const place = palette.faint(`${rule.family === 'ip' ? '' : `${rule.family} `}${harmless(rule.table)}`)
    const words = harmless(rule.text, 300).split(' ')
    const painted = words.map((word) => paintTarget(word, rule, palette)).join(' ')
    const chain = harmless(rule.chain)
    return { text: `${palette.faint(numbers)}  ${place} ${chain}  ${painted}`, hang: numbers.length + 4 }
  })
  const rest = rules.length - shown.length
  if (rest > 0)
    lines.push({ text: palette.faint(`${formatCount(rest)} more that say less: --json has all`), hang: 2 })
  return { lines: [`${title}${palette.faint(' (packets, bytes)')}`, ...lines] }
}

/** Of too many, those that rewrite, deny or have met packets; in the order in which they stand. */
function choose(rules: readonly Rule[]): Rule[] {
  const tells = ({ target, packets }: Rule) => packets || [...REWRITING, ...DENYING].includes(target ?? '')
  const best = [...rules.filter(tells), ...rules.filter((rule) => !tells(rule))].slice(0, MAX_RULES)
  return rules.filter((rule) => best.includes(rule))
}

/** Jumps to other chains and returns from them do nothing to a packet. */
function acts({ target, text }: Rule): boolean {
  return (
    text.startsWith('policy ') || (target !== null && /^[A-Z]+$/.test(target) && !PASSING.includes(target))
  )
}

function paintTarget(word: string, { target }: Rule, { change, error }: Palette): string {
  if (target === null || word.toUpperCase() !== target) return word
  return REWRITING.includes(target) ? change(word) : DENYING.includes(target) ? error(word) : word
}
