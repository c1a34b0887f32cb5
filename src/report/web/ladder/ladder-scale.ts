/** What part of a flow a ladder shows, and where in it: zooming, moving, and the marks of the time axis. */

import type { LadderModel, Row } from './ladder-model.ts'

/** One row a packet, or true to time. */
export type Scale = 'even' | 'time'

/** Part of a ladder, in rows on the even scale, in ns since the flow's start on the other. */
export interface Range {
  from: number
  to: number
}

/** No closer than this: clocks tell no more. */
const MIN_SPAN: Readonly<Record<Scale, number>> = { even: 2, time: 2000 }
/** On the even scale a packet's own time fills this part of its row; its label stands above. */
const EVEN_TOP = 0.46
const EVEN_HEIGHT = 0.24

/** The whole flow. */
export function boundsOf(model: LadderModel, scale: Scale): Range {
  if (scale === 'even') return { from: 0, to: Math.max(model.count, 1) }
  const [from, to] = model.span
  // Some room, so that the first and last arrow don't lie on the edge.
  const margin = Math.max((to - from) * 0.02, MIN_SPAN.time / 2)
  return { from: from - margin, to: to + margin }
}

/** The range as it may be: inside of the bounds, and not too short. */
export function limited({ from, to }: Range, bounds: Range, scale: Scale): Range {
  const whole = bounds.to - bounds.from
  const span = Math.min(whole, Math.max(to - from, MIN_SPAN[scale]))
  const start = Math.max(bounds.from, Math.min(from, bounds.to - span))
  return { from: start, to: start + span }
}

/** Shows `factor` times as much, and `at` (from 0, the top, to 1) stays where it is. */
export function zoomed(range: Range, factor: number, at: number, bounds: Range, scale: Scale): Range {
  const span = range.to - range.from
  const whole = bounds.to - bounds.from
  const wanted = Math.min(whole, Math.max(span * factor, MIN_SPAN[scale]))
  const from = range.from + (span - wanted) * at
  return limited({ from, to: from + wanted }, bounds, scale)
}

export function moved(range: Range, by: number, bounds: Range, scale: Scale): Range {
  return limited({ from: range.from + by, to: range.to + by }, bounds, scale)
}

/** A flow's bounds, and the number of the first packet that is there. */
export interface Extent {
  bounds: Range
  first: number
}

/**
 * The range after a live flow has grown, or has forgotten its oldest packets: its end stays in sight where it was, at
 * least `rows` of it; else the same packets do.
 */
export function kept(range: Range, before: Extent, after: Extent, scale: Scale, rows: number): Range {
  const { bounds } = after
  const span = range.to - range.from
  if (range.to < before.bounds.to) {
    const by = scale === 'even' ? before.first - after.first : 0
    return limited({ from: range.from + by, to: range.to + by }, bounds, scale)
  }
  if (scale === 'time' && range.from <= before.bounds.from) return bounds
  const wanted = scale === 'even' ? Math.max(rows, span) : span
  return limited({ from: bounds.to - wanted, to: bounds.to }, bounds, scale)
}

/** The same packets on the other scale. */
export function converted(model: LadderModel, range: Range, to: Scale): Range {
  const bounds = boundsOf(model, to)
  if (model.count === 0) return bounds
  if (to === 'time') {
    const first = clampedRow(model, Math.floor(range.from))
    const last = clampedRow(model, Math.ceil(range.to) - 1)
    const [from, end] = [model.startNs[first]!, Math.max(model.startNs[last]!, model.endNs[last]!)]
    const margin = (end - from) * 0.03
    return limited({ from: from - margin, to: end + margin }, bounds, to)
  }
  const [first, last] = model.rowsBetween(range.from, range.to)
  return limited({ from: first, to: last }, bounds, to)
}

/** Shows a packet: the same range where it is in it, else one around it. */
export function shown(model: LadderModel, row: Row, range: Range, bounds: Range, scale: Scale): Range {
  const [top, bottom] = extentOf(model, row, scale)
  if (top >= range.from && bottom <= range.to) return range
  const span = range.to - range.from
  if (scale === 'even' && row === Math.floor(range.from) - 1)
    return moved(range, top - range.from, bounds, scale)
  if (scale === 'even' && bottom - range.to <= 1) return moved(range, bottom - range.to, bounds, scale)
  const from = (top + bottom) / 2 - span / 2
  return limited({ from, to: from + span }, bounds, scale)
}

/** From where to where a packet's arrow goes, in the unit of the scale. */
function extentOf(model: LadderModel, row: Row, scale: Scale): [number, number] {
  if (scale === 'even') return [row, row + 1]
  const [start, end] = [model.startNs[row]!, model.endNs[row]!]
  return [Math.min(start, end), Math.max(start, end)]
}

/** Where a sighting stands, in the unit of the scale. */
export function positionOf(model: LadderModel, row: Row, timeNs: number, scale: Scale): number {
  if (scale === 'time') return timeNs
  const start = model.startNs[row]!
  const lasted = model.endNs[row]! - start
  const part = lasted > 0 ? Math.min(1, Math.max(0, (timeNs - start) / lasted)) : 0
  return row + EVEN_TOP + EVEN_HEIGHT * part
}

/** The time that a range shows. */
export function shownTimes(model: LadderModel, { from, to }: Range, scale: Scale): [number, number] {
  if (scale === 'time' || model.count === 0) return [from, to]
  const first = clampedRow(model, Math.floor(from))
  const last = clampedRow(model, Math.ceil(to) - 1)
  // Rows from the first or to the last stand for all time before or behind them.
  const whole = boundsOf(model, 'time')
  return [from <= 0 ? whole.from : model.startNs[first]!, to >= model.count ? whole.to : model.startNs[last]!]
}

/** What a time is in the unit of the scale: the first row that is not over by then, or the time itself. */
export function placeOf(model: LadderModel, ns: number, scale: Scale): number {
  return scale === 'time' ? ns : model.rowsBetween(ns, Number.POSITIVE_INFINITY)[0]
}

/** Rows that may be seen in a range. */
export function rowsIn(model: LadderModel, range: Range, scale: Scale): [Row, Row] {
  if (scale === 'time') return model.rowsBetween(range.from, range.to)
  return [Math.max(0, Math.floor(range.from)), Math.min(model.count, Math.ceil(range.to))]
}

const UNITS: readonly [number, string][] = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'µs'],
  [1, 'ns'],
]

export interface Tick {
  atNs: number
  label: string
}

/** Round times in a range, at most about `most` of them. Where they differ only far behind the point, from the first one on. */
export function ticksOf({ from, to }: Range, most: number): Tick[] {
  const rough = (to - from) / Math.max(1, most)
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)))
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10)
  const first = Math.ceil(from / step) * step
  const count = Math.floor((to - first) / step) + 1
  const isLong = labelOf(to, step).length > 9
  return Array.from({ length: Math.max(0, count) }, (_, i) => {
    const atNs = first + i * step
    const label = isLong && i > 0 ? `+${labelOf(i * step, step)}` : labelOf(atNs, step)
    return { atNs, label }
  })
}

function labelOf(ns: number, step: number): string {
  if (ns === 0) return '0'
  const [unit, name] = UNITS.find(([size]) => Math.abs(ns) >= size) ?? UNITS[3]!
  const decimals = Math.max(0, Math.ceil(Math.log10(unit / step) - 1e-9))
  return `${ns < 0 ? '−' : ''}${(Math.abs(ns) / unit).toFixed(decimals)} ${name}`
}

function clampedRow(model: LadderModel, row: Row): Row {
  return Math.max(0, Math.min(model.count - 1, row))
}
