/** Decodes one IP packet: its IP header by version, then the transport header by `protocol`. */

import type { Headers } from './headers.ts'
import { decodeIcmp, decodeIcmpv6 } from './icmp.ts'
import { decodeIpv4 } from './ipv4.ts'
import { decodeIpv6 } from './ipv6.ts'
import { IpProtocol } from './numbers.ts'
import { decodeSctp } from './sctp.ts'
import { decodeTcp } from './tcp.ts'
import { decodeUdp } from './udp.ts'

/**
 * Fills `out` from the IP packet of `version` at `start`; returns where the transport's payload begins, or -1
 * where there is nothing more to decode: `out.stopLayer` tells damage from a later fragment or a protocol
 * that has no decoder.
 */
export function decodeIp(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: 4 | 6,
  out: Headers,
): number {
  const at = version === 4 ? decodeIpv4(bytes, start, end, out) : decodeIpv6(bytes, start, end, out)
  const hasMore = at >= 0 && out.fragmentOffset === 0
  const payload = hasMore ? decodeTransport(bytes, at, Math.min(end, out.packetEnd), out) : -1
  if (!out.hasTransport && out.ipVersion !== 0) takeAllAsPayload(out)
  return payload
}

function decodeTransport(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  return out.protocol === IpProtocol.Tcp
    ? decodeTcp(bytes, start, end, out)
    : decodeOtherTransport(bytes, start, end, out)
}

function decodeOtherTransport(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  switch (out.protocol) {
    case IpProtocol.Udp:
      return decodeUdp(bytes, start, end, out)
    case IpProtocol.Icmp:
      return out.ipVersion === 4 ? decodeIcmp(bytes, start, end, out) : -1
    case IpProtocol.Icmpv6:
      return out.ipVersion === 6 ? decodeIcmpv6(bytes, start, end, out) : -1
    case IpProtocol.Sctp:
      return decodeSctp(bytes, start, end, out)
    default:
      return -1
  }
}

function takeAllAsPayload(out: Headers): void {
  out.payloadOffset = out.ipOffset + out.ipHeaderLenBytes
  out.payloadLenBytes = Math.max(0, out.packetEnd - out.payloadOffset)
  out.srcPort = 0
  out.dstPort = 0
}
