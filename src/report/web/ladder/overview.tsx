/** The whole flow as a strip: how dense it is, where packets were lost or resent, and which part the ladder shows. */

import { effect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { formatDurationNs } from '../../quantities.ts'
import { isPrinting } from '../printing.ts'
import { themeRevision } from '../theme.ts'
import { drawOverview } from './draw-overview.ts'
import { inksNow } from './inks.ts'
import { boundsOf, placeOf, shownTimes } from './ladder-scale.ts'
import { ladder, plotHeight, range, scale, setRange, viewport } from './ladder-state.ts'

/** A press near an edge of the shown part moves the edge. */
const EDGE_PX = 7
const WIDTH_PX = 44

export function Overview() {
  const strip = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const { model } = ladder.value!
  const height = plotHeight.value
  const { zoom } = viewport.value
  const whole = boundsOf(model, 'time')
  const part = (ns: number) => Math.max(0, Math.min(1, (ns - whole.from) / (whole.to - whole.from)))
  const [from, to] = shownTimes(model, range.value, scale.value)
  const top = part(from) * height
  const tall = Math.max(6, part(to) * height - top)

  useEffect(() => drawing(canvas.current!, WIDTH_PX * zoom, height), [height, zoom])

  /** Shows from one height of the strip to another. */
  const brush = (one: number, other: number) => {
    const ns = (y: number) => whole.from + (y / height) * (whole.to - whole.from)
    const place = (y: number) => placeOf(model, ns(y), scale.peek())
    setRange({ from: place(Math.min(one, other)), to: place(Math.max(one, other)) })
  }
  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return
    event.preventDefault()
    const box = strip.current!.getBoundingClientRect()
    const yOf = ({ clientY }: PointerEvent) => Math.max(0, Math.min(height, clientY - box.top))
    const start = yOf(event)
    const before = range.peek()
    const edge =
      Math.abs(start - top) <= EDGE_PX ? 'top' : Math.abs(start - top - tall) <= EDGE_PX ? 'end' : null
    const isInside = start > top && start < top + tall
    let travelled = false
    const onMove = (moved: PointerEvent) => {
      const y = yOf(moved)
      travelled ||= Math.abs(y - start) > 3
      if (!travelled) return
      if (edge !== null) brush(edge === 'top' ? top + tall : top, y)
      else if (isInside) {
        const by =
          placeOf(model, whole.from + ((top + y - start) / height) * (whole.to - whole.from), scale.peek()) -
          before.from
        setRange({ from: before.from + by, to: before.to + by })
      } else brush(start, y)
    }
    const target = strip.current!
    const onUp = () => {
      target.removeEventListener('pointermove', onMove)
      target.removeEventListener('pointerup', onUp)
      target.removeEventListener('pointercancel', onUp)
      if (travelled) return
      const at = placeOf(model, whole.from + (start / height) * (whole.to - whole.from), scale.peek())
      const span = before.to - before.from
      setRange({ from: at - span / 2, to: at + span / 2 })
    }
    target.setPointerCapture(event.pointerId)
    target.addEventListener('pointermove', onMove)
    target.addEventListener('pointerup', onUp)
    target.addEventListener('pointercancel', onUp)
  }
  return (
    <div
      class="ladder-overview"
      ref={strip}
      onPointerDown={onPointerDown}
      style={{ height: `${height}px`, width: `${WIDTH_PX * zoom}px` }}
    >
      <canvas
        ref={canvas}
        role="img"
        aria-label="Packets over the flow’s time"
        style={{ width: `${WIDTH_PX * zoom}px`, height: `${height}px` }}
      />
      <div class="shown" style={{ top: `${top}px`, height: `${tall}px` }} />
      <Edge side="from" ns={from} at={top} whole={whole} label="Shown from" />
      <Edge side="to" ns={to} at={top + tall} whole={whole} label="Shown until" />
    </div>
  )
}

interface EdgeProps {
  side: 'from' | 'to'
  ns: number
  at: number
  whole: { from: number; to: number }
  label: string
}

/** One end of the shown part, to be moved by keys as well. */
function Edge({ side, ns, at, whole, label }: EdgeProps) {
  const onKeyDown = (event: KeyboardEvent) => {
    const { from, to } = range.peek()
    const least = scale.peek() === 'even' ? 1 : 0
    const step = Math.max(least, ((to - from) / 20) * (event.shiftKey ? 5 : 1))
    const ends = { Home: Number.NEGATIVE_INFINITY, End: Number.POSITIVE_INFINITY }
    const by = {
      ArrowDown: step,
      ArrowRight: step,
      ArrowUp: -step,
      ArrowLeft: -step,
      PageDown: step * 5,
      PageUp: -step * 5,
      ...ends,
    }[event.key]
    if (by === undefined) return
    event.preventDefault()
    const all = boundsOf(ladder.peek()!.model, scale.peek())
    const place = Math.max(all.from, Math.min(all.to, (side === 'from' ? from : to) + by))
    if (side === 'from') setRange({ from: Math.min(place, to - least), to })
    else setRange({ from, to: Math.max(place, from + least) })
  }
  return (
    <div
      class={`edge ${side}`}
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-orientation="vertical"
      aria-valuemin={Math.round(whole.from)}
      aria-valuemax={Math.round(whole.to)}
      aria-valuenow={Math.round(ns)}
      aria-valuetext={`${formatDurationNs(Math.max(0, ns))} after the start`}
      style={{ top: `${at}px` }}
      onKeyDown={onKeyDown}
    />
  )
}

function drawing(canvas: HTMLCanvasElement, width: number, height: number): () => void {
  const sharpness = Math.max(1, window.devicePixelRatio)
  canvas.width = Math.round(width * sharpness)
  canvas.height = Math.round(height * sharpness)
  const context = canvas.getContext('2d', { alpha: false })!
  return effect(() => {
    themeRevision.value
    const now = ladder.value
    if (!now) return
    context.setTransform(sharpness, 0, 0, sharpness, 0, 0)
    drawOverview(context, now.model, width, height, inksNow(isPrinting.value))
  })
}
