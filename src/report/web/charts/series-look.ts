/** How series are told apart: colour, dashes and marker, so that none of them alone has to do. */

export interface SeriesLook {
  color: `--${string}`
  /** Lengths of dash and gap in px; none where the line is whole. */
  dash: number[]
  /** An SVG path around 0 0, 8 px wide. */
  marker: string
}

const COLORS = ['--accent', '--reverse', '--ok', '--warn', '--ttl', '--dnat', '--snat'] as const
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [14, 4]]
const MARKERS = [
  'M-3 0A3 3 0 1 0 3 0A3 3 0 1 0-3 0Z',
  'M-3-3H3V3H-3Z',
  'M0-4L4 3H-4Z',
  'M0-4L4 0L0 4L-4 0Z',
  'M-1-4H1V-1H4V1H1V4H-1V1H-4V-1H-1Z',
  'M0 4L4-3H-4Z',
]

/** The look of the nth series of a chart. */
export function seriesLook(index: number): SeriesLook {
  return {
    color: COLORS[index % COLORS.length]!,
    dash: DASHES[index % DASHES.length]!,
    marker: MARKERS[index % MARKERS.length]!,
  }
}

/** The two directions have colours of their own. */
export const DIRECTION_LOOKS: readonly SeriesLook[] = [
  { color: '--forward', dash: [], marker: MARKERS[0]! },
  { color: '--reverse', dash: [7, 4], marker: MARKERS[2]! },
]
/** Losses, by hop. */
export function lossLook(index: number): SeriesLook {
  return {
    color: '--loss',
    dash: DASHES[index % DASHES.length]!,
    marker: MARKERS[(index + 4) % MARKERS.length]!,
  }
}
export const RESENT_LOOK: SeriesLook = { color: '--warn', dash: [2, 3], marker: MARKERS[3]! }
