/**
 * Decodes the IPv4 header; the packet ends where Total Length says, so that Ethernet padding is no payload.
 */

import { u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'

const MIN_LEN = 20
const TRAFFIC_CLASS = 1
const TOTAL_LEN = 2
const ID = 4
const FLAGS_AND_OFFSET = 6
const TTL = 8
const PROTOCOL = 9
const SRC = 12
const DST = 16

const DONT_FRAGMENT = 0x4000
const MORE_FRAGMENTS = 0x2000
const FRAGMENT_OFFSET = 0x1fff

/**
 * Fills `out` from the IPv4 header at `start` (RFC 791, 3.1); returns where the payload begins, or -1 with
 * `out.stopLayer` set.
 */
export function decodeIpv4(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < MIN_LEN) return out.stopShort('ipv4', start + MIN_LEN)
  const headerLen = (bytes[start] & 0x0f) * 4
  if (bytes[start] >> 4 !== 4 || headerLen < MIN_LEN) return out.stopMalformed('ipv4', start)
  if (end - start < headerLen) return out.stopShort('ipv4', start + headerLen)

  // A super-packet of 64 KiB and more cannot say its length (Linux BIG TCP): it fills the frame.
  const totalLen = u16(bytes, start + TOTAL_LEN) || out.packetEnd - start
  const fragment = u16(bytes, start + FLAGS_AND_OFFSET)
  out.ipVersion = 4
  out.ipOffset = start
  out.ipHeaderLenBytes = headerLen
  out.ipTotalLenBytes = totalLen
  out.trafficClass = bytes[start + TRAFFIC_CLASS]
  out.ipId = u16(bytes, start + ID)
  out.dontFragment = (fragment & DONT_FRAGMENT) !== 0
  out.moreFragments = (fragment & MORE_FRAGMENTS) !== 0
  out.fragmentOffset = (fragment & FRAGMENT_OFFSET) * 8
  out.ttl = bytes[start + TTL]
  out.protocol = bytes[start + PROTOCOL]
  out.srcOffset = start + SRC
  out.dstOffset = start + DST
  out.ipChecksum = Checksum.Unchecked
  out.ipv6FlowLabel = 0
  out.ipv6SegmentsLeft = 0
  out.packetEnd = Math.min(out.packetEnd, start + Math.max(totalLen, headerLen))
  return totalLen < headerLen ? out.stopMalformed('ipv4', start + TOTAL_LEN) : start + headerLen
}
