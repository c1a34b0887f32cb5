import { expect, test } from 'vitest'
import { originalLength } from '../../../src/capture/live/original-length.ts'

const ETHERNET = 1
const RAW = 101
const SLL = 113
const ipv4 = (total: number) => [0x45, 0, total >> 8, total & 0xff, 0, 1, 0, 0, 64, 17]
const ipv6 = (payload: number) => [0x60, 0, 0, 0, payload >> 8, payload & 0xff, 17, 64]
const ethernet = (type: number[], inner: number[]) => [...new Array(12).fill(2), ...type, ...inner]

test.each<[string, number, number[], number]>([
  ['IPv4', ETHERNET, ethernet([8, 0], ipv4(1500)), 1514],
  ['IPv6', ETHERNET, ethernet([0x86, 0xdd], ipv6(1460)), 1514],
  [
    'two VLAN tags',
    ETHERNET,
    ethernet([0x88, 0xa8, 0, 1], [0x81, 0, 0, 2, 8, 0, ...ipv4(1500)].slice(0)),
    1522,
  ],
  ['raw IPv4', RAW, ipv4(1500), 1500],
  ['raw IPv6', RAW, ipv6(1000), 1040],
  ['cooked', SLL, [...new Array(14).fill(0), 8, 0, ...ipv4(1500)], 1516],
  ['less than was captured', ETHERNET, ethernet([8, 0], ipv4(20)), 34],
  ['segmentation offload, length 0', ETHERNET, ethernet([8, 0], ipv4(0)), 24],
  ['jumbogram', ETHERNET, ethernet([0x86, 0xdd], ipv6(0)), 22],
  ['ARP', ETHERNET, ethernet([8, 6], ipv4(1500)), 24],
  ['no IP version', RAW, [0, 1, 2, 3, 4, 5, 6, 7], 8],
  ['another link type', 9, ipv4(1500), 10],
  ['cut in the header', RAW, ipv4(1500).slice(0, 5), 5],
  ['nothing', ETHERNET, [], 0],
  ['tags only', ETHERNET, ethernet([0x81, 0], [0, 1, 0x81, 0, 0, 1, 0x81, 0]), 22],
])('%s', (_, linkType, bytes, expected) => {
  const frame = Uint8Array.from(bytes)
  // The IPv4 header that claims less than was captured has padding behind it.
  const captured = expected === 34 ? Uint8Array.from([...bytes, ...new Array(10).fill(0)]) : frame
  expect(originalLength(captured, captured.length, linkType)).toBe(expected)
})
