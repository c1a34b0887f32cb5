/** Builds frames byte by byte, and pcap files of them. Shares no code with `src/`, so that it can witness against it. */

export interface Endpoint {
  /** IPv4 dotted, or IPv6 as RFC 5952 writes it. */
  ip: string
  /** Port, or the ICMP echo identifier. */
  port: number
}

export type Protocol = 'tcp' | 'udp' | 'icmp'

export const FIN = 0x01
export const SYN = 0x02
export const RST = 0x04
export const PSH = 0x08
export const ACK = 0x10
export const CWR = 0x80

/** What a packet carries from end to end; addresses, TTL and MACs are added at each station. */
export interface Content {
  protocol: Protocol
  /** IPv4 Identification; 0 stands for a packet with DF and no connected socket. */
  ipId: number
  payload: Uint8Array
  /** TCP: sequence numbers may run past 2^32, they are cut when written. */
  seq: number
  ack: number
  flags: number
  window: number
  /** TCP options, a multiple of 4 bytes. */
  options: Uint8Array
  /** ICMP echo: request or reply, and its sequence number. */
  echoReply: boolean
  echoSeq: number
}

export interface Wrapping {
  srcMac: Uint8Array
  dstMac: Uint8Array
  /** VLAN id of an 802.1Q tag, or null. */
  vlan: number | null
  src: Endpoint
  dst: Endpoint
  ttl: number
  /** Tunnels around the packet, outermost first, and the MACs of a frame that is inside of one. */
  tunnels: readonly Outer[]
  insideSrcMac: Uint8Array
  insideDstMac: Uint8Array
  /** Write only the folded pseudo-header sum, as a sender with checksum offload does. */
  offloaded: boolean
}

export type TunnelKind = 'vxlan' | 'geneve' | 'gre' | 'ipip' | 'gtpu'

/** What a tunnel puts around a packet. */
export interface Outer {
  kind: TunnelKind
  /** VNI, key or TEID; IP in IP has none. */
  id: number
  src: string
  dst: string
  ttl: number
  /** For those over UDP. */
  srcPort: number
  dstPort: number
}

const PROTOCOL_NUMBER = { tcp: 6, udp: 17, icmp: 1 } as const
const ICMPV6 = 58

export function isIpv6(ip: string): boolean {
  return ip.includes(':')
}

export function ipBytes(ip: string): Uint8Array {
  if (!isIpv6(ip)) return Uint8Array.from(ip.split('.'), Number)
  const [head = '', tail] = ip.split('::')
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** One's-complement sum of 16-bit words, folded but not inverted (RFC 1071). */
function sum(bytes: Uint8Array, initial = 0): number {
  let total = initial
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i] << 8) | (bytes[i + 1] ?? 0)
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000)
  return total
}

function word16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff]
}

function word32(value: number): number[] {
  const cut = value % 2 ** 32
  return [...word16(Math.floor(cut / 0x10000)), ...word16(cut & 0xffff)]
}

function concat(...parts: (Uint8Array | number[])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The options of a SYN: MSS, SACK permitted, timestamps, window scale; those of other segments: timestamps. */
export function tcpOptions(syn: boolean, tsVal: number, tsEcr: number): Uint8Array {
  const timestamps = [8, 10, ...word32(tsVal), ...word32(tsEcr)]
  return Uint8Array.from(syn ? [2, 4, 5, 180, 4, 2, ...timestamps, 1, 3, 3, 7] : [1, 1, ...timestamps])
}

type Ends = Pick<Wrapping, 'src' | 'dst' | 'offloaded'>

function transport(content: Content, wrapping: Ends, protocolNumber: number): Uint8Array {
  const { src, dst } = wrapping
  let header: number[]
  let checksumAt: number
  if (content.protocol === 'tcp') {
    const offset = (20 + content.options.length) / 4
    header = [...word16(src.port), ...word16(dst.port), ...word32(content.seq), ...word32(content.ack)]
    header.push(offset << 4, content.flags, ...word16(content.window), 0, 0, 0, 0, ...content.options)
    checksumAt = 16
  } else if (content.protocol === 'udp') {
    header = [...word16(src.port), ...word16(dst.port), ...word16(8 + content.payload.length), 0, 0]
    checksumAt = 6
  } else {
    const [request, reply] = isIpv6(src.ip) ? [128, 129] : [8, 0]
    header = [content.echoReply ? reply : request, 0, 0, 0, ...word16(src.port), ...word16(content.echoSeq)]
    checksumAt = 2
  }
  const bytes = concat(header, content.payload)
  const hasPseudoHeader = protocolNumber !== 1
  const pseudo = hasPseudoHeader
    ? sum(concat(ipBytes(src.ip), ipBytes(dst.ip), word32(bytes.length), word32(protocolNumber)))
    : 0
  let field = wrapping.offloaded && hasPseudoHeader ? pseudo : ~sum(bytes, pseudo) & 0xffff
  // RFC 768: a computed 0 is sent as all ones, since 0 means that there is no checksum.
  if (content.protocol === 'udp' && field === 0) field = 0xffff
  bytes.set(word16(field), checksumAt)
  return bytes
}

/** One Ethernet frame with right lengths and checksums. */
export function buildFrame(content: Content, wrapping: Wrapping): Uint8Array {
  return wrapped(packetOf(content, wrapping), wrapping)
}

/** The ICMP error of a router `from` about a packet; `back` is how the answer looks where it is seen. IPv4 only. */
export function buildError(
  content: Content,
  there: Wrapping,
  back: Wrapping,
  error: { from: string; type: number; code: number; ipId: number },
): Uint8Array {
  const body = concat([error.type, error.code, 0, 0, 0, 0, 0, 0], packetOf(content, there).subarray(0, 60))
  body.set(word16(~sum(body) & 0xffff), 2)
  return wrapped(ipPacket(PROTOCOL_NUMBER.icmp, body, error.from, back.dst.ip, back.ttl, error.ipId), back)
}

/** An ARP request inside of the tunnels of `wrapping`. */
export function buildArp(wrapping: Wrapping): Uint8Array {
  const { src, dst, tunnels, insideSrcMac } = wrapping
  const everybody = new Uint8Array(6).fill(0xff)
  const head = [0, 1, 8, 0, 6, 4, 0, 1]
  const arp = concat(head, insideSrcMac, ipBytes(src.ip), new Uint8Array(6), ipBytes(dst.ip))
  const frame = concat(everybody, insideSrcMac, [0x08, 0x06], arp)
  const [inner, ...others] = tunnels.toReversed()
  const around = { ...wrapping, tunnels: others.toReversed() }
  return wrapped(overUdp(inner, concat(shim(inner, frame.length), frame)), around)
}

function packetOf(content: Content, wrapping: Wrapping): Uint8Array {
  const { src, dst, ttl } = wrapping
  const isIcmpv6 = isIpv6(src.ip) && content.protocol === 'icmp'
  const protocolNumber = isIcmpv6 ? ICMPV6 : PROTOCOL_NUMBER[content.protocol]
  const body = transport(content, wrapping, protocolNumber)
  return ipPacket(protocolNumber, body, src.ip, dst.ip, ttl, content.ipId)
}

function ipPacket(
  protocolNumber: number,
  body: Uint8Array,
  src: string,
  dst: string,
  ttl: number,
  ipId: number,
): Uint8Array {
  if (isIpv6(src)) {
    const fixed = [0x60, 0, 0, 0, ...word16(body.length), protocolNumber, ttl]
    return concat(fixed, ipBytes(src), ipBytes(dst), body)
  }
  const fixed = [0x45, 0, ...word16(20 + body.length), ...word16(ipId), 0x40, 0]
  const ip = concat(fixed, [ttl, protocolNumber, 0, 0], ipBytes(src), ipBytes(dst))
  ip.set(word16(~sum(ip) & 0xffff), 10)
  return concat(ip, body)
}

/** Puts tunnels and the Ethernet header around an IP packet. */
function wrapped(packet: Uint8Array, wrapping: Wrapping): Uint8Array {
  const { tunnels, vlan, dstMac, srcMac, insideDstMac, insideSrcMac } = wrapping
  let bytes = packet
  for (const outer of tunnels.toReversed()) {
    if (outer.kind === 'vxlan' || outer.kind === 'geneve')
      bytes = concat(insideDstMac, insideSrcMac, etherTypeOf(bytes), bytes)
    const isSix = bytes[0] >> 4 === 6
    if (outer.kind === 'ipip') bytes = ipPacket(isSix ? 41 : 4, bytes, outer.src, outer.dst, outer.ttl, 0)
    else if (outer.kind === 'gre') {
      const header = [0x20, 0, ...etherTypeOf(bytes), ...word32(outer.id)]
      bytes = ipPacket(47, concat(header, bytes), outer.src, outer.dst, outer.ttl, 0)
    } else bytes = overUdp(outer, concat(shim(outer, bytes.length), bytes))
  }
  const tag = vlan === null ? [] : [0x81, 0x00, ...word16(vlan)]
  return concat(dstMac, srcMac, tag, etherTypeOf(bytes), bytes)
}

function etherTypeOf(packet: Uint8Array): number[] {
  return packet[0] >> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00]
}

/** What stands between UDP and the packet: RFC 7348, RFC 8926, 3GPP TS 29.281 (with a PDU session container). */
function shim({ kind, id }: Outer, length: number): number[] {
  const vni = word32(id * 256)
  if (kind === 'vxlan') return [8, 0, 0, 0, ...vni]
  if (kind === 'geneve') return [0, 0, 0x65, 0x58, ...vni]
  return [0x34, 0xff, ...word16(length + 8), ...word32(id), 0, 0, 0, 0x85, 1, 0, 9, 0]
}

function overUdp({ src, dst, srcPort, dstPort, ttl }: Outer, payload: Uint8Array): Uint8Array {
  const unused = {
    seq: 0,
    ack: 0,
    flags: 0,
    window: 0,
    options: new Uint8Array(0),
    echoReply: false,
    echoSeq: 0,
  }
  const ends = { src: { ip: src, port: srcPort }, dst: { ip: dst, port: dstPort }, offloaded: false }
  const body = transport({ protocol: 'udp', ipId: 0, payload, ...unused }, ends, PROTOCOL_NUMBER.udp)
  return ipPacket(PROTOCOL_NUMBER.udp, body, src, dst, ttl, 0)
}

/** A classic little-endian nanosecond pcap file (EN10MB); `timeNs` counts from `startSeconds` since 1970. */
export function buildPcap(
  frames: readonly { timeNs: number; bytes: Uint8Array }[],
  startSeconds: number,
  snapLen: number,
): Uint8Array {
  const lengths = frames.map(({ bytes }) => Math.min(bytes.length, snapLen))
  const file = new Uint8Array(24 + lengths.reduce((total, length) => total + 16 + length, 0))
  const view = new DataView(file.buffer)
  for (const [at, value] of [0xa1b23c4d, 0x00040002, 0, 0, snapLen, 1].entries())
    view.setUint32(at * 4, value, true)
  let at = 24
  for (const [index, { timeNs, bytes }] of frames.entries()) {
    const length = lengths[index]
    view.setUint32(at, startSeconds + Math.floor(timeNs / 1e9), true)
    view.setUint32(at + 4, timeNs - Math.floor(timeNs / 1e9) * 1e9, true)
    view.setUint32(at + 8, length, true)
    view.setUint32(at + 12, bytes.length, true)
    file.set(bytes.subarray(0, length), at + 16)
    at += 16 + length
  }
  return file
}

/** A DNS query for the A record of `name`, or its answer where `answer` is given (RFC 1035). */
export function dnsMessage(id: number, name: string, answer?: string): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)])
  const header = [...word16(id), answer ? 0x81 : 0x01, answer ? 0x80 : 0, 0, 1, 0, answer ? 1 : 0, 0, 0, 0, 0]
  const record = answer ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...ipBytes(answer)] : []
  return Uint8Array.from([...header, ...labels, 0, 0, 1, 0, 1, ...record])
}
