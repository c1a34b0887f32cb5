/** Checksums: right, wrong, left to the hardware, or not to be told; and the NAT-neutral rest. */

import { expect, test } from 'vitest'
import { natNeutralChecksum, verifyChecksums } from '../../src/decode/checksum.ts'
import { Checksum, type Headers } from '../../src/decode/headers.ts'
import { decoded } from './decode.ts'
import { type Bytes, be16, be32, ethernet, type Fill, icmp, ipv4, ipv6, sctp, tcp, udp } from './frames.ts'

const DATA = [1, 2, 3, 4, 5]
const over4 = (packet: Bytes) => ethernet(0x0800, packet)
const over6 = (packet: Bytes) => ethernet(0x86dd, packet)
const verified = (headers: Headers) => {
  verifyChecksums(headers)
  return headers.transportChecksum
}

const KINDS: [string, (fill: Fill) => Bytes][] = [
  ['TCP over IPv4', (fill) => over4(ipv4({ protocol: 6, fill }, tcp({}, DATA)))],
  ['TCP over IPv6', (fill) => over6(ipv6({ next: 6, fill }, tcp({}, DATA)))],
  ['UDP over IPv4', (fill) => over4(ipv4({ protocol: 17, fill }, udp(1, 2, DATA)))],
  ['UDP over IPv6', (fill) => over6(ipv6({ next: 17, fill }, udp(1, 2, DATA)))],
  ['ICMPv6', (fill) => over6(ipv6({ next: 58, fill }, icmp(128, 0, be32(1), DATA)))],
]

test.each(KINDS)('%s', (_name, frame) => {
  expect(verified(decoded(frame('right')))).toBe(Checksum.Right)
  expect(verified(decoded(frame('wrong')))).toBe(Checksum.Wrong)
  expect(verified(decoded(frame('offloaded')))).toBe(Checksum.Offloaded)
  const cut = (fill: Fill) => decoded(frame(fill).slice(0, -1), 1, frame(fill).length)
  expect(verified(cut('right'))).toBe(Checksum.Unchecked)
  expect(verified(cut('wrong'))).toBe(Checksum.Unchecked)
  expect(verified(cut('offloaded'))).toBe(Checksum.Offloaded)
  expect(verified(decoded([...frame('right'), 0xee, 0xee]))).toBe(Checksum.Right)
})

test('ICMP has no pseudo-header and is never left to the hardware', () => {
  const frame = (fill: Fill) => over4(ipv4({ protocol: 1, fill }, icmp(8, 0, be32(7), DATA)))
  expect(verified(decoded(frame('right')))).toBe(Checksum.Right)
  expect(verified(decoded(frame('wrong')))).toBe(Checksum.Wrong)
  expect(verified(decoded(over4(ipv4({ protocol: 1, fill: 'zero' }, icmp(0, 0, be32(0))))))).toBe(
    Checksum.Wrong,
  )
})

test('the IPv4 header: right, wrong, or 0 where the hardware was to fill it in', () => {
  const status = (headerChecksum: Fill) => {
    const headers = decoded(over4(ipv4({ protocol: 6, headerChecksum }, tcp({}))))
    verifyChecksums(headers)
    return headers.ipChecksum
  }
  expect(status('wrong')).toBe(Checksum.Wrong)
  expect(status('zero')).toBe(Checksum.Offloaded)
  const right = decoded(over4(ipv4({ protocol: 6 }, tcp({}))))
  expect(right.ipChecksum).toBe(Checksum.Unchecked)
  verifyChecksums(right)
  expect(right.ipChecksum).toBe(Checksum.Right)
})

test('nothing is said of fragments, of UDP without a checksum, of lengths that lie, and of SCTP', () => {
  const frames = [
    over4(ipv4({ protocol: 17, fragment: 0x2000, fill: 'wrong' }, udp(1, 2, DATA, 100))),
    over4(ipv4({ protocol: 17, fragment: 0x0002 }, DATA)),
    over4(ipv4({ protocol: 17, fill: 'zero' }, udp(1, 2, DATA))),
    over4(ipv4({ protocol: 17, fill: 'wrong' }, udp(1, 2, DATA, 100))),
    over4(ipv4({ protocol: 132 }, sctp(1, 2))),
    over6(
      ipv6(
        { next: 43, extensions: [6, 2, 4, 1, ...Array<number>(20).fill(0)], protocol: 6, fill: 'wrong' },
        tcp({}),
      ),
    ),
  ]
  for (const frame of frames) expect(verified(decoded(frame))).toBe(Checksum.Unchecked)
})

test('a super-packet of 64 KiB and more, whose total length is 0', () => {
  const data = Array<number>(70_000).fill(0xff)
  const frame = (fill: Fill) => over4(ipv4({ protocol: 6, totalLen: 0, fill }, tcp({}, data)))
  const headers = decoded(frame('right'))
  expect(headers).toMatchObject({ payloadLenBytes: 70_000, ipTotalLenBytes: 70_040, stopLayer: 'none' })
  expect(verified(headers)).toBe(Checksum.Right)
  expect(verified(decoded(frame('offloaded')))).toBe(Checksum.Offloaded)
  expect(verified(decoded(frame('wrong')))).toBe(Checksum.Wrong)
})

test('the NAT-neutral checksum is the same on both sides of NAT, also in cut frames', () => {
  const before = { src: '172.17.0.3', dst: '203.0.113.238' }
  const after = { src: '192.168.78.100', dst: '10.9.8.7' }
  const pairs: [Bytes, Bytes][] = [
    [
      over4(ipv4({ protocol: 6, ...before }, tcp({ srcPort: 45000, dstPort: 80 }, DATA))),
      over4(ipv4({ protocol: 6, ...after, ttl: 61 }, tcp({ srcPort: 1025, dstPort: 8080 }, DATA))),
    ],
    [
      over4(ipv4({ protocol: 17, ...before }, udp(45000, 53, DATA))),
      over4(ipv4({ protocol: 17, ...after }, udp(60001, 5353, DATA))),
    ],
    [
      over4(ipv4({ protocol: 1, ...before }, icmp(8, 0, [...be16(0x1111), 0, 1], DATA))),
      over4(ipv4({ protocol: 1, ...after }, icmp(8, 0, [...be16(0xfffe), 0, 1], DATA))),
    ],
    [
      over6(ipv6({ next: 58 }, icmp(128, 0, [...be16(0x1111), 0, 1], DATA))),
      over6(ipv6({ next: 58, src: 'fd00::9' }, icmp(128, 0, [...be16(0x2222), 0, 1], DATA))),
    ],
  ]
  for (const [inside, outside] of pairs) {
    const value = natNeutralChecksum(decoded(inside))
    expect(value).toBeGreaterThanOrEqual(0)
    expect(natNeutralChecksum(decoded(outside))).toBe(value)
    expect(natNeutralChecksum(decoded(outside.slice(0, -3), 1, outside.length))).toBe(value)
  }
})

test('the NAT-neutral checksum is -1 where the field says nothing', () => {
  const frames = [
    over4(ipv4({ protocol: 6, fill: 'offloaded' }, tcp({}, DATA))),
    over4(ipv4({ protocol: 17, fill: 'zero' }, udp(1, 2, DATA))),
    over4(ipv4({ protocol: 1 }, icmp(3, 3, be32(0), ipv4({ protocol: 17 }, udp(1, 2, DATA))))),
    over4(ipv4({ protocol: 132 }, sctp(1, 2))),
    over4(ipv4({ protocol: 50 }, DATA)),
    ethernet(0x0806, []),
  ]
  for (const frame of frames) expect(natNeutralChecksum(decoded(frame))).toBe(-1)
})
