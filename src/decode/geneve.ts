/** Decodes the Geneve header and skips its options. */

import { u16, u24 } from './big-endian.ts'
import type { Headers } from './headers.ts'

const MIN_LEN = 8
const PROTOCOL = 2
const VNI = 4

/**
 * Fills the tunnel fields of `out` from the Geneve header at `start` (RFC 8926, 3.4); returns where the inner
 * packet begins, or -1 with `out.stopLayer` set.
 */
export function decodeGeneve(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < MIN_LEN) return out.stopShort('geneve', start + MIN_LEN)
  const headerEnd = start + MIN_LEN + (bytes[start] & 0x3f) * 4
  if (bytes[start] >> 6 !== 0) return out.stopMalformed('geneve', start)
  out.tunnel = 'geneve'
  out.tunnelId = u24(bytes, start + VNI)
  out.tunnelProtocol = u16(bytes, start + PROTOCOL)
  if (headerEnd > out.packetEnd) return out.stopMalformed('geneve', start)
  return headerEnd > end ? out.stopShort('geneve', headerEnd) : headerEnd
}
