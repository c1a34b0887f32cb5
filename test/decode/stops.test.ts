/** Truncated and malformed frames: the good layers stay, and the byte where decoding stopped is named. */

import { expect, test } from 'vitest'
import { decoded, stopOf } from './decode.ts'
import {
  arp,
  type Bytes,
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

const over4 = (packet: Bytes) => ethernet(0x0800, packet)
const over6 = (packet: Bytes) => ethernet(0x86dd, packet)
const tcpFrame = over4(ipv4({ protocol: 6 }, tcp({ options: timestamps(1, 2) }, [1, 2, 3, 4])))
const udpFrame = over4(ipv4({ protocol: 17 }, udp(1, 2, [1, 2, 3, 4])))
const extended = over6(ipv6({ next: 60, extensions: [6, 1, 1, 12, ...Array<number>(12).fill(0)] }, tcp({})))
const inVxlan = over4(ipv4({ protocol: 17 }, udp(9, 4789, vxlan(5, tcpFrame))))

/** Name, frame, link type, captured length, and the stop where the wire had more, or had just that. */
const CUTS: [string, Bytes, number, number, string, string][] = [
  ['nothing at all', tcpFrame, 1, 0, 'ethernet 0 cut', 'ethernet 0 malformed'],
  ['Ethernet', tcpFrame, 1, 13, 'ethernet 13 cut', 'ethernet 13 malformed'],
  ['VLAN', ethernet(0x8100, vlan(1, 0x0800, [0, 0])), 1, 17, 'vlan 17 cut', 'vlan 17 malformed'],
  [
    'SNAP',
    ethernet(30, snap('000000', 0x0800, Array<number>(22).fill(0))),
    1,
    20,
    'llc 20 cut',
    'llc 20 malformed',
  ],
  ['SLL', sll(0x0800, []), 113, 15, 'linux-sll 15 cut', 'linux-sll 15 malformed'],
  ['SLL2', sll2(0x0800, []), 276, 19, 'linux-sll2 19 cut', 'linux-sll2 19 malformed'],
  ['NULL', [2, 0, 0, 0], 0, 3, 'loopback 3 cut', 'loopback 3 malformed'],
  ['RAW', ipv4({ protocol: 6 }, []), 101, 0, 'ipv4 0 cut', 'ipv4 0 malformed'],
  ['ARP', ethernet(0x0806, arp(1)), 1, 41, 'arp 41 cut', 'arp 41 malformed'],
  ['IPv4', tcpFrame, 1, 33, 'ipv4 33 cut', 'ipv4 33 malformed'],
  ['IPv6', extended, 1, 53, 'ipv6 53 cut', 'ipv6 53 malformed'],
  ['IPv6 extension', extended, 1, 60, 'ipv6-extension 60 cut', 'ipv6-extension 60 malformed'],
  ['IPv6 extension body', extended, 1, 64, 'ipv6-extension 64 cut', 'ipv6-extension 55 malformed'],
  ['TCP', tcpFrame, 1, 53, 'tcp 53 cut', 'tcp 53 malformed'],
  ['TCP options', tcpFrame, 1, 60, 'tcp 60 cut', 'tcp 46 malformed'],
  ['UDP', udpFrame, 1, 41, 'udp 41 cut', 'udp 41 malformed'],
  ['ICMP', over4(ipv4({ protocol: 1 }, icmp(8, 0, be32(0)))), 1, 41, 'icmp 41 cut', 'icmp 41 malformed'],
  ['ICMPv6', over6(ipv6({ next: 58 }, icmp(128, 0, be32(0)))), 1, 61, 'icmpv6 61 cut', 'icmpv6 61 malformed'],
  ['SCTP', over4(ipv4({ protocol: 132 }, sctp(1, 2))), 1, 45, 'sctp 45 cut', 'sctp 45 malformed'],
  [
    'GRE',
    over4(ipv4({ protocol: 47 }, gre(0x2000, 0x0800, be32(1), []))),
    1,
    41,
    'gre 41 cut',
    'gre 41 malformed',
  ],
  ['VXLAN', inVxlan, 1, 49, 'vxlan 49 cut', 'udp 38 malformed'],
  ['inside of VXLAN', inVxlan, 1, 90, 'tcp 90 cut', 'udp 38 malformed'],
  [
    'Geneve options',
    over4(ipv4({ protocol: 17 }, udp(9, 6081, geneve(5, 0x0800, Array<number>(8).fill(0), [])))),
    1,
    52,
    'geneve 52 cut',
    'udp 38 malformed',
  ],
]

test.each(CUTS)('%s cut short', (_name, frame, linkType, len, cut, malformed) => {
  expect(stopOf(decoded(frame.slice(0, len), linkType, frame.length))).toBe(cut)
  expect(stopOf(decoded(frame.slice(0, len), linkType))).toBe(malformed)
})

const option = (bytes: string) => over4(ipv4({ protocol: 6 }, tcp({ options: hex(bytes) })))
const MALFORMED: [string, Bytes, string][] = [
  ['IPv4 of another version', over4([0x65, ...ipv4({ protocol: 6 }, tcp({})).slice(1)]), 'ipv4 14 malformed'],
  [
    'IPv4 header length below 20',
    over4([0x44, ...ipv4({ protocol: 6 }, tcp({})).slice(1)]),
    'ipv4 14 malformed',
  ],
  [
    'IPv4 total length below its header',
    over4(ipv4({ protocol: 6, totalLen: 19 }, tcp({}))),
    'ipv4 16 malformed',
  ],
  ['IPv4 packet too small for TCP', over4(ipv4({ protocol: 6, totalLen: 39 }, tcp({}))), 'tcp 53 malformed'],
  ['TCP data offset below 5', over4(ipv4({ protocol: 6 }, tcp({ dataOffset: 4 }))), 'tcp 46 malformed'],
  [
    'TCP data offset behind the packet',
    over4(ipv4({ protocol: 6 }, tcp({ dataOffset: 6 }))),
    'tcp 46 malformed',
  ],
  ['TCP option of length 0', option('01 01 fd 00'), 'tcp 56 malformed'],
  ['TCP option of length 1', option('fd 01 01 01'), 'tcp 54 malformed'],
  ['TCP option behind the header', option('01 01 fd 03'), 'tcp 56 malformed'],
  ['TCP option without its length', option('01 01 01 08'), 'tcp 57 malformed'],
  ['MSS of length 3', option('02 03 05 00'), 'tcp 54 malformed'],
  ['UDP length below 8', over4(ipv4({ protocol: 17 }, udp(1, 2, [1], 7))), 'udp 38 malformed'],
  ['UDP length 0', over4(ipv4({ protocol: 17 }, udp(1, 2, [1], 0))), 'udp 38 malformed'],
  ['UDP length behind the packet', over4(ipv4({ protocol: 17 }, udp(1, 2, [1], 10))), 'udp 38 malformed'],
  [
    'Geneve of a later version',
    over4(ipv4({ protocol: 17 }, udp(9, 6081, [0x40, ...hex('00080000000500')]))),
    'geneve 42 malformed',
  ],
  ['IPv6 of another version', over6([0x40, ...ipv6({ next: 6 }, tcp({})).slice(1)]), 'ipv6 14 malformed'],
]

test.each(MALFORMED)('%s', (_name, frame, stop) => {
  expect(stopOf(decoded(frame))).toBe(stop)
})

test('what is not for us, and a payload that was cut, are no stop', () => {
  const frames: Bytes[] = [
    ethernet(0x88cc, [1, 2, 3]),
    ethernet(38, [0x42, 0x42, 0x03, ...Array<number>(35).fill(0)]),
    over4(ipv4({ protocol: 50 }, [1, 2, 3])),
    over4(ipv4({ protocol: 253 }, [])),
    over4(ipv4({ protocol: 6, fragment: 0x0001 }, [1])),
    over6(ipv6({ next: 59 }, [])),
    over4(ipv4({ protocol: 17 }, udp(9, 4789, dnsQuery('not.vxlan')))),
    over4(ipv4({ protocol: 47 }, gre(0x0001, 0x880b, [], [1, 2, 3, 4]))),
    [0, 0, 0, 0],
  ]
  for (const frame of frames) expect(stopOf(decoded(frame, frame.length === 4 ? 0 : 1))).toBe('none')
  const cut = decoded(tcpFrame.slice(0, 67), 1, tcpFrame.length)
  expect(stopOf(cut)).toBe('none')
  expect([cut.payloadOffset, cut.payloadLenBytes]).toEqual([66, 4])
})

test('a frame cut in the TCP options keeps the fixed header and the options in front of the cut', () => {
  const syn = over4(ipv4({ protocol: 6 }, tcp({ flags: 2, options: SYN_OPTIONS })))
  const headers = decoded(syn.slice(0, 64), 1, syn.length)
  expect(headers).toMatchObject({
    hasTransport: true,
    tcpMss: 1460,
    tcpSackPermitted: true,
    tcpHasTimestamps: false,
  })
  expect(headers).toMatchObject({ payloadOffset: 74, payloadLenBytes: 0, tcpSeq: 0xfedcba98 })
})

test('a malformed length leaves the ports of UDP in place, and TCP without a transport', () => {
  expect(decoded(over4(ipv4({ protocol: 17 }, udp(7, 8, [1], 99))))).toMatchObject({
    hasTransport: true,
    srcPort: 7,
  })
  const headers = decoded(over4(ipv4({ protocol: 6 }, tcp({ dataOffset: 4 }))))
  expect(headers).toMatchObject({
    hasTransport: false,
    ipVersion: 4,
    srcPort: 0,
    payloadOffset: 34,
    payloadLenBytes: 20,
  })
})

test('an unknown link type', () => {
  expect(stopOf(decoded([1, 2, 3], 127))).toBe('unknown-link-type 0 malformed')
})

test('the stop of an inner packet is told outside as well', () => {
  const headers = decoded(inVxlan.slice(0, 90), 1, inVxlan.length)
  expect(headers).toMatchObject({
    tunnel: 'vxlan',
    tunnelId: 5,
    hasTransport: true,
    hasInner: true,
    stopLayer: 'tcp',
  })
  expect(headers.inner).toMatchObject({ ipVersion: 4, hasTransport: false, stopLayer: 'tcp', stopOffset: 90 })
})

test('a total length beyond the frame is clamped to it', () => {
  const headers = decoded(over4(ipv4({ protocol: 6, totalLen: 1000 }, tcp({}, [1, 2, 3]))))
  expect(headers).toMatchObject({ ipTotalLenBytes: 1000, payloadLenBytes: 3, stopLayer: 'none' })
})
