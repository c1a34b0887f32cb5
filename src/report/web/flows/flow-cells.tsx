/** What one cell of the flows table shows. */

import { renderEndpoint, renderEnds } from '../../endpoint.ts'
import type { Endpoint, FlowReport, TranslationReport } from '../../model.ts'
import { formatBytes, formatCount, formatCounted, formatDurationNs, isNumeral } from '../../quantities.ts'
import { SEVERITIES, SEVERITY_NOUNS, SEVERITY_SIGNS } from '../findings/severities.ts'
import { lostPackets, resentPackets } from '../flow-counts.ts'
import { type ColumnKey, durationNs, type FlowContext } from './flow-columns.ts'

export interface CellProps {
  flow: FlowReport
  context: FlowContext
  /** Rows of two lines on a narrow screen, where one cell says what several do elsewhere. */
  isNarrow: boolean
}

export const CELLS: Readonly<Record<ColumnKey, (props: CellProps) => preact.ComponentChildren>> = {
  id: ({ flow }) => flow.id,
  protocol: ({ flow }) => flow.protocol.toUpperCase(),
  client: ({ flow, context }) => (
    <End end={flow.client} text={renderEndpoint(flow.client, flow.protocol)} names={context.names} />
  ),
  server: ({ flow, context, isNarrow }) => (
    <>
      {isNarrow ? <span aria-hidden="true">→ </span> : null}
      <End
        end={flow.server}
        text={renderEnds(flow.client, flow.server, flow.protocol)[1]}
        names={context.names}
      />
    </>
  ),
  nat: ({ flow }) => flow.translations.map((one, i) => <Rewrite key={i} one={one} flow={flow} />),
  forward: ({ flow, isNarrow }) =>
    isNarrow
      ? `→ ${formatCount(flow.forward.packets)}  ← ${formatCount(flow.reverse.packets)}`
      : formatCount(flow.forward.packets),
  reverse: ({ flow }) => formatCount(flow.reverse.packets),
  bytes: ({ flow }) => formatBytes(flow.forward.bytes + flow.reverse.bytes),
  state: ({ flow, isNarrow }) => (
    <>
      {isNarrow && flow.lost.length > 0 ? <Lost flow={flow} /> : null}{' '}
      <span class={`state-word is-${flow.state}`}>{flow.state}</span>
    </>
  ),
  lost: ({ flow }) => (flow.lost.length === 0 ? null : <Lost flow={flow} />),
  resent: ({ flow }) => {
    const resent = resentPackets(flow)
    return resent === 0 ? null : <span class="resent">↻ {formatCount(resent)}</span>
  },
  rtt: ({ flow }) => (flow.rttNs === null ? null : formatDurationNs(flow.rttNs)),
  begin: ({ flow: { firstNs }, context }) =>
    isNumeral(firstNs) ? `+${formatDurationNs(Number(BigInt(firstNs) - context.beginNs))}` : null,
  duration: ({ flow }) => {
    const ns = durationNs(flow)
    return ns === null ? null : formatDurationNs(ns)
  },
  findings: ({ flow, context }) => {
    const counts = context.findings.get(flow.id)
    return SEVERITIES.map((severity) => {
      const count = counts?.[severity] ?? 0
      if (count === 0) return null
      return (
        <span key={severity} class={`sign-${severity}`}>
          <span aria-hidden="true">
            {SEVERITY_SIGNS[severity]} {formatCount(count)}
          </span>
          <span class="only-read">{formatCounted(count, SEVERITY_NOUNS[severity])}</span>
        </span>
      )
    })
  },
}

function End({ end, text, names }: { end: Endpoint; text: string; names: FlowContext['names'] }) {
  const name = names[end.ip]
  return (
    <>
      <span class="address">{text}</span>
      {name === undefined ? null : <span class="name">{name}</span>}
    </>
  )
}

function Rewrite({ one: { kind, to, between }, flow }: { one: TranslationReport; flow: FlowReport }) {
  return (
    <span class={`rewrite is-${kind}`} title={`between ${between.join(' and ')}`}>
      <b>{kind.toUpperCase()}</b> <span aria-hidden="true">→</span>
      <span class="only-read"> to </span> <span class="address">{renderEndpoint(to, flow.protocol)}</span>
    </span>
  )
}

function Lost({ flow }: { flow: FlowReport }) {
  return (
    <span class="lost">
      <span aria-hidden="true">✗ </span>
      {formatCount(lostPackets(flow))}
      <span class="only-read"> lost</span>
    </span>
  )
}
