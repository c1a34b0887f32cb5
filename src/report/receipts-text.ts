/** The receipts as a few lines: rules that translated or dropped, counters that moved, and what the kernel says of its drops. */

import type { Receipts, RuleReceipt } from '../receipts/model.ts'
import { harmless } from './harmless.ts'
import type { Palette } from './palette.ts'
import { formatCount } from './quantities.ts'
import { wrapText } from './width.ts'

const MAX_RULES = 8
const MAX_DROPS = 5
/** Rules that let pass, or lead to other chains, are not worth a line. */
const NOTABLE =
  /^(DROP|REJECT|MASQUERADE|SNAT|DNAT|REDIRECT|NETMAP|TTL|HL|TCPMSS|drop|reject|masquerade|snat|dnat|redirect)$/
/** Counters that only good or bad luck moves. */
const TROUBLE =
  /drop|fail|err|discard|noroute|reversepath|overflow|prune|insert_failed|ListenDrops|TCPReqQFull/i

/**
 * Nothing where there are no receipts. The kernel drops something all the time, on every machine: its reasons are told only
 * where a finding (`isTroubled`) makes one ask for them.
 */
export function renderReceipts(
  all: readonly Receipts[],
  isTroubled: boolean,
  columns: number,
  palette: Palette,
): string[] {
  const lines = all.flatMap((receipts) => receiptLines(receipts, isTroubled))
  return lines.flatMap((line) => wrapText(`  ${harmless(line)}`, columns, '    ')).map(palette.faint)
}

/** The lines of one host and capture, not yet `harmless`. */
export function receiptLines({ namespaces, drops, notRead }: Receipts, isTroubled: boolean): string[] {
  const lines: string[] = []
  for (const { name, rules, counters, conntrack } of namespaces) {
    const notable = rules.filter(({ target, change }) => NOTABLE.test(target ?? '') && change !== 'same')
    lines.push(...notable.slice(0, MAX_RULES).map((rule) => `${name}: ${ruleText(rule)}`))
    if (notable.length > MAX_RULES) lines.push(`${name}: … ${notable.length - MAX_RULES} more rules`)
    const moved = [...counters, ...(conntrack?.stats ?? [])].filter((it) => TROUBLE.test(it.name))
    if (moved.length > 0)
      lines.push(
        `${name}: ${moved.map((it) => `${it.name} +${(it.after ?? 0) - (it.before ?? 0)}`).join(' · ')}`,
      )
  }
  if (isTroubled && drops.length > 0)
    lines.push(
      `dropped by the kernel: ${drops
        .slice(0, MAX_DROPS)
        .map(({ reason, location, packets }) => `${reason} ${formatCount(packets)} in ${location}`)
        .join(' · ')}`,
    )
  if (notRead.length > 0)
    lines.push(
      `not read: ${[...new Set(notRead.map(({ what, why }) => `${what} (${why})`))].slice(0, 4).join(' · ')}`,
    )
  return lines
}

function ruleText({ table, chain, number, text, change, packets }: RuleReceipt): string {
  const which = number === null ? `policy of ${chain}` : `rule ${number} of ${chain}`
  const count =
    change === 'counted' ? `+${formatCount((packets.after ?? 0) - (packets.before ?? 0))}` : `${change}`
  return `${count}  ${which} in ${table}  ${text}`
}
