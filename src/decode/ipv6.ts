/** Decodes the IPv6 header and walks its extension headers up to the transport's. */

import { i32, u16, u24 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'
import { IpProtocol } from './numbers.ts'

const HEADER_LEN = 40
const PAYLOAD_LEN = 4
const NEXT_HEADER = 6
const HOP_LIMIT = 7
const SRC = 8
const DST = 24

const EXTENSION_MIN_LEN = 8
const SEGMENTS_LEFT = 3
const FRAGMENT_OFFSET = 2
const FRAGMENT_ID = 4

const OPTION_PAD1 = 0
const OPTION_JUMBO = 0xc2

/**
 * Fills `out` from the IPv6 header at `start` (RFC 8200, 3 and 4); returns where the payload behind the
 * extension headers begins, or -1 with `out.stopLayer` set. In a later fragment, `protocol` is what the first
 * fragment's payload begins with.
 */
export function decodeIpv6(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('ipv6', start + HEADER_LEN)
  if (bytes[start] >> 4 !== 6) return out.stopMalformed('ipv6', start)

  const payloadLen = u16(bytes, start + PAYLOAD_LEN)
  const next = bytes[start + NEXT_HEADER]
  out.ipVersion = 6
  out.ipOffset = start
  out.trafficClass = (u16(bytes, start) >> 4) & 0xff
  out.ipv6FlowLabel = u24(bytes, start + 1) & 0xfffff
  out.ipv6SegmentsLeft = 0
  out.ipId = 0
  out.dontFragment = false
  out.moreFragments = false
  out.fragmentOffset = 0
  out.ttl = bytes[start + HOP_LIMIT]
  out.srcOffset = start + SRC
  out.dstOffset = start + DST
  out.ipChecksum = Checksum.Unchecked
  // Length 0 is a jumbogram's (RFC 2675) or a super-packet's, which fills the frame; or there really is
  // nothing.
  let totalLen = HEADER_LEN + payloadLen
  if (payloadLen === 0 && next !== IpProtocol.NoNextHeader) {
    const jumboLen = next === IpProtocol.HopByHop ? jumboPayloadLen(bytes, start + HEADER_LEN, end) : 0
    totalLen = jumboLen > 0 ? HEADER_LEN + jumboLen : out.packetEnd - start
  }
  out.ipTotalLenBytes = totalLen
  out.packetEnd = Math.min(out.packetEnd, start + totalLen)
  return walkExtensions(bytes, start + HEADER_LEN, Math.min(end, out.packetEnd), next, out)
}

/**
 * Skips extension headers from `start` on, the first of kind `next` (RFC 8200, 4; AH: RFC 4302, 2); sets
 * `protocol`. Each takes at least 8 bytes, which bounds the walk. Returns where the payload begins, or -1
 * with `out.stopLayer` set.
 */
function walkExtensions(bytes: Uint8Array, start: number, end: number, next: number, out: Headers): number {
  let at = start
  while (isExtension(next) && out.fragmentOffset === 0) {
    out.protocol = next
    out.ipHeaderLenBytes = at - out.ipOffset
    if (end - at < EXTENSION_MIN_LEN) return out.stopShort('ipv6-extension', at + EXTENSION_MIN_LEN)
    let len = EXTENSION_MIN_LEN
    if (next === IpProtocol.Fragment) {
      const offset = u16(bytes, at + FRAGMENT_OFFSET)
      out.fragmentOffset = offset & 0xfff8
      out.moreFragments = (offset & 1) !== 0
      out.ipId = i32(bytes, at + FRAGMENT_ID) >>> 0
    } else {
      len = next === IpProtocol.Ah ? authenticationHeaderLen(bytes, at) : (bytes[at + 1] + 1) * 8
      if (end - at < len) {
        return at + len > out.packetEnd
          ? out.stopMalformed('ipv6-extension', at + 1)
          : out.stopShort('ipv6-extension', at + len)
      }
      if (next === IpProtocol.Routing) out.ipv6SegmentsLeft = bytes[at + SEGMENTS_LEFT]
    }
    next = bytes[at]
    at += len
  }
  out.protocol = next
  out.ipHeaderLenBytes = at - out.ipOffset
  return at
}

function isExtension(next: number): boolean {
  switch (next) {
    case IpProtocol.HopByHop:
    case IpProtocol.Routing:
    case IpProtocol.Fragment:
    case IpProtocol.Ah:
    case IpProtocol.DestinationOptions:
    case IpProtocol.Mobility:
    case IpProtocol.Hip:
    case IpProtocol.Shim6:
      return true
    default:
      return false
  }
}

function authenticationHeaderLen(bytes: Uint8Array, at: number): number {
  return Math.max(EXTENSION_MIN_LEN, (bytes[at + 1] + 2) * 4)
}

/** Jumbo Payload Length of the Hop-by-Hop header at `at` (RFC 2675, 2), or 0 where it carries none. */
function jumboPayloadLen(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < EXTENSION_MIN_LEN) return 0
  const optionsEnd = Math.min(end, at + (bytes[at + 1] + 1) * 8)
  let option = at + 2
  while (option + 6 <= optionsEnd) {
    if (bytes[option] === OPTION_JUMBO) return i32(bytes, option + 2) >>> 0
    option += bytes[option] === OPTION_PAD1 ? 1 : 2 + bytes[option + 1]
  }
  return 0
}
