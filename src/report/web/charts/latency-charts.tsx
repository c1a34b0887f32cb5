/** Latency of each hop of one direction: over time, as a distribution, and as a table. */

import { type Signal, useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import type { DirectionName, FlowReport } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'
import { pointName } from '../../path-line.ts'
import { formatCount, formatDurationNs } from '../../quantities.ts'
import {
  type DirectionLatency,
  directionLatency,
  type Hop,
  type LatencyOverTime,
  latencyDistribution,
  latencyOverTime,
  summaryOf,
} from './chart-data.ts'
import { Plot, type PlotProps, type PlotSeries } from './plot.tsx'
import { seriesLook } from './series-look.ts'

const DIRECTIONS: readonly [DirectionName, string, string][] = [
  ['forward', 'To the server', '→'],
  ['reverse', 'To the client', '←'],
]
/** Values this far apart need an axis in equal factors. */
const LOG_FROM = 20

export function hopName({ from, to }: Hop): string {
  return `${pointName(from)} → ${pointName(to)}`
}

export function LatencyCharts({ flow, packets }: { flow: FlowReport; packets: readonly PagePacket[] }) {
  const usual = usualDirection(flow)
  const chosen = useSignal<DirectionName | null>(null)
  const direction = chosen.value ?? usual
  const latency = useMemo(() => directionLatency(flow, packets, direction), [flow, packets, direction])
  const hasAny = latency.latencyNs.some((values) => values.some((value) => value !== null))
  return (
    <section aria-labelledby="latency-title">
      <div class="chart-head">
        <h3 id="latency-title">Latency of each hop</h3>
        <fieldset class="switch no-print">
          <legend class="only-read">Direction</legend>
          {DIRECTIONS.map(([value, title, arrow]) => (
            <label key={value}>
              <input
                type="radio"
                name="chart-direction"
                checked={value === direction}
                onChange={() => {
                  chosen.value = value
                }}
              />
              <span>
                <span aria-hidden="true">{arrow} </span>
                {title}
              </span>
            </label>
          ))}
        </fieldset>
      </div>
      {hasAny ? (
        <LatencyOf key={direction} latency={latency} />
      ) : (
        <p class="quiet">
          No packet in this direction was seen at two neighbouring points: there is no latency to chart.
        </p>
      )}
    </section>
  )
}

/** The one that has hops, and carries more. */
function usualDirection({ forward, reverse }: FlowReport): DirectionName {
  if (reverse.path.length < 2) return 'forward'
  return forward.path.length < 2 || reverse.bytes > forward.bytes ? 'reverse' : 'forward'
}

function LatencyOf({ latency }: { latency: DirectionLatency }) {
  const { hops, latencyNs, atNs } = latency
  const overTime = useMemo(() => latencyOverTime(latency), [latency])
  const distribution = useMemo(() => latencyDistribution(latency), [latency])
  /** The one hop whose spread is shown, or -1. */
  const hop = useSignal(-1)
  const summaries = useMemo(() => latencyNs.map(summaryOf), [latencyNs])
  const series = hops.map((hop, i) => ({ name: `${i + 1}  ${hopName(hop)}`, look: seriesLook(i) }))
  const found = summaries.filter((one) => one !== null)
  const [least, most] = [
    Math.min(...found.map(({ minNs }) => minNs)),
    Math.max(...found.map(({ maxNs }) => maxNs)),
  ]
  const isLog = least > 0 && most / least >= LOG_FROM
  const what =
    overTime.bins === null
      ? 'Each packet, by when it was seen first'
      : `Median of the packets in each ${formatDurationNs(overTime.bins.widthNs)}`
  return (
    <>
      <div class="chart-pair">
        <figure>
          <figcaption>
            {what}
            {isLog ? '; the axis goes in powers of ten' : ''}
          </figcaption>
          <HopChoice overTime={overTime} hops={hops} hop={hop} />
          <Plot
            label={`${what}: latency of ${hops.length} hops, from ${formatDurationNs(least)} to ${formatDurationNs(most)}. The table below has the figures.`}
            {...shownOf(overTime, series, hop.value)}
            formatX={timeText}
            formatY={formatDurationNs}
            isLogY={isLog}
          />
        </figure>
        <figure>
          <figcaption>Share of the packets that took at most so long</figcaption>
          <Plot
            label={`Distribution of the latency of ${hops.length} hops of ${formatCount(atNs.length)} packets. The table below has the figures.`}
            data={distribution}
            series={series}
            formatX={timeText}
            formatY={percentText}
            isLogX={distribution.isLog}
            isFromZero
          />
        </figure>
      </div>
      <details>
        <summary>Latency as a table</summary>
        <div class="table-scroll">
          <table class="figures">
            <thead>
              <tr>
                {['Hop', 'Packets', 'Least', 'Median', '99 % within', 'Most'].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {hops.map((hop, i) => {
                const summary = summaries[i]
                return (
                  <tr key={i}>
                    <th scope="row">{hopName(hop)}</th>
                    <td>{formatCount(summary?.count ?? 0)}</td>
                    {([summary?.minNs, summary?.medianNs, summary?.p99Ns, summary?.maxNs] as const).map(
                      (value, k) => (
                        <td key={k}>{value === undefined ? '–' : formatDurationNs(value)}</td>
                      ),
                    )}
                  </tr>
                )
              })}
            </tbody>
          </table>
        </div>
      </details>
    </>
  )
}

/** Medians of all hops, or of one hop the least, the median, and what 99 % are within. */
function shownOf(
  { x, series, bins }: LatencyOverTime,
  names: readonly PlotSeries[],
  hop: number,
): Pick<PlotProps, 'data' | 'series' | 'isBand'> {
  const chosen = names[hop]
  if (bins === null || !chosen) return { data: { x, series }, series: names }
  const { color } = chosen.look
  return {
    data: { x, series: [bins.least[hop]!, series[hop]!, bins.p99[hop]!] },
    series: ['least', 'median', '99 % within'].map((name, i) => ({
      name,
      look: { ...seriesLook([2, 0, 1][i]!), color },
    })),
    isBand: true,
  }
}

/** Where bins have a spread it can be seen, a hop at a time. */
function HopChoice({
  overTime,
  hops,
  hop,
}: {
  overTime: LatencyOverTime
  hops: readonly Hop[]
  hop: Signal<number>
}) {
  if (overTime.bins === null) return null
  return (
    <label class="hop-choice no-print">
      Show{' '}
      <select
        value={String(hop.value)}
        onChange={(event) => {
          hop.value = Number(event.currentTarget.value)
        }}
      >
        <option value="-1">the medians of all hops</option>
        {hops.map((one, i) => (
          <option key={i} value={String(i)}>
            the spread of {hopName(one)}
          </option>
        ))}
      </select>
    </label>
  )
}

export function timeText(ns: number): string {
  return ns === 0 ? '0' : formatDurationNs(ns)
}

function percentText(value: number): string {
  return `${Math.round(value)} %`
}
