/** Decodes the GTP-U header and skips its extension headers. */

import { i32 } from './big-endian.ts'
import type { Headers } from './headers.ts'
import { EtherType } from './numbers.ts'

const MIN_LEN = 8
const MESSAGE_TYPE = 1
const TEID = 4
const G_PDU = 255
/** Version 1, protocol type GTP; behind them the flags for the optional fields. */
const VERSION_MASK = 0xf0
const VERSION = 0x30
const HAS_OPTIONAL = 0x07
const HAS_EXTENSION = 0x04
const OPTIONAL_LEN = 4

/**
 * Fills the tunnel fields of `out` from the GTP-U header at `start` (3GPP TS 29.281, 5.1); returns where the user's packet
 * begins, or -1: with `out.stopLayer` set, or without where the message carries none.
 */
export function decodeGtpu(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < MIN_LEN) return out.stopShort('gtpu', start + MIN_LEN)
  if ((bytes[start] & VERSION_MASK) !== VERSION || bytes[start + MESSAGE_TYPE] !== G_PDU) return -1
  let at = start + MIN_LEN
  if (bytes[start] & HAS_OPTIONAL) {
    if (end - at < OPTIONAL_LEN) return out.stopShort('gtpu', at + OPTIONAL_LEN)
    at += OPTIONAL_LEN
    let next = bytes[start] & HAS_EXTENSION ? bytes[at - 1] : 0
    while (next !== 0) {
      if (at >= end) return out.stopShort('gtpu', at + 1)
      const length = bytes[at] * 4
      if (length === 0) return out.stopMalformed('gtpu', at)
      at += length
      if (at > end) return out.stopShort('gtpu', at)
      next = bytes[at - 1]
    }
  }
  if (at >= end) return out.stopShort('gtpu', at + 1)
  const version = bytes[at] >> 4
  if (version !== 4 && version !== 6) return -1
  out.tunnel = 'gtpu'
  out.tunnelId = i32(bytes, start + TEID) >>> 0
  out.tunnelProtocol = version === 4 ? EtherType.Ipv4 : EtherType.Ipv6
  return at
}
