/** The columns of a ladder: the points of a flow, client side first, and which of them a sighting belongs to. */

import { sameEndpoint } from '../../endpoint.ts'
import type { SightingReport } from '../../journey-lines.ts'
import type { DirectionName, FlowReport, Station } from '../../model.ts'
import { routeOf } from '../../route.ts'

/** A point of the flow's way; a point that the flow passes twice has two columns. */
export interface Column {
  point: string
  /** How packets look here; not there where packets of that direction don't pass, or none arrived. */
  forward?: Station
  reverse?: Station
}

/** An address rewrite between two columns (the same one twice where only its result could be seen). */
export interface RewriteMark {
  kind: 'snat' | 'dnat'
  between: [number, number]
}

/** Both directions of the flow in one order; where they go different ways, the points of both. */
export function columnsOf(flow: FlowReport): Column[] {
  const columns = merged(flow.forward.path, flow.reverse.path.toReversed())
  // Points that lost packets should have reached stand at the ends of the route.
  const route = routeOf(flow)
  const has = (point: string) => columns.some((column) => column.point === point)
  for (const point of route.slice(-1)) if (!has(point)) columns.push({ point })
  for (const point of route.slice(0, 1)) if (!has(point)) columns.unshift({ point })
  return columns
}

/** Names columns: the same key, the same ladder. */
export function columnsKey(columns: readonly Column[]): string {
  return columns.map(({ point }) => point).join('\0')
}

export function rewriteMarks(flow: FlowReport, columns: readonly Column[]): RewriteMark[] {
  const marks: RewriteMark[] = []
  for (const { kind, between } of flow.translations) {
    const near = columns.findIndex(({ point }) => point === between[0])
    const far = between[0] === between[1] ? near : indexAfter(columns, near, 1, between[1])
    if (near >= 0 && far >= 0 && !marks.some((mark) => mark.kind === kind && mark.between[0] === near))
      marks.push({ kind, between: [near, far] })
  }
  return marks
}

/** The column of a sighting that comes after the one at `last` on its way; -1 where there is none. */
export function columnOf(
  columns: readonly Column[],
  last: number,
  direction: DirectionName,
  { point, src, dst }: SightingReport,
): number {
  const step = direction === 'forward' ? 1 : -1
  let named = -1
  for (let i = last + step; i >= 0 && i < columns.length; i += step) {
    const column = columns[i]!
    if (column.point !== point) continue
    const station = column[direction]
    if (station && sameEndpoint(station.src, src) && sameEndpoint(station.dst, dst)) return i
    if (named < 0) named = i
  }
  return named >= 0 ? named : columns.findIndex((column) => column.point === point)
}

/** The next column of this name beyond `from`, or -1. */
export function indexAfter(columns: readonly Column[], from: number, step: 1 | -1, point: string): number {
  for (let i = from + step; i >= 0 && i < columns.length; i += step) if (columns[i]!.point === point) return i
  return -1
}

/** Two orders of points in one, which keeps both: what they have in common (longest) stands once. */
function merged(forward: readonly Station[], reverse: readonly Station[]): Column[] {
  const width = reverse.length + 1
  const common = new Uint32Array((forward.length + 1) * width)
  for (let i = forward.length - 1; i >= 0; i--)
    for (let j = reverse.length - 1; j >= 0; j--)
      common[i * width + j] =
        forward[i]!.point === reverse[j]!.point
          ? common[(i + 1) * width + j + 1]! + 1
          : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!)
  const columns: Column[] = []
  let i = 0
  let j = 0
  while (i < forward.length || j < reverse.length) {
    const [there, back] = [forward[i], reverse[j]]
    if (there && back && there.point === back.point) {
      columns.push({ point: there.point, forward: there, reverse: back })
      i++
      j++
    } else if (there && (!back || common[(i + 1) * width + j]! >= common[i * width + j + 1]!)) {
      columns.push({ point: there.point, forward: there })
      i++
    } else {
      columns.push({ point: back!.point, reverse: back! })
      j++
    }
  }
  return columns
}
