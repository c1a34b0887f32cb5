/** The table of flows, as wide as the terminal allows and never wider. */

import Table from 'cli-table3'
import { MAX_KEPT_FLOWS } from '../correlate/flow-list.ts'
import { type Cell, type CellStyle, middleCells, narrowCells, wideCells } from './flow-cells.ts'
import { harmlessCopy } from './harmless.ts'
import type { FlowReport, StreamedReport } from './model.ts'
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
  chosen: FlowReport[]
  palette: Palette
  /** Of the usual way nothing needs to be said. */
  path: PathLines
}

/** Renders the flows that a `FlowChoice` has chosen. Makes harmless what it shows. */
export function renderFlowTable(report: StreamedReport, options: FlowTableOptions): string[] {
  const { columns, chosen, palette, path } = options
  const flows = harmlessCopy(chosen)
  const most = flows.reduce((max, flow) => Math.max(max, flow.forward.packets, flow.reverse.packets), 0)
  const style: CellStyle = { palette, path, countColumns: formatCount(most).length }
  const lines = widestThatFits(flows, style, columns)
  const hidden = report.flows.length - flows.length
  // Of so many, nobody would read a list.
  const how = report.flows.length > MAX_KEPT_FLOWS ? '--host, --port or --filter chooses, ' : ''
  if (hidden > 0) lines.push(` … ${formatCounted(hidden, 'more flow')}: ${how}--json lists all`)
  return lines
}

/** Chooses by id; where not all may be shown, flows with losses, errors or an error finding go before the others. */
export class FlowChoice {
  readonly #max: number
  readonly #accused: ReadonlySet<number | null>
  readonly #troubled: FlowReport[] = []
  readonly #calm: FlowReport[] = []
  readonly #hasAll: boolean

  constructor({ flows, findings }: StreamedReport, max: number) {
    this.#max = max
    this.#hasAll = flows.length <= max
    this.#accused = new Set(findings.filter((it) => it.severity === 'error').map((it) => it.flow))
  }

  add(flow: FlowReport): void {
    const isTroubled = flow.lost.length > 0 || flow.icmpErrors.length > 0 || this.#accused.has(flow.id)
    const list = isTroubled && !this.#hasAll ? this.#troubled : this.#calm
    if (list.length < this.#max) list.push(flow)
  }

  chosen(): FlowReport[] {
    return [...this.#troubled, ...this.#calm].slice(0, this.#max)
  }
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
