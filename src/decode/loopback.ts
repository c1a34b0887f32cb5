/** Decodes the 4-byte address family in front of BSD loopback frames: LINKTYPE_NULL and LINKTYPE_LOOP. */

import { i32 } from './big-endian.ts'
import type { Headers } from './headers.ts'
import { EtherType } from './numbers.ts'

const HEADER_LEN = 4
const AF_INET = 2
/** AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS. */
const AF_INET6 = [10, 24, 28, 30]

/**
 * Fills `etherType` from the address family at `start`, in the byte order of whichever host captured it.
 * Returns where the payload begins, or -1 with `out.stopLayer` set.
 */
export function decodeLoopback(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('loopback', start + HEADER_LEN)
  let family = i32(bytes, start)
  // Families are small numbers, so only the right byte order gives one.
  if (family < 0 || family > 0xff) {
    family = bytes[start] | (bytes[start + 1] << 8) | (bytes[start + 2] << 16) | (bytes[start + 3] << 24)
  }
  if (family === AF_INET) out.etherType = EtherType.Ipv4
  else if (AF_INET6.includes(family)) out.etherType = EtherType.Ipv6
  return start + HEADER_LEN
}
