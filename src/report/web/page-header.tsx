/** The head of the page: what was captured, when and how much, what came of it, and light or dark. */

import { renderFindingCounts } from '../findings-text.ts'
import type { Report } from '../model.ts'
import { formatCounted, formatDurationNs, isNumeral } from '../quantities.ts'
import { report, source } from './state.ts'
import { ThemeSwitch } from './theme-switch.tsx'

export function PageHeader() {
  const { points, flows, findings, expectations = [] } = report.value!
  const { about } = source.value!
  const broken = expectations.filter(({ holds }) => !holds).length
  const period = periodOf(points)
  return (
    <header class="head">
      <h1>
        <span class="brand">hoptrace</span> <span class="title">{about.title}</span>
      </h1>
      <ul class="counts">
        {period === null ? null : <li>{period}</li>}
        <li>{formatCounted(points.length, 'point')}</li>
        <li>{formatCounted(flows.length + (about.flowsLeftOut ?? 0), 'flow')}</li>
        <li>{findings.length === 0 ? 'no findings' : renderFindingCounts(findings)}</li>
        {broken === 0 ? null : <li class="broken">✗ {formatCounted(broken, 'expectation')} not met</li>}
      </ul>
      <ThemeSwitch />
    </header>
  )
}

/** `2026-11-22 02:26:00 UTC, 1.20 s`; null where nothing was captured. */
function periodOf(points: Report['points']): string | null {
  const times = points.flatMap(({ firstNs, lastNs }) =>
    [firstNs, lastNs].flatMap((timeNs) => (timeNs !== null && isNumeral(timeNs) ? [BigInt(timeNs)] : [])),
  )
  if (times.length === 0) return null
  let [first, last] = [times[0]!, times[0]!]
  for (const timeNs of times) {
    if (timeNs < first) first = timeNs
    if (timeNs > last) last = timeNs
  }
  const begin = new Date(Number(first / 1_000_000n))
  const date = Number.isNaN(begin.getTime())
    ? ''
    : `${begin.toISOString().slice(0, 19).replace('T', ' ')} UTC, `
  return `${date}${formatDurationNs(Number(last - first))}`
}
