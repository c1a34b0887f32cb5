/** Decodes the UDP header and checks its length against the packet's. */

import { u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'

const HEADER_LEN = 8
const DST_PORT = 2
const LENGTH = 4
const CHECKSUM = 6

/**
 * Fills `out` from the UDP header at `start` (RFC 768); returns where the payload begins, or -1 with
 * `out.stopLayer` set. A length that does not fit is malformed, but leaves the ports in place.
 */
export function decodeUdp(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('udp', start + HEADER_LEN)
  const payload = start + HEADER_LEN
  const length = u16(bytes, start + LENGTH)
  out.hasTransport = true
  out.transportOffset = start
  out.srcPort = u16(bytes, start)
  out.dstPort = u16(bytes, start + DST_PORT)
  out.udpLengthField = length
  out.transportChecksumField = u16(bytes, start + CHECKSUM)
  out.transportChecksum = Checksum.Unchecked
  out.payloadOffset = payload
  out.payloadLenBytes = out.packetEnd - payload

  // 0 in a jumbogram and in super-packets: the datagram fills the packet (RFC 2675, 4).
  if (length === 0 && out.ipTotalLenBytes > 0xffff) return payload
  // A first fragment holds less than the datagram.
  const isLong = start + length > out.packetEnd && !out.moreFragments
  if (length < HEADER_LEN || isLong) return out.stopMalformed('udp', start + LENGTH)
  out.packetEnd = Math.min(out.packetEnd, start + length)
  out.payloadLenBytes = out.packetEnd - payload
  return payload
}
