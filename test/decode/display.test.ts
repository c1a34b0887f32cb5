/** Header fields in the words that people know. */

import { expect, test } from 'vitest'
import {
  formatIpv4,
  formatIpv6,
  formatMac,
  icmpErrorName,
  protocolName,
  tcpFlagsText,
} from '../../src/decode/display.ts'
import { TcpFlag } from '../../src/decode/headers.ts'
import { hex } from './frames.ts'

const bytes = (text: string) => Uint8Array.from([0xff, ...hex(text)])

test('addresses', () => {
  expect(formatIpv4(bytes('ac110003'), 1)).toBe('172.17.0.3')
  expect(formatMac(bytes('0242ac110003'), 1)).toBe('02:42:ac:11:00:03')
})

test.each([
  ['20010db8 00000000 00000000 00000001', '2001:db8::1'],
  ['20010db8 00000001 00010001 00010001', '2001:db8:0:1:1:1:1:1'],
  ['20010000 00000001 00000000 00000001', '2001:0:0:1::1'],
  ['20010db8 00000000 00010000 00000001', '2001:db8::1:0:0:1'],
  ['00000000 00000000 00000000 00000000', '::'],
  ['00000000 00000000 00000000 00000001', '::1'],
  ['fe800000 00000000 00000000 00000000', 'fe80::'],
  ['00000000 00000000 0000ffff c0000201', '::ffff:192.0.2.1'],
  ['20010DB8 AAAABBBB CCCCDDDD EEEE0001', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:1'],
])('IPv6 %s as RFC 5952 writes it', (address, text) => {
  expect(formatIpv6(bytes(address), 1)).toBe(text)
})

test('protocol names', () => {
  expect([1, 6, 17, 47, 50, 58, 132, 253].map(protocolName)).toEqual(
    'icmp tcp udp gre esp icmpv6 sctp ip-proto-253'.split(' '),
  )
})

test('ICMP errors in words', () => {
  expect(icmpErrorName(4, 3, 3)).toBe('port unreachable')
  expect(icmpErrorName(4, 11, 0)).toBe('time to live exceeded')
  expect(icmpErrorName(4, 3, 4)).toBe('fragmentation needed')
  expect(icmpErrorName(4, 3, 77)).toBe('destination unreachable')
  expect(icmpErrorName(6, 2, 0)).toBe('packet too big')
  expect(icmpErrorName(6, 3, 0)).toBe('hop limit exceeded')
  expect(icmpErrorName(4, 8, 0)).toBe('icmp type 8 code 0')
  expect(icmpErrorName(6, 200, 1)).toBe('icmpv6 type 200 code 1')
})

test('TCP flags as tcpdump writes them', () => {
  expect(tcpFlagsText(TcpFlag.Syn)).toBe('S')
  expect(tcpFlagsText(TcpFlag.Syn | TcpFlag.Ack)).toBe('S.')
  expect(tcpFlagsText(TcpFlag.Psh | TcpFlag.Ack)).toBe('P.')
  expect(tcpFlagsText(TcpFlag.Fin | TcpFlag.Ack)).toBe('F.')
  expect(tcpFlagsText(TcpFlag.Syn | TcpFlag.Ece | TcpFlag.Cwr)).toBe('SEW')
  expect(tcpFlagsText(0)).toBe('none')
})
