/** Decodes the headers of ICMP and ICMPv6; the packet that an error quotes is decoded by `quote.ts`. */

import { i32, u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'

const HEADER_LEN = 8
const CODE = 1
const CHECKSUM = 2
const IDENTIFIER = 4
const SEQUENCE = 6
const NEXT_HOP_MTU = 6
const MTU_V6 = 4

const DESTINATION_UNREACHABLE = 3
const FRAGMENTATION_NEEDED = 4
const PACKET_TOO_BIG = 2
const ECHO_REQUEST_V6 = 128
const ECHO_REPLY_V6 = 129

/**
 * Fills `out` from the ICMP header at `start` (RFC 792; MTU: RFC 1191, 4); returns where its data begins, or
 * -1 with `out.stopLayer` set.
 */
export function decodeIcmp(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('icmp', start + HEADER_LEN)
  const type = bytes[start]
  decodeCommon(bytes, start, isQueryV4(type), out)
  if (type === DESTINATION_UNREACHABLE && out.icmpCode === FRAGMENTATION_NEEDED) {
    out.icmpMtu = u16(bytes, start + NEXT_HOP_MTU)
  }
  return start + HEADER_LEN
}

/**
 * Fills `out` from the ICMPv6 header at `start` (RFC 4443, 2.1); returns where its data begins, or -1 with
 * `out.stopLayer` set.
 */
export function decodeIcmpv6(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('icmpv6', start + HEADER_LEN)
  const type = bytes[start]
  decodeCommon(bytes, start, type === ECHO_REQUEST_V6 || type === ECHO_REPLY_V6, out)
  if (type === PACKET_TOO_BIG) out.icmpMtu = i32(bytes, start + MTU_V6) >>> 0
  return start + HEADER_LEN
}

function decodeCommon(bytes: Uint8Array, start: number, isQuery: boolean, out: Headers): void {
  out.hasTransport = true
  out.transportOffset = start
  out.icmpType = bytes[start]
  out.icmpCode = bytes[start + CODE]
  out.transportChecksumField = u16(bytes, start + CHECKSUM)
  out.transportChecksum = Checksum.Unchecked
  out.icmpId = isQuery ? u16(bytes, start + IDENTIFIER) : 0
  out.icmpSeq = isQuery ? u16(bytes, start + SEQUENCE) : 0
  out.icmpMtu = 0
  out.srcPort = out.icmpId
  out.dstPort = out.icmpId
  out.payloadOffset = start + HEADER_LEN
  out.payloadLenBytes = out.packetEnd - out.payloadOffset
}

/** Echo (0, 8), timestamp (13, 14), information (15, 16) and address mask (17, 18). */
function isQueryV4(type: number): boolean {
  return type === 0 || type === 8 || (type >= 13 && type <= 18)
}

/** True where a message of this type quotes the packet that it is about (RFC 792; RFC 4443, 3). */
export function isIcmpError(ipVersion: number, type: number): boolean {
  if (ipVersion === 6) return type >= 1 && type <= 4
  return type === DESTINATION_UNREACHABLE || type === 4 || type === 5 || type === 11 || type === 12
}
