/** The drawn ladder: column names above, the canvas, and what pointer, wheel and keys do on it. */

import { effect } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { formatCounted } from '../../quantities.ts'
import { hasModifier } from '../keys.ts'
import { isPrinting } from '../printing.ts'
import { themeRevision } from '../theme.ts'
import { ColumnHeads } from './column-heads.tsx'
import { inksNow } from './inks.ts'
import { drawLadder } from './ladder-draw.ts'
import { type Layout, layoutOf } from './ladder-layout.ts'
import type { Placed } from './ladder-scene.ts'
import {
  hovered,
  type Ladder as LadderNow,
  ladder,
  plotHeight,
  range,
  scale,
  selectedRow,
  viewport,
  walk,
  zoomKey,
} from './ladder-state.ts'
import { followPointer } from './pointer.ts'

export function LadderCanvas() {
  const frame = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const [width, setWidth] = useState(0)
  const { model } = ladder.value!
  const height = plotHeight.value
  const { zoom } = viewport.value
  const layout = layoutOf(model.columns.length, Math.max(120, width), height, zoom)
  const layoutNow = useRef<Layout>(layout)
  layoutNow.current = layout

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)))
    observer.observe(frame.current!)
    return () => observer.disconnect()
  }, [])
  useEffect(
    () => (width === 0 ? undefined : drawing(canvas.current!, layoutNow.current)),
    [width, height, zoom, layout.x.join()],
  )
  useEffect(() => followPointer(canvas.current!, () => sceneOf(layoutNow.current)), [])

  const page = () => Math.max(1, Math.floor((range.peek().to - range.peek().from) * 0.9))
  const onKeyDown = (event: KeyboardEvent) => {
    if (hasModifier(event)) return
    const rows = scale.peek() === 'even' ? page() : 10
    if (walk(event.key, rows) || zoomKey(event.key)) event.preventDefault()
  }
  return (
    <div class="ladder-frame" ref={frame}>
      <ColumnHeads layout={layout} />
      <div
        class="ladder-canvas"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application has keys of its own
        tabIndex={0}
        role="application"
        aria-roledescription="ladder"
        aria-label={nameOf(ladder.value!)}
        onKeyDown={onKeyDown}
      >
        <canvas ref={canvas} style={{ width: `${layout.width}px`, height: `${height}px` }} />
      </div>
    </div>
  )
}

function nameOf({ flow, model, count }: LadderNow): string {
  const what = `${formatCounted(count, 'packet')} at ${formatCounted(model.columns.length, 'point')}`
  const keys =
    'Arrow keys go from packet to packet, plus and minus zoom, 0 shows the whole flow, Enter opens the packet.'
  return `Ladder of flow ${flow}: ${what}. ${keys}`
}

function sceneOf(layout: Layout): Placed | null {
  const now = ladder.peek()
  if (!now) return null
  return {
    model: now.model,
    rewrites: now.rewrites,
    layout,
    scale: scale.peek(),
    range: range.peek(),
    selected: selectedRow.peek(),
    hovered: hovered.peek(),
  }
}

/** Draws once a frame at most, whenever something changes that is to be seen. */
function drawing(canvas: HTMLCanvasElement, layout: Layout): () => void {
  const context = canvas.getContext('2d', { alpha: false })!
  const sharpness = Math.max(1, window.devicePixelRatio)
  canvas.width = Math.round(layout.width * sharpness)
  canvas.height = Math.round(layout.height * sharpness)
  let inks = inksNow()
  let asked = 0
  const draw = () => {
    asked = 0
    const scene = sceneOf(layout)
    if (!scene) return
    context.setTransform(sharpness, 0, 0, sharpness, 0, 0)
    drawLadder(context, { ...scene, inks })
  }
  const stopColors = effect(() => {
    themeRevision.value
    inks = inksNow(isPrinting.value)
    // The print is made before another frame comes.
    if (isPrinting.value) draw()
  })
  const stop = effect(() => {
    for (const shown of [ladder, range, scale, selectedRow, hovered, themeRevision, isPrinting]) shown.value
    asked ||= requestAnimationFrame(draw)
  })
  return () => {
    stop()
    stopColors()
    cancelAnimationFrame(asked)
  }
}
