/** Stamps: what happens to packets between two stations of their way. */

import { tunnelName, tunnelSteps } from '../../encapsulation.ts'
import { renderEndpoint, sameEndpoint } from '../../endpoint.ts'
import type { Encapsulation, Endpoint } from '../../model.ts'
import type { Way, WayStation } from './way.ts'

/** Something that happens between two stations. */
export interface Stamp {
  kind: 'snat' | 'dnat' | 'ttl' | 'tunnel' | 'mss' | 'loss' | 'error'
  /** `SNAT`, `DNAT undone`, `TTL`, `3 lost`. */
  word: string
  /** What it was, and what it is then; not there where only the word says something. */
  from?: string
  to?: string
  /** The rest of what is to be said. */
  text?: string
}

/** In the order in which it happens: destinations are rewritten before routing, sources after it. */
export function changesBetween(a: WayStation, b: WayStation, { protocol, direction }: Way): Stamp[] {
  const isForward = direction === 'forward'
  const { left, entered, readdressed } = tunnelSteps(a, b)
  // The reply to a rewritten source has a rewritten destination, and the other way round.
  return [
    ...left.map((tunnel) => tunnelStamp('out of', tunnel)),
    ...readdressed.map((tunnel) => tunnelStamp('readdressed', tunnel)),
    ...rewrite(isForward ? 'dnat' : 'snat', isForward, a.dst, b.dst, protocol),
    ...(a.ttl === b.ttl ? [] : [{ kind: 'ttl', word: 'TTL', from: `${a.ttl}`, to: `${b.ttl}` } as const]),
    ...rewrite(isForward ? 'snat' : 'dnat', isForward, a.src, b.src, protocol),
    ...entered.map((tunnel) => tunnelStamp('into', tunnel)),
  ]
}

function tunnelStamp(what: string, tunnel: Encapsulation): Stamp {
  return { kind: 'tunnel', word: `${what} ${tunnelName(tunnel)}`, text: `${tunnel.src} → ${tunnel.dst}` }
}

function rewrite(
  kind: 'snat' | 'dnat',
  isForward: boolean,
  from: Endpoint,
  to: Endpoint,
  protocol: string,
): Stamp[] {
  if (sameEndpoint(from, to)) return []
  const word = isForward ? kind.toUpperCase() : `${kind.toUpperCase()} undone`
  return [{ kind, word, from: renderEndpoint(from, protocol), to: renderEndpoint(to, protocol) }]
}
