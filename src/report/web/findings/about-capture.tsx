/** What the report stands on: the points and their clocks, damaged input, what was not joined, expectations, receipts. */

import { clockText } from '../../clocks-text.ts'
import { harmless } from '../../harmless.ts'
import type { ReportPoint } from '../../model.ts'
import { descriptionOf } from '../../page-data.ts'
import { formatBytes, formatCount, formatDurationNs, isNumeral } from '../../quantities.ts'
import { receiptLines } from '../../receipts-text.ts'
import { DoubtCounts, unjoinedRows } from '../../unjoined-text.ts'
import { report, source } from '../state.ts'

const MAX_WARNINGS = 100

export function AboutCapture() {
  const { points, path, warnings, findings, receipts = [], expectations = [] } = report.value!
  const isTroubled = findings.some(({ severity }) => severity !== 'info')
  const lines = receipts.flatMap((one) => receiptLines(one, isTroubled)).map((line) => harmless(line))
  return (
    <section class="panel about" aria-labelledby="about-title">
      <h2 id="about-title">About this capture</h2>
      <Points points={inOrder(points, path)} />
      <div class="about-parts">
        {expectations.length === 0 ? null : (
          <Part title="Expectations">
            {expectations.map(({ expression, holds, evidence }, i) => (
              <li key={i} class={holds ? 'holds' : 'fails'}>
                <b>{holds ? '✓ holds' : '✗ does not hold'}</b> <code>{expression}</code>{' '}
                <span class="quiet">{evidence}</span>
              </li>
            ))}
          </Part>
        )}
        {warnings.length === 0 ? null : (
          <Part title="Odd input">
            {warnings.slice(0, MAX_WARNINGS).map((warning, i) => (
              <li key={i}>
                <span class="sign-warning" aria-hidden="true">
                  ▲{' '}
                </span>
                {warning}
              </li>
            ))}
            {warnings.length > MAX_WARNINGS ? (
              <li class="quiet">… {formatCount(warnings.length - MAX_WARNINGS)} more</li>
            ) : null}
          </Part>
        )}
        <NotJoined />
        {lines.length === 0 ? null : (
          <Part title="Receipts of the kernel">
            {lines.map((line, i) => (
              <li key={i} class="mono">
                {line}
              </li>
            ))}
          </Part>
        )}
      </div>
    </section>
  )
}

function Points({ points }: { points: readonly ReportPoint[] }) {
  if (points.length === 0) return <p class="quiet">There is no point: nothing was read.</p>
  const { descriptions } = source.value!.about
  const hasDrops = points.some(({ captureDrops }) => captureDrops !== null)
  const hasUndecoded = points.some(({ undecoded }) => undecoded > 0)
  const hasClocks = points.some(({ clock }) => clock.offsetNs !== 0 || clock.skewPpm !== 0)
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: on a narrow screen it can be scrolled sideways
    <section class="table-box" aria-label="Points" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Point</th>
            <th scope="col" class="is-number">
              Packets
            </th>
            <th scope="col" class="is-number">
              Bytes
            </th>
            <th scope="col" class="is-number">
              Time
            </th>
            {hasDrops ? (
              <th scope="col" class="is-number">
                Not captured
              </th>
            ) : null}
            {hasUndecoded ? (
              <th scope="col" class="is-number">
                Undecoded
              </th>
            ) : null}
            {hasClocks ? <th scope="col">Clock</th> : null}
            <th scope="col">Link type</th>
            <th scope="col">Source</th>
          </tr>
        </thead>
        <tbody>
          {points.map((point) => (
            <tr key={point.name}>
              <th scope="row">
                {point.name}
                <PointDescription text={descriptionOf(descriptions, point.name)} />
              </th>
              <td class="is-number">{formatCount(point.packets)}</td>
              <td class="is-number">{formatBytes(point.bytes)}</td>
              <td class="is-number">{timeOf(point)}</td>
              {hasDrops ? <td class="is-number">{dropsOf(point)}</td> : null}
              {hasUndecoded ? <td class="is-number">{formatCount(point.undecoded)}</td> : null}
              {hasClocks ? <td>{clockOf(point)}</td> : null}
              <td>{point.linkType}</td>
              <td class="mono">{point.source}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function NotJoined() {
  const { flows, notJoined } = report.value!
  const counts = new DoubtCounts()
  for (const flow of flows) counts.add(flow)
  const rows = unjoinedRows({ notJoined }, counts)
  if (rows.length === 0) return null
  return (
    <Part title="In no flow, or not sure">
      {rows.map(([reason, text]) => (
        <li key={reason}>
          <b>{reason}</b> {text}
        </li>
      ))}
    </Part>
  )
}

function Part({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <div class="about-part">
      <h3>{title}</h3>
      <ul>{children}</ul>
    </div>
  )
}

/** The client's side first, as everywhere; points that no flow passed behind them. */
function inOrder(points: readonly ReportPoint[], path: readonly string[]): ReportPoint[] {
  const place = ({ name }: ReportPoint) => (path.includes(name) ? path.indexOf(name) : path.length)
  return [...points].sort((a, b) => place(a) - place(b))
}

function timeOf({ firstNs, lastNs }: ReportPoint): string {
  if (firstNs === null || lastNs === null || !isNumeral(firstNs) || !isNumeral(lastNs)) return '–'
  return formatDurationNs(Number(BigInt(lastNs) - BigInt(firstNs)))
}

function dropsOf({ captureDrops }: ReportPoint): string {
  if (captureDrops === null) return 'not said'
  return captureDrops === 0 ? '0' : `▲ ${formatCount(captureDrops)}`
}

function clockOf({ clock }: ReportPoint): string {
  return clock.offsetNs === 0 && clock.skewPpm === 0 ? 'as recorded' : clockText(clock)
}

function PointDescription({ text }: { text: string | null }) {
  return text === null ? null : <span class="name">{text}</span>
}
