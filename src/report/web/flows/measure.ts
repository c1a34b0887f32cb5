/** How much room an element has, in the page's own unit. */

import type { RefObject } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { remPx, USUAL_REM_PX } from '../rem.ts'

export interface Room {
  widthRem: number
  /** Pixels of one rem. */
  remPx: number
}

/** A ref for the element, and its room: from before the first drawing on, and whenever it changes. */
export function useMeasure<T extends HTMLElement>(): [RefObject<T | null>, Room] {
  const element = useRef<T>(null)
  const [room, set] = useState<Room>({ widthRem: 0, remPx: USUAL_REM_PX })
  useLayoutEffect(() => {
    const measure = () => {
      const now = remPx()
      const widthRem = (element.current?.clientWidth ?? 0) / now
      set((old) => (old.widthRem === widthRem && old.remPx === now ? old : { widthRem, remPx: now }))
    }
    measure()
    const observer = new ResizeObserver(measure)
    if (element.current) observer.observe(element.current)
    return () => observer.disconnect()
  }, [])
  return [element, room]
}
