/** Links in words: what lies between two neighbouring points, a line each, with the counts that it was told from. */

import { tunnelTexts } from './encapsulation.ts'
import { harmless } from './harmless.ts'
import type { LinkDirection, LinkRelation, LinkReport, StreamedReport } from './model.ts'
import type { Palette } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatBytes, formatCount, formatCounted } from './quantities.ts'
import { displayWidth, padToWidth, wrapText } from './width.ts'

const MAX_LINKS = 8
const MAX_GROUPS = 6
/** VLAN changes or tunnels that are named for a link. */
const MAX_KINDS = 2
const WIDEST_NAMES = 30
const MACS = { kept: 'MACs kept', replaced: 'MACs replaced', partly: 'one MAC replaced' } as const
const WORDS: Readonly<Record<LinkRelation, string>> = {
  'same-place': 'same interface twice',
  'same-wire': 'same wire',
  unrouted: 'no router',
  routed: 'routed',
  nat: 'NAT',
  tunnel: 'tunnel',
  proxy: 'proxy',
  unclear: 'unclear',
}

type Step = { step: number; packets: number }

/** Lines such as `bridge → uplink  routed, SNAT: TTL −1 in 26 of 26 packets, MACs replaced`; none for a single point. */
export function renderLinks(
  { links = [], groups = [] }: StreamedReport,
  columns: number,
  palette: Palette,
): string[] {
  // What spans others says again what these say.
  const told = links.filter(({ spans }) => !spans)
  // Where nothing at all was joined, a warning says so.
  const isApart = groups.length > 1 && groups.some((group) => group.length > 1)
  const lines = isApart ? apartLines(groups, columns) : []
  const shown = told.slice(0, MAX_LINKS).map((link) => [between(link), aboutLink(link)] as const)
  const nameColumns = Math.min(WIDEST_NAMES, Math.max(...shown.map(([names]) => displayWidth(names))))
  for (const [names, about] of shown)
    lines.push(...wrapText(`  ${padToWidth(names, nameColumns)}  ${about}`, columns, '      '))
  if (told.length > MAX_LINKS)
    lines.push(`  … ${formatCounted(told.length - MAX_LINKS, 'more link')}: --json lists all`)
  return lines.map((line) => palette.faint(line))
}

function apartLines(groups: readonly string[][], columns: number): string[] {
  const shown = groups.slice(0, MAX_GROUPS).map((group) => group.map(pointName).join(', '))
  if (groups.length > MAX_GROUPS) shown.push('…')
  return wrapText(`  these saw nothing in common: ${shown.join(' │ ')}`, columns, '    ')
}

function between({ between: [a, b] }: LinkReport): string {
  return a === b ? `at ${pointName(a)}` : `${pointName(a)} → ${pointName(b)}`
}

function aboutLink({ relation, evidence }: LinkReport): string {
  const { forward, reverse, translations, proxied } = evidence
  const { snat, dnat } = translations
  const packets = forward.packets + reverse.packets
  const step = commonStep(evidence)
  const facts = packets > 0 ? factsOf(evidence, packets, step) : []
  if (packets === 0 && snat + dnat > 0)
    facts.push(`told by the answers of ${formatCounted(snat + dnat, 'flow')}`)
  if (proxied)
    facts.push(
      `${formatBytes(proxied.bytes)} the same in both connections of ${formatCounted(proxied.exchanges, 'exchange')}`,
    )
  return `${conclusion(relation, translations, step)}: ${facts.join(', ')}`
}

function conclusion(
  relation: LinkRelation,
  { snat, dnat }: LinkReport['evidence']['translations'],
  step: Step | null,
): string {
  // What comes from JSON may be anything.
  if (!Object.hasOwn(WORDS, relation)) return harmless(String(relation))
  if (relation !== 'nat') return WORDS[relation]
  const kinds = [...(snat > 0 ? ['SNAT'] : []), ...(dnat > 0 ? ['DNAT'] : [])]
  if (kinds.length === 0) kinds.push(WORDS.nat)
  return [...(step !== null && step.step !== 0 ? ['routed'] : []), ...kinds].join(', ')
}

function factsOf(
  { forward, reverse, translations }: LinkReport['evidence'],
  packets: number,
  step: Step | null,
): string[] {
  const both = [forward, reverse]
  const sum = (of: (side: LinkDirection) => number) => both.reduce((total, side) => total + of(side), 0)
  const seen: [string, number][] = (['kept', 'replaced', 'partly'] as const)
    .map((fate): [string, number] => [MACS[fate], sum((side) => side.macs[fate])])
    .filter(([, count]) => count > 0)
  if (step !== null) seen.unshift([`TTL ${signed(step.step)}`, step.packets])
  const whole = seen.filter(([, count]) => count === packets).map(([text]) => text)
  const all = whole.join() === 'TTL kept,MACs kept' ? ['TTL and MACs kept'] : whole
  const facts = seen
    .filter(([, count]) => count !== packets)
    .map(([text, count]) => `${text} in ${formatCount(count)} of ${formatCounted(packets, 'packet')}`)
  if (all.length > 0)
    facts.unshift(`${all.join(' and ')} in ${formatCount(packets)} of ${formatCounted(packets, 'packet')}`)
  if (step === null) facts.push('TTL varies')
  if (both.every(({ macs }) => macs.kept + macs.replaced + macs.partly === 0)) facts.push('MACs not captured')
  both.forEach((side, turned) => {
    const arrow = turned ? '←' : '→'
    // Where flows of both kinds pass, their counts are mixed: each direction is told.
    const hasBothKinds = translations.snat > 0 && translations.dnat > 0
    const isMirror = turned === 1 && !hasBothKinds && isUndone(forward, reverse)
    for (const end of ['source', 'destination'] as const)
      if (side.rewritten[end] > 0 && !isMirror)
        facts.push(
          `${end} rewritten in ${formatCount(side.rewritten[end])} of ${formatCount(side.packets)} ${arrow}`,
        )
    const vlans = side.vlans.map(({ from, to }) => `VLAN ${tags(from)} then ${tags(to)}`)
    const tunnels = side.tunnels.flatMap(({ from, to }) =>
      tunnelTexts({ encapsulation: from }, { encapsulation: to }),
    )
    for (const some of [vlans, tunnels])
      for (const text of [...new Set(some)].slice(0, MAX_KINDS)) facts.push(`${harmless(text)} ${arrow}`)
  })
  return facts
}

/** Whatever was rewritten in all packets to the one side is rewritten back in all to the other: it need not be told twice. */
function isUndone(there: LinkDirection, back: LinkDirection): boolean {
  const share = (count: number, { packets }: LinkDirection) =>
    count === 0 ? 0 : count === packets ? 1 : Number.NaN
  return (
    there.packets > 0 &&
    share(there.rewritten.source, there) === share(back.rewritten.destination, back) &&
    share(there.rewritten.destination, there) === share(back.rewritten.source, back)
  )
}

function tags(ids: readonly number[]): string {
  return ids.length === 0 ? 'none' : ids.join(' in ')
}

/** The TTL step that most packets of both directions have. */
function commonStep({ forward, reverse }: LinkReport['evidence']): Step | null {
  const steps = new Map<number, number>()
  for (const { step, packets } of [...forward.ttl, ...reverse.ttl])
    steps.set(step, (steps.get(step) ?? 0) + packets)
  const [most] = [...steps].sort((a, b) => b[1] - a[1])
  return most ? { step: most[0], packets: most[1] } : null
}

function signed(step: number): string {
  if (step === 0) return 'kept'
  return step < 0 ? `−${-step}` : `+${step}`
}
