/** Draws of many rows of one height only those that can be seen, and one that must stay (it may have the focus). */

import {
  defaultRangeExtractor,
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
} from '@tanstack/virtual-core'
import type { RefObject } from 'preact'
import { useLayoutEffect, useReducer, useRef } from 'preact/hooks'

export interface VirtualRows {
  count: number
  rowPx: number
  scroller: RefObject<HTMLElement | null>
  /** This row is always drawn. */
  pinned?: number
}

/** Rows beyond the edges, for whoever scrolls fast. */
const OVERSCAN = 10

/** The rows to draw, which change as `scroller` is scrolled and sized. */
export function useVirtualRows({ count, rowPx, scroller, pinned = -1 }: VirtualRows) {
  const [, redraw] = useReducer((n: number, _: null) => n + 1, 0)
  const kept = useRef<Virtualizer<HTMLElement, HTMLElement> | null>(null)
  const options = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: OVERSCAN,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    rangeExtractor: (range: Parameters<typeof defaultRangeExtractor>[0]) => {
      const rows = defaultRangeExtractor(range)
      if (pinned < 0 || pinned >= range.count || rows.length === 0 || rows.includes(pinned)) return rows
      return pinned < rows[0]! ? [pinned, ...rows] : [...rows, pinned]
    },
    onChange: () => redraw(null),
  }
  kept.current ??= new Virtualizer(options)
  const virtualizer = kept.current
  virtualizer.setOptions(options)
  useLayoutEffect(() => virtualizer._didMount(), [virtualizer])
  useLayoutEffect(() => virtualizer._willUpdate())
  useLayoutEffect(() => virtualizer.measure(), [virtualizer, rowPx])
  return virtualizer
}
