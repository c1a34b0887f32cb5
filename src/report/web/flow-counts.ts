/** Packets of a flow: how many there were, how many were lost or resent, and how many of them the page has. */

import type { DirectionName, FlowReport } from '../model.ts'
import { formatCount, formatCounted } from '../quantities.ts'
import type { FlowPackets } from './source.ts'

/** Of both directions. */
export function allPackets({ forward, reverse }: FlowReport): number {
  return forward.packets + reverse.packets
}

/** Of one direction, or of both. */
export function lostPackets({ lost }: FlowReport, only?: DirectionName): number {
  return lost.reduce(
    (sum, { direction, packets }) => sum + (only === undefined || direction === only ? packets : 0),
    0,
  )
}

/** Of both directions. */
export function resentPackets({ retransmissions: { forward, reverse } }: FlowReport): number {
  return forward + reverse
}

/** `200 of 1,500 packets are on this page`; null where it has all. */
export function packetsHereText(flow: FlowReport, { packets, state }: FlowPackets): string | null {
  const all = allPackets(flow)
  if (packets.length >= all) return null
  const where = state === 'reading' ? 'are unpacked so far' : 'are on this page'
  return `${formatCount(packets.length)} of ${formatCounted(all, 'packet')} ${where}`
}
