/** The report for a terminal: the path, the flows, the findings, and what could not be joined. */

import { renderChains } from './chains-text.ts'
import { renderClocks } from './clocks-text.ts'
import { renderExpectationCounts, renderExpectations } from './expectations/text.ts'
import { renderFindingCounts, renderFindings } from './findings-text.ts'
import { FlowChoice, renderFlowTable } from './flow-table.ts'
import { harmless } from './harmless.ts'
import { renderLinks } from './links-text.ts'
import type { StreamedReport } from './model.ts'
import { NameCollector } from './names-text.ts'
import { paletteFor } from './palette.ts'
import { renderPathLines } from './path-line.ts'
import { formatCount, formatCounted, formatDurationNs, isNumeral } from './quantities.ts'
import { renderReceipts } from './receipts-text.ts'
import { RouteCollector } from './route.ts'
import { DoubtCounts, renderUnjoined, renderWarnings } from './unjoined-text.ts'
import { cutToWidth } from './width.ts'

/** Narrower terminals get lines of this width. */
export const MIN_COLUMNS = 60
const MAX_FLOWS = 50
const NO_FLOWS = '  none: no packet belongs to a flow that could be followed'

export interface TextOptions {
  /** Width of the terminal; no line is longer (nor than `MIN_COLUMNS`). */
  columns: number
  color: boolean
  /** Flows to list; 50 unless told. */
  maxFlows?: number
  /** Leave out what lies between the points and how that is known. */
  hidesLinks?: boolean
}

/** Renders the whole report as lines of text with a newline at the end. */
export function renderText(report: StreamedReport, options: TextOptions): string {
  const columns = Math.max(MIN_COLUMNS, options.columns)
  const palette = paletteFor(options.color)
  const { flows, findings, warnings, receipts = [], expectations = [] } = report
  const isTroubled = findings.some(({ severity }) => severity === 'error')
  const routes = new RouteCollector()
  const choice = new FlowChoice(report, options.maxFlows ?? MAX_FLOWS)
  const names = new NameCollector(report)
  const doubts = new DoubtCounts()
  const protocols = new Map<string, number>()
  // Once for all: reading very many flows takes its time.
  for (const flow of flows) {
    for (const collector of [routes, choice, names, doubts]) collector.add(flow)
    protocols.set(flow.protocol, (protocols.get(flow.protocol) ?? 0) + 1)
  }
  const path = renderPathLines(report, columns, palette, routes)
  const section = (title: string, about: string, lines: string[]): string[] => {
    if (lines.length === 0) return []
    const room = columns - title.length - 2
    return ['', palette.heading(title) + (about && palette.faint(`  ${cutToWidth(about, room)}`)), ...lines]
  }
  const table =
    flows.length === 0
      ? [NO_FLOWS]
      : renderFlowTable(report, {
          columns,
          palette,
          path,
          chosen: choice.chosen(),
        })
  const links = options.hidesLinks ? [] : renderLinks(report, columns, palette)
  const lines = [
    cutToWidth(summaryOf(report), columns),
    ...section('Path', '', links.length > 0 ? [...path.lines, '', ...links] : path.lines),
    ...section('Clocks', '', renderClocks(report, columns)),
    ...section('Names', '', names.render(columns)),
    ...section('Flows', protocolCounts(protocols), table),
    ...section('Findings', renderFindingCounts(findings), renderFindings(findings, columns, palette)),
    ...section('Chains', 'the rules that a packet met', renderChains(flows, columns, palette)),
    ...section(
      'Receipts',
      'what the kernel counted meanwhile',
      renderReceipts(receipts, isTroubled, columns, palette),
    ),
    ...section('Not joined', '', renderUnjoined(report, doubts, columns, palette)),
    ...section('Warnings', '', renderWarnings(warnings, columns, palette)),
    ...section(
      'Expectations',
      renderExpectationCounts(expectations),
      renderExpectations(expectations, columns, palette),
    ),
  ]
  return `${lines.join('\n')}\n`
}

/** `4 points · 104 packets · 2 flows · 1.02 s`; a packet counts at each point that saw it. */
function summaryOf({ points, flows }: StreamedReport): string {
  const frames = points.reduce((sum, point) => sum + point.packets, 0)
  const parts = [
    formatCounted(points.length, 'point'),
    formatCounted(frames, 'frame'),
    formatCounted(flows.length, 'flow'),
  ]
  const times = points
    .flatMap(({ firstNs, lastNs }) => [firstNs ?? '', lastNs ?? ''])
    .filter(isNumeral)
    .map(BigInt)
    .sort((a, b) => (a < b ? -1 : 1))
  if (times.length > 0) parts.push(formatDurationNs(Number(times.at(-1)! - times[0])))
  return parts.join(' · ')
}

function protocolCounts(protocols: ReadonlyMap<string, number>): string {
  return [...protocols].map(([protocol, flows]) => `${formatCount(flows)} ${harmless(protocol)}`).join(', ')
}
