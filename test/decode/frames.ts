/**
 * Builds frames byte by byte for the decoder tests: every layer is an array of bytes, checksums are filled in
 * as asked.
 */

export type Bytes = number[]

/** How a transport checksum is filled in: `offloaded` is the folded pseudo-header sum that Linux leaves. */
export type Fill = 'right' | 'wrong' | 'offloaded' | 'zero'

export const be16 = (value: number): Bytes => [(value >> 8) & 0xff, value & 0xff]
export const be32 = (value: number): Bytes => [...be16(value >>> 16), ...be16(value & 0xffff)]
export const hex = (text: string): Bytes => [...Buffer.from(text.replace(/\s/g, ''), 'hex')]
export const ascii = (text: string): Bytes => [...Buffer.from(text, 'latin1')]
export const address4 = (text: string): Bytes => text.split('.').map(Number)

/** An IPv6 address, with at most one `::`. */
export function address6(text: string): Bytes {
  const groups = (part: string) => part.split(':').filter(Boolean)
  const [head = '', tail] = text.split('::')
  const left = groups(head)
  const right = groups(tail ?? '')
  const zeros = tail === undefined ? [] : Array<string>(8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].flatMap((group) => be16(Number.parseInt(group, 16)))
}

export const MAC_A = hex('02 42 ac 11 00 03')
export const MAC_B = hex('02 42 5b 9e 01 c4')

export const ethernet = (type: number, payload: Bytes): Bytes => [
  ...MAC_B,
  ...MAC_A,
  ...be16(type),
  ...payload,
]
/** What stands behind the tag protocol id: the tag control and the next type. */
export const vlan = (vid: number, type: number, payload: Bytes): Bytes => [
  ...be16(0x2000 | vid),
  ...be16(type),
  ...payload,
]
export const snap = (oui: string, type: number, payload: Bytes): Bytes => [
  0xaa,
  0xaa,
  0x03,
  ...hex(oui),
  ...be16(type),
  ...payload,
]
export const sll = (protocol: number, payload: Bytes): Bytes => [
  ...be16(4),
  ...be16(1),
  ...be16(6),
  ...MAC_A,
  0,
  0,
  ...be16(protocol),
  ...payload,
]
export const sll2 = (protocol: number, payload: Bytes): Bytes => [
  ...be16(protocol),
  0,
  0,
  ...be32(7),
  ...be16(1),
  0,
  6,
  ...MAC_A,
  0,
  0,
  ...payload,
]

export const arp = (operation: number): Bytes => [
  ...be16(1),
  ...be16(0x0800),
  6,
  4,
  ...be16(operation),
  ...MAC_A,
  ...address4('172.17.0.3'),
  ...hex('00 00 00 00 00 00'),
  ...address4('172.17.0.1'),
]

export interface Ipv4Fields {
  protocol: number
  src?: string
  dst?: string
  ttl?: number
  id?: number
  tos?: number
  /** Flags and fragment offset, as on the wire. */
  fragment?: number
  options?: Bytes
  totalLen?: number
  headerChecksum?: Fill
  fill?: Fill
}

export function ipv4(fields: Ipv4Fields, payload: Bytes): Bytes {
  const options = fields.options ?? []
  const src = address4(fields.src ?? '172.17.0.3')
  const dst = address4(fields.dst ?? '203.0.113.238')
  const headerLen = 20 + options.length
  const header = [
    0x40 | (headerLen / 4),
    fields.tos ?? 0,
    ...be16(fields.totalLen ?? headerLen + payload.length),
    ...be16(fields.id ?? 0x1234),
    ...be16(fields.fragment ?? 0x4000),
    fields.ttl ?? 64,
    fields.protocol,
    0,
    0,
    ...src,
    ...dst,
    ...options,
  ]
  const sum = ~onesSum(header) & 0xffff
  if (fields.headerChecksum !== 'zero') header.splice(10, 2, ...be16(sum + (fields.headerChecksum ? 1 : 0)))
  return [...header, ...sealed(payload, fields.protocol, [...src, ...dst], fields.fill ?? 'right')]
}

export interface Ipv6Fields {
  next: number
  src?: string
  dst?: string
  hopLimit?: number
  trafficClass?: number
  flow?: number
  payloadLen?: number
  /** Extension headers, complete; `protocol` is then what follows them. */
  extensions?: Bytes
  protocol?: number
  fill?: Fill
}

export function ipv6(fields: Ipv6Fields, payload: Bytes): Bytes {
  const src = address6(fields.src ?? '2001:db8::3')
  const dst = address6(fields.dst ?? '2001:db8:0:1::80')
  const extensions = fields.extensions ?? []
  return [
    ...be32(((6 << 28) | ((fields.trafficClass ?? 0) << 20) | (fields.flow ?? 0x12345)) >>> 0),
    ...be16(fields.payloadLen ?? extensions.length + payload.length),
    fields.next,
    fields.hopLimit ?? 64,
    ...src,
    ...dst,
    ...extensions,
    ...sealed(payload, fields.protocol ?? fields.next, [...src, ...dst], fields.fill ?? 'right'),
  ]
}

export interface TcpFields {
  srcPort?: number
  dstPort?: number
  seq?: number
  ack?: number
  flags?: number
  window?: number
  options?: Bytes
  /** In 32-bit words, where it is to be wrong. */
  dataOffset?: number
}

export function tcp(fields: TcpFields, payload: Bytes = []): Bytes {
  const options = fields.options ?? []
  return [
    ...be16(fields.srcPort ?? 45000),
    ...be16(fields.dstPort ?? 80),
    ...be32(fields.seq ?? 0xfedcba98),
    ...be32(fields.ack ?? 0x89abcdef),
    (fields.dataOffset ?? (20 + options.length) / 4) << 4,
    fields.flags ?? 0x18,
    ...be16(fields.window ?? 502),
    ...hex('0000 0000'),
    ...options,
    ...payload,
  ]
}

export const timestamps = (value: number, echo: number): Bytes => [1, 1, 8, 10, ...be32(value), ...be32(echo)]
export const SYN_OPTIONS = [
  ...hex('02 04 05 b4 04 02 08 0a'),
  ...be32(0xdeadbeef),
  ...be32(0),
  ...hex('01 03 03 07'),
]

export const udp = (srcPort: number, dstPort: number, payload: Bytes, length = 8 + payload.length): Bytes => [
  ...be16(srcPort),
  ...be16(dstPort),
  ...be16(length),
  0,
  0,
  ...payload,
]

/** ICMP and ICMPv6: type, code, the 4 bytes behind the checksum, the rest. */
export const icmp = (type: number, code: number, rest: Bytes, data: Bytes = []): Bytes => [
  type,
  code,
  0,
  0,
  ...rest,
  ...data,
]
export const sctp = (srcPort: number, dstPort: number): Bytes => [
  ...be16(srcPort),
  ...be16(dstPort),
  ...be32(0x01020304),
  ...be32(0),
  ...hex('0b 00 00 04'),
]
export const vxlan = (vni: number, frame: Bytes): Bytes => [8, 0, 0, 0, ...be32(vni << 8), ...frame]
export const geneve = (vni: number, protocol: number, options: Bytes, packet: Bytes): Bytes => [
  options.length / 4,
  0,
  ...be16(protocol),
  ...be32(vni << 8),
  ...options,
  ...packet,
]
export const gre = (flags: number, protocol: number, fields: Bytes, packet: Bytes): Bytes => [
  ...be16(flags),
  ...be16(protocol),
  ...fields,
  ...packet,
]
export const dnsQuery = (name: string, flags = 0x0100): Bytes => [
  ...hex('1a2b'),
  ...be16(flags),
  ...hex('0001 0000 0000 0000'),
  ...name.split('.').flatMap((label) => [label.length, ...ascii(label)]),
  0,
  ...hex('0001 0001'),
]

/** Offset of the checksum field in the header of each protocol that has one. */
const CHECKSUM_OFFSET: Record<number, number> = { 1: 2, 6: 16, 17: 6, 58: 2 }

function sealed(segment: Bytes, protocol: number, addresses: Bytes, fill: Fill): Bytes {
  const offset = CHECKSUM_OFFSET[protocol]
  if (offset === undefined || fill === 'zero' || segment.length < offset + 2) return segment
  const out = [...segment]
  out[offset] = 0
  out[offset + 1] = 0
  const pseudo = protocol === 1 ? [] : [...addresses, ...be32(segment.length), 0, 0, 0, protocol]
  const right = ~onesSum([...pseudo, ...out]) & 0xffff || 0xffff
  const value = fill === 'offloaded' ? onesSum(pseudo) : fill === 'wrong' ? right ^ 0x0101 : right
  out.splice(offset, 2, ...be16(value))
  return out
}

/** RFC 1071 as it stands there, on purpose unlike the program's own. */
function onesSum(bytes: Bytes): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  return sum
}
