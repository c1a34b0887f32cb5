/** One chart on a canvas, drawn by uPlot, with a legend that tells the series apart and switches them on and off. */

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { remPx } from '../rem.ts'
import { themeRevision, tokenColor } from '../theme.ts'
import type { Plotted } from './chart-data.ts'
import type { SeriesLook } from './series-look.ts'

const HEIGHT_REM = 15
/** With more points than this their markers would hide the line: only so many are shown. */
const MAX_MARKERS = 150
const FEW_MARKERS = 12

export interface PlotSeries {
  name: string
  look: SeriesLook
}

export interface PlotProps {
  /** What is shown, in a sentence: all that a screen reader gets of the canvas. */
  label: string
  data: Plotted
  series: readonly PlotSeries[]
  formatX: (value: number) => string
  formatY: (value: number) => string
  isLogX?: boolean
  isLogY?: boolean
  /** Steps from value to value, for what is counted in bins. */
  isStepped?: boolean
  /** What lies between the first and the last series is filled. */
  isBand?: boolean
  /** The axis begins at 0. */
  isFromZero?: boolean
}

export function Plot(props: PlotProps) {
  const { label, data, series, formatX, formatY } = props
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const latest = useRef(props)
  latest.current = props
  const hidden = useSignal<ReadonlySet<string>>(new Set())
  /** Index of the values under the pointer. */
  const at = useSignal<number | null>(null)
  const theme = themeRevision.value
  const shape = JSON.stringify([
    series,
    [props.isLogX, props.isLogY, props.isStepped, props.isBand],
    data.x.length > MAX_MARKERS,
  ])
  // `shape` stands for all that needs a new plot.
  useEffect(() => {
    const element = place.current!
    const made = new uPlot(
      optionsOf(latest, element.clientWidth, at, hidden.peek()),
      aligned(data, props.isStepped),
      element,
    )
    plot.current = made
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth
      if (width > 0 && width !== made.width) made.setSize({ width, height: heightPx() })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [shape, theme])
  useEffect(() => {
    plot.current?.setData(aligned(data, props.isStepped))
  }, [data, props.isStepped])
  const toggle = (id: string, index: number) => {
    const next = new Set(hidden.value)
    if (!next.delete(id)) next.add(id)
    hidden.value = next
    plot.current?.setSeries(index + 1, { show: !next.has(id) })
  }
  const x = at.value === null ? undefined : data.x[at.value]
  return (
    <div class="plot">
      <div class="plot-canvas" role="img" aria-label={label} ref={place} />
      <ul class="series-legend">
        {series.map(({ name, look }, i) => {
          const id = idOf(name, i)
          const value = at.value === null ? null : (data.series[i]?.[at.value] ?? null)
          return (
            <li key={id}>
              <button type="button" aria-pressed={!hidden.value.has(id)} onClick={() => toggle(id, i)}>
                <Sample look={look} />
                <span class="series-name">{name}</span>
                {value === null ? null : <span class="series-value">{formatY(value)}</span>}
              </button>
            </li>
          )
        })}
        <li class="quiet legend-at" aria-hidden="true">
          {x === undefined ? '' : `at ${formatX(x)}`}
        </li>
      </ul>
    </div>
  )
}

/** Names of points may be cut, and then be the same. */
function idOf(name: string, index: number): string {
  return `${index} ${name}`
}

/** A piece of the line with its marker. */
function Sample({ look: { color, dash, marker } }: { look: SeriesLook }) {
  return (
    <svg class="series-sample" viewBox="-16 -6 32 12" width="32" height="12" aria-hidden="true">
      <g style={{ color: `var(${color})` }}>
        <path d="M-16 0H16" stroke="currentColor" stroke-width="2" stroke-dasharray={dash.join(' ')} />
        <path d={marker} fill="currentColor" />
      </g>
    </svg>
  )
}

function optionsOf(
  latest: { readonly current: PlotProps },
  width: number,
  at: { value: number | null },
  hidden: ReadonlySet<string>,
): uPlot.Options {
  const { series, isLogX, isLogY, isStepped, isBand, isFromZero, data } = latest.current
  const [ink, line, paper] = [tokenColor('--ink-soft'), tokenColor('--line'), tokenColor('--paper')]
  const rem = remPx()
  const axis = {
    stroke: ink,
    font: `${Math.round(0.8 * rem)}px system-ui, sans-serif`,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
  }
  const texts = (format: (value: number) => string) => (_: uPlot, splits: (number | null)[]) =>
    splits.map((value) => (value === null ? '' : format(value)))
  return {
    width,
    height: heightPx(),
    legend: { show: false },
    cursor: { drag: { x: true, y: false }, points: { size: 8 } },
    scales: {
      x: { time: false, distr: isLogX ? 3 : 1 },
      y: isLogY
        ? { distr: 3 }
        : isFromZero
          ? { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] }
          : {},
    },
    axes: [
      { ...axis, values: texts((value) => latest.current.formatX(value)), space: 5.5 * rem, size: 2.4 * rem },
      { ...axis, values: texts((value) => latest.current.formatY(value)), size: 4.8 * rem },
    ],
    ...(isBand
      ? { bands: [{ series: [series.length, 1], fill: faint(tokenColor(series[0]!.look.color)) }] }
      : {}),
    series: [
      {},
      ...series.map(({ name, look }, index): uPlot.Series => {
        const color = tokenColor(look.color)
        return {
          label: name,
          show: !hidden.has(idOf(name, index)),
          stroke: color,
          width: 1.75,
          dash: look.dash,
          spanGaps: true,
          ...(isStepped ? { paths: uPlot.paths.stepped!({ align: 1 }), fill: faint(color) } : {}),
          points: {
            show: !isStepped,
            ...(data.x.length > MAX_MARKERS ? { filter: someOf(index) } : {}),
            stroke: paper,
            fill: color,
            width: 0.5,
            paths: markerPaths(look.marker),
          },
        }
      }),
    ],
    hooks: {
      setCursor: [
        ({ cursor }) => {
          at.value = cursor.idx ?? null
        },
      ],
    },
  }
}

/** Every so many values, each series at others. */
function someOf(index: number): (plot: uPlot, series: number, show: boolean) => number[] | null {
  return (plot, _, show) => {
    const count = plot.data[0].length
    const step = Math.ceil(count / FEW_MARKERS)
    const first = (index * 3) % step
    return show ? Array.from({ length: Math.ceil((count - first) / step) }, (_, k) => first + k * step) : null
  }
}

/** Draws the marker at each value. */
function markerPaths(marker: string): uPlot.Series.Points.PathBuilder {
  return (plot, index, from, to, filtered) => {
    const path = new Path2D()
    const shape = new Path2D(marker)
    const xs = plot.data[0]
    const ys = plot.data[index]!
    const scale = plot.series[index]!.scale!
    const draw = (i: number) => {
      const y = ys[i]
      if (y === null || y === undefined) return
      const left = plot.valToPos(xs[i]!, 'x', true)
      const top = plot.valToPos(y, scale, true)
      if (Number.isFinite(left + top))
        path.addPath(shape, new DOMMatrix([devicePixelRatio, 0, 0, devicePixelRatio, left, top]))
    }
    if (filtered) for (const i of filtered) draw(i)
    else for (let i = from; i <= to; i++) draw(i)
    return { fill: path, stroke: path, clip: null }
  }
}

/** A step is as wide as the others at the end, too. */
function aligned({ x, series }: Plotted, isStepped: boolean | undefined): uPlot.AlignedData {
  if (!isStepped || x.length < 2) return [x, ...series]
  const [last, end] = [x.length - 1, 2 * x.at(-1)! - x.at(-2)!]
  return [[...x, end], ...series.map((values) => [...values, values[last]!])]
}

function faint(color: string): string {
  return `color-mix(in srgb, ${color} 14%, transparent)`
}

function heightPx(): number {
  return Math.round(HEIGHT_REM * remPx())
}
