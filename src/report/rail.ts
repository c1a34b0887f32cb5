/** One direction of a flow as a rail: a line for each station, and between two stations what happened there. */

import { tunnelName, tunnelSteps } from './encapsulation.ts'
import { renderEndpoint, renderEnds, sameEndpoint } from './endpoint.ts'
import { isBeforeAll, stationName } from './flow-cells.ts'
import type { DirectionName, Encapsulation, Endpoint, FlowReport, LatencyReport, Station } from './model.ts'
import type { Palette } from './palette.ts'
import { formatCount, formatCounted, formatDurationNs } from './quantities.ts'
import { cutToWidth, displayWidth, padToWidth, wrapText } from './width.ts'

const MAX_NAME_COLUMNS = 24
const RAIL = '  │ '
const plain = (text: string): string => text

interface Layout {
  columns: number
  nameColumns: number
  endColumns: number
  ttlColumns: number
  countColumns: number
  /** Whether names, addresses and numbers of each station fit on one line. */
  oneLine: boolean
}

/** Renders the stations of one direction from the sender on. The flow's strings must be harmless. */
export function renderRail(
  flow: FlowReport,
  direction: DirectionName,
  columns: number,
  palette: Palette,
): string[] {
  const { path } = flow[direction]
  const layout = layOut(path, flow.protocol, columns)
  const losses = new Set(flow.lost.filter((loss) => loss.direction === direction))
  const latencies = new Set(flow.latency.filter((latency) => latency.direction === direction))
  const unseen = new Set(flow.unseen.filter((it) => it.direction === direction))
  const lines: string[] = []
  const note = (text: string, paint: (text: string) => string): void => {
    lines.push(...noteLines(text, layout).map((line) => palette.faint(RAIL) + paint(line)))
  }
  for (const translation of direction === 'forward' ? flow.translations : []) {
    if (isBeforeAll(flow, translation))
      note(rewriteText(translation.kind.toUpperCase(), translation, flow.protocol), palette.change)
  }
  path.forEach((station, i) => {
    const before = path[i - 1]
    if (before !== undefined) {
      for (const latency of take(latencies, before, station)) note(latencyText(latency), palette.faint)
      for (const change of changesOf(before, station, flow.protocol, direction)) note(change, palette.change)
      for (const { packets } of take(losses, before, station))
        note(`✗ ${formatCount(packets)} lost`, palette.error)
    }
    lines.push(...stationLines(path, i, flow.protocol, layout, palette))
    for (const gap of unseen) {
      if (gap.point !== station.point) continue
      unseen.delete(gap)
      note(`? ${formatCounted(gap.packets, 'more packet')} passed unseen`, palette.warning)
    }
  })
  for (const { between, packets } of losses) {
    if (between[0] === path.at(-1)?.point) {
      note(`✗ ${formatCount(packets)} lost`, palette.error)
      lines.push(`  ○ ${cutToWidth(between[1], MAX_NAME_COLUMNS)}`)
    } else {
      note(`✗ ${formatCount(packets)} lost between ${between[0]} and ${between[1]}`, palette.error)
    }
  }
  for (const { point, packets } of unseen) {
    note(`? ${formatCounted(packets, 'packet')} passed ${point} unseen`, palette.warning)
  }
  for (const latency of latencies) {
    note(`${latency.between.join(' to ')}: ${latencyText(latency)}`, palette.faint)
  }
  for (const { from, type, code, name, mtu, packets } of flow.icmpErrors.filter(
    (it) => it.direction === direction,
  )) {
    const what = `${name} (type ${type}, code ${code}${mtu > 0 ? `, MTU ${mtu}` : ''})`
    note(`✗ ${formatCounted(packets, 'packet')} answered by ${from}: ${what}`, palette.error)
  }
  return lines
}

function layOut(path: readonly Station[], protocol: string, columns: number): Layout {
  const widest = (texts: string[]): number =>
    texts.reduce((max, text) => Math.max(max, displayWidth(text)), 0)
  const nameColumns = widest(path.map((_, i) => cutToWidth(stationName(path, i), MAX_NAME_COLUMNS)))
  const endColumns = widest(path.map(({ src, dst }) => renderEnds(src, dst, protocol).join(' → ')))
  const countColumns = widest(path.map((station) => formatCount(station.packets)))
  const ttlColumns = widest(path.map((station) => String(station.ttl)))
  const numberColumns = 'TTL '.length + ttlColumns + 2 + countColumns + ' packets'.length
  const oneLine = RAIL.length + nameColumns + 2 + endColumns + 2 + numberColumns <= columns
  return { columns, nameColumns, endColumns, ttlColumns, countColumns, oneLine }
}

function stationLines(
  path: readonly Station[],
  index: number,
  protocol: string,
  layout: Layout,
  palette: Palette,
): string[] {
  const station = path[index]
  const before = path[index - 1] ?? station
  const changed = !sameEndpoint(before.src, station.src) || !sameEndpoint(before.dst, station.dst)
  const ttlPaint = before.ttl === station.ttl ? plain : palette.change
  const sign = changed || before.ttl !== station.ttl ? palette.change('◆') : '●'
  const name = padToWidth(cutToWidth(stationName(path, index), MAX_NAME_COLUMNS), layout.nameColumns)
  const ttl = ttlPaint(String(station.ttl).padStart(layout.ttlColumns))
  const packets = formatCounted(station.packets, 'packet').padStart(layout.countColumns + ' packet'.length)
  const numbers = `TTL ${ttl}  ${packets}`
  const [src, dst] = renderEnds(station.src, station.dst, protocol)
  // A text that must be cut to pieces stays unpainted: a piece would end without the end of its colour.
  const paint = (end: string, same: boolean): string =>
    same || displayWidth(end) + RAIL.length + 6 > layout.columns ? end : palette.change(end)
  const paintedSrc = paint(src, sameEndpoint(before.src, station.src))
  const paintedDst = paint(dst, sameEndpoint(before.dst, station.dst))
  if (layout.oneLine) {
    return [
      `  ${sign} ${name}  ${padToWidth(`${paintedSrc} → ${paintedDst}`, layout.endColumns)}  ${numbers}`,
    ]
  }
  if (index > 0 && !changed) return [`  ${sign} ${name}  ${numbers}`]
  const ends = [`    ${paintedSrc}`, `  → ${paintedDst}`].flatMap((end) =>
    wrapText(end, layout.columns - RAIL.length, '    '),
  )
  return [`  ${sign} ${name}  ${numbers}`, ...ends.map((line) => palette.faint(RAIL) + line)]
}

/** A note on the rail, under the addresses where these stand beside the names. */
function noteLines(text: string, { oneLine, nameColumns, columns }: Layout): string[] {
  const indent = ' '.repeat(oneLine ? nameColumns + 2 : 4)
  return wrapText(indent + text, columns - RAIL.length, `${indent}  `)
}

/** What differs from the station before, in netfilter's words: `≠ SNAT 172.17.0.3:80 → 192.0.2.1:80`. */
function changesOf(before: Station, station: Station, protocol: string, direction: DirectionName): string[] {
  const changes: string[] = []
  const add = (what: string, side: 'src' | 'dst'): void => {
    if (sameEndpoint(before[side], station[side])) return
    changes.push(rewriteText(what, { from: before[side], to: station[side] }, protocol))
  }
  // The reply to a rewritten source has a rewritten destination, and the other way round.
  add(direction === 'forward' ? 'SNAT' : 'DNAT undone', 'src')
  add(direction === 'forward' ? 'DNAT' : 'SNAT undone', 'dst')
  const { left, entered, readdressed } = tunnelSteps(before, station)
  const ends = (tunnel: Encapsulation): string => `(${tunnel.src} → ${tunnel.dst})`
  for (const tunnel of left) changes.push(`≠ out of ${tunnelName(tunnel)}`)
  for (const tunnel of readdressed) changes.push(`≠ ${tunnelName(tunnel)} readdressed ${ends(tunnel)}`)
  for (const tunnel of entered) changes.push(`≠ into ${tunnelName(tunnel)} ${ends(tunnel)}`)
  if (before.ttl !== station.ttl) changes.push(`≠ TTL ${before.ttl} → ${station.ttl}`)
  return changes
}

function rewriteText(what: string, { from, to }: { from: Endpoint; to: Endpoint }, protocol: string): string {
  return `≠ ${what} ${renderEndpoint(from, protocol)} → ${renderEndpoint(to, protocol)}`
}

function latencyText({ minNs, medianNs, p99Ns, packets }: LatencyReport): string {
  const median = formatDurationNs(medianNs)
  if (packets === 1) return median
  return `${median}  (min ${formatDurationNs(minNs)}, p99 ${formatDurationNs(p99Ns)})`
}

/** Takes out of `items` those between the two stations. */
function take<T extends { between: [string, string] }>(items: Set<T>, from: Station, to: Station): T[] {
  const taken = [...items].filter(({ between }) => between[0] === from.point && between[1] === to.point)
  for (const item of taken) items.delete(item)
  return taken
}
