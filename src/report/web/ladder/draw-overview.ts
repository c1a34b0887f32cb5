/** Draws the strip of the whole flow: packets to the server from the left, to the client from the right, losses as crosses. */

import type { Inks } from './inks.ts'
import { Ending, type LadderModel } from './ladder-model.ts'
import { boundsOf } from './ladder-scale.ts'

const STRIPE_PX = 2

export function drawOverview(
  context: CanvasRenderingContext2D,
  model: LadderModel,
  width: number,
  height: number,
  inks: Inks,
): void {
  context.fillStyle = inks.soft
  context.fillRect(0, 0, width, height)
  const { from, to } = boundsOf(model, 'time')
  const stripes = Math.ceil(height / STRIPE_PX)
  const counts = [new Uint32Array(stripes), new Uint32Array(stripes)] as const
  const stripeOf = (ns: number) => Math.min(stripes - 1, Math.floor(((ns - from) / (to - from)) * stripes))
  let most = 1
  for (let row = 0; row < model.count; row++) {
    const side = counts[model.isReverse(row) ? 1 : 0]
    most = Math.max(most, ++side[stripeOf(model.startNs[row]!)]!)
  }
  for (const [side, ink] of [inks.forward, inks.reverse].entries()) {
    context.fillStyle = ink
    context.globalAlpha = 0.75
    for (let i = 0; i < stripes; i++) {
      const count = counts[side]![i]!
      if (count === 0) continue
      // A single packet shows beside thousands.
      const wide = Math.max(3, Math.sqrt(count / most) * (width / 2 - 3))
      context.fillRect(side === 0 ? 0 : width - wide, i * STRIPE_PX, wide, STRIPE_PX)
    }
  }
  context.globalAlpha = 1
  context.strokeStyle = inks.loss
  context.lineWidth = 1.5
  context.beginPath()
  let free = Number.NEGATIVE_INFINITY
  for (const row of model.remarkable) {
    const y = Math.max(4, Math.min(height - 4, stripeOf(model.startNs[row]!) * STRIPE_PX))
    if ((model.ending[row] !== Ending.Lost && model.ending[row] !== Ending.Answered) || y < free) continue
    free = y + 8
    context.moveTo(width / 2 - 3, y - 3)
    context.lineTo(width / 2 + 3, y + 3)
    context.moveTo(width / 2 - 3, y + 3)
    context.lineTo(width / 2 + 3, y - 3)
  }
  context.stroke()
}
