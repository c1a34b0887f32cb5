/** The selected flow in a few words: who with whom, its state, what was rewritten and lost. */

import { renderEndpoint } from '../endpoint.ts'
import { report, selectedFlow } from './state.ts'

export function FlowSummary() {
  const flow = selectedFlow.value!
  const { names = {} } = report.value!
  const shown = (end: typeof flow.client) => (
    <>
      <span class="address">{renderEndpoint(end, flow.protocol)}</span>
      {names[end.ip] === undefined ? null : <span class="name"> {names[end.ip]}</span>}
    </>
  )
  return (
    <h2 id="flow-title">
      Flow {flow.id} <span class="protocol">{flow.protocol.toUpperCase()}</span> {shown(flow.client)}
      <span aria-hidden="true"> → </span>
      <span class="only-read"> to </span>
      {shown(flow.server)} <span class={`state state-${flow.state}`}>{flow.state}</span>
    </h2>
  )
}
