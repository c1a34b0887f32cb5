/**
 * The headers of one frame: one mutable object that is refilled for each record, with offsets instead of
 * copies.
 */

import { type UdpTunnel, USUAL_TUNNEL_PORTS } from './udp-tunnels.ts'

/** A layer that decoding can reach or stop in. */
export const LAYERS = [
  'none',
  'ethernet',
  'llc',
  'vlan',
  'linux-sll',
  'linux-sll2',
  'loopback',
  'arp',
  'ipv4',
  'ipv6',
  'ipv6-extension',
  'tcp',
  'udp',
  'icmp',
  'icmpv6',
  'sctp',
  'gre',
  'vxlan',
  'geneve',
  'gtpu',
  'unknown-link-type',
] as const
export type Layer = (typeof LAYERS)[number]

/** What a checksum looks like: the two offload states must not be taken for damage. */
export const Checksum = {
  /** Not looked at, not present (UDP 0, IPv6 without one), or not all of the bytes were captured. */
  Unchecked: 0,
  Right: 1,
  Wrong: 2,
  /**
   * Only the folded pseudo-header sum is there: the sender left the rest to the hardware (CHECKSUM_PARTIAL).
   */
  Offloaded: 3,
} as const
export type Checksum = (typeof Checksum)[keyof typeof Checksum]

export const TcpFlag = {
  Fin: 0x01,
  Syn: 0x02,
  Rst: 0x04,
  Psh: 0x08,
  Ack: 0x10,
  Urg: 0x20,
  Ece: 0x40,
  Cwr: 0x80,
} as const

/**
 * Decoded headers of one frame. Every number is meaningful only where its layer was reached: ask `ipVersion`,
 * `hasTransport` and so on first. Offsets count in `bytes`, which belongs to the reader: valid until its next
 * record.
 */
export class Headers {
  bytes: Uint8Array = new Uint8Array(0)
  /**
   * The frame's captured bytes are `bytes[start..end)`; in `inner` and `quoted`, `end` is where their own
   * bytes end.
   */
  start = 0
  end = 0
  /**
   * Offset where the innermost packet decoded into this object ends by its own lengths, and at most at the
   * frame's original end: behind `end` where the capture cut it (in `quoted`: where the sender of the ICMP
   * error did).
   */
  packetEnd = 0

  // Link
  /** Offset of the destination MAC (6 bytes) in Ethernet, or -1; the source MAC follows at +6. */
  macOffset = -1
  /**
   * The EtherType behind the innermost VLAN tag; 0 in 802.3/LLC without SNAP; RAW and NULL: that of the IP
   * version.
   */
  etherType = 0
  /** Number of 802.1Q/802.1ad tags, and the outermost two VLAN ids (VID, 12 bits). */
  vlanCount = 0
  vlanOuter = 0
  vlanInner = 0
  /**
   * LINUX_SLL/SLL2: packet type (0 to us, 1 broadcast, 2 multicast, 3 to someone else, 4 sent by us), or -1.
   */
  sllPacketType = -1
  /** LINUX_SLL2: the interface's index, or -1. */
  sllInterfaceIndex = -1

  // ARP (RFC 826), for IPv4 over Ethernet
  isArp = false
  arpOperation = 0
  /** Offsets of the sender and the target protocol address (4 bytes each), or -1. */
  arpSenderIpOffset = -1
  arpTargetIpOffset = -1

  // IP (RFC 791, RFC 8200)
  /** 4, 6 or 0 where there is no (whole) IP header. */
  ipVersion = 0
  ipOffset = -1
  /** With IPv4 options and IPv6 extension headers. */
  ipHeaderLenBytes = 0
  /**
   * IPv4 Total Length; IPv6: 40 + Payload Length. As claimed; where the header says 0 (TSO super-packet), the
   * frame's length.
   */
  ipTotalLenBytes = 0
  /** DSCP and ECN: IPv4 TOS byte, IPv6 Traffic Class. */
  trafficClass = 0
  /** IPv4 Identification; for IPv6 that of the Fragment header, else 0. */
  ipId = 0
  dontFragment = false
  moreFragments = false
  /** In bytes. */
  fragmentOffset = 0
  /** TTL or Hop Limit. */
  ttl = 0
  /** Protocol of what follows the IP header and its extension headers (IANA protocol numbers). */
  protocol = 0
  /** Offsets of the addresses; 4 bytes each in IPv4, 16 in IPv6. */
  srcOffset = -1
  dstOffset = -1
  ipv6FlowLabel = 0
  /** Segments Left of an IPv6 Routing header: where it is not 0, `dstOffset` is not the final destination. */
  ipv6SegmentsLeft = 0
  ipChecksum: Checksum = Checksum.Unchecked

  // Transport
  /**
   * The transport header of `protocol` was decoded (not so in fragments behind the first, and in frames cut
   * too short).
   */
  hasTransport = false
  transportOffset = -1
  /**
   * UDP, TCP and SCTP ports; the identifier of an ICMP query stands in both. 0 without a transport header.
   */
  srcPort = 0
  dstPort = 0
  /**
   * Where the transport's payload begins (without a transport header: the IP payload), and its length up to
   * `packetEnd`: may be more than was captured, so read at most to `end`. Meaningful from the IP header on.
   */
  payloadOffset = -1
  payloadLenBytes = 0
  transportChecksum: Checksum = Checksum.Unchecked
  /** The checksum field itself. */
  transportChecksumField = 0

  // TCP (RFC 9293, RFC 7323)
  tcpSeq = 0
  tcpAck = 0
  tcpFlags = 0
  tcpWindow = 0
  /** Options; -1 (or false) where the segment does not carry them. */
  tcpMss = -1
  tcpWindowScale = -1
  tcpSackPermitted = false
  /** Number of SACK blocks, and the offset of the first (left and right edge, 4 bytes each). */
  tcpSackBlocks = 0
  tcpSackOffset = -1
  tcpHasTimestamps = false
  tcpTsVal = 0
  tcpTsEcr = 0

  // UDP (RFC 768)
  udpLengthField = 0

  // ICMP, ICMPv6 (RFC 792, RFC 4443)
  icmpType = -1
  icmpCode = 0
  /** Queries and their replies (echo; ICMPv4 timestamp, information, address mask), else 0. */
  icmpId = 0
  icmpSeq = 0
  /** Next-hop MTU of "fragmentation needed" and "packet too big", else 0. */
  icmpMtu = 0
  /** The header that an ICMP error quotes is in `quoted`. */
  hasQuoted = false

  /** UDP destination ports of tunnels: set once, not touched by decoding. */
  tunnelPorts: ReadonlyMap<number, UdpTunnel> = USUAL_TUNNEL_PORTS

  // Tunnels: the outer headers stay in this object, the inner packet is in `inner`
  /** Which tunnel's header follows, or 'none'. */
  tunnel: 'none' | 'vxlan' | 'geneve' | 'gre' | 'ipip' | 'gtpu' = 'none'
  /** VXLAN/Geneve VNI, GRE key, GTP-U TEID, or 0. */
  tunnelId = 0
  /** EtherType of what the tunnel carries, whether or not it was decoded into `inner`; 0x6558 is Ethernet. */
  tunnelProtocol = 0
  hasInner = false

  // Where decoding stopped. A stop in `inner` is told in the outer object too; one in `quoted` is not: quotes
  // are cut by design.
  /**
   * The layer that could not be decoded whole, or 'none'. What is merely not for us is no stop: an unknown
   * EtherType or IP protocol, ESP, a later fragment, a payload that the capture cut.
   */
  stopLayer: Layer = 'none'
  /**
   * Offset in the frame (0 = its first byte) of the byte where decoding stopped: the first one missing, or
   * the field that is malformed; -1 where it did not stop.
   */
  stopOffset = -1
  /** True where the frame was cut by the capture (snaplen), false where the packet itself is malformed. */
  stopByCapture = false

  /**
   * Forgets the last frame. Resets what tells which layers were reached, and what is asked of every frame (is it a
   * fragment, is a checksum wrong?): else each layer's decoder sets all of its fields.
   */
  begin(bytes: Uint8Array, start: number, end: number, packetEnd: number): void {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.packetEnd = packetEnd
    this.macOffset = -1
    this.etherType = 0
    this.vlanCount = 0
    this.sllPacketType = -1
    this.sllInterfaceIndex = -1
    this.isArp = false
    this.ipVersion = 0
    this.moreFragments = false
    this.fragmentOffset = 0
    this.protocol = 0
    this.ipChecksum = Checksum.Unchecked
    this.hasTransport = false
    this.transportChecksum = Checksum.Unchecked
    this.icmpType = -1
    this.hasQuoted = false
    this.tunnel = 'none'
    this.hasInner = false
    this.stopLayer = 'none'
    this.stopOffset = -1
    this.stopByCapture = false
  }

  /** The bytes of `layer` end before `neededEnd`. Returns -1, a decoder's way to say that it stopped. */
  stopShort(layer: Layer, neededEnd: number): -1 {
    this.stopLayer = layer
    this.stopOffset = Math.min(this.end, this.packetEnd) - this.start
    this.stopByCapture = neededEnd <= this.packetEnd
    return -1
  }

  /** The field at `offset` in `bytes` makes no sense. Returns -1, a decoder's way to say that it stopped. */
  stopMalformed(layer: Layer, offset: number): -1 {
    this.stopLayer = layer
    this.stopOffset = offset - this.start
    this.stopByCapture = false
    return -1
  }

  #quoted: Headers | null = null
  #inner: Headers | null = null

  /** The packet quoted by an ICMP error; meaningful where `hasQuoted`. Made once and refilled. */
  get quoted(): Headers {
    this.#quoted ??= new Headers()
    return this.#quoted
  }

  /** The packet inside of a tunnel; meaningful where `hasInner`. Made once and refilled. */
  get inner(): Headers {
    this.#inner ??= new Headers()
    return this.#inner
  }
}
