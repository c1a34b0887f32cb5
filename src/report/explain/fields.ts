/** Fields of each header with their names and values, as people and tshark write them; of checksums also what they should be. */

import { LinkType } from '../../capture/link-types.ts'
import { rightIpv4Checksum, rightTransportChecksum } from '../../decode/checksum.ts'
import {
  formatIpv4,
  formatIpv6,
  formatMac,
  icmpErrorName,
  protocolName,
  tcpFlagsText,
} from '../../decode/display.ts'
import { dnsQuestion } from '../../decode/dns.ts'
import { Checksum, type Headers } from '../../decode/headers.ts'
import { IpProtocol } from '../../decode/numbers.ts'
import { formatCounted } from '../quantities.ts'
import type { Field, Layer } from './layers.ts'

const ETHER_TYPES: Readonly<Record<number, string>> = {
  2048: 'IPv4',
  2054: 'ARP',
  34525: 'IPv6',
}
const ICMP_NAMES: Readonly<Record<string, string>> = {
  '4/0': 'echo reply',
  '4/8': 'echo request',
  '6/128': 'echo request',
  '6/129': 'echo reply',
}
const SLL_TYPES = ['to us', 'broadcast', 'multicast', 'to someone else', 'sent by us']

/** The link layer, as far as there is one. `linkType` is null inside of a tunnel. */
export function linkLayers(h: Headers, linkType: number | null): Layer[] {
  const type = { name: 'type', value: typeText(h.etherType) }
  if (h.macOffset >= 0) {
    const fields = [
      { name: 'source', value: formatMac(h.bytes, h.macOffset + 6) },
      { name: 'destination', value: formatMac(h.bytes, h.macOffset) },
    ]
    const tags = [h.vlanOuter, h.vlanInner].slice(0, Math.min(2, h.vlanCount))
    return [
      {
        kind: 'Ethernet',
        ...extent(h, h.macOffset, linkEnd(h)),
        fields: [...fields, ...tags.map((tag) => ({ name: 'VLAN', value: String(tag) })), type],
      },
    ]
  }
  if (h.sllPacketType >= 0) {
    const [lengthAt, addressAt] = linkType === LinkType.LinuxSll2 ? [11, 12] : [5, 6]
    const fields: Field[] = [
      {
        name: 'packet type',
        value: `${h.sllPacketType} ${SLL_TYPES[h.sllPacketType] ?? ''}`.trim(),
      },
    ]
    if (h.sllInterfaceIndex >= 0) fields.push({ name: 'interface', value: String(h.sllInterfaceIndex) })
    if (h.bytes[h.start + lengthAt] === 6)
      fields.push({ name: 'source', value: formatMac(h.bytes, h.start + addressAt) })
    return [{ kind: 'Linux cooked', ...extent(h, h.start, linkEnd(h)), fields: [...fields, type] }]
  }
  return []
}

/** IP and transport; of a quote without what quotes lack. */
export function ipLayers(h: Headers, isQuoted: boolean): Layer[] {
  return [
    h.ipVersion === 4 ? ipv4Layer(h, isQuoted) : ipv6Layer(h),
    ...(h.hasTransport ? [transportLayer(h, isQuoted)] : []),
  ]
}

function ipv4Layer(h: Headers, isQuoted: boolean): Layer {
  const { bytes, ipOffset } = h
  const flags = [h.dontFragment && 'DF', h.moreFragments && 'MF'].filter(Boolean).join(' ') || 'none'
  const fields: Field[] = [
    { name: 'source', value: formatIpv4(bytes, h.srcOffset) },
    { name: 'destination', value: formatIpv4(bytes, h.dstOffset) },
    { name: 'TTL', value: String(h.ttl) },
    { name: 'protocol', value: `${h.protocol} ${protocolName(h.protocol)}` },
    { name: 'identification', value: hex(h.ipId, 4) },
    { name: 'flags', value: flags },
    ...(h.moreFragments || h.fragmentOffset > 0
      ? [{ name: 'fragment offset', value: String(h.fragmentOffset) }]
      : []),
    { name: 'DSCP and ECN', value: hex(h.trafficClass, 2) },
    { name: 'total length', value: String((bytes[ipOffset + 2]! << 8) | bytes[ipOffset + 3]!) },
    checksumField(ipChecksumField(h), isQuoted ? null : rightIpv4Checksum(h), h.ipChecksum, isQuoted),
  ]
  return { kind: 'IPv4', ...extent(h, ipOffset, ipOffset + h.ipHeaderLenBytes), fields }
}

function ipv6Layer(h: Headers): Layer {
  const { bytes, ipOffset } = h
  const isPiece = h.moreFragments || h.fragmentOffset > 0
  return {
    kind: 'IPv6',
    ...extent(h, ipOffset, ipOffset + h.ipHeaderLenBytes),
    fields: [
      { name: 'source', value: formatIpv6(bytes, h.srcOffset) },
      { name: 'destination', value: formatIpv6(bytes, h.dstOffset) },
      { name: 'hop limit', value: String(h.ttl) },
      { name: 'next header', value: `${h.protocol} ${protocolName(h.protocol)}` },
      ...(isPiece
        ? [
            { name: 'fragment id', value: `0x${h.ipId.toString(16).padStart(8, '0')}` },
            { name: 'fragment offset', value: String(h.fragmentOffset) },
          ]
        : []),
      { name: 'traffic class', value: hex(h.trafficClass, 2) },
      { name: 'flow label', value: hex(h.ipv6FlowLabel, 5) },
      { name: 'payload length', value: String((bytes[ipOffset + 4]! << 8) | bytes[ipOffset + 5]!) },
    ],
  }
}

function transportLayer(h: Headers, isQuoted: boolean): Layer {
  const where = extent(h, h.transportOffset, isQuoted ? h.end : h.payloadOffset)
  switch (h.protocol) {
    case IpProtocol.Tcp:
      return { kind: 'TCP', ...where, fields: isQuoted ? [...ports(h), seq(h)] : tcpFields(h) }
    case IpProtocol.Udp:
      return { kind: 'UDP', ...where, fields: isQuoted ? ports(h) : udpFields(h) }
    case IpProtocol.Icmp:
    case IpProtocol.Icmpv6:
      return { kind: h.ipVersion === 4 ? 'ICMP' : 'ICMPv6', ...where, fields: icmpFields(h, isQuoted) }
    default:
      return { kind: protocolName(h.protocol).toUpperCase(), ...where, fields: ports(h) }
  }
}

/** A header's place, counted from the frame's first byte, as far as its bytes are there. */
function extent(
  { start: first, end: last }: Headers,
  start: number,
  end: number,
): Pick<Layer, 'start' | 'end'> {
  return { start: start - first, end: Math.min(end, last) - first }
}

/** Where the link layer ends: where IP begins, or with the frame. */
function linkEnd(h: Headers): number {
  return h.ipVersion === 0 ? h.end : h.ipOffset
}

/** Where a tunnel's header ends: where what it carries begins. */
function tunnelEnd(h: Headers): number {
  if (!h.hasInner) return h.end
  const { macOffset, ipVersion, ipOffset, end } = h.inner
  return macOffset >= 0 ? macOffset : ipVersion === 0 ? end : ipOffset
}

function ports(h: Headers): Field[] {
  return [
    { name: 'source port', value: String(h.srcPort) },
    { name: 'destination port', value: String(h.dstPort) },
  ]
}

function seq(h: Headers): Field {
  return { name: 'sequence', value: String(h.tcpSeq) }
}

function tcpFields(h: Headers): Field[] {
  const options = [
    h.tcpMss >= 0 && `MSS ${h.tcpMss}`,
    h.tcpSackPermitted && 'SACK permitted',
    h.tcpWindowScale >= 0 && `window scale ${h.tcpWindowScale}`,
    h.tcpHasTimestamps && `timestamps ${h.tcpTsVal} ${h.tcpTsEcr}`,
    h.tcpSackBlocks > 0 && `${h.tcpSackBlocks} SACK`,
  ].filter(Boolean)
  return [
    ...ports(h),
    seq(h),
    { name: 'acknowledgment', value: String(h.tcpAck) },
    { name: 'flags', value: tcpFlagsText(h.tcpFlags), note: flagNames(h.tcpFlags) },
    { name: 'window', value: String(h.tcpWindow) },
    ...(options.length > 0 ? [{ name: 'options', value: options.join(', ') }] : []),
    transportChecksum(h),
    { name: 'payload', value: formatCounted(h.payloadLenBytes, 'byte') },
  ]
}

function flagNames(flags: number): string {
  const names = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR']
  return names.filter((_, bit) => (flags >> bit) & 1).join(' ')
}

function udpFields(h: Headers): Field[] {
  const question = questionOf(h)
  return [
    ...ports(h),
    { name: 'length', value: String(h.udpLengthField) },
    transportChecksum(h),
    { name: 'payload', value: formatCounted(h.payloadLenBytes, 'byte') },
    ...(question === null ? [] : [{ name: 'DNS question', value: question }]),
  ]
}

function icmpFields(h: Headers, isQuoted: boolean): Field[] {
  const isEcho = ICMP_NAMES[`${h.ipVersion}/${h.icmpType}`]
  const name = isEcho ?? icmpErrorName(h.ipVersion, h.icmpType, h.icmpCode)
  return [
    { name: 'type', value: `${h.icmpType} ${name}` },
    { name: 'code', value: String(h.icmpCode) },
    ...(isEcho
      ? [
          { name: 'identifier', value: String(h.icmpId) },
          { name: 'sequence', value: String(h.icmpSeq) },
        ]
      : []),
    ...(h.icmpMtu > 0 ? [{ name: 'MTU', value: String(h.icmpMtu) }] : []),
    ...(isQuoted ? [] : [transportChecksum(h)]),
  ]
}

/** The header of a tunnel. */
export function tunnelLayer(h: Headers): Layer {
  const names = { vxlan: 'VXLAN', geneve: 'Geneve', gre: 'GRE', ipip: 'IP in IP', gtpu: 'GTP-U', none: '' }
  const id = { vxlan: 'VNI', geneve: 'VNI', gre: 'key', gtpu: 'TEID', ipip: '', none: '' }[h.tunnel]
  return {
    kind: names[h.tunnel],
    ...extent(h, h.payloadOffset, tunnelEnd(h)),
    fields: [
      ...(id === '' ? [] : [{ name: id, value: String(h.tunnelId) }]),
      { name: 'carries', value: typeText(h.tunnelProtocol) },
    ],
  }
}

function transportChecksum(h: Headers): Field {
  if (h.protocol === IpProtocol.Udp && h.transportChecksumField === 0)
    return { name: 'checksum', value: hex(0, 4), note: 'none: the sender left it out' }
  return checksumField(h.transportChecksumField, rightTransportChecksum(h), h.transportChecksum, false)
}

/** As captured, and as it should be. */
function checksumField(captured: number, right: number | null, state: Checksum, isQuoted: boolean): Field {
  const field = { name: 'checksum', value: hex(captured, 4) }
  if (isQuoted) return field
  switch (state) {
    case Checksum.Right:
      return { ...field, note: 'right' }
    case Checksum.Offloaded:
      return {
        ...field,
        note: right === null ? 'unfinished (offload)' : `unfinished (offload), ${hex(right, 4)} on a wire`,
      }
    case Checksum.Wrong:
      return { ...field, note: right === null ? 'wrong' : `wrong, should be ${hex(right, 4)}` }
    default:
      return { ...field, note: 'not checked: not all bytes that it takes are here' }
  }
}

/** Has the transport an Internet checksum? */
export function hasChecksum(h: Headers): boolean {
  const { protocol } = h
  return (
    h.hasTransport &&
    (protocol === IpProtocol.Tcp ||
      protocol === IpProtocol.Udp ||
      protocol === IpProtocol.Icmp ||
      protocol === IpProtocol.Icmpv6)
  )
}

/** The DNS question, or null. */
export function questionOf(h: Headers): string | null {
  return h.ipVersion === 0 ? null : (dnsQuestion(h)?.name ?? null)
}

/** The checksum field of an IPv4 header. */
export function ipChecksumField({ bytes, ipOffset }: Headers): number {
  return (bytes[ipOffset + 10]! << 8) | bytes[ipOffset + 11]!
}

/** The address at `offset` as text. */
export function formatAddress(h: Headers, offset: number): string {
  return h.ipVersion === 4 ? formatIpv4(h.bytes, offset) : formatIpv6(h.bytes, offset)
}

function typeText(type: number): string {
  const name = type === 0x6558 ? 'Ethernet' : ETHER_TYPES[type]
  return name === undefined ? hex(type, 4) : `${hex(type, 4)} ${name}`
}

/** `0x002a`. */
export function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`
}
