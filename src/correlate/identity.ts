/** Identity: what of a packet survives bridges, routers and NAT, as one 64-bit key (see RFC 5475 on packet selection by hash). */

import { type Headers, TcpFlag } from '../decode/headers.ts'
import { mix } from './columns.ts'

/** IANA protocol numbers that the joiner treats in their own way. */
export const Protocol = { Icmp: 1, Tcp: 6, Udp: 17, Icmpv6: 58 } as const

/** Payload bytes that take part where all captures have them. */
const BODY_BYTES = 24
/** What a tagged IPv6 UDP packet has in front of its payload, and more: with this snaplen the body bytes are there. */
const AMPLE_SNAPLEN = 112
/** ECN may be rewritten anywhere, and segmentation keeps CWR in the first piece only. */
const STABLE_FLAGS = ~(TcpFlag.Ece | TcpFlag.Cwr) & 0xff

/**
 * The NAT-neutral identity of a packet. Addresses, ports, ICMP echo ids, TTL, DSCP/ECN and checksums are left out, as
 * routers and NAT change them. The IPv4 Identification takes part, but not of TCP: it survives both, and what is sent again
 * has another one.
 * TCP timestamps do not, as a snaplen may have cut them off: the matcher compares them where both packets have them.
 * Call `of()` and read the fields; they are valid until the next call.
 */
export class Identity {
  low = 0
  high = 0
  /** True where little speaks for the identity: no IPv4 ID and hardly any payload. Such a packet alone links no flows. */
  weak = false
  /** Payload bytes that take part: none where a capture may have cut them away, as then the points would differ. */
  bodyBytes = BODY_BYTES
  readonly #seed: number

  /** A seed of the run, unless given, so that collisions in one capture are not those of the next. */
  constructor(seed = (Math.random() * 0xffffffff) | 0) {
    this.#seed = seed
  }

  /** A capture keeps only so many bytes of each frame (0: all). */
  limitTo(snapLenBytes: number): void {
    if (snapLenBytes > 0 && snapLenBytes < AMPLE_SNAPLEN) this.bodyBytes = 0
  }

  /** Does the IPv4 Identification take part at all? Of TCP the matcher compares it, as enough else speaks for a segment. */
  static hasIpId(protocol: number): boolean {
    return protocol !== Protocol.Tcp
  }

  /** What the IPv4 Identification contributes to `low`; put in and taken out by exclusive or. */
  static lowOfId(ipId: number): number {
    return Math.imul(ipId, 0x9e3779b1)
  }

  /** The same for `high`. */
  static highOfId(ipId: number): number {
    return Math.imul(ipId, 0x85ebca77)
  }

  /**
   * Fills the key from decoded headers; `headers.hasTransport` must be true. Where a translator may change the family
   * (`isInTwoFamilies`) the IPv4 Identification takes no part: IPv6 has none, and the translator makes one up.
   */
  of(headers: Headers, isInTwoFamilies = false): void {
    const id =
      Identity.hasIpId(headers.protocol) && headers.ipVersion === 4 && !isInTwoFamilies ? headers.ipId : 0
    const protocol = headers.protocol === Protocol.Icmpv6 ? Protocol.Icmp : headers.protocol
    let a = mix(this.#seed, protocol)
    let b = mix(~this.#seed, this.#lengthOf(headers))
    if (headers.protocol === Protocol.Tcp) {
      const flags = headers.tcpFlags & STABLE_FLAGS
      a = mix(a, headers.tcpSeq)
      b = mix(b, headers.tcpSeq ^ 0x5bd1e995)
      b = mix(b, (flags << 16) | headers.tcpWindow)
      if (flags & TcpFlag.Ack) {
        a = mix(a, headers.tcpAck)
        b = mix(b, headers.tcpAck)
      }
      this.weak = false
    } else {
      if (
        headers.icmpType >= 0 &&
        (headers.protocol === Protocol.Icmp || headers.protocol === Protocol.Icmpv6)
      ) {
        a = mix(a, (echoType(headers.icmpType) << 8) | headers.icmpCode)
        b = mix(b, headers.icmpSeq)
      }
      const from = headers.payloadOffset
      const wanted = from + Math.min(headers.payloadLenBytes, this.bodyBytes)
      const to = Math.min(headers.end, wanted)
      if (to < wanted && headers.end < headers.packetEnd && this.bodyBytes > 0) {
        // In a tunnel the snaplen does not reach as far as outside of it: no bytes from here on, as points would differ.
        this.bodyBytes = 0
        this.of(headers, isInTwoFamilies)
        return
      }
      const bytes = headers.bytes
      for (let i = from; i < to; i += 4) {
        // Bytes behind `to` must not take part: they are another packet's.
        let word = bytes[i]!
        if (i + 1 < to) word |= bytes[i + 1]! << 8
        if (i + 2 < to) word |= bytes[i + 2]! << 16
        if (i + 3 < to) word |= bytes[i + 3]! << 24
        a = mix(a, word)
        b = mix(b, word ^ 0x9e3779b9)
      }
      this.weak = id === 0 && to - from < 8
    }
    this.low = a ^ Identity.lowOfId(id)
    this.high = b ^ Identity.highOfId(id)
  }

  /** Length of the payload, as far as it is the same in a first fragment and in the whole datagram. */
  #lengthOf(headers: Headers): number {
    if (headers.protocol === Protocol.Udp) return headers.udpLengthField
    if (headers.protocol === Protocol.Icmp || headers.protocol === Protocol.Icmpv6) return 0
    return headers.payloadLenBytes
  }
}

/** ICMPv6's number for echo request or reply as ICMP has it (RFC 7915, 4.2 and 5.2). */
function echoType(type: number): number {
  if (type === 128) return 8
  return type === 129 ? 0 : type
}
