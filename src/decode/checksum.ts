/**
 * Verifies checksums, telling damage from checksums that offload has not filled in yet; apart from decoding,
 * as it reads payloads.
 */

import { u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'
import { isIcmpError } from './icmp.ts'
import { IpProtocol } from './numbers.ts'

/**
 * One's-complement sums are sums modulo 65535 (RFC 1071, 2): carries fold by themselves, and 0xffff is
 * another zero.
 */
const ONES = 0xffff

/**
 * Fills `ipChecksum` and `transportChecksum` of `out` (not of `out.inner`, which may be handed in by itself).
 * Reads the bytes of the record that was decoded, so it must still be there. Tells: Right; Offloaded, where
 * the field holds the pseudo-header's sum (Linux' CHECKSUM_PARTIAL) or, in an IPv4 header, 0; Wrong; and
 * Unchecked, where bytes are missing: in fragments and frames that were cut (though Offloaded shows there
 * too), where the sender sent none (UDP 0), and for SCTP, whose CRC is another thing.
 */
export function verifyChecksums(out: Headers): void {
  if (out.ipVersion === 4) out.ipChecksum = ipv4HeaderChecksum(out)
  if (out.ipVersion !== 0) out.transportChecksum = transportChecksum(out)
}

function ipv4HeaderChecksum(out: Headers): Checksum {
  const sum = sumWords(out.bytes, out.ipOffset, out.ipOffset + out.ipHeaderLenBytes)
  if (sum % ONES === 0) return Checksum.Right
  return u16(out.bytes, out.ipOffset + 10) === 0 ? Checksum.Offloaded : Checksum.Wrong
}

function transportChecksum(out: Headers): Checksum {
  const start = out.transportOffset
  if (!out.hasTransport || out.moreFragments || out.end - start < minLen(out.protocol))
    return Checksum.Unchecked
  const len = out.packetEnd - start
  if (out.protocol === IpProtocol.Udp) {
    const honestField = len > 0xffff ? 0 : len
    if (out.udpLengthField !== honestField || out.transportChecksumField === 0) return Checksum.Unchecked
  }
  const pseudo = out.protocol === IpProtocol.Icmp ? 0 : pseudoHeaderSum(out)
  if (pseudo < 0) return Checksum.Unchecked
  // First, as it spares the sum over the payload. One right checksum in 65,535 looks the same; that is harmless.
  if (out.protocol !== IpProtocol.Icmp && isPseudoHeaderSum(out.transportChecksumField, pseudo, len)) {
    return Checksum.Offloaded
  }
  const isWhole = out.packetEnd <= out.end
  if (isWhole) {
    const sum = pseudo + len + sumWords(out.bytes, start, out.packetEnd)
    // Without a pseudo-header the length takes no part, and all zeros have a sum that is not the one of a
    // right checksum.
    if (out.protocol === IpProtocol.Icmp)
      return sum > len && (sum - len) % ONES === 0 ? Checksum.Right : Checksum.Wrong
    if (sum % ONES === 0) return Checksum.Right
  }
  return isWhole ? Checksum.Wrong : Checksum.Unchecked
}

/**
 * What the checksum of the IPv4 header should be (RFC 791, 3.1): that of all its other bytes. Meaningful where `ipVersion`
 * is 4.
 */
export function rightIpv4Checksum(out: Headers): number {
  const { bytes, ipOffset } = out
  return complement(sumWords(bytes, ipOffset, ipOffset + out.ipHeaderLenBytes) - u16(bytes, ipOffset + 10))
}

/**
 * What the checksum of TCP, UDP, ICMP or ICMPv6 should be, as it would stand on a wire; null where the bytes that it takes were
 * not all captured, in fragments, and where `verifyChecksums` can't tell either.
 */
export function rightTransportChecksum(out: Headers): number | null {
  const start = out.transportOffset
  if (!out.hasTransport || out.moreFragments || out.packetEnd > out.end) return null
  if (out.packetEnd - start < minLen(out.protocol)) return null
  const pseudo = out.protocol === IpProtocol.Icmp ? 0 : pseudoHeaderSum(out)
  if (pseudo < 0) return null
  const len = out.protocol === IpProtocol.Icmp ? 0 : out.packetEnd - start
  const sum = complement(
    pseudo + len + sumWords(out.bytes, start, out.packetEnd) - out.transportChecksumField,
  )
  // In UDP, 0 says that there is none (RFC 768).
  return sum === 0 && out.protocol === IpProtocol.Udp ? ONES : sum
}

/** The one's complement of a sum that is not folded yet (RFC 1071). */
function complement(sum: number): number {
  return sum === 0 ? ONES : modOnes(-sum)
}

/**
 * What is left of the transport checksum without addresses, ports and ICMP id, 0 to 65534: the same before
 * and after NAT, also in frames that were cut (RFC 1624; RFC 3022, 4.2). -1 where there is none: no transport
 * header, UDP without a checksum, SCTP, ICMP errors (NAT rewrites their quotes), and offload (the field says
 * nothing about the payload).
 */
export function natNeutralChecksum(out: Headers): number {
  const field = out.transportChecksumField
  if (!out.hasTransport || minLen(out.protocol) === Number.POSITIVE_INFINITY) return -1
  if (out.end - out.transportOffset < minLen(out.protocol)) return -1
  if (out.protocol === IpProtocol.Udp && field === 0) return -1
  if (out.protocol === IpProtocol.Icmp || out.protocol === IpProtocol.Icmpv6) {
    if (isIcmpError(out.ipVersion, out.icmpType)) return -1
    const addresses = out.protocol === IpProtocol.Icmp ? 0 : addressSum(out)
    return modOnes((~field & ONES) - addresses - out.icmpId)
  }
  const pseudo = pseudoHeaderSum(out)
  if (pseudo < 0 || isPseudoHeaderSum(field, pseudo, out.packetEnd - out.transportOffset)) return -1
  return modOnes((~field & ONES) - addressSum(out) - out.srcPort - out.dstPort)
}

/**
 * Bytes of the transport header that hold the checksum and what we take out of it; Infinity where there is no
 * Internet checksum.
 */
function minLen(protocol: number): number {
  switch (protocol) {
    case IpProtocol.Tcp:
      return 20
    case IpProtocol.Udp:
    case IpProtocol.Icmp:
    case IpProtocol.Icmpv6:
      return 8
    default:
      return Number.POSITIVE_INFINITY
  }
}

/**
 * True where the field is what a sender leaves for the hardware to complete: with the length (Linux), or
 * without it (Windows).
 */
function isPseudoHeaderSum(field: number, pseudo: number, len: number): boolean {
  return modOnes(field - pseudo - len) === 0 || modOnes(field - pseudo) === 0
}

/**
 * Sum of the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1) without the length, or -1 where a Routing header
 * hides the destination.
 */
function pseudoHeaderSum(out: Headers): number {
  return out.ipv6SegmentsLeft > 0 ? -1 : addressSum(out) + out.protocol
}

function addressSum(out: Headers): number {
  const len = out.ipVersion === 4 ? 4 : 16
  return (
    sumWords(out.bytes, out.srcOffset, out.srcOffset + len) +
    sumWords(out.bytes, out.dstOffset, out.dstOffset + len)
  )
}

function modOnes(sum: number): number {
  const rest = sum % ONES
  return rest < 0 ? rest + ONES : rest
}

/**
 * Views of the buffers that were read last. Readers reuse theirs, two each; a view per frame would be garbage, and
 * asking a Uint8Array for its buffer costs more than summing up a small packet.
 */
const VIEWS = 16
const viewed: Uint8Array[] = []
const views: DataView[] = []
let oldest = 0

function viewOf(bytes: Uint8Array): DataView {
  for (let i = 0; i < viewed.length; i++) if (viewed[i] === bytes) return views[i]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  viewed[oldest] = bytes
  views[oldest] = view
  oldest = (oldest + 1) % VIEWS
  return view
}

/** Sum of the 16-bit words of `bytes[start..end)`, an odd byte counted as if a 0 followed; not folded. */
function sumWords(bytes: Uint8Array, start: number, end: number): number {
  // Upper and lower halves apart, so that sums stay small integers.
  let high = 0
  let low = 0
  let at = start
  if (end - start >= 32) {
    const view = viewOf(bytes)
    for (const unrolled = end - 15; at < unrolled; at += 16) {
      const a = view.getInt32(at)
      const b = view.getInt32(at + 4)
      const c = view.getInt32(at + 8)
      const d = view.getInt32(at + 12)
      high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)
      low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)
    }
  }
  for (const last = end - 1; at < last; at += 2) low += (bytes[at] << 8) | bytes[at + 1]
  if (at < end) low += bytes[at] << 8
  return high + low
}
