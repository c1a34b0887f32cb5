/** Decodes the GRE header with its optional checksum, key and sequence number. */

import { i32, u16 } from './big-endian.ts'
import type { Headers } from './headers.ts'

const MIN_LEN = 4
const PROTOCOL = 2
const HAS_CHECKSUM = 0x8000
const HAS_ROUTING = 0x4000
const HAS_KEY = 0x2000
const HAS_SEQUENCE = 0x1000
const VERSION = 0x0007

/**
 * Fills the tunnel fields of `out` from the GRE header at `start` (RFC 2784, 2; RFC 2890, 2); returns where
 * the inner packet begins, or -1: with `out.stopLayer` set, or without for PPTP's version 1 and RFC 1701's
 * source routes, which stay closed.
 */
export function decodeGre(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < MIN_LEN) return out.stopShort('gre', start + MIN_LEN)
  const flags = u16(bytes, start)
  let at = start + MIN_LEN
  if ((flags & HAS_CHECKSUM) !== 0) at += 4
  const keyOffset = at
  if ((flags & HAS_KEY) !== 0) at += 4
  if ((flags & HAS_SEQUENCE) !== 0) at += 4
  out.tunnel = 'gre'
  out.tunnelId = 0
  out.tunnelProtocol = u16(bytes, start + PROTOCOL)
  if ((flags & (HAS_ROUTING | VERSION)) !== 0) return -1
  if (at > end) return out.stopShort('gre', at)
  if ((flags & HAS_KEY) !== 0) out.tunnelId = i32(bytes, keyOffset) >>> 0
  return at
}
