/** The ladder from afar: how many packets there are on each line, to the server from the left, to the client from the right. */

import { Ending } from './ladder-model.ts'
import { rowsIn } from './ladder-scale.ts'
import { type Scene, yOf } from './ladder-scene.ts'

/** Packets are counted in stripes of so many pixels. */
const STRIPE_PX = 2

export function drawDensity(context: CanvasRenderingContext2D, scene: Scene): void {
  const { model, layout, range, scale, inks } = scene
  const stripes = Math.ceil(layout.height / STRIPE_PX)
  const forward = new Uint32Array(stripes)
  const reverse = new Uint32Array(stripes)
  const lost: number[] = []
  const [first, last] = rowsIn(model, range, scale)
  for (let row = first; row < last; row++) {
    const y = yOf(scene, row, model.startNs[row]!)
    const stripe = Math.floor(y / STRIPE_PX)
    if (stripe < 0 || stripe >= stripes) continue
    if (model.isReverse(row)) reverse[stripe]!++
    else forward[stripe]!++
    const free = lost.at(-1)
    if (model.ending[row] === Ending.Lost && (free === undefined || y - free > 11 * layout.zoom)) lost.push(y)
  }
  let most = 1
  for (let i = 0; i < stripes; i++) most = Math.max(most, forward[i]!, reverse[i]!)
  const [left, right] = [layout.x[0]!, layout.x.at(-1)!]
  const full = Math.max(20, (right - left) / 2 - 14 * layout.zoom)
  for (const [counts, ink, from, way] of [
    [forward, inks.forward, left, 1],
    [reverse, inks.reverse, right, -1],
  ] as const) {
    context.fillStyle = ink
    context.globalAlpha = 0.6
    for (let i = 0; i < stripes; i++) {
      if (counts[i] === 0) continue
      const wide = Math.max(2, (counts[i]! / most) * full)
      context.fillRect(way > 0 ? from : from - wide, i * STRIPE_PX, wide, STRIPE_PX)
    }
  }
  context.globalAlpha = 1
  drawCrosses(context, scene, lost, (left + right) / 2)
}

function drawCrosses(
  context: CanvasRenderingContext2D,
  { inks, layout }: Scene,
  lost: readonly number[],
  x: number,
): void {
  const arm = 4 * layout.zoom
  context.strokeStyle = inks.loss
  context.lineWidth = 2 * layout.zoom
  context.beginPath()
  for (const y of lost) {
    context.moveTo(x - arm, y - arm)
    context.lineTo(x + arm, y + arm)
    context.moveTo(x - arm, y + arm)
    context.lineTo(x + arm, y - arm)
  }
  context.stroke()
}
