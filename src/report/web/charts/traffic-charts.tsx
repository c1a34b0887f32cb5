/** What was sent over time, and what of it was lost or sent again. */

import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import type { FlowReport } from '../../model.ts'
import { arrow, pointName } from '../../path-line.ts'
import { formatBytes, formatCount, formatCounted, formatDurationNs } from '../../quantities.ts'
import type { Traffic } from './chart-data.ts'
import { hopName, timeText } from './latency-charts.tsx'
import { Plot } from './plot.tsx'
import { DIRECTION_LOOKS, lossLook, RESENT_LOOK } from './series-look.ts'

const NAMES = ['to the server', 'to the client']

export function ThroughputChart({ traffic }: { traffic: Traffic }) {
  const { binNs, x, bytes, packets } = traffic
  const hasPayload = [...bytes.forward, ...bytes.reverse].some((count) => count > 0)
  const chosen = useSignal<boolean | null>(null)
  const isBytes = chosen.value ?? hasPayload
  const counted = isBytes ? bytes : packets
  const data = useMemo(() => ({ x, series: [counted.forward, counted.reverse] }), [x, counted])
  const format = isBytes ? formatBytes : countText
  const what = isBytes ? 'Payload' : 'Packets'
  const totals = data.series.map((values) => values.reduce((sum, value) => sum + value, 0))
  return (
    <section aria-labelledby="throughput-title">
      <div class="chart-head">
        <h3 id="throughput-title">Throughput</h3>
        <fieldset class="switch no-print">
          <legend class="only-read">Counted in</legend>
          {[true, false].map((value) => (
            <label key={String(value)}>
              <input
                type="radio"
                name="chart-unit"
                checked={isBytes === value}
                onChange={() => {
                  chosen.value = value
                }}
              />
              <span>{value ? 'Bytes' : 'Packets'}</span>
            </label>
          ))}
        </fieldset>
      </div>
      <figure>
        <figcaption>
          {what} in each {formatDurationNs(binNs)}, where it was seen first
        </figcaption>
        <Plot
          label={`${what} in each ${formatDurationNs(binNs)}: ${totals.map((total, i) => `${format(total)} ${NAMES[i]}`).join(', ')} in all.`}
          data={data}
          series={NAMES.map((name, i) => ({ name, look: DIRECTION_LOOKS[i]! }))}
          formatX={timeText}
          formatY={format}
          isStepped
          isFromZero
        />
      </figure>
      <details>
        <summary>Throughput as a table</summary>
        <div class="table-scroll">
          <table class="figures">
            <thead>
              <tr>
                <th scope="col">From</th>
                {NAMES.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {x.map((from, i) =>
                data.series.some((values) => values[i]! > 0) ? (
                  <tr key={from}>
                    <th scope="row">{timeText(from)}</th>
                    {data.series.map((values, k) => (
                      <td key={k}>{format(values[i]!)}</td>
                    ))}
                  </tr>
                ) : null,
              )}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  )
}

export function LossChart({ traffic, flow }: { traffic: Traffic; flow: FlowReport }) {
  const { binNs, x, lost, resent } = traffic
  const data = useMemo(
    () => ({ x, series: [...lost.map(({ counts }) => counts), resent] }),
    [x, lost, resent],
  )
  const resentCount = flow.retransmissions.forward + flow.retransmissions.reverse
  const hasAny = data.series.some((counts) => counts.some((count) => count > 0))
  const title = <h3 id="losses-title">Losses</h3>
  if (!hasAny && flow.lost.length === 0 && resentCount === 0)
    return (
      <section aria-labelledby="losses-title">
        {title}
        <p class="quiet">No packet of this flow was lost, and none was resent.</p>
      </section>
    )
  return (
    <section aria-labelledby="losses-title">
      {title}
      {hasAny ? (
        <figure>
          <figcaption>Packets in each {formatDurationNs(binNs)}, by when they were sent</figcaption>
          <Plot
            label={`Lost packets and retransmissions in each ${formatDurationNs(binNs)}. The table below has the sums.`}
            data={data}
            series={[
              ...lost.map(({ hop }, i) => ({
                name: `✗ lost ${arrow(hop.direction)} ${hopName(hop)}`,
                look: lossLook(i),
              })),
              { name: '↻ resent', look: RESENT_LOOK },
            ]}
            formatX={timeText}
            formatY={countText}
            isStepped
            isFromZero
          />
        </figure>
      ) : null}
      <table class="figures">
        <caption class="only-read">Losses by hop, all packets of the flow</caption>
        <thead>
          <tr>
            <th scope="col">Where</th>
            <th scope="col">Packets</th>
            <th scope="col">Of those sent</th>
          </tr>
        </thead>
        <tbody>
          {flow.lost.map(({ direction, between: [from, to], packets }, i) => (
            <tr key={i}>
              <th scope="row">
                ✗ lost {arrow(direction)} between {pointName(from)} and {pointName(to)}
              </th>
              <td>{formatCount(packets)}</td>
              <td>{shareText(packets, flow[direction].packets)}</td>
            </tr>
          ))}
          {(['forward', 'reverse'] as const).map((direction, i) =>
            flow.retransmissions[direction] === 0 ? null : (
              <tr key={direction}>
                <th scope="row">↻ resent {NAMES[i]}</th>
                <td>{formatCount(flow.retransmissions[direction])}</td>
                <td>{shareText(flow.retransmissions[direction], flow[direction].packets)}</td>
              </tr>
            ),
          )}
        </tbody>
      </table>
    </section>
  )
}

function shareText(part: number, all: number): string {
  return all === 0 ? '–' : `${((100 * part) / all).toFixed(1)} % of ${formatCounted(all, 'packet')}`
}

/** Counts have no halves, whatever the axis would like. */
function countText(count: number): string {
  return Number.isInteger(count) ? formatCount(count) : ''
}
