/** What takes no part in any flow: counted by reason and point, so that nothing is lost silently. */

import type { PointIndex } from '../capture/record.ts'
import type { Headers } from '../decode/headers.ts'
import { Protocol } from './identity.ts'

/**
 * `arp` · `link-type` (not decoded) · `neighbor-discovery` (ICMPv6 router and neighbor messages, MLD) · `fragment` (behind the first, which has the
 * ports) · `icmp-error` (quotes a packet of no known flow) · `icmp-other` · `not-ip` · `undecoded` (cut or malformed
 * in front of the ports).
 */
export type NotJoinedReason =
  | 'arp'
  | 'link-type'
  | 'neighbor-discovery'
  | 'fragment'
  | 'icmp-error'
  | 'icmp-other'
  | 'not-ip'
  | 'undecoded'

/** Why this packet can't be joined, or null where it can. */
export function reasonNotJoined(headers: Headers): NotJoinedReason | null {
  if (headers.ipVersion === 0) {
    if (headers.isArp) return 'arp'
    if (headers.stopLayer === 'unknown-link-type') return 'link-type'
    return headers.stopLayer === 'none' ? 'not-ip' : 'undecoded'
  }
  if (headers.fragmentOffset > 0) return 'fragment'
  const { protocol, icmpType } = headers
  if (!headers.hasTransport) {
    const hasPorts = protocol === Protocol.Tcp || protocol === Protocol.Udp
    const isIcmp = protocol === Protocol.Icmp || protocol === Protocol.Icmpv6
    return hasPorts || isIcmp || headers.stopLayer !== 'none' || headers.payloadOffset < 0
      ? 'undecoded'
      : null
  }
  if (protocol === Protocol.Icmp) return icmpType === 8 || icmpType === 0 ? null : 'icmp-other'
  if (protocol === Protocol.Icmpv6) {
    if (icmpType === 128 || icmpType === 129) return null
    return icmpType >= 130 && icmpType <= 143 ? 'neighbor-discovery' : 'icmp-other'
  }
  return null
}

/** Counters by reason and point. */
export class NotJoined {
  readonly #counts = new Map<NotJoinedReason, number[]>()

  add(reason: NotJoinedReason, point: PointIndex): void {
    let counts = this.#counts.get(reason)
    if (!counts) {
      counts = []
      this.#counts.set(reason, counts)
    }
    counts[point] = (counts[point] ?? 0) + 1
  }

  /** All counts that are not 0, by reason, then point. */
  list(): { reason: NotJoinedReason; point: PointIndex; packets: number }[] {
    const list: { reason: NotJoinedReason; point: PointIndex; packets: number }[] = []
    for (const [reason, counts] of [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)))
      counts.forEach((packets, point) => {
        list.push({ reason, point, packets })
      })
    return list
  }
}
