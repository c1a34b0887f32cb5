/** The packets that a page shows: which of them it takes, and the bytes of their frames, read from the files once more. */

import { LinkType } from './capture/link-types.ts'
import type { CaptureRecord } from './capture/record.ts'
import { verifyChecksums } from './decode/checksum.ts'
import type { Headers } from './decode/headers.ts'
import type { JourneyReport } from './report/journey-lines.ts'
import type { FlowList } from './report/model.ts'
import type { PageFrame } from './report/page-data.ts'

/** Of a packet's payload so much is shown where nothing else is said, in bytes. */
export const PAYLOAD_BYTES = 64
/** Of one frame never more than this: headers are not endless, whatever they say. */
const MAX_FRAME_BYTES = 512

/** How many packets of each flow fit if all may have at most `max`: the same for all flows that have more than that. */
export function packetsPerFlow(counts: readonly number[], max: number): number {
  const sorted = [...counts].sort((a, b) => a - b)
  let left = max
  for (const [i, count] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - i))
    if (count > share) return share
    left -= count
  }
  return Number.POSITIVE_INFINITY
}

/**
 * Takes the first packets of each flow, and numbers them. `max` is for all flows together, and half as many again of
 * those that did not simply arrive.
 */
export function choosePagePackets(
  journeys: Iterable<JourneyReport>,
  flows: FlowList,
  max: number,
): Map<number, NumberedJourney[]> {
  const counts: number[] = []
  const chosen = new Map<number, NumberedJourney[]>()
  for (const { id, forward, reverse } of flows) {
    counts.push(forward.packets + reverse.packets)
    chosen.set(id, [])
  }
  const each = packetsPerFlow(counts, max)
  let spare = max / 2
  const seen = new Map<number, number>()
  for (const journey of journeys) {
    const kept = chosen.get(journey.flow)
    if (!kept) continue
    const number = (seen.get(journey.flow) ?? 0) + 1
    seen.set(journey.flow, number)
    if (number > each && ((journey.outcome === 'delivered' && !journey.retransmission) || spare-- <= 0))
      continue
    kept.push({ ...journey, number })
  }
  return chosen
}

export type NumberedJourney = JourneyReport & { number: number }

/** Copies the frame's headers and the first `payloadBytes` behind them. */
export function pageFrameOf(record: CaptureRecord, headers: Headers, payloadBytes: number): PageFrame {
  verifyChecksums(headers)
  const { bytes, start, end, originalLenBytes, linkType } = record
  let innermost = headers
  while (innermost.hasInner) innermost = innermost.inner
  const { transportChecksum } = innermost
  const headersEnd = innermost.hasTransport ? innermost.payloadOffset : start + MAX_FRAME_BYTES
  const stop = Math.min(end, start + MAX_FRAME_BYTES, Math.max(headersEnd, start) + payloadBytes)
  return {
    lenBytes: originalLenBytes,
    hex: Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString('hex'),
    ...(linkType === LinkType.Ethernet ? {} : { linkType }),
    ...(stop < end ? { checksum: transportChecksum } : {}),
  }
}
