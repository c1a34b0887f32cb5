/** How much room an element has, in the page's own unit. */

import type { RefObject } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

export interface Room {
  widthRem: number
  /** Pixels of one rem. */
  remPx: number
}

/** A ref for the element, and its room: from before the first drawing on, and whenever it changes. */
export function useMeasure<T extends HTMLElement>(): [RefObject<T | null>, Room] {
  const element = useRef<T>(null)
  const [room, set] = useState<Room>({ widthRem: 0, remPx: 15 })
  useLayoutEffect(() => {
    const measure = () => {
      const remPx = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 15
      const widthRem = (element.current?.clientWidth ?? 0) / remPx
      set((old) => (old.widthRem === widthRem && old.remPx === remPx ? old : { widthRem, remPx }))
    }
    measure()
    const observer = new ResizeObserver(measure)
    if (element.current) observer.observe(element.current)
    return () => observer.disconnect()
  }, [])
  return [element, room]
}
