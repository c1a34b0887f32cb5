/** Where the columns of a ladder stand across its width, in CSS pixels. */

/** Row height on the even scale where there is room, at a root font of 15 px. */
export const ROW_PX = 32
/** Arrows get shorter only down to here; then the ladder is wider than its frame, which scrolls. */
const MIN_GAP_PX = 22

export interface Layout {
  width: number
  height: number
  /** Of the time axis, on the left. */
  axis: number
  /** Of each column, left to right. */
  x: readonly number[]
  /** Between two columns; the whole plot's width where there is one only. */
  gap: number
  isNarrow: boolean
  /** Size of the type against that at a root font of 15 px. */
  zoom: number
}

export function layoutOf(columns: number, frameWidth: number, height: number, zoom: number): Layout {
  const isNarrow = frameWidth < 480 * zoom
  const axis = (isNarrow ? 54 : 84) * zoom
  const gaps = Math.max(1, columns - 1)
  const margin = Math.max(14 * zoom, Math.min(54 * zoom, (frameWidth - axis) / (gaps + 1) / 2))
  const width = Math.max(frameWidth, axis + 2 * margin + gaps * MIN_GAP_PX * zoom)
  const gap = Math.max(1, (width - axis - 2 * margin) / gaps)
  const x =
    columns === 1
      ? [(axis + width) / 2]
      : Array.from({ length: columns }, (_, i) => Math.round(axis + margin + i * gap))
  return { width, height, axis, x, gap, isNarrow, zoom }
}
