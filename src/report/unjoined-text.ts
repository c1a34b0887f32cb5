/** What the report is silent about elsewhere, counted: records outside of flows, packets unseen or undecided, odd input. */

import { groupBy } from './grouping.ts'
import { harmless } from './harmless.ts'
import type { Report } from './model.ts'
import type { Palette } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatCount, formatCounted } from './quantities.ts'
import { cutToWidth, displayWidth, padToWidth, wrapText } from './width.ts'

const MAX_REASON_COLUMNS = 20
const MAX_POINTS = 12
const MAX_WARNINGS = 20

/** Renders records that are in no flow, one line a reason, and packets unseen at a point or not decided. */
export function renderUnjoined(report: Report, columns: number, palette: Palette): string[] {
  const rows = [...groupBy(report.notJoined, (it) => it.reason)].map(([reason, counts]) => [
    cutToWidth(harmless(reason), MAX_REASON_COLUMNS),
    pointCounts(counts),
  ])
  const unseen = report.flows.flatMap((flow) => flow.unseen)
  if (unseen.length > 0)
    rows.push(['unseen', `${pointCounts(unseen)} (a capture that missed them, or ended first)`])
  const ambiguous = report.flows.reduce((sum, flow) => sum + flow.ambiguous, 0)
  if (ambiguous > 0) {
    const flows = report.flows.filter((flow) => flow.ambiguous > 0).length
    const packets = formatCounted(ambiguous, 'packet')
    rows.push(['ambiguous', `${packets} of ${formatCounted(flows, 'flow')}, not told apart from others`])
  }
  const duplicates = report.flows.reduce((sum, flow) => sum + flow.duplicates, 0)
  if (duplicates > 0)
    rows.push(['duplicates', `${formatCounted(duplicates, 'frame')} seen twice at one point, counted once`])
  const reasonColumns = Math.max(...rows.map(([reason]) => displayWidth(reason)))
  return rows.flatMap(([reason, text]) => {
    const head = `  ${padToWidth(reason, reasonColumns)}  `
    const [first, ...rest] = wrapText(head + text, columns, ' '.repeat(displayWidth(head)))
    return [palette.faint(head) + first.slice(head.length), ...rest]
  })
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
  const texts = [...byPoint].map(([point, packets]) => `${pointName(point)} ${formatCount(packets)}`)
  const hidden = texts.length - MAX_POINTS
  return (
    texts.slice(0, MAX_POINTS).join(' · ') + (hidden > 0 ? ` · … ${formatCounted(hidden, 'more point')}` : '')
  )
}
