/** Which packet is shown: the one that was chosen, else the flow's first; and who stands beside it. */

import type { PagePacket } from '../../page-data.ts'

export interface ChosenPacket {
  /** null where the page has not got it. */
  packet: PagePacket | null
  /** Numbers of its neighbours among the packets that the page has. */
  previous: number | null
  next: number | null
}

/** `packets` are in the order of their numbers. */
export function chosenPacket(packets: readonly PagePacket[], number: number | null): ChosenPacket {
  const wanted = number ?? packets[0]?.number ?? 0
  return {
    packet: packets.find((packet) => packet.number === wanted) ?? null,
    previous: packets.findLast((packet) => packet.number < wanted)?.number ?? null,
    next: packets.find((packet) => packet.number > wanted)?.number ?? null,
  }
}

/** The number of the packet that the page has and that is nearest to `wanted`. */
export function nearestNumber(packets: readonly PagePacket[], wanted: number): number | null {
  let nearest: number | null = null
  for (const { number } of packets)
    if (nearest === null || Math.abs(number - wanted) < Math.abs(nearest - wanted)) nearest = number
  return nearest
}
