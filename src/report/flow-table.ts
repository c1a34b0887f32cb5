/** The table of flows, as wide as the terminal allows and never wider. */

import Table from 'cli-table3'
import { type Cell, type CellStyle, middleCells, narrowCells, wideCells } from './flow-cells.ts'
import { harmlessCopy } from './harmless.ts'
import type { FlowReport, Report } from './model.ts'
import type { Palette } from './palette.ts'
import type { PathLines } from './path-line.ts'
import { formatCount, formatCounted } from './quantities.ts'
import { displayWidth } from './width.ts'

const WIDE_HEAD = ['flow', 'client → server', 'translation', 'TTL', 'packets', 'state']
const NARROW_HEAD = ['flow', 'client → server', 'packets, state']
const MIN_WAY_COLUMNS = 20

/** What the table needs beside the report. */
export interface FlowTableOptions {
  columns: number
  maxFlows: number
  palette: Palette
  /** Of the usual way nothing needs to be said. */
  path: PathLines
}

/** Renders at most `maxFlows` flows, those in trouble first where not all fit. Makes harmless what it shows. */
export function renderFlowTable(report: Report, options: FlowTableOptions): string[] {
  const { columns, maxFlows, palette, path } = options
  const flows = harmlessCopy(chooseFlows(report, maxFlows))
  const most = flows.reduce((max, flow) => Math.max(max, flow.forward.packets, flow.reverse.packets), 0)
  const style: CellStyle = { palette, path, countColumns: formatCount(most).length }
  const lines = widestThatFits(flows, style, columns)
  const hidden = report.flows.length - flows.length
  if (hidden > 0) lines.push(` … ${formatCounted(hidden, 'more flow')}: --json lists all`)
  return lines
}

/** By id; where not all may be shown, flows with losses, errors or an error finding go before the others. */
function chooseFlows(report: Report, maxFlows: number): FlowReport[] {
  if (report.flows.length <= maxFlows) return report.flows
  const accused = new Set(report.findings.filter((it) => it.severity === 'error').map((it) => it.flow))
  const troubled: FlowReport[] = []
  const calm: FlowReport[] = []
  for (const flow of report.flows) {
    const trouble = flow.lost.length > 0 || flow.icmpErrors.length > 0 || accused.has(flow.id)
    ;(trouble ? troubled : calm).push(flow)
  }
  return [...troubled, ...calm].slice(0, maxFlows)
}

function widestThatFits(flows: FlowReport[], style: CellStyle, columns: number): string[] {
  for (const cellsOf of [wideCells, middleCells]) {
    const rows = withoutEmptyColumns([headCells(WIDE_HEAD), ...flows.map((flow) => cellsOf(flow, style))])
    const width = rows[0].reduce((sum, _, column) => sum + columnWidth(rows, column), 0)
    if (width + frameColumns(rows[0].length) <= columns) return drawTable(rows, style.palette)
  }
  // The outer two columns are as wide as they are; the one between them gets the rest.
  const measured = [headCells(NARROW_HEAD), ...flows.map((flow) => narrowCells(flow, style, columns))]
  const outer = columnWidth(measured, 0) + columnWidth(measured, 2)
  const width = Math.max(MIN_WAY_COLUMNS, columns - outer - frameColumns(NARROW_HEAD.length))
  return drawTable(
    [headCells(NARROW_HEAD), ...flows.map((flow) => narrowCells(flow, style, width))],
    style.palette,
  )
}

/** A space on both sides of each cell and a line between two cells; none at the two ends. */
function frameColumns(columns: number): number {
  return columns * 3 - 1
}

function withoutEmptyColumns([head, ...rows]: Cell[][]): Cell[][] {
  const used = head.map((_, column) => rows.some((cells) => cells[column].length > 0))
  return [head, ...rows].map((cells) => cells.filter((_, column) => used[column]))
}

function columnWidth(rows: Cell[][], column: number): number {
  let width = 0
  for (const cells of rows) for (const line of cells[column]) width = Math.max(width, displayWidth(line))
  return width
}

function headCells(head: readonly string[]): Cell[] {
  return head.map((text) => [text])
}

/**
 * Draws rows, the first of them the head, with a rule between two of them. The table gets each line as a row of its
 * own: cli-table3 cuts the whole text of a cell again for each of its lines, which takes seconds for long ones.
 */
function drawTable(rows: Cell[][], palette: Palette): string[] {
  const widths = rows[0].map((_, column) => columnWidth(rows, column) + 2)
  const table = new Table({ chars: NO_FRAME, colWidths: widths, style: { head: [], border: [] } })
  const heights = rows.map((cells) => Math.max(...cells.map((cell) => cell.length)))
  rows.forEach((cells, row) => {
    const paint = row === 0 ? palette.heading : (text: string) => text
    for (let i = 0; i < heights[row]; i++) table.push(cells.map((cell) => paint(cell[i] ?? '')))
  })
  const lines = table.toString().split('\n')
  const rule = palette.faint(widths.map((width) => '─'.repeat(width)).join('┼'))
  const bar = palette.faint('│')
  let next = 0
  return heights.flatMap((height, row) => {
    const drawn = lines.slice(next, next + height).map((line) => line.replaceAll('│', bar).trimEnd())
    next += height
    return row === 0 ? drawn : [rule, ...drawn]
  })
}

/** No lines but those between two columns. */
const NO_FRAME = {
  middle: '│',
  mid: '',
  'mid-mid': '',
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  right: '',
  'right-mid': '',
}
