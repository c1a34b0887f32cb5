/** Decodes the common header of SCTP, for its ports. */

import { u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'

const HEADER_LEN = 12
const DST_PORT = 2

/**
 * Fills `out` from the SCTP common header at `start` (RFC 9260, 3.1); returns where the chunks begin, or -1
 * with `out.stopLayer` set.
 */
export function decodeSctp(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('sctp', start + HEADER_LEN)
  out.hasTransport = true
  out.transportOffset = start
  out.srcPort = u16(bytes, start)
  out.dstPort = u16(bytes, start + DST_PORT)
  // SCTP's is a CRC of 32 bits, nothing that the Internet checksum's readers could use.
  out.transportChecksumField = 0
  out.transportChecksum = Checksum.Unchecked
  out.payloadOffset = start + HEADER_LEN
  out.payloadLenBytes = out.packetEnd - out.payloadOffset
  return start + HEADER_LEN
}
