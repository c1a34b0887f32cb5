/**
 * Inline bytes for what tshark cannot be asked about: offsets, quotes, tunnels inside of tunnels,
 * super-packets.
 */

import { expect, test } from 'vitest'
import { decoded, stopOf } from './decode.ts'
import {
  arp,
  type Bytes,
  be16,
  be32,
  ethernet,
  gre,
  icmp,
  ipv4,
  ipv6,
  sll2,
  tcp,
  timestamps,
  udp,
  vlan,
} from './frames.ts'

const over4 = (packet: Bytes) => ethernet(0x0800, packet)

test('offsets count in the buffer, and the stop counts in the frame', () => {
  const headers = decoded(over4(ipv4({ protocol: 6 }, tcp({ options: timestamps(7, 9) }, [1, 2, 3]))))
  expect(headers).toMatchObject({
    macOffset: 0,
    ipOffset: 14,
    srcOffset: 26,
    dstOffset: 30,
    transportOffset: 34,
  })
  expect(headers).toMatchObject({ payloadOffset: 66, payloadLenBytes: 3, packetEnd: 69 })
  expect(headers).toMatchObject({
    tcpHasTimestamps: true,
    tcpTsVal: 7,
    tcpTsEcr: 9,
    tcpMss: -1,
    tcpSackOffset: -1,
  })
})

test('VLAN tags: the two outermost ids, the number of all, the type behind the last', () => {
  const stack = ethernet(0x88a8, vlan(1, 0x8100, vlan(2, 0x9100, vlan(3, 0x0806, arp(2)))))
  expect(decoded(stack)).toMatchObject({
    vlanCount: 3,
    vlanOuter: 1,
    vlanInner: 2,
    etherType: 0x0806,
    isArp: true,
  })
  expect(decoded(stack)).toMatchObject({ arpOperation: 2, arpSenderIpOffset: 40, arpTargetIpOffset: 50 })
})

test('LINUX_SLL2 names the interface', () => {
  const headers = decoded(sll2(0x0800, ipv4({ protocol: 17 }, udp(1, 2, []))), 276)
  expect(headers).toMatchObject({ sllInterfaceIndex: 7, sllPacketType: 0, macOffset: -1, ipVersion: 4 })
})

test('every link type number of raw IP', () => {
  for (const linkType of [12, 14, 101, 228]) {
    expect(decoded(ipv4({ protocol: 17 }, udp(1, 2, [])), linkType)).toMatchObject({
      ipVersion: 4,
      dstPort: 2,
    })
  }
  for (const linkType of [12, 14, 101, 229]) {
    expect(decoded(ipv6({ next: 17 }, udp(1, 2, [])), linkType)).toMatchObject({ ipVersion: 6, dstPort: 2 })
  }
  expect(stopOf(decoded([0x10, 0, 0, 0], 101, 40))).toBe('ipv4 4 cut')
})

test('NULL: AF_INET6 of every system, both byte orders', () => {
  for (const family of [10, 24, 28, 30]) {
    for (const head of [
      [family, 0, 0, 0],
      [0, 0, 0, family],
    ]) {
      expect(decoded([...head, ...ipv6({ next: 17 }, udp(1, 2, []))], 0)).toMatchObject({
        ipVersion: 6,
        srcPort: 1,
      })
    }
  }
})

test('a quote of 8 bytes keeps the ports and the sequence number, one of 4 the ports', () => {
  const quote = ipv4(
    { protocol: 6, src: '10.0.0.1', ttl: 1 },
    tcp({ srcPort: 4321, dstPort: 443, seq: 0x90000001 }),
  )
  const error = (len: number) =>
    decoded(over4(ipv4({ protocol: 1 }, icmp(11, 0, be32(0), quote.slice(0, len)))))
  const eight = error(28)
  expect(eight).toMatchObject({
    icmpType: 11,
    hasTransport: true,
    hasQuoted: true,
    stopLayer: 'none',
    srcPort: 0,
  })
  expect(eight.quoted).toMatchObject({
    hasTransport: true,
    srcPort: 4321,
    dstPort: 443,
    tcpSeq: 0x90000001,
    ttl: 1,
  })
  expect(eight.quoted).toMatchObject({ stopLayer: 'tcp', stopByCapture: true, stopOffset: 14 + 20 + 8 + 28 })
  expect(error(24).quoted).toMatchObject({ hasTransport: true, srcPort: 4321, tcpSeq: 0 })
  expect(error(23).quoted).toMatchObject({ hasTransport: false, ipVersion: 4, protocol: 6 })
  expect(error(19)).toMatchObject({ hasQuoted: false, stopLayer: 'none' })
})

test('a quoted echo carries its id in both ports; a quoted later fragment has no transport', () => {
  const echo = icmp(8, 0, [...be16(77), ...be16(5)])
  const error = (quote: Bytes) => decoded(over4(ipv4({ protocol: 1 }, icmp(3, 1, be32(0), quote)))).quoted
  expect(error(ipv4({ protocol: 1 }, echo))).toMatchObject({
    srcPort: 77,
    dstPort: 77,
    icmpSeq: 5,
    icmpType: 8,
  })
  expect(error(ipv4({ protocol: 17, fragment: 5 }, [0, 1, 0, 2, 0, 0, 0, 0]))).toMatchObject({
    hasTransport: false,
  })
  const inError = error(ipv4({ protocol: 1 }, icmp(3, 1, be32(0), ipv4({ protocol: 17 }, udp(1, 2, [])))))
  expect(inError).toMatchObject({ icmpType: 3, hasQuoted: false })
})

test('next-hop MTU', () => {
  const quote = ipv4({ protocol: 17 }, udp(1, 2, []))
  expect(decoded(over4(ipv4({ protocol: 1 }, icmp(3, 4, [0, 0, ...be16(1400)], quote)))).icmpMtu).toBe(1400)
  const big = ethernet(0x86dd, ipv6({ next: 58 }, icmp(2, 0, be32(1280), ipv6({ next: 17 }, udp(1, 2, [])))))
  expect(decoded(big)).toMatchObject({ icmpMtu: 1280, hasQuoted: true })
})

test('tunnels inside of each other are opened four packets deep', () => {
  let packet = ipv4({ protocol: 17 }, udp(5, 6, []))
  for (let i = 0; i < 6; i++) packet = ipv4({ protocol: 4, ttl: 10 + i }, packet)
  let headers = decoded(over4(packet))
  expect(headers.ttl).toBe(15)
  for (const ttl of [14, 13, 12]) {
    expect(headers).toMatchObject({ tunnel: 'ipip', hasInner: true, hasTransport: false })
    headers = headers.inner
    expect(headers.ttl).toBe(ttl)
  }
  expect(headers).toMatchObject({ tunnel: 'ipip', hasInner: false })
})

test('the fields of GRE and VXLAN', () => {
  const key = decoded(
    over4(
      ipv4(
        { protocol: 47 },
        gre(
          0xb000,
          0x0800,
          [...be32(0), ...be32(0xfeedf00d), ...be32(1)],
          ipv4({ protocol: 17 }, udp(5, 6, [])),
        ),
      ),
    ),
  )
  expect(key).toMatchObject({ tunnel: 'gre', tunnelId: 0xfeedf00d, tunnelProtocol: 0x0800, hasInner: true })
  expect(key.inner).toMatchObject({ srcPort: 5, macOffset: -1 })
  const unknown = decoded(over4(ipv4({ protocol: 47 }, gre(0, 0x88be, [], [1, 2, 3]))))
  expect(unknown).toMatchObject({ tunnel: 'gre', tunnelProtocol: 0x88be, hasInner: false, stopLayer: 'none' })
})

test('a jumbogram, and an IPv6 super-packet whose payload length is 0', () => {
  const data = Array<number>(66_000).fill(0)
  const jumboOption = [6, 0, 0xc2, 4, ...be32(8 + 20 + data.length)]
  const jumbo = ipv6({ next: 0, extensions: jumboOption, protocol: 6, payloadLen: 0 }, tcp({}, data))
  expect(decoded([...jumbo, 0xee, 0xee], 229)).toMatchObject({ payloadLenBytes: 66_000, payloadOffset: 68 })
  expect(decoded(ipv6({ next: 6, payloadLen: 0 }, tcp({}, data)), 229)).toMatchObject({
    payloadLenBytes: 66_000,
  })
  expect(decoded([...ipv6({ next: 59 }, []), 0, 0], 229)).toMatchObject({
    payloadLenBytes: 0,
    stopLayer: 'none',
  })
})
