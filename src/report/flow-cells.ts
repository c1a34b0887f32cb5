/** What the table of flows says about one flow, as lines of text for a wide, a middle and a narrow terminal. */

import { renderEndpoint, renderEnds } from './endpoint.ts'
import type { DirectionName, FlowReport, Station, TranslationReport } from './model.ts'
import type { Palette } from './palette.ts'
import { arrow, type PathLines, pointName, renderPoints } from './path-line.ts'
import { formatCount, formatDurationNs } from './quantities.ts'
import { shortRemarks } from './remarks.ts'
import { routeKey, routeOf } from './route.ts'
import { cutToWidth, displayWidth, packPieces, wrapText } from './width.ts'

const DIRECTIONS: readonly DirectionName[] = ['forward', 'reverse']
const BAD_STATES: ReadonlySet<string> = new Set(['refused', 'reset', 'syn-only'])

/** One cell: its lines, already styled. */
export type Cell = string[]

/** What all cells of one table share. */
export interface CellStyle {
  palette: Palette
  /** Of the usual way nothing needs to be said. */
  path: PathLines
  /** Columns of the widest packet count, so that counts stand under each other. */
  countColumns: number
}

/** Notes of the two wider tables are wrapped at this width, or they would make the table the narrow one. */
const NOTE_COLUMNS = 44
const MAX_WORD_COLUMNS = 12

/** A column for each thing, one line where possible. */
export function wideCells(flow: FlowReport, style: CellStyle): Cell[] {
  const { palette } = style
  const translations = flow.translations.map((translation) => {
    const { kind, from, to, where } = translationTexts(flow, translation)
    return `${palette.change(kind)} ${from} → ${palette.change(to)}  ${palette.faint(where)}`
  })
  return [
    [nameOf(flow)],
    [
      renderEnds(flow.client, flow.server, flow.protocol).join(' → '),
      ...noteLines(flow, style, NOTE_COLUMNS),
    ],
    translations,
    [ttlTexts(flow, palette).join(' ')],
    [packetCounts(flow, style).join('  '), ...lossLines(flow, palette), ...resentLines(flow, palette)],
    stateLines(flow, palette),
  ]
}

/** The same columns, with the parts of each cell under each other. */
export function middleCells(flow: FlowReport, style: CellStyle): Cell[] {
  const { palette } = style
  const [client, server] = renderEnds(flow.client, flow.server, flow.protocol)
  const translations = flow.translations.flatMap((translation) => {
    const { kind, from, to, where } = translationTexts(flow, translation)
    return [`${palette.change(kind)} ${palette.faint(where)}`, from, `→ ${palette.change(to)}`]
  })
  return [
    [nameOf(flow)],
    [client, `→ ${server}`, ...noteLines(flow, style, NOTE_COLUMNS)],
    translations,
    ttlTexts(flow, palette),
    [...packetCounts(flow, style), ...lossLines(flow, palette), ...resentLines(flow, palette)],
    stateLines(flow, palette),
  ]
}

/** Three columns; the middle one, `width` columns wide, tells the way from top to bottom. */
export function narrowCells(flow: FlowReport, style: CellStyle, width: number): Cell[] {
  const { palette } = style
  const [client, server] = renderEnds(flow.client, flow.server, flow.protocol)
  const way = pairLines(client, server, '', width)
  flow.translations.forEach((translation, i) => {
    const { kind, from, to, where } = translationTexts(flow, translation)
    const shown = displayWidth(to) + 7 <= width ? palette.change(to) : to
    way.push(...pairLines(`${palette.change(kind)} ${from}`, shown, '     ', width))
    const next = flow.translations[i + 1]
    if (next !== undefined && translationTexts(flow, next).where === where) return
    if (displayWidth(`${way.at(-1)!}  ${where}`) <= width) way.push(`${way.pop()!}  ${palette.faint(where)}`)
    else way.push(...wrapText(`     ${where}`, width, '     ').map(palette.faint))
  })
  way.push(...packPieces(ttlTexts(flow, palette, 'TTL ', width - '    → 255 at '.length), width, ' ', '    '))
  way.push(...noteLines(flow, style, width))
  const losses = flow.lost.map(
    (loss) => `✗ ${formatCount(loss.packets)} lost ${arrow(loss.direction)} ${renderPoints(loss.between)}`,
  )
  way.push(...losses.flatMap((loss) => wrapText(loss, width, '  ').map(palette.error)))
  const counts = [...packetCounts(flow, style), ...resentLines(flow, palette), ...stateLines(flow, palette)]
  return [[nameOf(flow)], way, counts]
}

/** `a → b` on one line where it fits, else on two. */
function pairLines(from: string, to: string, indent: string, width: number): string[] {
  const line = `${from} → ${to}`
  if (displayWidth(line) <= width) return [line]
  const inner = `${indent}  `
  return [...wrapText(from, width, inner), ...wrapText(`${indent}→ ${to}`, width, inner)]
}

function nameOf(flow: FlowReport): string {
  return `${flow.id} ${cutToWidth(flow.protocol, MAX_WORD_COLUMNS)}`
}

function translationTexts(flow: FlowReport, translation: TranslationReport) {
  return {
    kind: cutToWidth(translation.kind.toUpperCase(), MAX_WORD_COLUMNS),
    from: renderEndpoint(translation.from, flow.protocol),
    to: renderEndpoint(translation.to, flow.protocol),
    where: isBeforeAll(flow, translation)
      ? `before ${pointName(translation.between[0])}`
      : renderPoints(translation.between),
  }
}

/** Whether a rewrite was done before the first point could see the packet: only its result was seen. */
export function isBeforeAll(flow: FlowReport, { between }: TranslationReport): boolean {
  const [near, far] = between
  return near === far && flow.forward.path.filter((station) => station.point === near).length < 2
}

/** `64`, then `→ 63 at uplink` for each change. */
function ttlTexts(flow: FlowReport, palette: Palette, label = '', nameColumns = 32): string[] {
  const forward = flow.forward.path.length > 0
  const path = forward ? flow.forward.path : flow.reverse.path
  if (path.length === 0) return [`${label}–`]
  const texts = [`${label}${forward ? '' : '← '}${path[0].ttl}`]
  for (let i = 1; i < path.length; i++) {
    if (path[i].ttl === path[i - 1].ttl) continue
    texts.push(
      `→ ${palette.change(String(path[i].ttl))} ${palette.faint(`at ${cutToWidth(stationName(path, i), nameColumns)}`)}`,
    )
  }
  return texts
}

/** A station's point; `bridge (2nd)` where the point stands a second time. */
export function stationName(path: readonly Station[], index: number): string {
  const { point } = path[index]
  const nth = path.slice(0, index + 1).filter((station) => station.point === point).length
  if (nth === 1) return pointName(point)
  return `${pointName(point)} (${nth === 2 ? '2nd' : nth === 3 ? '3rd' : `${nth}th`})`
}

function packetCounts(flow: FlowReport, { countColumns }: CellStyle): string[] {
  return [
    `→ ${formatCount(flow.forward.packets).padStart(countColumns)}`,
    `← ${formatCount(flow.reverse.packets).padStart(countColumns)}`,
  ]
}

function lossLines(flow: FlowReport, palette: Palette): string[] {
  return DIRECTIONS.flatMap((direction) => {
    const losses = flow.lost.filter((loss) => loss.direction === direction)
    const packets = losses.reduce((sum, loss) => sum + loss.packets, 0)
    return packets === 0 ? [] : [palette.error(`✗ ${formatCount(packets)} lost ${arrow(direction)}`)]
  })
}

function resentLines(flow: FlowReport, palette: Palette): string[] {
  return DIRECTIONS.flatMap((direction) => {
    const packets = flow.retransmissions[direction]
    return packets === 0 ? [] : [palette.warning(`↻ ${formatCount(packets)} resent ${arrow(direction)}`)]
  })
}

function stateLines(flow: FlowReport, palette: Palette): string[] {
  const state = cutToWidth(flow.state, MAX_WORD_COLUMNS)
  const lines = [BAD_STATES.has(flow.state) ? palette.error(state) : state]
  if (flow.rttNs !== null) lines.push(`${palette.faint('RTT')} ${formatDurationNs(flow.rttNs)}`)
  return lines
}

/** What is out of the ordinary about the flow: another way, ICMP errors, frames that differ. */
function noteLines(flow: FlowReport, { palette, path }: CellStyle, width: number): string[] {
  const notes: string[] = []
  const route = routeOf(flow)
  const key = routeKey(route)
  if (key !== routeKey(path.usual)) {
    const whole = path.ways.has(key)
    notes.push(`${!whole ? 'only at' : route.length === 1 ? 'at' : 'via'} ${renderPoints(route)}`)
  }
  const back = flow.reverse.path.map((station) => station.point)
  if (flow.forward.path.length > 0 && back.some((point) => !route.includes(point))) {
    notes.push(`back via ${renderPoints(back)}`)
  }
  notes.push(...shortRemarks(flow))
  if (flow.segmentationDiffers) notes.push('frames cut differently (offload)')
  const errors = flow.icmpErrors.map((error) => {
    const times = error.packets > 1 ? ` ×${formatCount(error.packets)}` : ''
    return `✗ ${error.name}${times}, says ${error.from}`
  })
  return [
    ...notes.flatMap((note) => wrapText(note, width, '    ').map(palette.faint)),
    ...errors.flatMap((note) => wrapText(note, width, '  ').map(palette.error)),
  ]
}
