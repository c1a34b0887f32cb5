/** The explanation of a packet, made in the page of what `hoptrace explain` makes it of. */

import { explain } from '../explain/explain.ts'
import type { Explanation } from '../explain/model.ts'
import type { PagePacket } from '../page-data.ts'
import { allPackets } from './flow-counts.ts'
import { framesOf } from './packet-frames.ts'
import { flowsById, report, selectedPackets, source } from './state.ts'

/** The packet's stations with all header fields, what changed, who did it and why. Its text is harmless already. */
export function explanationOf(packet: PagePacket): Explanation {
  const flow = flowsById.value.get(packet.flow)!
  const { findings, names = {}, receipts = [] } = report.value!
  const before = selectedPackets.value?.packets.filter(({ number }) => number <= packet.number) ?? [packet]
  return explain({
    flow,
    flowPackets: allPackets(flow),
    packets: [{ number: packet.number, journey: packet, isError: false, frames: framesOf(packet) }],
    progress: {
      isReplied: before.some(({ direction }) => direction === 'reverse'),
      tcpState: tcpState(packet, before),
    },
    findings,
    names,
    descriptions: new Map(Object.entries(source.value!.about.descriptions)),
    receipts,
    wantsAnswer: false,
  })
}

/** The state that conntrack has after this packet, as far as that is simple. */
function tcpState({ protocol, summary }: PagePacket, before: readonly PagePacket[]): string | null {
  if (protocol !== 'tcp' || before.some((packet) => /^\[[^\]]*[FR]/.test(packet.summary))) return null
  if (/^\[S[^.\]]*\]/.test(summary)) return 'SYN_SENT'
  return /^\[S/.test(summary) ? 'SYN_RECV' : 'ESTABLISHED'
}
