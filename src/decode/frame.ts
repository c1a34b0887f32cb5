/**
 * The way through one frame: link, network, transport and tunnels, each by its own decoder; damage is data,
 * nothing throws.
 */

import { LinkType } from '../capture/link-types.ts'
import { decodeArp } from './arp.ts'
import { decodeEthernet } from './ethernet.ts'
import { decodeGeneve } from './geneve.ts'
import { decodeGre } from './gre.ts'
import { decodeGtpu } from './gtpu.ts'
import type { Headers } from './headers.ts'
import { isIcmpError } from './icmp.ts'
import { decodeIp } from './ip.ts'
import { decodeLinuxSll, decodeLinuxSll2 } from './linux-cooked.ts'
import { decodeLoopback } from './loopback.ts'
import { EtherType, IpProtocol } from './numbers.ts'
import { decodeQuote } from './quote.ts'
import type { UdpTunnel } from './udp-tunnels.ts'
import { decodeVxlan } from './vxlan.ts'

/** How many packets inside of each other are decoded; deeper tunnels stay closed. */
const MAX_DEPTH = 4

const UDP_TUNNEL_DECODERS: Readonly<Record<UdpTunnel, typeof decodeVxlan>> = {
  vxlan: decodeVxlan,
  geneve: decodeGeneve,
  gtpu: decodeGtpu,
}

/**
 * Refills `out` from the captured frame `bytes[start..end)`, which was `originalLenBytes` long on the wire;
 * `linkType` is its LINKTYPE_ value. Reads nothing outside, keeps nothing but offsets, never throws: where it
 * cannot go on, the layers that were good stand in `out` and `stopLayer`, `stopOffset` and `stopByCapture`
 * say the rest.
 */
export function decodeFrame(
  bytes: Uint8Array,
  start: number,
  end: number,
  linkType: number,
  originalLenBytes: number,
  out: Headers,
): void {
  out.begin(bytes, start, end, Math.max(end, start + originalLenBytes))
  // V8 inlines by size: the usual way is kept in small functions, here and below.
  const at =
    linkType === LinkType.Ethernet
      ? decodeEthernet(bytes, start, end, out)
      : decodeOtherLink(bytes, start, end, linkType, out)
  if (at >= 0) decodeNetwork(bytes, at, out, 1)
}

function decodeOtherLink(
  bytes: Uint8Array,
  start: number,
  end: number,
  linkType: number,
  out: Headers,
): number {
  switch (linkType) {
    case LinkType.LinuxSll2:
      return decodeLinuxSll2(bytes, start, end, out)
    case LinkType.LinuxSll:
      return decodeLinuxSll(bytes, start, end, out)
    case LinkType.Raw:
    case LinkType.DltRaw:
    case LinkType.DltRawOpenBsd:
      out.etherType = start < end && bytes[start] >> 4 === 6 ? EtherType.Ipv6 : EtherType.Ipv4
      return start
    case LinkType.Ipv4:
      out.etherType = EtherType.Ipv4
      return start
    case LinkType.Ipv6:
      out.etherType = EtherType.Ipv6
      return start
    case LinkType.Null:
    case LinkType.Loop:
      return decodeLoopback(bytes, start, end, out)
    default:
      return out.stopMalformed('unknown-link-type', start)
  }
}

function decodeNetwork(bytes: Uint8Array, start: number, out: Headers, depth: number): void {
  const end = Math.min(out.end, out.packetEnd)
  const type = out.etherType
  if (type === EtherType.Ipv4 || type === EtherType.Ipv6) {
    const payload = decodeIp(bytes, start, end, type === EtherType.Ipv4 ? 4 : 6, out)
    if (out.protocol !== IpProtocol.Tcp) decodeEnclosed(bytes, payload, out, depth)
  } else if (type === EtherType.Arp) decodeArp(bytes, start, end, out)
}

/** Decodes the packet that a tunnel or an ICMP error carries. */
function decodeEnclosed(bytes: Uint8Array, start: number, out: Headers, depth: number): void {
  if (out.stopLayer !== 'none' || out.fragmentOffset > 0) return
  if (!out.hasTransport) decodeIpTunnel(bytes, out.payloadOffset, out, depth)
  else if (out.protocol === IpProtocol.Udp) decodeUdpTunnel(bytes, start, out, depth)
  else if (out.icmpType >= 0 && isIcmpError(out.ipVersion, out.icmpType)) {
    decodeQuote(bytes, start, Math.min(out.end, out.packetEnd), out)
  }
}

function decodeUdpTunnel(bytes: Uint8Array, start: number, out: Headers, depth: number): void {
  const end = Math.min(out.end, out.packetEnd)
  const kind = out.tunnelPorts.get(out.dstPort)
  if (kind === undefined) return
  const inner = UDP_TUNNEL_DECODERS[kind](bytes, start, end, out)
  if (inner >= 0) decodeInner(bytes, inner, end, out, depth)
}

function decodeIpTunnel(bytes: Uint8Array, start: number, out: Headers, depth: number): void {
  const end = Math.min(out.end, out.packetEnd)
  let inner = start
  switch (out.protocol) {
    case IpProtocol.Gre:
      inner = decodeGre(bytes, start, end, out)
      break
    case IpProtocol.Ipv4:
    case IpProtocol.Ipv6:
      out.tunnel = 'ipip'
      out.tunnelId = 0
      out.tunnelProtocol = out.protocol === IpProtocol.Ipv4 ? EtherType.Ipv4 : EtherType.Ipv6
      break
    default:
      return
  }
  if (inner >= 0) decodeInner(bytes, inner, end, out, depth)
}

function decodeInner(bytes: Uint8Array, start: number, end: number, out: Headers, depth: number): void {
  const type = out.tunnelProtocol
  if (
    depth >= MAX_DEPTH ||
    (type !== EtherType.Ethernet && type !== EtherType.Ipv4 && type !== EtherType.Ipv6)
  ) {
    return
  }
  const inner = out.inner
  out.hasInner = true
  inner.tunnelPorts = out.tunnelPorts
  inner.begin(bytes, out.start, end, out.packetEnd)
  let at = start
  if (type === EtherType.Ethernet) at = decodeEthernet(bytes, start, end, inner)
  else inner.etherType = type
  if (at >= 0) decodeNetwork(bytes, at, inner, depth + 1)
  if (inner.stopLayer !== 'none') {
    out.stopLayer = inner.stopLayer
    out.stopOffset = inner.stopOffset
    out.stopByCapture = inner.stopByCapture
  }
}
