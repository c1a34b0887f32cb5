/** Forms: a packet as every station of its way shows it, for comparing it with rules and connection tracking. */

import type { DirectionName, Endpoint, JoinedFlow } from '../correlate/joined-flow.ts'
import type { Form } from './rule-match.ts'

/** Of the packets of one direction; each pair of addresses once. Those of the other one turned around take part where it was translated earlier. */
export function formsOf(flow: JoinedFlow, direction: DirectionName): Form[] {
  const { protocol } = flow
  const mine = flow[direction].path.map(({ src, dst }) => ({ protocol, src, dst }))
  const other = direction === 'forward' ? flow.reverse : flow.forward
  const turned = other.path.map(({ src, dst }) => ({ protocol, src: dst, dst: src }))
  const all = [...mine, ...turned]
  return all.filter(
    (form, i) => all.findIndex((it) => isSame(it.src, form.src) && isSame(it.dst, form.dst)) === i,
  )
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.ip === b.ip && a.port === b.port
}
