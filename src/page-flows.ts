/** The flows that a page shows, where there are more than anybody looks through. */

import { SparseCounts } from './correlate/columns.ts'
import type { FlowList, FlowReport, StreamedReport } from './report/model.ts'

/** Added to the packets of a flow that has something to tell. */
const TELLING = 2 ** 40

/** At most `max` flows, in their order: first of all those with findings or losses, then the largest. */
export function choosePageFlows(
  { flows, findings }: Pick<StreamedReport, 'flows' | 'findings'>,
  max: number,
): FlowList {
  if (flows.length <= max) return flows
  const isFound = new SparseCounts()
  for (const { flow } of findings) if (flow !== null) isFound.set(flow, 1)
  const ranks = new Float64Array(flows.length)
  let i = 0
  for (const flow of flows)
    ranks[i++] = packetsOf(flow) + (isFound.get(flow.id) > 0 || oddPackets(flow) > 0 ? TELLING : 0)
  const last = ranks.slice().sort()[ranks.length - max]!
  let atLast = max - ranks.reduce((count, rank) => count + (rank > last ? 1 : 0), 0)
  const isChosen = new SparseCounts()
  i = 0
  for (const { id } of flows) {
    const rank = ranks[i++]!
    if (rank > last || (rank === last && atLast-- > 0)) isChosen.set(id, 1)
  }
  return flows.filter(({ id }) => isChosen.get(id) > 0)
}

export function packetsOf({ forward, reverse }: FlowReport): number {
  return forward.packets + reverse.packets
}

/** How many of a flow's packets did not simply arrive; at most, as one may be counted twice. */
export function oddPackets({ lost, unseen, icmpErrors, retransmissions, ambiguous }: FlowReport): number {
  const sum = (list: readonly { packets: number }[]) =>
    list.reduce((total, { packets }) => total + packets, 0)
  return (
    sum(lost) + sum(unseen) + sum(icmpErrors) + retransmissions.forward + retransmissions.reverse + ambiguous
  )
}
