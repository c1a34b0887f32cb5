/** Findings about one flow: what its losses, answers and translations say. */

import { isRefusal, PATIENCE_NS } from '../correlate/flow-reader.ts'
import type { Endpoint, JoinedFlow } from '../correlate/joined-flow.ts'
import { counted, type Finding, finding } from './finding.ts'

/** All findings of a flow, worst first; `endNs` is the time of the last record of all captures, ns since 1970. */
export function flowFindings(flow: JoinedFlow, endNs: bigint): Finding[] {
  return [
    ...(isPatient(flow, endNs) ? snatMissing(flow) : []),
    ...dropped(flow),
    ...icmpAnswers(flow),
    ...refused(flow),
    ...(isPatient(flow, endNs) ? noReply(flow) : []),
    ...reset(flow),
    ...retransmissions(flow),
    ...asymmetric(flow),
    ...ambiguous(flow),
    ...portRemapped(flow),
    ...hairpin(flow),
    ...proxied(flow),
    ...mssClamped(flow),
    ...segmentation(flow),
  ]
}

function isPatient(flow: JoinedFlow, endNs: bigint): boolean {
  return endNs - BigInt(flow.firstNs) >= BigInt(PATIENCE_NS)
}

function dropped(flow: JoinedFlow): Finding[] {
  return flow.lost.map(({ direction, between: [from, to], packets, frames }) => {
    const what = counted(packets, flow.state === 'syn-only' && direction === 'forward' ? 'SYN' : 'packet')
    const whose =
      direction === 'forward' ? `to ${show(flow.server, flow)}` : `back to ${show(flow.client, flow)}`
    return finding(
      'dropped-between-points',
      flow.id,
      `${what} ${whose} reached ${from} and never ${to}: dropped in between`,
      { frames: { [frames.point]: frames.frames }, direction, between: [from, to], packets },
    )
  })
}

/** A private source went out through a router as it was, and nothing came back: nobody outside can answer it. */
function snatMissing(flow: JoinedFlow): Finding[] {
  const { path } = flow.forward
  const first = path[0]
  const last = path.at(-1)
  if (!first || !last || flow.reverse.packets > 0 || flow.icmpErrors.length > 0 || flow.lost.length > 0)
    return []
  if (flow.protocol === 'tcp' && flow.state !== 'syn-only') return []
  if (last.ttl >= first.ttl || !isPrivate(last.src.ip) || isPrivate(last.dst.ip)) return []
  if (flow.translations.some((t) => t.kind === 'snat')) return []
  return [
    finding(
      'snat-missing',
      flow.id,
      `${last.src.ip} left ${last.point} for ${last.dst.ip} untranslated and got no reply: no SNAT or MASQUERADE rule took it`,
      { point: last.point, source: last.src.ip },
    ),
  ]
}

function noReply(flow: JoinedFlow): Finding[] {
  const last = flow.forward.path.at(-1)
  const expects = flow.protocol === 'tcp' || flow.protocol.startsWith('icmp') || flow.server.port === 53
  if (!last || !expects || isGroup(flow.server.ip)) return []
  // Mid-stream, or a connection that acknowledges what only the other direction could have sent.
  if (flow.protocol === 'tcp' && flow.state !== 'syn-only') return []
  if (flow.reverse.packets > 0 || flow.icmpErrors.length > 0 || flow.lost.length > 0) return []
  return [
    finding(
      'no-reply',
      flow.id,
      `${counted(flow.forward.packets, 'packet')} to ${show(flow.server, flow)} reached ${last.point} and nothing came back`,
      { lastPoint: last.point },
    ),
  ]
}

function icmpAnswers(flow: JoinedFlow): Finding[] {
  return flow.icmpErrors.flatMap(({ from, name, packets, frames, direction }) => {
    if (name !== 'time to live exceeded' && name !== 'hop limit exceeded') return []
    const to = direction === 'forward' ? flow.server : flow.client
    return [
      finding(
        'ttl-expired',
        flow.id,
        `TTL of ${counted(packets, 'packet')} to ${show(to, flow)} expired: ${from} answered ${name}`,
        {
          frames,
          from,
        },
      ),
    ]
  })
}

function refused(flow: JoinedFlow): Finding[] {
  if (flow.state !== 'refused') return []
  const error = flow.icmpErrors.find(isRefusal)
  const by = error ? `${error.from} answered ICMP ${error.name}` : `${flow.server.ip} answered with RST`
  return [
    finding(
      'connection-refused',
      flow.id,
      `${show(flow.server, flow)} refused: ${by}`,
      error ? { frames: error.frames } : {},
    ),
  ]
}

function reset(flow: JoinedFlow): Finding[] {
  if (flow.state !== 'reset') return []
  return [
    finding('reset-by-peer', flow.id, `the connection to ${show(flow.server, flow)} ended with a reset`),
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

function portRemapped(flow: JoinedFlow): Finding[] {
  return flow.translations.flatMap(({ kind, from, to, between }) =>
    kind === 'snat' && from.port !== to.port
      ? [
          finding(
            'port-remapped',
            flow.id,
            `source port ${from.port} became ${to.port}: ${show(from, flow)} → ${show(to, flow)}`,
            {
              between,
              from,
              to,
            },
          ),
        ]
      : [],
  )
}

function hairpin({ id, passedTwice }: JoinedFlow): Finding[] {
  if (passedTwice.length === 0) return []
  return [finding('hairpin', id, `the packets pass ${passedTwice.join(', ')} twice`, { points: passedTwice })]
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

/** `ip:port`, `[ip6]:port`, or the address alone where there is no port (an ICMP echo id is none). */
function show({ ip, port }: Endpoint, { protocol }: JoinedFlow): string {
  if (port === 0 || protocol.startsWith('icmp')) return ip
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}

/** RFC 1918, RFC 6598 and RFC 4193 addresses: not routed on the Internet. */
function isPrivate(ip: string): boolean {
  return (
    /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|127\.|169\.254\.)/.test(
      ip,
    ) || /^(f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)/.test(ip)
  )
}

/** Multicast and broadcast. */
function isGroup(ip: string): boolean {
  return /^(2(2[4-9]|3\d)\.|255\.255\.255\.255$|ff[0-9a-f]{2}:)/.test(ip)
}
