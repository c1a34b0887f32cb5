/** The picture of `capture --watch`: points and live flows on one screen of a terminal; never more than fits there. */

import { harmless } from './harmless.ts'
import { type Palette, paletteFor } from './palette.ts'
import { formatCount, formatCounted } from './quantities.ts'
import { MIN_COLUMNS } from './text.ts'
import { type EndText, endTexts, fitEnd, harmlessFlow, shareRoom, type WatchFlow } from './watch-cells.ts'
import { pointLines, type WatchPoint } from './watch-points.ts'
import { cutToWidth, displayWidth, padToWidth } from './width.ts'

export type { WatchFlow } from './watch-cells.ts'
export type { WatchPoint } from './watch-points.ts'

/** The state of a live capture at one moment. */
export interface WatchView {
  elapsedNs: number
  /** Client side first. */
  points: WatchPoint[]
  /** In the order in which they are to be shown. */
  flows: WatchFlow[]
  /** Of all flows, where not all are listed. */
  flowCount: number
  lostPackets: number
  /** A warning or what else there is to say, in one line. */
  message: string | null
  /** Address → name of the container or network. */
  names: ReadonlyMap<string, string>
  /** Index of the first flow to show: the scrolling. */
  offset?: number
  /** What the flows are sorted by, in words. */
  sorting?: string
  paused?: boolean
  /** false where no keys can be read. */
  hasKeys?: boolean
}

export interface WatchOptions {
  columns: number
  rows: number
  color: boolean
}

const PROTOCOL_COLUMNS = 6
/** Two IPv4 addresses with their ports and an arrow, and where flows have one line only, not quite. */
const MIN_ENDS = 45
const MIN_ENDS_ON_ONE_LINE = 36
/** Two long IPv6 addresses with their ports and an arrow. */
const MAX_ENDS = 97
const CALM_STEP = 16
/** On a lower screen each flow gets one line, whatever that leaves out. */
const TALL_ROWS = 16
/** On a lower screen the points get one line. */
const LOW_ROWS = 8
const ARROW = ' → '
const HEADS: [EndText, EndText] = [
  { full: 'client', short: 'client' },
  { full: 'server', short: 'server' },
]
const KEYS = 's sort  ↑↓ PgUp PgDn scroll'

/** Renders the screen: exactly `rows` lines with a line feed between two of them, none wider than `columns`. */
export function renderWatch(view: WatchView, options: WatchOptions): string {
  const rows = Math.max(1, options.rows)
  const columns = Math.max(MIN_COLUMNS, options.columns)
  // Styled lines are fitted to their width before they are styled; a screen too narrow for that gets them unstyled.
  const palette = paletteFor(options.color && columns === options.columns)
  const head = headLines(view, columns, rows, palette)
  const { perPage, table } = flowLines(view, columns, rows - head.length - 1, rows, palette)
  const lines = [...head, ...table]
  while (lines.length < rows - 1) lines.push('')
  const shown = [...lines.slice(0, rows - 1), footer(view, perPage, columns, palette)]
  return shown
    .map((line) => (columns === options.columns ? line : cutToWidth(line, options.columns)))
    .join('\n')
}

/** Number of flows that one screen shows: how far a page is scrolled. */
export function flowsPerPage(view: WatchView, { columns, rows }: Omit<WatchOptions, 'color'>): number {
  const width = Math.max(MIN_COLUMNS, columns)
  const head = headLines(view, width, rows, paletteFor(false))
  return pageOf(width, rows - head.length - 1, rows).perPage
}

function headLines(view: WatchView, columns: number, rows: number, palette: Palette): string[] {
  const losses = view.lostPackets > 0 ? `✗ ${formatCounted(view.lostPackets, 'packet')} lost` : ''
  const about = [
    `live ${formatClock(view.elapsedNs)}`,
    formatCounted(view.flowCount, 'flow'),
    ...(view.sorting ? [`by ${harmless(view.sorting, 40)}`] : []),
    ...(view.paused ? ['‖ paused'] : []),
  ].join(' · ')
  const room = columns - (losses === '' ? 0 : displayWidth(losses) + 3)
  const title =
    palette.heading(cutToWidth(about, room)) + (losses === '' ? '' : ` · ${palette.error(losses)}`)
  const message =
    view.message === null ? [] : [palette.warning(cutToWidth(`⚠ ${harmless(view.message)}`, columns))]
  const gap = message.length === 0 && rows >= TALL_ROWS ? [''] : []
  return [
    title,
    ...pointLines(view.points, columns, rows < LOW_ROWS ? 1 : Math.max(2, Math.floor(rows / 6)), palette),
    ...message,
    ...gap,
  ]
}

/** How the room below the head is divided: lines a flow, flows a page. */
function pageOf(columns: number, height: number, rows: number) {
  const room = columns - PROTOCOL_COLUMNS - 1
  const isTall = rows >= TALL_ROWS
  const shares = shareRoom(room, isTall ? MIN_ENDS : MIN_ENDS_ON_ONE_LINE, MAX_ENDS)
  const linesPerFlow = isTall && shares.below.length > 0 ? 2 : 1
  return { ...shares, linesPerFlow, perPage: Math.max(0, Math.floor((height - 1) / linesPerFlow)) }
}

function flowLines(view: WatchView, columns: number, height: number, rows: number, palette: Palette) {
  const page = pageOf(columns, height, rows)
  const first = firstFlow(view, page.perPage)
  const flows = view.flows.slice(first, first + page.perPage).map(harmlessFlow)
  const texts = flows.map(({ flow }) => endTexts(flow, view.names))
  const widest = (side: 0 | 1) => Math.max(0, ...texts.map((ends) => displayWidth(ends[side].full)))
  // In steps, or each flow that comes or goes would move the columns behind.
  const needed = Math.ceil((widest(0) + widest(1) + ARROW.length) / CALM_STEP) * CALM_STEP
  const endsWidth = Math.max(MIN_ENDS_ON_ONE_LINE, Math.min(page.ends, needed))
  const width = endsWidth - ARROW.length
  const half = Math.floor(width / 2)
  const clientWidth = Math.max(6, Math.min(widest(0), Math.max(half, width - widest(1))))
  const line = (protocol: string, [client, server]: [EndText, EndText], cells: string[]): string => {
    const from = padToWidth(fitEnd(client, clientWidth), clientWidth)
    const ends = padToWidth(`${from}${ARROW}${fitEnd(server, width - clientWidth)}`, endsWidth)
    return [padToWidth(protocol, PROTOCOL_COLUMNS), ends, ...cells].join(' ')
  }
  const padded = (text: string, { width, alignsRight }: { width: number; alignsRight: boolean }) => {
    const short = cutToWidth(text, width)
    return alignsRight ? short.padStart(short.length + width - displayWidth(short)) : padToWidth(short, width)
  }
  const heads = page.columns.map((column) => padded(column.head, column))
  const lines = [palette.heading(line('flow', HEADS, heads).trimEnd())]
  flows.forEach((watched, i) => {
    const cells = page.columns.map((column) =>
      painted(padded(column.cell(watched), column), column.paint(palette)),
    )
    const protocol = cutToWidth(watched.flow.protocol, PROTOCOL_COLUMNS)
    lines.push(line(protocol, texts[i], cells).trimEnd())
    if (page.linesPerFlow === 2) lines.push(lineBelow(watched, page.below, columns, palette))
  })
  if (flows.length === 0) lines.push(palette.faint('no flow yet'))
  return { perPage: page.perPage, table: height > 1 ? lines : [] }
}

/** Styles the text and not the blanks around it, so that those at the end of a line can be left out. */
function painted(cell: string, paint: (text: string) => string): string {
  const text = cell.trim()
  return cell.replace(text, () => paint(text))
}

function lineBelow(
  watched: WatchFlow,
  columns: ReturnType<typeof shareRoom>['below'],
  width: number,
  palette: Palette,
): string {
  let line = ' '.repeat(PROTOCOL_COLUMNS + 1)
  let used = line.length
  let gap = ''
  for (const column of columns) {
    const words = cutToWidth(column.words(watched), width - used - gap.length)
    // Half a word tells nothing, but the first of them, a loss or a translation, does.
    if (words === '' || (gap !== '' && words.endsWith('…'))) continue
    line += palette.faint(gap) + column.paint(palette)(words)
    used += gap.length + displayWidth(words)
    gap = ' · '
    if (used + gap.length >= width) break
  }
  return line.trimEnd()
}

/** Never further than the last page. */
function firstFlow({ flows, offset = 0 }: WatchView, perPage: number): number {
  return Math.max(0, Math.min(offset, flows.length - perPage))
}

function footer(view: WatchView, perPage: number, columns: number, palette: Palette): string {
  const first = firstFlow(view, perPage)
  const last = Math.min(view.flows.length, first + perPage)
  const keys =
    view.hasKeys === false ? 'Ctrl-C ends' : `q end  p ${view.paused ? 'resume' : 'pause'}  ${KEYS}`
  const where =
    view.flowCount > last - first
      ? `${last === 0 ? 0 : first + 1}–${last} of ${formatCount(view.flowCount)}`
      : ''
  if (where === '') return palette.faint(cutToWidth(keys, columns))
  const room = columns - displayWidth(where) - 1
  return `${palette.faint(padToWidth(cutToWidth(keys, room), room))} ${where}`
}

/** `0:12`, `1:02:03`. */
function formatClock(ns: number): string {
  const seconds = Math.max(0, Math.floor(ns / 1e9) || 0)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const two = (value: number) => String(value).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}
