/** Draws the ladder: columns, time axis, arrows or their density, labels. Cost follows what is to be seen, not the flow. */

import { formatCounted, formatDurationNs } from '../../quantities.ts'
import { drawArrows, drawEndings } from './draw-arrows.ts'
import { drawDensity } from './draw-density.ts'
import { drawLabels } from './draw-labels.ts'
import type { Row } from './ladder-model.ts'
import { rowsIn, ticksOf } from './ladder-scale.ts'
import { isDense, type Scene, yAt, yOf } from './ladder-scene.ts'
import { sinceStart } from './packet-words.ts'

/** Idle time between two packets that a row of the even scale points out. */
const IDLE_NS = 100e6

export function drawLadder(context: CanvasRenderingContext2D, scene: Scene): void {
  const { model, layout, range, scale, inks } = scene
  context.fillStyle = inks.paper
  context.fillRect(0, 0, layout.width, layout.height)
  context.lineCap = 'round'
  drawHighlights(context, scene)
  drawRewriteBands(context, scene)
  const dense = isDense(model, range, scale, layout.height)
  if (scale === 'time' || dense) drawTimeAxis(context, scene)
  else drawRowAxis(context, scene)
  drawColumns(context, scene)
  if (dense) {
    drawDensity(context, scene)
    if (scene.selected >= 0) drawArrows(context, scene, scene.selected, scene.selected + 1)
  } else {
    const [first, last] = rowsIn(model, range, scale)
    drawArrows(context, scene, first, last)
    drawEndings(context, scene, first, last)
    drawLabels(context, scene, first, last)
  }
}

function drawHighlights(context: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, inks, scale, range, model } = scene
  for (const [row, ink] of [
    [scene.hovered, inks.soft],
    [scene.selected, inks['accent-soft']],
  ] as const) {
    if (row < 0 || row >= model.count) continue
    const isEven = scale === 'even'
    const top = isEven
      ? yAt(range, layout.height, row)
      : yOf(scene, row, model.startNs[row]!) - 14 * layout.zoom
    const bottom = isEven
      ? yAt(range, layout.height, row + 1)
      : yOf(scene, row, model.endNs[row]!) + 5 * layout.zoom
    context.fillStyle = ink
    context.fillRect(0, top, layout.width, Math.max(3, bottom - top))
    if (row !== scene.selected) continue
    context.fillStyle = inks.accent
    context.fillRect(0, top, 3 * layout.zoom, Math.max(3, bottom - top))
  }
}

/** Where addresses change, a band of the rewrite's colour; its word stands above it. */
function drawRewriteBands(context: CanvasRenderingContext2D, { rewrites, layout, inks }: Scene): void {
  for (const { kind, between } of rewrites) {
    const [left, right] = between.map((column) => layout.x[column]!) as [number, number]
    const width = Math.min(28 * layout.zoom, Math.max(8, layout.gap * 0.5))
    context.fillStyle = inks[`${kind}-soft`]
    context.globalAlpha = 0.6
    context.fillRect((left + right) / 2 - width / 2, 0, width, layout.height)
    context.globalAlpha = 1
  }
}

function drawColumns(context: CanvasRenderingContext2D, { layout, inks }: Scene): void {
  context.strokeStyle = inks['line-strong']
  context.lineWidth = 1
  context.beginPath()
  for (const x of layout.x) {
    context.moveTo(x + 0.5, 0)
    context.lineTo(x + 0.5, layout.height)
  }
  context.stroke()
}

function axisType(context: CanvasRenderingContext2D, { inks, layout }: Scene): void {
  context.font = `${11 * layout.zoom}px ${inks.mono}`
  context.textAlign = 'right'
  context.textBaseline = 'middle'
  context.fillStyle = inks['ink-soft']
}

function drawTimeAxis(context: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, range, inks, scale, model } = scene
  axisType(context, scene)
  const { zoom, axis } = layout
  const right = axis - (layout.isNarrow ? 7 : 10) * zoom
  context.strokeStyle = inks.line
  context.lineWidth = 1
  if (scale === 'even') {
    // More rows than lines: times of some of them.
    for (let y = 20 * zoom; y < layout.height; y += 40 * zoom) {
      const row = Math.floor(range.from + (y / layout.height) * (range.to - range.from))
      if (row < model.count) context.fillText(sinceStart(model.startNs[row]!), right, y, right)
    }
    return
  }
  for (const { atNs, label } of ticksOf(range, layout.height / (48 * zoom))) {
    const y = Math.round(yAt(range, layout.height, atNs)) + 0.5
    context.beginPath()
    context.moveTo(axis - 6 * zoom, y)
    context.lineTo(layout.width, y)
    context.stroke()
    context.fillText(label, right, Math.min(layout.height - 6 * zoom, Math.max(6 * zoom, y)), right)
  }
}

/** On the even scale each row has its own time; long waits between rows, and packets that are not here, are told. */
function drawRowAxis(context: CanvasRenderingContext2D, scene: Scene): void {
  const { model, layout, range, inks } = scene
  const { zoom, axis } = layout
  axisType(context, scene)
  const rowPx = layout.height / (range.to - range.from)
  const right = axis - (layout.isNarrow ? 7 : 10) * zoom
  let free = Number.NEGATIVE_INFINITY
  const [first, last] = rowsIn(model, range, 'even')
  for (let row = first; row < last; row++) {
    const y = yOf(scene, row, model.startNs[row]!)
    if (y < free) continue
    free = y + 14 * zoom
    context.fillText(rowTime(scene, row, row > first), right, y, right)
  }
  if (rowPx < 24 * zoom) return
  context.font = `${10 * zoom}px ${inks.sans}`
  context.strokeStyle = inks['line-strong']
  for (let row = Math.max(1, first); row < last; row++) {
    const left = model.packets[row]!.number - model.packets[row - 1]!.number - 1
    const idle = model.startNs[row]! - model.startNs[row - 1]!
    if (idle < IDLE_NS && left === 0) continue
    const y = Math.round(yAt(range, layout.height, row)) + 0.5
    context.setLineDash([2, 4])
    context.beginPath()
    context.moveTo(axis, y)
    context.lineTo(layout.width, y)
    context.stroke()
    context.setLineDash([])
    const wait = formatDurationNs(idle)
    if (idle >= IDLE_NS) context.fillText(layout.isNarrow ? `+${wait}` : `${wait} later`, right, y, right)
    if (left > 0) drawLeftOut(context, scene, `${formatCounted(left, 'packet')} not on this page`, y)
  }
}

function drawLeftOut(
  context: CanvasRenderingContext2D,
  { layout, inks }: Scene,
  words: string,
  y: number,
): void {
  const x = layout.width - 8 * layout.zoom
  const wide = context.measureText(words).width
  context.fillStyle = inks.paper
  context.fillRect(x - wide - 4, y - 6 * layout.zoom, wide + 8, 12 * layout.zoom)
  context.fillStyle = inks['ink-soft']
  context.fillText(words, x, y)
}

/** Where there is little room and the time looks as in the row before: how much later it is. */
function rowTime({ model, layout }: Scene, row: Row, hasBefore: boolean): string {
  const ns = model.startNs[row]!
  if (!layout.isNarrow || ns === 0) return sinceStart(ns)
  const text = formatDurationNs(ns)
  const before = hasBefore ? model.startNs[row - 1]! : ns
  return hasBefore && formatDurationNs(before) === text ? `+${formatDurationNs(ns - before)}` : text
}
