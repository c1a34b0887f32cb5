/** Arrows of the ladder: one line a packet from column to column, and what stands at its end. */

import { Ending, PacketFlag, type Row } from './ladder-model.ts'
import { type Scene, yOf } from './ladder-scene.ts'

/** How far a lost packet's line goes down until its cross. */
export const LOST_DOWN_PX = 4

/** Lines first, then heads, all of a direction in one go. */
export function drawArrows(context: CanvasRenderingContext2D, scene: Scene, first: Row, last: Row): void {
  const { model, layout, inks } = scene
  const { zoom } = layout
  const each = layout.height / Math.max(1, last - first)
  const head = Math.min(7 * zoom, Math.max(3, each * 0.4), layout.gap * 0.3)
  const headsEach = each >= 10 * zoom && layout.gap >= 34 * zoom
  context.setLineDash([])
  for (const reverse of [0, PacketFlag.Reverse]) {
    context.strokeStyle = context.fillStyle = reverse ? inks.reverse : inks.forward
    context.lineWidth = (each > 8 ? 1.5 : 1) * zoom
    context.beginPath()
    for (let row = first; row < last; row++)
      if ((model.flags[row]! & PacketFlag.Reverse) === reverse) lineOf(context, scene, row)
    context.stroke()
    if (scene.selected >= 0 && (model.flags[scene.selected]! & PacketFlag.Reverse) === reverse) {
      context.lineWidth = 3 * zoom
      context.beginPath()
      lineOf(context, scene, scene.selected)
      context.stroke()
    }
    context.beginPath()
    for (let row = first; row < last; row++)
      if ((model.flags[row]! & PacketFlag.Reverse) === reverse) headsOf(context, scene, row, head, headsEach)
    context.fill()
  }
}

function lineOf(context: CanvasRenderingContext2D, scene: Scene, row: Row): void {
  const { model, layout } = scene
  const to = model.sightingsFrom[row + 1]!
  for (let i = model.sightingsFrom[row]!; i < to; i++) {
    const [x, y] = [layout.x[model.column[i]!]!, yOf(scene, row, model.timeNs[i]!)]
    if (i === model.sightingsFrom[row]!) context.moveTo(x, y)
    else context.lineTo(x, y)
  }
  if (isAlone(scene, row)) context.lineTo(aloneX(scene, row), yOf(scene, row, model.endNs[row]!))
}

/** A dot where the packet was seen first, a head where it came to: at each column where there is room for them. */
function headsOf(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: Row,
  size: number,
  isEach: boolean,
): void {
  const { model, layout } = scene
  const [from, to] = [model.sightingsFrom[row]!, model.sightingsFrom[row + 1]!]
  if (from === to) return
  dot(context, layout.x[model.column[from]!]!, yOf(scene, row, model.timeNs[from]!), size * 0.42)
  if (isAlone(scene, row)) {
    const [x, y] = [aloneX(scene, row), yOf(scene, row, model.endNs[row]!)]
    arrowHead(context, x, y, model.isReverse(row) ? -size : size, 0)
    return
  }
  for (let i = isEach ? from + 1 : Math.max(from + 1, to - 1); i < to; i++) {
    const [x, y] = [layout.x[model.column[i]!]!, yOf(scene, row, model.timeNs[i]!)]
    const dx = x - layout.x[model.column[i - 1]!]!
    const dy = y - yOf(scene, row, model.timeNs[i - 1]!)
    const length = Math.hypot(dx, dy) || 1
    const [ux, uy] = [(dx / length) * size, (dy / length) * size]
    arrowHead(context, x, y, ux, uy)
  }
}

/** A head whose tip is at `x`, `y`; `ux` and `uy` are its length and direction. */
function arrowHead(context: CanvasRenderingContext2D, x: number, y: number, ux: number, uy: number): void {
  context.moveTo(x, y)
  context.lineTo(x - ux - uy * 0.5, y - uy + ux * 0.5)
  context.lineTo(x - ux + uy * 0.5, y - uy - ux * 0.5)
  context.closePath()
}

/** Seen at one point only, and not lost behind it: a short arrow shows where it went. */
function isAlone({ model }: Scene, row: Row): boolean {
  return model.sightingsFrom[row + 1]! - model.sightingsFrom[row]! === 1 && model.ending[row] !== Ending.Lost
}

function aloneX({ model, layout }: Scene, row: Row): number {
  const way = model.isReverse(row) ? -1 : 1
  return layout.x[model.column[model.sightingsFrom[row]!]!]! + 20 * way * layout.zoom
}

/** Crosses of lost packets, and the signs of those that were answered, not seen further on, or doubtful. */
export function drawEndings(context: CanvasRenderingContext2D, scene: Scene, first: Row, last: Row): void {
  const { model, layout, inks } = scene
  for (let row = first; row < last; row++) {
    const ending = model.ending[row]!
    if (ending === Ending.Arrived) continue
    const at = model.sightingsFrom[row + 1]! - 1
    if (at < model.sightingsFrom[row]!) continue
    const x = layout.x[model.column[at]!]!
    const y = yOf(scene, row, model.timeNs[at]!)
    const way = model.isReverse(row) ? -1 : 1
    if (ending === Ending.Lost) drawLost(context, scene, x, y, lostX(scene, row))
    else if (ending === Ending.Answered)
      drawStopped(context, scene, x + (isAlone(scene, row) ? 22 : 8) * way * layout.zoom, y)
    else {
      context.fillStyle = inks.warn
      context.font = `700 ${12 * layout.zoom}px ${inks.sans}`
      context.textAlign = 'center'
      context.textBaseline = 'middle'
      context.fillText('?', x + 9 * way * layout.zoom, y)
    }
  }
}

/** Where the cross of a lost packet stands. */
export function lostX({ model, layout }: Scene, row: Row): number {
  const at = model.sightingsFrom[row + 1]! - 1
  const x = layout.x[model.column[at]!]!
  const missed = model.missed[row]!
  if (missed >= 0) return x + (layout.x[missed]! - x) * 0.5
  const way = model.isReverse(row) ? -1 : 1
  return Math.max(layout.axis, Math.min(layout.width - 6, x + 18 * way * layout.zoom))
}

function drawLost(
  context: CanvasRenderingContext2D,
  { inks, layout }: Scene,
  x: number,
  y: number,
  crossX: number,
): void {
  const arm = 4 * layout.zoom
  // Below its line, and so below its label.
  const crossY = y + LOST_DOWN_PX * layout.zoom
  context.strokeStyle = inks.loss
  context.lineWidth = 1.5 * layout.zoom
  context.setLineDash([4, 3])
  context.beginPath()
  context.moveTo(x, y)
  context.lineTo(crossX, crossY)
  context.stroke()
  context.setLineDash([])
  context.lineWidth = 2.5 * layout.zoom
  context.beginPath()
  context.moveTo(crossX - arm, crossY - arm)
  context.lineTo(crossX + arm, crossY + arm)
  context.moveTo(crossX - arm, crossY + arm)
  context.lineTo(crossX + arm, crossY - arm)
  context.stroke()
}

/** A bar across the way. */
function drawStopped(context: CanvasRenderingContext2D, { inks, layout }: Scene, x: number, y: number): void {
  context.strokeStyle = inks.loss
  context.lineWidth = 3 * layout.zoom
  context.beginPath()
  context.moveTo(x, y - 6 * layout.zoom)
  context.lineTo(x, y + 6 * layout.zoom)
  context.stroke()
}

function dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  context.moveTo(x + radius, y)
  context.arc(x, y, radius, 0, Math.PI * 2)
}
