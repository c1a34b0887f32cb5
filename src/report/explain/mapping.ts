/** The mapping: what connection tracking remembers of a flow, derived from how it looks on both sides of each kernel that has it. */

import type { ConntrackEntry, Receipts, Tuple } from '../../receipts/model.ts'
import { renderEndpoint, sameEndpoint } from '../endpoint.ts'
import { harmless } from '../harmless.ts'
import type { FlowReport, Station } from '../model.ts'
import type { Endpoint, Mapping } from './model.ts'
import type { Progress } from './progress.ts'

interface Side {
  src: Endpoint
  dst: Endpoint
}

const NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58, sctp: 132 }
const ECHO = { icmp: [8, 0], icmpv6: [128, 129] } as const

/**
 * The entries of all kernels on the way that translate; where none does, that of the first that routes. Empty where nothing
 * on the way is known to track.
 */
export function mappingsOf(flow: FlowReport, progress: Progress, receipts: readonly Receipts[]): Mapping[] {
  if (NUMBERS[flow.protocol] === undefined) return []
  const places = placesOf(flow)
  const translating = places.filter(({ original, beyond }) => !isSame(original, beyond))
  const shown = translating.length > 0 ? translating : places.slice(0, 1)
  return shown.map(({ between, original, beyond }) => {
    const known = fromReceipts(flow.protocol, original, beyond, receipts)
    return {
      between,
      entry: harmless(known ? entryOf(known) : entryLine(flow.protocol, original, turned(beyond), progress)),
      text: meaning(original, beyond, flow.protocol),
      knownFrom: known ? 'receipts' : 'frames',
    }
  })
}

interface TrackingPlace {
  between: [string, string]
  /** The client's packet as it comes in, and as it leaves. */
  original: Side
  beyond: Side
}

/** Everywhere on the way where the packet is routed or translated, the client's side first. */
function placesOf(flow: FlowReport): TrackingPlace[] {
  const isForward = flow.forward.path.length >= flow.reverse.path.length
  // What the client sends, as the replies show it.
  const path: readonly Station[] = isForward
    ? flow.forward.path
    : flow.reverse.path.map((station) => ({ ...station, src: station.dst, dst: station.src })).reverse()
  const places: TrackingPlace[] = []
  for (const { kind, between, from } of flow.translations) {
    const [first] = path
    if (between[0] !== between[1] || !first || first.point !== between[0]) continue
    const original = kind === 'dnat' ? { src: first.src, dst: from } : { src: from, dst: first.dst }
    places.push({ between, original, beyond: first })
  }
  for (let i = 0; i + 1 < path.length; i++) {
    const [a, b] = [path[i]!, path[i + 1]!]
    if (a.ttl === b.ttl && isSame(a, b)) continue
    // A family of its own on each side is no entry that one table could hold.
    if (a.src.ip.includes(':') !== b.src.ip.includes(':')) continue
    places.push({ between: [a.point, b.point], original: a, beyond: b })
  }
  return places
}

function meaning(original: Side, beyond: Side, protocol: string): string {
  const text = (end: Endpoint) => harmless(renderEndpoint(end, protocol))
  if (isSame(original, beyond))
    return 'No translation: the reply tuple is just the original one turned round.'
  const parts = []
  if (!sameEndpoint(original.src, beyond.src))
    parts.push(
      `a reply to ${text(beyond.src)} belongs to this connection, so its destination becomes ${text(original.src)}`,
    )
  if (!sameEndpoint(original.dst, beyond.dst))
    parts.push(
      `a reply from ${text(beyond.dst)} belongs to this connection, so its source becomes ${text(original.dst)}`,
    )
  return `The first tuple is as the client sent it, the second as the reply has to look: ${parts.join('; ')}.`
}

/** As `conntrack -L` prints an entry, without the seconds that it has left. */
export function entryLine(protocol: string, original: Side, reply: Side, progress: Progress): string {
  const state = progress.tcpState === null || protocol !== 'tcp' ? '' : `${progress.tcpState} `
  const unreplied = progress.isReplied ? '' : '[UNREPLIED] '
  const assured = progress.tcpState === 'ESTABLISHED' ? ' [ASSURED]' : ''
  const head = `${protocol.padEnd(8)} ${NUMBERS[protocol]} ${state}`
  return `${head}${tuple(protocol, original, 0)} ${unreplied}${tuple(protocol, reply, 1)}${assured}`
}

function tuple(protocol: string, { src, dst }: Side, turn: 0 | 1): string {
  const addresses = `src=${src.ip} dst=${dst.ip}`
  if (protocol === 'icmp' || protocol === 'icmpv6')
    return `${addresses} type=${ECHO[protocol][turn]} code=0 id=${src.port}`
  return `${addresses} sport=${src.port} dport=${dst.port}`
}

/** The kernel's own entry, where the capture has its table. */
function fromReceipts(
  protocol: string,
  original: Side,
  beyond: Side,
  receipts: readonly Receipts[],
): ConntrackEntry | undefined {
  return receipts
    .flatMap(({ namespaces }) => namespaces)
    .flatMap(({ conntrack }) => conntrack?.entries ?? [])
    .find(
      (entry) =>
        entry.protocol === protocol &&
        isTuple(entry.original, original) &&
        isTuple(entry.reply, turned(beyond)),
    )
}

function entryOf({ protocol, state, original, reply, isReplied, isAssured }: ConntrackEntry): string {
  const side = ({ src, dst, sport, dport }: Tuple): Side => ({
    src: { ip: src, port: sport ?? 0 },
    dst: { ip: dst, port: dport ?? 0 },
  })
  const line = entryLine(protocol, side(original), side(reply), { isReplied, tcpState: state })
  return isAssured && !line.endsWith(' [ASSURED]') ? `${line} [ASSURED]` : line
}

function isTuple({ src, dst, sport, dport }: Tuple, side: Side): boolean {
  return (
    src === side.src.ip &&
    dst === side.dst.ip &&
    (sport ?? 0) === side.src.port &&
    (dport ?? 0) === side.dst.port
  )
}

function turned({ src, dst }: Side): Side {
  return { src: dst, dst: src }
}

function isSame(a: Side, b: Side): boolean {
  return sameEndpoint(a.src, b.src) && sameEndpoint(a.dst, b.dst)
}
