/**
 * Frames of every protocol that we decode, by link type: tshark's opinion on each is compared, and mutations
 * start here.
 */

import type { Bytes } from './frames.ts'
import {
  address4,
  address6,
  arp,
  ascii,
  be16,
  be32,
  dnsQuery,
  ethernet,
  geneve,
  gre,
  hex,
  icmp,
  ipv4,
  ipv6,
  SYN_OPTIONS,
  sctp,
  sll,
  sll2,
  snap,
  tcp,
  timestamps,
  udp,
  vlan,
  vxlan,
} from './frames.ts'

export interface Sample {
  name: string
  bytes: Bytes
  /** Where it is not the length of `bytes`: the capture cut the frame. */
  originalLenBytes?: number
}

const IPV4 = 0x0800
const IPV6 = 0x86dd
const ETHERNET = 0x6558
const DATA = ascii('hoptrace sample payload, 42 bytes long, odd.')
const segment = (options: Bytes = []) => tcp({ options }, DATA)
const tcp4 = ipv4({ protocol: 6 }, segment(timestamps(0xdeadbeef, 0x01020304)))
const tcp6 = ipv6({ next: 6 }, segment(timestamps(7, 8)))
const udp4 = ipv4({ protocol: 17 }, udp(5000, 6000, DATA))
const innerFrame = ethernet(IPV4, ipv4({ protocol: 6, src: '10.0.0.2', dst: '10.0.0.3' }, segment()))
const echo = (type: number) => icmp(type, 0, [...be16(0x516b), ...be16(3)], DATA)

const samples = (frames: Record<string, Bytes>): Sample[] =>
  Object.entries(frames).map(([name, bytes]) => ({ name, bytes }))
const over = (type: number, packets: Record<string, Bytes>): Sample[] =>
  samples(packets).map(({ name, bytes }) => ({ name, bytes: ethernet(type, bytes) }))

const links = samples({
  vlan: ethernet(0x8100, vlan(42, IPV4, tcp4)),
  'vlan in service vlan': ethernet(0x88a8, vlan(100, 0x8100, vlan(200, IPV4, tcp4))),
  'old service vlan': ethernet(0x9100, vlan(7, 0x8100, vlan(0, IPV6, tcp6))),
  'llc without snap': ethernet(38, [0x42, 0x42, 0x03, ...Array<number>(35).fill(0)]),
  'llc with snap': ethernet(8 + udp4.length, snap('000000', IPV4, udp4)),
  'vlan with llc and snap': ethernet(0x8100, vlan(9, 8 + udp4.length, snap('000000', IPV4, udp4))),
  'snap with padding': [
    ...ethernet(8 + udp4.length, snap('000000', IPV4, udp4)),
    ...Array<number>(20).fill(0xee),
  ],
  'arp request': ethernet(0x0806, [...arp(1), ...Array<number>(18).fill(0)]),
  'arp reply': ethernet(0x0806, arp(2)),
  'unknown EtherType': ethernet(0x88b5, DATA),
})

const ipv4Packets = over(IPV4, {
  fields: ipv4({ protocol: 6, ttl: 3, id: 0xfffe, tos: 0xb9, fragment: 0 }, segment()),
  options: ipv4({ protocol: 17, options: hex('94 04 00 00 01 01 01 00') }, udp(1, 2, DATA)),
  'padding is no payload': [...ipv4({ protocol: 6 }, tcp({ flags: 0x10 })), 0, 0, 0, 0, 0, 0],
  'first fragment': ipv4({ protocol: 17, fragment: 0x2000, fill: 'zero' }, udp(5000, 6000, DATA, 3000)),
  'later fragment': ipv4({ protocol: 17, fragment: 0x00b9 }, DATA),
  'last of many': ipv4({ protocol: 6, fragment: 0x3fff & ~0x2000 }, DATA),
  'total length 0': ipv4({ protocol: 6, totalLen: 0 }, segment()),
  'header checksum wrong': ipv4({ protocol: 6, headerChecksum: 'wrong' }, segment()),
  'unknown protocol': ipv4({ protocol: 253 }, DATA),
  esp: ipv4({ protocol: 50 }, DATA),
})

const ipv6Packets = over(IPV6, {
  fields: ipv6({ next: 6, trafficClass: 0xb9, flow: 0xabcde, hopLimit: 1 }, segment()),
  'padding is no payload': [...ipv6({ next: 17 }, udp(1, 2, [1, 2])), 0, 0, 0, 0],
  'hop-by-hop': ipv6({ next: 0, extensions: [17, 0, 5, 2, 0, 0, 1, 0], protocol: 17 }, udp(1, 2, DATA)),
  'every extension': ipv6(
    {
      next: 0,
      extensions: [
        ...[60, 0, 1, 4, 0, 0, 0, 0],
        ...[43, 1, 1, 12, ...Array<number>(12).fill(0)],
        ...[44, 2, 0, 0, 0, 0, 0, 0, ...address6('2001:db8::99')],
        ...[51, 0, 0, 0, ...be32(0xabcdef01)],
        ...[6, 4, 0, 0, ...be32(1), ...be32(2), ...Array<number>(12).fill(9)],
      ],
      protocol: 6,
    },
    segment(),
  ),
  'first fragment': ipv6(
    { next: 44, extensions: [17, 0, 0, 1, ...be32(0xcafe)], protocol: 0 },
    udp(1, 2, DATA, 3000),
  ),
  'later fragment': ipv6(
    { next: 44, extensions: [17, 0, ...be16(0x0b91), ...be32(0xcafe)], protocol: 0 },
    DATA,
  ),
  'no next header': ipv6({ next: 59 }, DATA),
  esp: ipv6({ next: 50 }, DATA),
  addresses: ipv6({ next: 17, src: '::ffff:c000:0201', dst: 'fe80::1:0:0:1' }, udp(1, 2, DATA)),
})

const transports = over(IPV4, {
  syn: ipv4({ protocol: 6 }, tcp({ flags: 0x02, options: SYN_OPTIONS })),
  'all flags': ipv4({ protocol: 6 }, tcp({ flags: 0xff })),
  timestamps: tcp4,
  'timestamps not aligned': ipv4({ protocol: 6 }, segment([...hex('08 0a'), ...be32(5), ...be32(6), 1, 1])),
  'sack blocks': ipv4(
    { protocol: 6 },
    segment([
      ...timestamps(1, 2),
      ...hex('01 01 05 12'),
      ...be32(100),
      ...be32(200),
      ...be32(0xfffffff0),
      ...be32(16),
    ]),
  ),
  'unknown options': ipv4({ protocol: 6 }, segment([...hex('fd 04 12 34 1c 04 80 05 00 ff ff ff')])),
  'tcp checksum wrong': ipv4({ protocol: 6, fill: 'wrong' }, segment()),
  'tcp checksum offloaded': ipv4({ protocol: 6, fill: 'offloaded' }, segment()),
  udp: udp4,
  'udp without checksum': ipv4({ protocol: 17, fill: 'zero' }, udp(5000, 6000, DATA)),
  'udp checksum wrong': ipv4({ protocol: 17, fill: 'wrong' }, udp(5000, 6000, DATA)),
  'udp checksum offloaded': ipv4({ protocol: 17, fill: 'offloaded' }, udp(5000, 6000, DATA)),
  'udp shorter than its packet': ipv4({ protocol: 17, fill: 'zero' }, udp(5000, 6000, DATA, 18)),
  'dns query': ipv4({ protocol: 17 }, udp(40000, 53, dnsQuery('web.example.org'))),
  'dns answer': ipv4({ protocol: 17 }, udp(53, 40000, dnsQuery('no.such.example', 0x8183))),
  mdns: ipv4({ protocol: 17, dst: '224.0.0.251' }, udp(5353, 5353, dnsQuery('host.local', 0))),
  sctp: ipv4({ protocol: 132 }, sctp(38412, 2905)),
  'echo request': ipv4({ protocol: 1 }, echo(8)),
  'echo reply': ipv4({ protocol: 1 }, echo(0)),
  'echo with a wrong checksum': ipv4({ protocol: 1, fill: 'wrong' }, echo(8)),
  'timestamp request': ipv4(
    { protocol: 1 },
    icmp(13, 0, [...be16(77), ...be16(1)], Array<number>(12).fill(0)),
  ),
})

const quoteOf = (transport: Bytes, protocol = 6) =>
  ipv4({ protocol, ttl: 1, src: '192.168.78.100', fill: 'right' }, transport)
const icmpErrors = over(IPV4, {
  'port unreachable': ipv4({ protocol: 1 }, icmp(3, 3, be32(0), quoteOf(udp(5000, 33434, DATA), 17))),
  'time exceeded, 8 bytes': ipv4({ protocol: 1 }, icmp(11, 0, be32(0), quoteOf(segment()).slice(0, 28))),
  'fragmentation needed': ipv4({ protocol: 1 }, icmp(3, 4, [0, 0, ...be16(1400)], quoteOf(segment()))),
  redirect: ipv4({ protocol: 1 }, icmp(5, 1, address4('172.17.0.9'), quoteOf(echo(8), 1))),
  'quote of sctp': ipv4({ protocol: 1 }, icmp(3, 2, be32(0), quoteOf(sctp(1000, 2000), 132))),
  'quote with extensions': ipv4(
    { protocol: 1 },
    icmp(
      11,
      0,
      [0, 32, 0, 0],
      [...quoteOf([...segment(), ...Array<number>(128).fill(1)]).slice(0, 128), ...hex('2000 0000')],
    ),
  ),
})

const icmpv6Messages = over(IPV6, {
  'echo request': ipv6({ next: 58 }, echo(128)),
  'echo reply': ipv6({ next: 58 }, echo(129)),
  'echo with a wrong checksum': ipv6({ next: 58, fill: 'wrong' }, echo(128)),
  'packet too big': ipv6({ next: 58 }, icmp(2, 0, be32(1280), tcp6)),
  'port unreachable': ipv6({ next: 58 }, icmp(1, 4, be32(0), ipv6({ next: 17 }, udp(5000, 33434, DATA)))),
  'hop limit exceeded, 8 bytes': ipv6({ next: 58 }, icmp(3, 0, be32(0), tcp6.slice(0, 48))),
  'neighbour solicitation': ipv6({ next: 58 }, icmp(135, 0, be32(0), address6('fe80::1'))),
})

const geneveOption = hex('0102 80 01 deadbeef')
const tunnels = over(IPV4, {
  vxlan: ipv4({ protocol: 17, fill: 'zero' }, udp(50000, 4789, vxlan(4096, innerFrame))),
  'vxlan with an inner vlan': ipv4(
    { protocol: 17, fill: 'zero' },
    udp(50000, 4789, vxlan(0xffffff, ethernet(0x8100, vlan(5, IPV6, tcp6)))),
  ),
  'geneve ethernet': ipv4({ protocol: 17 }, udp(50000, 6081, geneve(77, ETHERNET, geneveOption, innerFrame))),
  'geneve ipv4': ipv4({ protocol: 17 }, udp(50000, 6081, geneve(78, IPV4, [], udp4))),
  gre: ipv4({ protocol: 47 }, gre(0, IPV4, [], udp4)),
  'gre key and sequence': ipv4({ protocol: 47 }, gre(0x3000, IPV6, [...be32(0xabcd1234), ...be32(9)], tcp6)),
  'gre checksum and key': ipv4({ protocol: 47 }, gre(0xa000, ETHERNET, [...be32(0), ...be32(5)], innerFrame)),
  '4 in 4': ipv4({ protocol: 4 }, tcp4),
  '6 in 4': ipv4({ protocol: 41 }, tcp6),
  'icmp error in ipip': ipv4({ protocol: 4 }, ipv4({ protocol: 1 }, icmp(3, 1, be32(0), quoteOf(segment())))),
  'vxlan in gre': ipv4(
    { protocol: 47 },
    gre(0, IPV4, [], ipv4({ protocol: 17, fill: 'zero' }, udp(50000, 4789, vxlan(1, innerFrame)))),
  ),
})
const tunnels6 = over(IPV6, {
  '4 in 6': ipv6({ next: 4 }, tcp4),
  '6 in 6': ipv6({ next: 41 }, tcp6),
  'vxlan over ipv6': ipv6({ next: 17 }, udp(50000, 4789, vxlan(3, innerFrame))),
})

const long = ethernet(IPV4, tcp4)
const cut = [40, 54, 60, 66, 80].map((len) => ({
  name: `cut to ${len} bytes`,
  bytes: long.slice(0, len),
  originalLenBytes: long.length,
}))

export const SAMPLES: Record<number, Sample[]> = {
  0: samples({
    'null, little-endian': [2, 0, 0, 0, ...tcp4],
    'null, big-endian': [0, 0, 0, 2, ...tcp4],
    'null, macOS IPv6': [30, 0, 0, 0, ...tcp6],
    'null, FreeBSD IPv6': [28, 0, 0, 0, ...tcp6],
    'null, NetBSD IPv6': [24, 0, 0, 0, ...tcp6],
  }),
  1: [
    ...links,
    ...ipv4Packets,
    ...ipv6Packets,
    ...transports,
    ...icmpErrors,
    ...icmpv6Messages,
    ...tunnels,
    ...tunnels6,
    ...cut,
  ],
  101: samples({ 'raw IPv4': tcp4, 'raw IPv6': tcp6 }),
  108: samples({ 'loop IPv4': [0, 0, 0, 2, ...tcp4], 'loop IPv6': [0, 0, 0, 24, ...tcp6] }),
  113: samples({
    'sll IPv4': sll(IPV4, udp4),
    'sll vlan': sll(0x8100, vlan(12, IPV6, tcp6)),
    'sll arp': sll(0x0806, arp(1)),
  }),
  228: samples({ 'link type IPV4': tcp4 }),
  229: samples({ 'link type IPV6': tcp6 }),
  276: samples({
    'sll2 IPv4': sll2(IPV4, tcp4),
    'sll2 vlan': sll2(0x8100, vlan(12, IPV4, udp4)),
    'sll2 llc': sll2(4, snap('000000', IPV4, udp4)),
  }),
}
