/** The findings as a list: a sign for the severity, the code, the flow, one sentence, and frames to look at. */

import { groupBy } from './grouping.ts'
import { harmless, harmlessCopy } from './harmless.ts'
import type { FindingReport, Severity } from './model.ts'
import type { Palette } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatCount, formatCounted } from './quantities.ts'
import { cutToWidth, wrapText } from './width.ts'

export const SIGNS: Record<Severity, string> = { error: '✗', warning: '▲', info: '·' }
export const NOUNS: Record<Severity, string> = { error: 'error', warning: 'warning', info: 'note' }
export const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info']
/** Findings of one code that are told in full; the rest is counted. */
const MAX_PER_CODE = 5
const MAX_FRAMES = 6
const MAX_CODE_COLUMNS = 32
/** Causes that are told where none is sure; the rest is in the JSON. */
const MAX_LIKELY = 3

/** How many findings of each severity there are: `1 error, 2 warnings`. */
export function renderFindingCounts(findings: readonly FindingReport[]): string {
  return SEVERITIES.map((severity) => findings.filter((it) => it.severity === severity))
    .filter((some) => some.length > 0)
    .map((some) => formatCounted(sumOf(some), NOUNS[some[0].severity]))
    .join(', ')
}

/** Renders the findings, errors first, those of one code together. Makes harmless what it shows. */
export function renderFindings(
  findings: readonly FindingReport[],
  columns: number,
  palette: Palette,
): string[] {
  const lines: string[] = []
  for (const severity of SEVERITIES) {
    const some = findings.filter((it) => it.severity === severity)
    for (const [code, same] of groupBy(some, (it) => it.code)) {
      harmlessCopy(same.slice(0, MAX_PER_CODE)).forEach((finding, i) => {
        // What is likely is the same for each of them.
        lines.push(
          ...findingLines(finding, columns, palette),
          ...causeLines(finding, i === 0, columns, palette),
        )
      })
      if (same.length > MAX_PER_CODE)
        lines.push(restLine(harmless(code), same.slice(MAX_PER_CODE), columns, palette))
    }
  }
  return lines
}

function findingLines(finding: FindingReport, columns: number, palette: Palette): string[] {
  const paint = palette[finding.severity] ?? palette.info
  const code = cutToWidth(finding.code, MAX_CODE_COLUMNS)
  const flow = finding.flow === null ? '' : ` · flow ${finding.flow}`
  const [first, ...rest] = wrapText(
    `  ${SIGNS[finding.severity]} ${code}${flow}: ${finding.summary}`,
    columns,
    '    ',
  )
  const head = `  ${SIGNS[finding.severity]} ${code}`
  const lines = [paint(head) + first.slice(head.length), ...rest]
  const frames = framesText(finding)
  if (frames !== '') lines.push(...wrapText(`    ${frames}`, columns, '    ').map(palette.faint))
  return lines
}

/** The command that shows a sure cause; else what is likely, each with its command. */
function causeLines(
  { causes = [], severity }: FindingReport,
  tellLikely: boolean,
  columns: number,
  palette: Palette,
): string[] {
  const sure = causes.filter(({ isConfirmed }) => isConfirmed)
  const more = sure
    .slice(1, MAX_LIKELY)
    .map(({ what, receipt }) => `also: ${what}${receipt ? ` (${receipt})` : ''}`)
  const likely =
    sure.length > 0 || !tellLikely || severity === 'info'
      ? []
      : causes.slice(0, MAX_LIKELY).map(({ what, check }) => `maybe ${what}: ${check}`)
  const lines = [...more, ...(sure.length > 0 ? [`see: ${sure[0]!.check}`] : []), ...likely]
  return lines.flatMap((line) => wrapText(`    ${line}`, columns, '      ')).map(palette.faint)
}

/** `frames: bridge 1 2 3 · uplink 7`; nothing for notes. */
export function framesText({ severity, evidence }: FindingReport): string {
  if (severity === 'info' || evidence.frames === undefined) return ''
  const points = Object.entries(evidence.frames).map(([point, frames]) => {
    const shown = frames.slice(0, MAX_FRAMES).join(' ')
    return `${pointName(point)} ${shown}${frames.length > MAX_FRAMES ? ' …' : ''}`
  })
  return points.length === 0 ? '' : `frames: ${points.join(' · ')}`
}

function restLine(code: string, rest: FindingReport[], columns: number, palette: Palette): string {
  const flows = rest.flatMap((it) => (it.flow === null ? (uncounted(it)?.flows ?? []) : [it.flow]))
  const which = flows.length === 0 ? '' : ` (flows ${flows[0]} to ${flows.at(-1)})`
  const text = `… ${formatCount(sumOf(rest))} more ${cutToWidth(code, MAX_CODE_COLUMNS)}${which}`
  return palette.faint(`    ${cutToWidth(text, columns - 4)}`)
}

function sumOf(findings: readonly FindingReport[]): number {
  return findings.reduce((sum, finding) => sum + (uncounted(finding)?.more ?? 1), 0)
}

/** Of a finding that stands for all further ones of its code: how many these are, and the first and the last flow. */
function uncounted({
  flow,
  evidence: { more, flows },
}: FindingReport): { more: number; flows: number[] } | null {
  return flow === null && typeof more === 'number' && Array.isArray(flows) ? { more, flows } : null
}
