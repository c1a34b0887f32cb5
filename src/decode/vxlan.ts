/** Decodes the VXLAN header. */

import { u24 } from './big-endian.ts'
import type { Headers } from './headers.ts'
import { EtherType } from './numbers.ts'

const HEADER_LEN = 8
const VNI = 4
const VNI_IS_VALID = 0x08

/**
 * Fills the tunnel fields of `out` from the VXLAN header at `start` (RFC 7348, 5); returns where the inner
 * frame begins, or -1: with `out.stopLayer` set, or without where the flag that every VXLAN header carries is
 * missing (it is something else).
 */
export function decodeVxlan(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('vxlan', start + HEADER_LEN)
  if ((bytes[start] & VNI_IS_VALID) === 0) return -1
  out.tunnel = 'vxlan'
  out.tunnelId = u24(bytes, start + VNI)
  out.tunnelProtocol = EtherType.Ethernet
  return start + HEADER_LEN
}
