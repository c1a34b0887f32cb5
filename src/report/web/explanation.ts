/** The explanation of a packet, made in the page of what `hoptrace explain` makes it of. */

import { explain } from '../explain/explain.ts'
import type { Explanation } from '../explain/model.ts'
import { ProgressCounter } from '../explain/progress.ts'
import type { PagePacket } from '../page-data.ts'
import { allPackets } from './flow-counts.ts'
import { framesOf } from './packet-frames.ts'
import { flowsById, report, selectedPackets, source } from './state.ts'

/** The packet's stations with all header fields, what changed, who did it and why. Its text is harmless already. */
export function explanationOf(packet: PagePacket): Explanation {
  const flow = flowsById.value.get(packet.flow)!
  const { findings, names = {}, receipts = [] } = report.value!
  const soFar = new ProgressCounter()
  for (const one of selectedPackets.value?.packets ?? [packet])
    if (one.number <= packet.number) soFar.take(one)
  return explain({
    flow,
    flowPackets: allPackets(flow),
    packets: [{ number: packet.number, journey: packet, isError: false, frames: framesOf(packet) }],
    progress: soFar.after(packet),
    findings,
    names,
    descriptions: new Map(Object.entries(source.value!.about.descriptions)),
    receipts,
    wantsAnswer: false,
  })
}
