/** What stands on the arrows: flags and length, marks with their signs; one label where several packets share its room. */

import { LOST_DOWN_PX, lostX } from './draw-arrows.ts'
import { Ending, type Row } from './ladder-model.ts'
import { type Scene, yOf } from './ladder-scene.ts'
import { type Mark, marksOf, shortSummary } from './packet-words.ts'

interface Piece {
  text: string
  ink: string
}

/** Drawn from top to bottom; the selected packet's always, so that it never gives way to another. */
export function drawLabels(context: CanvasRenderingContext2D, scene: Scene, first: Row, last: Row): void {
  const { model, layout, inks, selected } = scene
  const line = 14 * layout.zoom
  context.font = `${12 * layout.zoom}px ${inks.mono}`
  context.textBaseline = 'alphabetic'
  const charPx = context.measureText('0').width
  const selectedY =
    selected >= first && selected < last ? yOf(scene, selected, model.startNs[selected]!) : Number.NaN
  for (let row = first; row < last; ) {
    const y = yOf(scene, row, model.startNs[row]!)
    let next = row + 1
    // Those of one label's height share it.
    while (next < last && yOf(scene, next, model.startNs[next]!) - y < line - 0.5) next++
    const isSelected = selected >= row && selected < next
    if (isSelected) drawLabel(context, scene, selected, selectedY, next - row - 1, charPx)
    else if (!(Math.abs(y - selectedY) < line)) drawLabel(context, scene, row, y, next - row - 1, charPx)
    row = next
  }
}

function drawLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: Row,
  y: number,
  others: number,
  charPx: number,
): void {
  const { model, layout, inks } = scene
  const first = model.sightingsFrom[row]!
  const isReverse = model.isReverse(row)
  const start = first < model.sightingsFrom[row + 1]! ? layout.x[model.column[first]!]! : layout.axis
  const inset = 7 * layout.zoom
  // The whole width is free above a packet's own line, but most of it on its sender's side.
  const room = isReverse ? start - inset - layout.axis : layout.width - start - inset
  const isTight = room < 160 * layout.zoom
  const [left, width] = isTight ? [layout.axis, layout.width - layout.axis - 4] : [start, room]
  const wordAtCross = crossWord(context, scene, row, y, others)
  const marks = marksOf(model.packets[row]!).filter(({ sign }) => !(wordAtCross && sign === '✗'))
  const pieces = fitted(model.packets[row]!.summary, marks, others, Math.floor(width / charPx), scene)
  const chars = lengthOf(pieces)
  const long = Math.min(width, chars * charPx)
  let x = isTight
    ? Math.max(left, Math.min(left + width - long, isReverse ? start - inset - long : start + inset))
    : isReverse
      ? start - inset - long
      : start + inset
  const base = y - 5 * layout.zoom
  context.textAlign = 'left'
  context.fillStyle =
    row === scene.selected ? inks['accent-soft'] : row === scene.hovered ? inks.soft : inks.paper
  context.globalAlpha = 0.85
  context.fillRect(x - 2, base - 10 * layout.zoom, long + 4, 12.5 * layout.zoom)
  context.globalAlpha = 1
  for (const { text, ink } of pieces) {
    context.fillStyle = ink
    context.fillText(text, x, base, Math.max(1, text.length * charPx * 1.02))
    x += text.length * charPx
  }
}

/** `lost` beside the cross, where there is room for it. */
function crossWord(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: Row,
  y: number,
  others: number,
): boolean {
  const { model, layout, inks } = scene
  if (model.ending[row] !== Ending.Lost || others > 0 || model.missed[row]! < 0) return false
  if (layout.gap < 96 * layout.zoom) return false
  const way = model.isReverse(row) ? -1 : 1
  context.fillStyle = inks.loss
  context.textAlign = way > 0 ? 'left' : 'right'
  const at = model.sightingsFrom[row + 1]! - 1
  const endY = at >= 0 ? yOf(scene, row, model.timeNs[at]!) : y
  context.fillText('lost', lostX(scene, row) + 9 * way * layout.zoom, endY + (LOST_DOWN_PX + 4) * layout.zoom)
  return true
}

/** As much of it as fits into so many characters: marks count for more than numbers. */
function fitted(
  summary: string,
  marks: readonly Mark[],
  others: number,
  room: number,
  { inks }: Scene,
): Piece[] {
  const more = others > 0 ? [{ text: ` +${others}`, ink: inks['ink-soft'] }] : []
  const toned = (how: (mark: Mark) => string): Piece[] =>
    marks.map((mark) => ({ text: `  ${how(mark)}`, ink: inks[mark.tone] }))
  const full = toned(({ sign, short, long, tone }) => `${sign} ${tone === 'loss' ? long : short}`)
  const short = toned(({ sign, short }) => `${sign} ${short}`)
  if (marks.length === 0 && summary.length + lengthOf(more) > room) {
    const left = Math.max(1, room - lengthOf(more) - 1)
    return [{ text: `${summary.slice(0, left)}…`, ink: inks.ink }, ...more]
  }
  const tries: Piece[][] = [
    [{ text: summary, ink: inks.ink }, ...full, ...more],
    [{ text: summary, ink: inks.ink }, ...short, ...more],
    [{ text: shortSummary(summary), ink: inks.ink }, ...short, ...more],
    [{ text: shortSummary(summary), ink: inks.ink }, ...toned(({ sign }) => sign), ...more],
  ]
  const fits = tries.find((pieces) => lengthOf(pieces) <= room)
  if (fits) return fits
  const [head, ...rest] = tries.at(-1)!
  const left = Math.max(1, room - lengthOf(rest) - 1)
  return [{ text: `${head!.text.slice(0, left)}…`, ink: inks.ink }, ...rest]
}

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { text }) => sum + text.length, 0)
}
