/** The way through the points as a line: `container ── veth ── bridge ──[ SNAT · TTL −1 ]── uplink`. */

import { harmless } from './harmless.ts'
import type { StreamedReport } from './model.ts'
import type { Palette } from './palette.ts'
import { formatCount, formatCounted } from './quantities.ts'
import { type Gap, type Route, RouteCollector, routeKey } from './route.ts'
import { cutToWidth, displayWidth, packPieces, wrapText } from './width.ts'

const MAX_ROUTES = 6
const MAX_NAME_COLUMNS = 32
/** Tunnels that are named in one gap. */
const MAX_TUNNELS = 2
const INDENT = '  '

/** The lines of the path, and the way that most flows take, of which a table need not speak. */
export interface PathLines {
  lines: string[]
  /** The harmless names of the points that go without saying: the only route, else the report's path. */
  usual: readonly string[]
  /** Keys (of harmless names) of all whole ways; a flow on another one was seen on a part of its way only. */
  ways: ReadonlySet<string>
}

/**
 * Renders the routes of all flows, one line each, wrapped at `columns`; where all flows are gone through for other
 * reasons, too, in `collector`. Makes harmless what it shows.
 */
export function renderPathLines(
  report: StreamedReport,
  columns: number,
  palette: Palette,
  collector: RouteCollector = collected(report),
): PathLines {
  const { routes, elsewhere } = collector.routes()
  const usual = (routes.length === 1 ? routes[0].points : report.path).map((point) => harmless(point))
  const width = columns - INDENT.length
  const lines: string[] = []
  if (routes.length === 0 && report.path.length > 0) {
    const points = report.path.map((point, i) => (i === 0 ? pointName(point) : `┄┄ ${pointName(point)}`))
    lines.push(...packPieces(points, width, ' ', INDENT).map((line) => palette.faint(line)))
  }
  for (const route of routes.slice(0, MAX_ROUTES)) {
    const pieces = routePieces(route, width - INDENT.length, palette)
    if (routes.length > 1) pieces.push(palette.faint(`(${formatCounted(route.flows, 'flow')})`))
    lines.push(...packPieces(pieces, width, ' ', INDENT))
  }
  if (routes.length > MAX_ROUTES) {
    const rest = routes.slice(MAX_ROUTES)
    const flows = rest.reduce((sum, route) => sum + route.flows, 0)
    lines.push(palette.faint(`… ${rest.length} more ways, taken by ${formatCounted(flows, 'flow')}`))
  }
  for (const { direction, between, packets } of elsewhere.slice(0, MAX_ROUTES)) {
    const places = between.map(pointName).join(' and ')
    const text = `✗ ${formatCount(packets)} lost ${arrow(direction)} between ${places}`
    lines.push(...wrapText(text, width, INDENT).map((line) => palette.error(line)))
  }
  const passed = new Set(routes.flatMap((route) => route.points))
  const idle = report.path.filter((point) => !passed.has(point))
  if (idle.length > 0 && routes.length > 0) {
    const text = `no flow was seen at ${idle.map(pointName).join(', ')}`
    lines.push(...wrapText(text, width, INDENT).map((line) => palette.faint(line)))
  }
  return {
    lines: lines.map((line) => INDENT + line),
    usual,
    ways: new Set(routes.map(({ points }) => routeKey(points.map((point) => harmless(point))))),
  }
}

function collected({ flows }: StreamedReport): RouteCollector {
  const collector = new RouteCollector()
  for (const flow of flows) collector.add(flow)
  return collector
}

/** A direction as an arrow; the client stands on the left. */
export function arrow(direction: string): string {
  return direction === 'reverse' ? '←' : '→'
}

/** Points joined by a plain rail: `bridge ── uplink`. */
export function renderPoints(points: readonly string[]): string {
  return points.map(pointName).join(' ── ')
}

function routePieces(route: Route, width: number, palette: Palette): string[] {
  const before = gapPieces(route.before, width, palette)
  // Nothing leads to the first point but what was done before it.
  const first = before.length === 1 && before[0] === palette.faint('──') ? [] : before
  const pieces = [...first, pointName(route.points[0])]
  route.gaps.forEach((gap, i) => {
    const parts = gapPieces(gap, width, palette)
    const point = pointName(route.points[i + 1])
    const last = parts.pop()!
    if (displayWidth(last) + 1 + displayWidth(point) <= width) parts.push(`${last} ${point}`)
    else parts.push(last, point)
    pieces.push(...parts)
  })
  return pieces
}

/** The rail of a gap, in pieces between which a line may be broken. */
function gapPieces(gap: Gap, width: number, palette: Palette): string[] {
  const rail = palette.faint('──')
  const changes = changesOf(gap, true)
  const full = changes.join(' · ')
  const text = cutToWidth(full.length + 8 <= width ? full : changesOf(gap, false).join(' · '), width - 8)
  const losses = lossesOf(gap)
  const pieces: string[] = []
  if (text !== '')
    pieces.push(`${rail}${palette.faint('[')} ${palette.change(text)} ${palette.faint(']')}${rail}`)
  if (losses !== '') {
    const mark = `${palette.error(`✗ ${losses}`)}${rail}`
    // One rail through both, where they stand on one line.
    if (text !== '' && displayWidth(pieces[0] + mark) <= width) pieces[0] += mark
    else pieces.push(`${rail}${mark}`)
  }
  return pieces.length > 0 ? pieces : [rail]
}

function changesOf(gap: Gap, counted: boolean): string[] {
  const changes: string[] = []
  for (const kind of ['dnat', 'snat'] as const) {
    if (gap[kind] === 0) continue
    const some = counted && gap[kind] < gap.flows
    changes.push(some ? `${kind.toUpperCase()} ${gap[kind]} of ${gap.flows} flows` : kind.toUpperCase())
  }
  changes.push(...[...gap.tunnels].slice(0, MAX_TUNNELS).map((tunnel) => harmless(tunnel)))
  if (gap.tunnels.size > MAX_TUNNELS) changes.push(`${gap.tunnels.size - MAX_TUNNELS} more tunnels`)
  const forward = signedSteps(gap.ttlForward)
  const reverse = signedSteps(gap.ttlReverse)
  if (forward === reverse || gap.ttlReverse.size === 0 || gap.ttlForward.size === 0) {
    const both = forward || reverse
    if (both !== '') changes.push(`TTL ${both}`)
  } else {
    changes.push(`TTL → ${forward || '0'} ← ${reverse || '0'}`)
  }
  return changes
}

function lossesOf(gap: Gap): string {
  const parts: string[] = []
  if (gap.lostForward > 0) parts.push(`${formatCount(gap.lostForward)} lost →`)
  if (gap.lostReverse > 0) parts.push(`${formatCount(gap.lostReverse)} lost ←`)
  return parts.join(' ')
}

/** `−1`, or `0/−1` where flows differ; nothing where the TTL never changes. */
function signedSteps(steps: Set<number>): string {
  if ([...steps].every((step) => step === 0)) return ''
  return [...steps]
    .sort((a, b) => b - a)
    .map((step) => (step < 0 ? `−${-step}` : step > 0 ? `+${step}` : '0'))
    .join('/')
}

/** A point's name as it may be printed: harmless and not too long. */
export function pointName(point: string): string {
  return cutToWidth(harmless(point), MAX_NAME_COLUMNS)
}
