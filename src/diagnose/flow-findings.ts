/** Findings about one flow: what its losses, answers and translations say. */

import { PATIENCE_NS } from '../correlate/flow-reader.ts'
import type { JoinedFlow } from '../correlate/joined-flow.ts'
import { show } from './endpoints.ts'
import { counted, type Finding, finding } from './finding.ts'
import { dropped, mtuBlackhole, ttlExpired } from './losses.ts'
import {
  dnatMissing,
  familyTranslated,
  hairpin,
  portRemapped,
  replyNotTranslated,
  snatMissing,
} from './nat-findings.ts'
import type { ReceiptReader } from './receipt-reader.ts'
import { noReply, refused, reset } from './refusals.ts'

/**
 * All findings of a flow, worst first; `endNs` is the time of the last record of all captures, ns since 1970. `reader` is
 * null where the capture has no receipts.
 */
export function flowFindings(
  flow: JoinedFlow,
  endNs: bigint,
  reader: ReceiptReader | null = null,
): Finding[] {
  const isPatient = endNs - BigInt(flow.firstNs) >= BigInt(PATIENCE_NS)
  const isDecided = isPatient || flow.state === 'refused'
  const notTranslated = isDecided ? [...snatMissing(flow, reader), ...dnatMissing(flow, reader)] : []
  return [
    ...notTranslated,
    ...replyNotTranslated(flow),
    ...mtuBlackhole(flow, reader),
    ...dropped(flow, reader),
    ...ttlExpired(flow, reader),
    ...(notTranslated.length > 0 ? [] : refused(flow, reader)),
    ...(isPatient && notTranslated.length === 0 ? noReply(flow, reader) : []),
    ...reset(flow),
    ...retransmissions(flow),
    ...asymmetric(flow),
    ...ambiguous(flow),
    ...fragmentationNeeded(flow),
    ...zeroWindow(flow),
    ...portRemapped(flow),
    ...hairpin(flow),
    ...familyTranslated(flow),
    ...proxied(flow),
    ...mssClamped(flow),
    ...segmentation(flow),
  ]
}

function retransmissions(flow: JoinedFlow): Finding[] {
  const { forward, reverse } = flow.retransmissions
  if (forward + reverse === 0) return []
  const parts = [
    ...(forward > 0 ? [`${forward} of ${counted(flow.forward.packets, 'packet')} to the server`] : []),
    ...(reverse > 0 ? [`${reverse} of ${counted(flow.reverse.packets, 'packet')} to the client`] : []),
  ]
  return [finding('retransmissions', flow.id, `sent again: ${parts.join(', ')}`, { forward, reverse })]
}

function asymmetric(flow: JoinedFlow): Finding[] {
  const there = [...new Set(flow.forward.path.map((s) => s.point))]
  const back = [...new Set(flow.reverse.path.map((s) => s.point))]
  // What was lost on the way was not seen behind that, and says nothing about the way.
  if (there.length === 0 || back.length === 0 || flow.lost.length > 0) return []
  // Who refuses may stand on the way.
  if (flow.state === 'refused') return []
  // Nor do points that missed packets.
  const excused = new Set(flow.unseen.map((u) => u.point))
  const only = (a: string[], b: string[]) => a.filter((point) => !b.includes(point) && !excused.has(point))
  const missing = [...only(there, back), ...only(back, there)]
  if (missing.length === 0) return []
  return [
    finding(
      'asymmetric-path',
      flow.id,
      `requests go by ${there.join(', ')}; replies come by ${back.join(', ')}`,
      { forward: there, reverse: back },
    ),
  ]
}

function ambiguous(flow: JoinedFlow): Finding[] {
  if (flow.ambiguous === 0) return []
  return [
    finding(
      'ambiguous-matches',
      flow.id,
      `${counted(flow.ambiguous, 'packet')} could not be told from equal ones`,
      {
        packets: flow.ambiguous,
      },
    ),
  ]
}

/** A router tells the sender how large packets may be: path MTU discovery at work (RFC 1191, RFC 8201). */
function fragmentationNeeded(flow: JoinedFlow): Finding[] {
  return flow.icmpErrors
    .filter(({ mtu }) => mtu > 0)
    .map(({ from, mtu, packets, frames, direction }) => {
      const sender = direction === 'forward' ? flow.client.ip : flow.server.ip
      const summary = `${from} tells ${sender} to send packets of at most ${mtu} bytes`
      return finding('fragmentation-needed', flow.id, summary, { frames, from, mtu, packets })
    })
}

function zeroWindow(flow: JoinedFlow): Finding[] {
  return (flow.signs?.zeroWindows ?? []).map(({ direction, packets, point, frames }) => {
    const who = direction === 'forward' ? flow.client.ip : flow.server.ip
    return finding(
      'zero-window',
      flow.id,
      `${who} had no room for more data (window 0 in ${counted(packets, 'packet')}): its program reads slower than it is sent to`,
      { frames: { [point]: frames }, direction, packets },
    )
  })
}

/** Told of the client's half, once for each pair. */
function proxied(flow: JoinedFlow): Finding[] {
  return (flow.spliced ?? []).flatMap(({ side, flow: other, proxy, matchedBytes, betweenSynsNs }) => {
    if (side !== 'client') return []
    const { forward, reverse } = matchedBytes
    return [
      finding(
        'proxy-splice',
        flow.id,
        `a proxy at ${show(proxy, flow)} ends this connection and opens flow ${other}: the same first ${forward} and ${reverse} bytes pass through both`,
        { flows: [flow.id, other], proxy, matchedBytes, betweenSynsNs },
      ),
    ]
  })
}

function mssClamped({ id, mssChanges = [] }: JoinedFlow): Finding[] {
  return mssChanges.map(({ direction, between, from, to }) => {
    const what = direction === 'forward' ? "the client's MSS" : "the server's MSS"
    const summary = `${what} ${from} became ${to} between ${between[0]} and ${between[1]}`
    return finding('mss-clamped', id, summary, { direction, between, from, to })
  })
}

function segmentation(flow: JoinedFlow): Finding[] {
  if (!flow.segmentationDiffers) return []
  return [
    finding(
      'segmentation-differs',
      flow.id,
      'offload cuts the same bytes differently at different points: a packet here is several frames there',
    ),
  ]
}
