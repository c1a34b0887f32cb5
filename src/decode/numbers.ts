/** The assigned numbers that more than one decoder names: EtherTypes and IP protocols (IANA). */

export const EtherType = {
  Ipv4: 0x0800,
  Arp: 0x0806,
  Vlan: 0x8100,
  /** Transparent Ethernet Bridging: a whole Ethernet frame follows (GRE, Geneve). */
  Ethernet: 0x6558,
  Ipv6: 0x86dd,
  ServiceVlan: 0x88a8,
  /** What 802.1ad gear used before there was 0x88a8. */
  OldServiceVlan: 0x9100,
} as const

export const IpProtocol = {
  HopByHop: 0,
  Icmp: 1,
  Ipv4: 4,
  Tcp: 6,
  Udp: 17,
  Ipv6: 41,
  Routing: 43,
  Fragment: 44,
  Gre: 47,
  Ah: 51,
  Icmpv6: 58,
  NoNextHeader: 59,
  DestinationOptions: 60,
  Sctp: 132,
  Mobility: 135,
  Hip: 139,
  Shim6: 140,
} as const
