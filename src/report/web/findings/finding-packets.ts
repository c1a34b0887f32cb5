/** From a finding to its packets: by the frames that it names, else by what it says of them. */

import type { FindingReport } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'

/** Which packets a finding without frames, or with frames of other packets (ICMP errors), is about. */
const ABOUT: Readonly<Record<string, (packet: PagePacket) => boolean>> = {
  'dropped-between-points': ({ outcome }) => outcome === 'lost',
  'mtu-blackhole': ({ outcome }) => outcome === 'lost',
  'connection-refused': isAnswered,
  'ttl-expired': isAnswered,
  'fragmentation-needed': isAnswered,
  retransmissions: ({ retransmission }) => retransmission,
  'ambiguous-matches': ({ outcome }) => outcome === 'ambiguous',
  'reset-by-peer': ({ summary }) => /^\[[^\]]*R/.test(summary),
  'mss-clamped': ({ summary }) => /^\[[^\]]*S/.test(summary),
  'segmentation-differs': ({ sightings }) => new Set(sightings.map(({ frames }) => frames.length)).size > 1,
  'snat-missing': ({ direction }) => direction === 'forward',
  'dnat-missing': ({ direction }) => direction === 'forward',
  'reply-not-translated': ({ direction }) => direction === 'reverse',
}

function isAnswered({ outcome }: PagePacket): boolean {
  return outcome === 'answered'
}

/**
 * The numbers of the packets in their flow that a finding is about, among those of its flow that the page has. Where
 * nothing singles some out, it is about all of them.
 */
export function packetsOfFinding(
  { code, evidence }: FindingReport,
  packets: readonly PagePacket[],
): number[] {
  const named = namedFrames(evidence.frames)
  const byFrame = packets.filter(({ sightings }) =>
    sightings.some(({ point, frames }) => frames.some((frame) => named.get(point)?.has(frame))),
  )
  const about = ABOUT[code]
  const found = byFrame.length > 0 || about === undefined ? byFrame : packets.filter(about)
  return (found.length > 0 ? found : packets).map(({ number }) => number)
}

/** All flows that a finding names, its own first. */
export function flowsOfFinding({ flow, evidence: { flows } }: FindingReport): number[] {
  const named = Array.isArray(flows) ? flows.filter((id): id is number => typeof id === 'number') : []
  return [...new Set([...(flow === null ? [] : [flow]), ...named])]
}

/** By point. What a report says of frames may be anything, where it comes from elsewhere. */
function namedFrames(frames: unknown): Map<string, Set<number>> {
  if (typeof frames !== 'object' || frames === null) return new Map()
  return new Map(
    Object.entries(frames).map(([point, numbers]) => [point, new Set(Array.isArray(numbers) ? numbers : [])]),
  )
}
