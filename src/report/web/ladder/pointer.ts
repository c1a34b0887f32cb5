/** Pointer and wheel on the ladder: dragging moves it, Ctrl and wheel or two fingers zoom, a click selects, two open. */

import { type Placed, rowAt } from './ladder-scene.ts'
import { hovered, move, openRow, selectRow, zoom } from './ladder-state.ts'

/** A press that moves less is a click. */
const CLICK_PX = 4
/** A notch of a wheel counts as this much at most; a pinch comes in small steps. */
const MOST_WHEEL_PX = 50
const LINE_PX = 16

/** Follows it until the returned function is called. */
export function followPointer(canvas: HTMLCanvasElement, scene: () => Placed | null): () => void {
  const pressed = new Map<number, { x: number; y: number }>()
  let travelled = 0
  const rowUnder = (event: MouseEvent) => {
    const now = scene()
    return now ? rowAt(now, event.offsetX, event.offsetY) : -1
  }
  const heightOf = () => canvas.clientHeight || 1

  const onWheel = (event: WheelEvent) => {
    const by = event.deltaMode === 0 ? event.deltaY : event.deltaY * LINE_PX
    if (event.ctrlKey || event.metaKey) {
      const limited = Math.max(-MOST_WHEEL_PX, Math.min(MOST_WHEEL_PX, by))
      zoom(Math.exp(limited * 0.006), event.offsetY / heightOf())
      event.preventDefault()
      // At an end of the flow the page scrolls on.
    } else if (!event.shiftKey && move(by / heightOf())) event.preventDefault()
  }
  const onDown = (event: PointerEvent) => {
    if (event.button !== 0) return
    if (pressed.size === 0) travelled = 0
    pressed.set(event.pointerId, { x: event.offsetX, y: event.offsetY })
    canvas.setPointerCapture(event.pointerId)
  }
  const onMove = (event: PointerEvent) => {
    const before = pressed.get(event.pointerId)
    if (!before) {
      if (event.pointerType === 'mouse') hovered.value = rowUnder(event)
      return
    }
    const now = { x: event.offsetX, y: event.offsetY }
    travelled += Math.hypot(now.x - before.x, now.y - before.y)
    const other = [...pressed].find(([id]) => id !== event.pointerId)?.[1]
    if (other) {
      const [was, is] = [Math.abs(before.y - other.y), Math.abs(now.y - other.y)]
      move((before.y - now.y) / 2 / heightOf())
      if (was > 8 && is > 8) zoom(was / is, (now.y + other.y) / 2 / heightOf())
    } else if (travelled > CLICK_PX) move((before.y - now.y) / heightOf())
    pressed.set(event.pointerId, now)
  }
  const onUp = (event: PointerEvent) => {
    if (!pressed.delete(event.pointerId) || travelled > CLICK_PX) return
    const row = rowUnder(event)
    if (row >= 0) selectRow(row)
  }
  const onCancel = (event: PointerEvent) => pressed.delete(event.pointerId)
  const onLeave = () => {
    hovered.value = -1
  }
  const onDouble = (event: MouseEvent) => {
    const row = rowUnder(event)
    if (row >= 0) openRow(row)
  }
  const listeners = [
    ['wheel', onWheel],
    ['pointerdown', onDown],
    ['pointermove', onMove],
    ['pointerup', onUp],
    ['pointercancel', onCancel],
    ['pointerleave', onLeave],
    ['dblclick', onDouble],
  ] as [string, EventListener][]
  for (const [name, listener] of listeners) canvas.addEventListener(name, listener, { passive: false })
  return () => {
    onLeave()
    for (const [name, listener] of listeners) canvas.removeEventListener(name, listener)
  }
}
