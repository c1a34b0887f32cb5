/** What one drawing of the ladder is made from. */

import type { Inks } from './inks.ts'
import type { RewriteMark } from './ladder-columns.ts'
import type { Layout } from './ladder-layout.ts'
import type { LadderModel, Row } from './ladder-model.ts'
import { positionOf, type Range, rowsIn, type Scale } from './ladder-scale.ts'

export interface Scene extends Placed {
  inks: Inks
}

/** All of it but its colours. */
export interface Placed {
  model: LadderModel
  rewrites: readonly RewriteMark[]
  layout: Layout
  scale: Scale
  range: Range
  /** -1 where there is none. */
  selected: Row
  hovered: Row
}

/** Vertical place of a time of a packet. */
export function yOf({ model, scale, range, layout }: Placed, row: Row, timeNs: number): number {
  return yAt(range, layout.height, positionOf(model, row, timeNs, scale))
}

export function yAt({ from, to }: Range, height: number, position: number): number {
  return ((position - from) / (to - from)) * height
}

/** Whether there are more packets than can be told apart: then their density is drawn. */
export function isDense(model: LadderModel, range: Range, scale: Scale, height: number): boolean {
  const [first, last] = rowsIn(model, range, scale)
  return last - first > height / 2
}

/** The packet nearest to a place in the ladder; -1 where none is near. */
export function rowAt(scene: Placed, x: number, y: number): Row {
  const { model, range, scale, layout } = scene
  const position = range.from + (y / layout.height) * (range.to - range.from)
  if (scale === 'even') {
    const row = Math.floor(position)
    return row >= 0 && row < model.count ? row : -1
  }
  const reach = (12 * layout.zoom * (range.to - range.from)) / layout.height
  const [first, last] = model.rowsBetween(position - reach, position + reach)
  let nearest = -1
  let least = Number.POSITIVE_INFINITY
  for (let row = first; row < last; row++) {
    const far = Math.abs(yUnder(scene, row, x) - y)
    if (far > least) continue
    least = far
    nearest = row
  }
  return least <= 14 * layout.zoom ? nearest : -1
}

/** Where a packet's arrow is at `x`. */
function yUnder(scene: Placed, row: Row, x: number): number {
  const { model, layout } = scene
  const [from, to] = [model.sightingsFrom[row]!, model.sightingsFrom[row + 1]!]
  if (from === to) return Number.NaN
  for (let i = from; i + 1 < to; i++) {
    const [x0, x1] = [layout.x[model.column[i]!]!, layout.x[model.column[i + 1]!]!]
    const part = (x - x0) / (x1 - x0)
    if (part < 0 || part > 1) continue
    return yOf(scene, row, model.timeNs[i]! + part * (model.timeNs[i + 1]! - model.timeNs[i]!))
  }
  const isBefore =
    Math.abs(x - layout.x[model.column[from]!]!) < Math.abs(x - layout.x[model.column[to - 1]!]!)
  return yOf(scene, row, isBefore ? model.startNs[row]! : model.endNs[row]!)
}
