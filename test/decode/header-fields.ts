/**
 * Writes decoded headers under tshark's field names, outer, quoted and inner in one list, as `tshark -E
 * occurrence=a` does.
 */

import { verifyChecksums } from '../../src/decode/checksum.ts'
import { formatIpv4, formatIpv6, formatMac } from '../../src/decode/display.ts'
import { dnsQuestion } from '../../src/decode/dns.ts'
import { Checksum, type Headers } from '../../src/decode/headers.ts'

/** What no version of tshark says: it calls these bad, or unverified in a cut frame. */
export const OFFLOADED = 'offloaded'

/** PROTO_CHECKSUM_E_* of Wireshark: 0 bad, 1 good, 2 unverified, 3 not present, 4 illegal. */
const CHECKSUM_STATUS: Record<Checksum, string> = {
  [Checksum.Wrong]: '0',
  [Checksum.Right]: '1',
  [Checksum.Unchecked]: '2',
  [Checksum.Offloaded]: OFFLOADED,
}

type Writer = (field: string, value: string | number | boolean) => void

/** The fields that both sides can name; `headerFields` gives values for each of them. */
export const FIELDS = [
  ...['eth.dst', 'eth.src', 'vlan.id', 'sll.pkttype', 'sll.ifindex'],
  ...['arp.opcode', 'arp.src.proto_ipv4', 'arp.dst.proto_ipv4'],
  ...[
    'ip.version',
    'ip.hdr_len',
    'ip.dsfield',
    'ip.len',
    'ip.id',
    'ip.flags.df',
    'ip.flags.mf',
    'ip.frag_offset',
  ],
  ...['ip.ttl', 'ip.proto', 'ip.src', 'ip.dst', 'ip.checksum.status'],
  ...['ipv6.tclass', 'ipv6.flow', 'ipv6.plen', 'ipv6.hlim', 'ipv6.src', 'ipv6.dst'],
  ...['ipv6.fraghdr.offset', 'ipv6.fraghdr.more', 'ipv6.fraghdr.ident'],
  ...['tcp.srcport', 'tcp.dstport', 'tcp.seq_raw', 'tcp.ack_raw', 'tcp.hdr_len', 'tcp.len', 'tcp.flags'],
  ...['tcp.window_size_value', 'tcp.checksum', 'tcp.checksum.status'],
  ...['tcp.options.mss_val', 'tcp.options.wscale.shift', 'tcp.options.sack_perm'],
  ...['tcp.options.sack_le', 'tcp.options.sack_re'],
  ...['tcp.options.timestamp.tsval', 'tcp.options.timestamp.tsecr'],
  ...['udp.srcport', 'udp.dstport', 'udp.length', 'udp.checksum', 'udp.checksum.status'],
  ...[
    'icmp.type',
    'icmp.code',
    'icmp.checksum',
    'icmp.checksum.status',
    'icmp.ident',
    'icmp.seq',
    'icmp.mtu',
  ],
  ...['icmpv6.type', 'icmpv6.code', 'icmpv6.checksum', 'icmpv6.checksum.status'],
  ...['icmpv6.echo.identifier', 'icmpv6.echo.sequence_number', 'icmpv6.mtu'],
  ...['sctp.srcport', 'sctp.dstport', 'vxlan.vni', 'geneve.vni', 'gre.key'],
  ...['dns.qry.name', 'dns.qry.type', 'dns.flags.response', 'dns.flags.rcode'],
] as const

export function headerFields(headers: Headers): Map<string, string[]> {
  const fields = new Map<string, string[]>(FIELDS.map((field) => [field, []]))
  writeHeaders(headers, (field, value) => {
    const list = fields.get(field)
    if (!list) throw new Error(`${field} is not in FIELDS`)
    list.push(typeof value === 'boolean' ? (value ? '1' : '0') : String(value))
  })
  return fields
}

function writeHeaders(h: Headers, write: Writer, isQuote = false): void {
  verifyChecksums(h)
  if (h.macOffset >= 0) {
    write('eth.dst', formatMac(h.bytes, h.macOffset))
    write('eth.src', formatMac(h.bytes, h.macOffset + 6))
  }
  if (h.vlanCount > 0) write('vlan.id', h.vlanOuter)
  if (h.vlanCount > 1) write('vlan.id', h.vlanInner)
  if (h.sllPacketType >= 0) write('sll.pkttype', h.sllPacketType)
  if (h.sllInterfaceIndex >= 0) write('sll.ifindex', h.sllInterfaceIndex)
  if (h.isArp) {
    write('arp.opcode', h.arpOperation)
    if (h.arpSenderIpOffset >= 0) write('arp.src.proto_ipv4', formatIpv4(h.bytes, h.arpSenderIpOffset))
    if (h.arpTargetIpOffset >= 0) write('arp.dst.proto_ipv4', formatIpv4(h.bytes, h.arpTargetIpOffset))
  }
  if (h.ipVersion === 4) writeIpv4(h, write)
  if (h.ipVersion === 6) writeIpv6(h, write)
  if (h.hasTransport) writeTransport(h, write, isQuote)
  if (h.tunnel !== 'none' && h.tunnel !== 'ipip') {
    if (h.tunnel === 'vxlan') write('vxlan.vni', h.tunnelId)
    else if (h.tunnel === 'geneve') write('geneve.vni', hex(h.tunnelId, 6))
    else if (h.tunnelId !== 0) write('gre.key', hex(h.tunnelId, 8))
  }
  if (h.hasQuoted) writeHeaders(h.quoted, write, true)
  if (h.hasInner) writeHeaders(h.inner, write)
}

function writeIpv4(h: Headers, write: Writer): void {
  write('ip.version', 4)
  write('ip.hdr_len', h.ipHeaderLenBytes)
  write('ip.dsfield', hex(h.trafficClass, 2))
  write('ip.len', h.ipTotalLenBytes)
  write('ip.id', hex(h.ipId, 4))
  write('ip.flags.df', h.dontFragment)
  write('ip.flags.mf', h.moreFragments)
  write('ip.frag_offset', h.fragmentOffset)
  write('ip.ttl', h.ttl)
  write('ip.proto', h.protocol)
  write('ip.src', formatIpv4(h.bytes, h.srcOffset))
  write('ip.dst', formatIpv4(h.bytes, h.dstOffset))
  write('ip.checksum.status', CHECKSUM_STATUS[h.ipChecksum])
}

function writeIpv6(h: Headers, write: Writer): void {
  write('ip.version', 6)
  write('ipv6.tclass', hex(h.trafficClass, 8))
  write('ipv6.flow', hex(h.ipv6FlowLabel, 6))
  write('ipv6.plen', h.ipTotalLenBytes - 40)
  write('ipv6.hlim', h.ttl)
  write('ipv6.src', formatIpv6(h.bytes, h.srcOffset))
  write('ipv6.dst', formatIpv6(h.bytes, h.dstOffset))
  if (h.ipId !== 0) {
    write('ipv6.fraghdr.offset', h.fragmentOffset)
    write('ipv6.fraghdr.more', h.moreFragments)
    write('ipv6.fraghdr.ident', hex(h.ipId, 8))
  }
}

function writeTransport(h: Headers, write: Writer, isQuote: boolean): void {
  if (h.protocol === 6) writeTcp(h, write, isQuote)
  else if (h.protocol === 17) writeUdp(h, write)
  else if (h.protocol === 132) {
    write('sctp.srcport', h.srcPort)
    write('sctp.dstport', h.dstPort)
  } else writeIcmp(h, write, isQuote)
}

function writeUdp(h: Headers, write: Writer): void {
  write('udp.srcport', h.srcPort)
  write('udp.dstport', h.dstPort)
  write('udp.length', h.udpLengthField)
  write('udp.checksum', hex(h.transportChecksumField, 4))
  write('udp.checksum.status', udpChecksumStatus(h))
  writeDns(h, write)
}

/** No checksum is legal in IPv4, and in IPv6 for tunnels only (RFC 6935). */
function udpChecksumStatus(h: Headers): string {
  if (h.transportChecksumField !== 0) return CHECKSUM_STATUS[h.transportChecksum]
  return h.ipVersion === 4 ? '3' : '4'
}

function writeTcp(h: Headers, write: Writer, isQuote: boolean): void {
  write('tcp.srcport', h.srcPort)
  write('tcp.dstport', h.dstPort)
  // tshark shows nothing more of a quoted header that was cut; we know the sequence number of a quote.
  if (isQuote && h.stopLayer === 'tcp') return
  write('tcp.seq_raw', h.tcpSeq)
  write('tcp.ack_raw', h.tcpAck)
  write('tcp.hdr_len', h.payloadOffset - h.transportOffset)
  write('tcp.len', h.payloadLenBytes)
  write('tcp.flags', hex(h.tcpFlags, 4))
  write('tcp.window_size_value', h.tcpWindow)
  write('tcp.checksum', hex(h.transportChecksumField, 4))
  write('tcp.checksum.status', CHECKSUM_STATUS[h.transportChecksum])
  if (h.tcpMss >= 0) write('tcp.options.mss_val', h.tcpMss)
  if (h.tcpWindowScale >= 0) write('tcp.options.wscale.shift', h.tcpWindowScale)
  if (h.tcpSackPermitted) write('tcp.options.sack_perm', '0402')
  const view = new DataView(h.bytes.buffer, h.bytes.byteOffset)
  for (let i = 0; i < h.tcpSackBlocks; i++) {
    write('tcp.options.sack_le', view.getUint32(h.tcpSackOffset + 8 * i))
    write('tcp.options.sack_re', view.getUint32(h.tcpSackOffset + 8 * i + 4))
  }
  if (h.tcpHasTimestamps) {
    write('tcp.options.timestamp.tsval', h.tcpTsVal)
    write('tcp.options.timestamp.tsecr', h.tcpTsEcr)
  }
}

function writeIcmp(h: Headers, write: Writer, isQuote: boolean): void {
  const name = h.ipVersion === 4 ? 'icmp' : 'icmpv6'
  write(`${name}.type`, h.icmpType)
  write(`${name}.code`, h.icmpCode)
  write(`${name}.checksum`, hex(h.transportChecksumField, 4))
  // tshark does not verify what is quoted.
  write(`${name}.checksum.status`, isQuote ? '2' : CHECKSUM_STATUS[h.transportChecksum])
  if (h.icmpId !== 0) {
    write(
      name === 'icmp' ? 'icmp.ident' : 'icmpv6.echo.identifier',
      name === 'icmp' ? h.icmpId : hex(h.icmpId, 4),
    )
    write(name === 'icmp' ? 'icmp.seq' : 'icmpv6.echo.sequence_number', h.icmpSeq)
  }
  if (h.icmpMtu !== 0) write(`${name}.mtu`, h.icmpMtu)
}

function writeDns(h: Headers, write: Writer): void {
  const question = dnsQuestion(h)
  if (!question) return
  write('dns.qry.name', question.name)
  write('dns.qry.type', question.type)
  write('dns.flags.response', question.isResponse)
  if (question.isResponse) write('dns.flags.rcode', question.responseCode)
}

const hex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}`
