/** What the report is silent about elsewhere, counted: records outside of flows, packets unseen or undecided, odd input. */

import { groupBy } from './grouping.ts'
import { harmless } from './harmless.ts'
import type { FlowReport, StreamedReport } from './model.ts'
import type { Palette } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatCount, formatCounted } from './quantities.ts'
import { cutToWidth, displayWidth, padToWidth, wrapText } from './width.ts'

const MAX_REASON_COLUMNS = 20
const MAX_POINTS = 12
const MAX_WARNINGS = 20

/** Counts what flows say of packets that were not seen, not told apart, or seen twice. */
export class DoubtCounts {
  /** By point. */
  readonly unseen = new Map<string, number>()
  ambiguous = 0
  ambiguousFlows = 0
  duplicates = 0

  add(flow: FlowReport): void {
    for (const { point, packets } of flow.unseen)
      this.unseen.set(point, (this.unseen.get(point) ?? 0) + packets)
    this.ambiguous += flow.ambiguous
    if (flow.ambiguous > 0) this.ambiguousFlows++
    this.duplicates += flow.duplicates
  }
}

/** Renders records that are in no flow, one line a reason, and packets unseen at a point or not decided. */
export function renderUnjoined(
  report: StreamedReport,
  counts: DoubtCounts,
  columns: number,
  palette: Palette,
): string[] {
  const rows = unjoinedRows(report, counts)
  const reasonColumns = Math.max(...rows.map(([reason]) => displayWidth(reason)))
  return rows.flatMap(([reason, text]) => {
    const head = `  ${padToWidth(reason, reasonColumns)}  `
    const [first, ...rest] = wrapText(head + text, columns, ' '.repeat(displayWidth(head)))
    return [palette.faint(head) + first.slice(head.length), ...rest]
  })
}

/** Each reason, and how many packets at which points. */
export function unjoinedRows(
  report: Pick<StreamedReport, 'notJoined'>,
  { unseen, ambiguous, ambiguousFlows, duplicates }: DoubtCounts,
): [string, string][] {
  const rows = [...groupBy(report.notJoined, (it) => it.reason)].map(([reason, counts]): [string, string] => [
    cutToWidth(harmless(reason), MAX_REASON_COLUMNS),
    pointCounts(counts),
  ])
  if (unseen.size > 0)
    rows.push(['unseen', `${pointTexts(unseen)} (a capture that missed them, or ended first)`])
  if (ambiguous > 0) {
    const packets = formatCounted(ambiguous, 'packet')
    rows.push([
      'ambiguous',
      `${packets} of ${formatCounted(ambiguousFlows, 'flow')}, not told apart from others`,
    ])
  }
  if (duplicates > 0)
    rows.push(['duplicates', `${formatCounted(duplicates, 'frame')} seen twice at one point, counted once`])
  return rows
}

/** Renders the warnings, one sign each. */
export function renderWarnings(warnings: readonly string[], columns: number, palette: Palette): string[] {
  const lines = warnings.slice(0, MAX_WARNINGS).flatMap((warning) => {
    const [first, ...rest] = wrapText(`  ▲ ${harmless(warning)}`, columns, '    ')
    return [palette.warning('  ▲') + first.slice(3), ...rest]
  })
  const hidden = warnings.length - MAX_WARNINGS
  if (hidden > 0)
    lines.push(palette.faint(`    … ${formatCounted(hidden, 'more warning')}: --json lists all`))
  return lines
}

function pointCounts(counts: readonly { point: string; packets: number }[]): string {
  const byPoint = new Map<string, number>()
  for (const { point, packets } of counts) byPoint.set(point, (byPoint.get(point) ?? 0) + packets)
  return pointTexts(byPoint)
}

function pointTexts(byPoint: ReadonlyMap<string, number>): string {
  const texts = [...byPoint].map(([point, packets]) => `${pointName(point)} ${formatCount(packets)}`)
  const hidden = texts.length - MAX_POINTS
  return (
    texts.slice(0, MAX_POINTS).join(' · ') + (hidden > 0 ? ` · … ${formatCounted(hidden, 'more point')}` : '')
  )
}
