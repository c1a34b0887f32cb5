/** The selected flow in a few words: who with whom, its state, what was rewritten, lost and answered on the way. */

import { renderEndpoint, renderEnds } from '../endpoint.ts'
import { isBeforeAll } from '../flow-cells.ts'
import type { FlowReport, TranslationReport } from '../model.ts'
import { arrow, renderPoints } from '../path-line.ts'
import { formatCount, formatDurationNs } from '../quantities.ts'
import { longRemarks } from '../remarks.ts'
import { DIRECTIONS } from './directions.ts'
import { report, selectedFlow } from './state.ts'

export function FlowSummary() {
  const flow = selectedFlow.value!
  const [client, server] = renderEnds(flow.client, flow.server, flow.protocol)
  return (
    <>
      <h2 id="flow-title">
        Flow {flow.id} <span class="protocol">{flow.protocol.toUpperCase()}</span>{' '}
        <End text={client} ip={flow.client.ip} />
        <span aria-hidden="true"> → </span>
        <span class="only-read"> to </span>
        <End text={server} ip={flow.server.ip} /> <span class={`state is-${flow.state}`}>{flow.state}</span>
      </h2>
      <Facts flow={flow} />
    </>
  )
}

function End({ text, ip }: { text: string; ip: string }) {
  const name = report.value?.names?.[ip]
  return (
    <>
      <span class="address">{text}</span>
      {name === undefined ? null : <span class="name"> {name}</span>}
    </>
  )
}

function Facts({ flow }: { flow: FlowReport }) {
  const { translations, lost, icmpErrors, retransmissions, rttNs, dnsNames } = flow
  const resent = DIRECTIONS.filter((direction) => retransmissions[direction] > 0)
  const facts = [
    ...translations.map((one) => <Rewrite flow={flow} one={one} />),
    ...lost.map(({ direction, between, packets }) => (
      <span class="is-loss">
        ✗ {formatCount(packets)} lost {arrow(direction)} {renderPoints(between)}
      </span>
    )),
    ...icmpErrors.map(({ name, packets, from }) => (
      <span class="is-loss">
        ✗ {name}
        {packets > 1 ? ` ×${formatCount(packets)}` : ''}, says {from}
      </span>
    )),
    ...resent.map((direction) => (
      <span class="is-warning">
        ↻ {formatCount(retransmissions[direction])} resent {arrow(direction)}
      </span>
    )),
    ...(rttNs === null ? [] : [<span>RTT {formatDurationNs(rttNs)}</span>]),
    ...(dnsNames.length === 0 ? [] : [<span>asks for {dnsNames.join(', ')}</span>]),
    ...longRemarks(flow).map((remark) => <span>{remark}</span>),
  ]
  if (facts.length === 0) return null
  return (
    <ul class="facts" aria-label="About the flow">
      {facts.map((fact, i) => (
        <li key={i}>{fact}</li>
      ))}
    </ul>
  )
}

function Rewrite({ flow, one }: { flow: FlowReport; one: TranslationReport }) {
  const { kind, from, to, between, rule } = one
  return (
    <>
      <b class={`is-${kind}`}>{kind.toUpperCase()}</b>{' '}
      <span class="address">{renderEndpoint(from, flow.protocol)}</span>
      <span aria-hidden="true"> → </span>
      <span class="only-read"> becomes </span>
      <span class={`address is-${kind}`}>{renderEndpoint(to, flow.protocol)}</span>{' '}
      <span class="quiet">
        {isBeforeAll(flow, one) ? `before ${between[0]}` : renderPoints(between)}
        {rule === undefined ? '' : ` · ${rule.text}`}
      </span>
    </>
  )
}
