/** One flow in full, for `--flow N`: each direction station by station, with what changed on the way. */

import { renderEnds } from './endpoint.ts'
import { renderFindings } from './findings-text.ts'
import { harmlessCopy } from './harmless.ts'
import type { DirectionName, FlowReport, StreamedReport } from './model.ts'
import { paletteFor } from './palette.ts'
import { arrow } from './path-line.ts'
import { formatBytes, formatCounted, formatDurationNs, isNumeral } from './quantities.ts'
import { renderRail } from './rail.ts'
import { longRemarks } from './remarks.ts'
import { MIN_COLUMNS, type TextOptions } from './text.ts'
import { cutToWidth, wrapText } from './width.ts'

const MAX_NAMES = 10

/** Renders one flow of the report, with the findings about it. */
export function renderFlowDetail(report: StreamedReport, flow: FlowReport, options: TextOptions): string {
  const columns = Math.max(MIN_COLUMNS, options.columns)
  const palette = paletteFor(options.color)
  const safe = harmlessCopy(flow)
  const wrapped = (text: string): string[] => wrapText(`  ${text}`, columns, '    ')
  const [client, server] = renderEnds(safe.client, safe.server, safe.protocol)
  const lines = [
    palette.heading(`Flow ${safe.id}`) +
      palette.faint(cutToWidth(`  ${factsOf(safe).join(' · ')}`, columns - 24)),
  ]
  lines.push(...wrapped(`${client} → ${server}`))
  if (safe.dnsNames.length > 0) {
    const more = safe.dnsNames.length > MAX_NAMES ? `, … ${safe.dnsNames.length - MAX_NAMES} more` : ''
    lines.push(...wrapped(`DNS ${safe.dnsNames.slice(0, MAX_NAMES).join(', ')}${more}`))
  }
  for (const remark of longRemarks(safe)) lines.push(...wrapped(remark))
  if (safe.ambiguous > 0) {
    lines.push(...wrapped(`? ${formatCounted(safe.ambiguous, 'packet')} not told apart from others`))
  }
  if (safe.duplicates > 0) {
    lines.push(...wrapped(`${formatCounted(safe.duplicates, 'frame')} seen twice at one point, counted once`))
  }
  if (safe.segmentationDiffers) {
    lines.push(
      ...wrapped(
        'Points saw the bytes in differently cut frames (offload): only the flow, its translations and TTL are joined there.',
      ),
    )
  }
  for (const direction of ['forward', 'reverse'] as const) {
    if (safe[direction].path.length === 0 && safe[direction].packets === 0) continue
    lines.push(
      '',
      palette.heading(`${arrow(direction)} ${direction}`) + palette.faint(`  ${trafficOf(safe, direction)}`),
    )
    lines.push(...renderRail(safe, direction, columns, palette))
  }
  const findings = report.findings.filter((finding) => finding.flow === flow.id)
  if (findings.length > 0) {
    lines.push('', palette.heading('Findings'), ...renderFindings(findings, columns, palette))
  }
  return `${lines.join('\n')}\n`
}

function factsOf(flow: FlowReport): string[] {
  const facts = [flow.protocol, flow.state]
  if (isNumeral(flow.firstNs) && isNumeral(flow.lastNs)) {
    facts.push(`lasted ${formatDurationNs(Number(BigInt(flow.lastNs) - BigInt(flow.firstNs)))}`)
  }
  if (flow.rttNs !== null) facts.push(`RTT ${formatDurationNs(flow.rttNs)}`)
  return facts
}

function trafficOf(flow: FlowReport, direction: DirectionName): string {
  const { packets, bytes } = flow[direction]
  const resent = flow.retransmissions[direction]
  return [
    formatCounted(packets, 'packet'),
    formatBytes(bytes),
    ...(resent > 0 ? [`${resent} resent`] : []),
  ].join(' · ')
}
