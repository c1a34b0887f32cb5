/** Decodes the packet that an ICMP error quotes into `out.quoted`, as far as the quote goes. */

import { i32, u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'
import { decodeIp } from './ip.ts'
import { IpProtocol } from './numbers.ts'
import { clearTcpOptions } from './tcp.ts'

/** No IP packet that is quoted was longer than this (jumbograms aside). */
const LONGEST_PACKET = 0xffff + 40
const PORTS_LEN = 4
const TCP_SEQ = 4

/**
 * Fills `out.quoted` from the bytes behind the ICMP header of `out`; `hasQuoted` says whether there was a
 * whole IP header. RFC 792 asks for 8 bytes of the transport's header only, so the quote keeps its ports
 * where those 4 bytes are there, and TCP's sequence number where 8 are. Tunnels and further quotes inside the
 * quote are left alone.
 */
export function decodeQuote(bytes: Uint8Array, start: number, end: number, out: Headers): void {
  const quoteEnd = Math.min(end, start + quoteLen(bytes, out))
  const quoted = out.quoted
  quoted.begin(bytes, out.start, quoteEnd, start + LONGEST_PACKET)
  decodeIp(bytes, start, quoteEnd, out.ipVersion === 6 ? 6 : 4, quoted)
  out.hasQuoted = quoted.ipVersion !== 0
  const hasMore = out.hasQuoted && !quoted.hasTransport && quoted.fragmentOffset === 0
  if (hasMore) keepPorts(bytes, quoted.payloadOffset, Math.min(quoteEnd, quoted.packetEnd), quoted)
}

/** Length of the quote in bytes where extensions may follow it (RFC 4884, 4 and 5), else Infinity. */
function quoteLen(bytes: Uint8Array, out: Headers): number {
  const type = out.icmpType
  if (out.ipVersion === 6) {
    const len = type === 1 || type === 3 ? bytes[out.transportOffset + 4] * 8 : 0
    return len || Number.POSITIVE_INFINITY
  }
  const len = type === 3 || type === 11 || type === 12 ? bytes[out.transportOffset + 5] * 4 : 0
  return len || Number.POSITIVE_INFINITY
}

function keepPorts(bytes: Uint8Array, start: number, end: number, quoted: Headers): void {
  const protocol = quoted.protocol
  const hasPorts = protocol === IpProtocol.Tcp || protocol === IpProtocol.Udp || protocol === IpProtocol.Sctp
  if (!hasPorts || end - start < PORTS_LEN) return
  quoted.hasTransport = true
  quoted.transportOffset = start
  quoted.srcPort = u16(bytes, start)
  quoted.dstPort = u16(bytes, start + 2)
  quoted.transportChecksumField = 0
  quoted.transportChecksum = Checksum.Unchecked
  quoted.udpLengthField = 0
  quoted.tcpSeq = end - start >= TCP_SEQ + 4 ? i32(bytes, start + TCP_SEQ) >>> 0 : 0
  quoted.tcpAck = 0
  quoted.tcpFlags = 0
  quoted.tcpWindow = 0
  clearTcpOptions(quoted)
}
