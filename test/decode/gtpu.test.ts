/** GTP-U headers byte by byte, with tshark as the witness; and ports at which a tunnel is looked for because somebody said so. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decodeFrame } from '../../src/decode/frame.ts'
import { Headers } from '../../src/decode/headers.ts'
import { decoded, stopOf } from './decode.ts'
import { type Bytes, be16, be32, ethernet, geneve, hex, icmp, ipv4, ipv6, tcp, udp, vxlan } from './frames.ts'
import { writePcap } from './pcap-file.ts'
import { hasTshark, tsharkFields } from './tshark.ts'

const user = ipv4(
  { protocol: 6, src: '10.45.0.2', dst: '203.0.113.9' },
  tcp({ srcPort: 40_000, dstPort: 443 }, [1, 2, 3]),
)
const user6 = ipv6({ next: 17, src: '2001:db8:45::2' }, udp(40_000, 50_000, [1, 2, 3, 4]))

/** A GTP-U message; `length` counts what stands behind the first 8 bytes. */
function gtpu(flags: number, type: number, teid: number, optional: Bytes, packet: Bytes): Bytes {
  return [flags, type, ...be16(optional.length + packet.length), ...be32(teid), ...optional, ...packet]
}
const over = (message: Bytes, port = 2152): Bytes =>
  ethernet(0x0800, ipv4({ protocol: 17, src: '192.0.2.1', dst: '192.0.2.2' }, udp(2152, port, message)))

const PLAIN = over(gtpu(0x30, 255, 0x00c0ffee, [], user))
/** Sequence number, N-PDU number, next extension. */
const NONE = hex('0000 00 00')
const SESSION = hex('0000 00 85  01 00 09 00')
/** A long PDCP number (8 bytes) in front of the session container. */
const TWO = hex('0000 00 82  02 00 00 01 00 00 00 85  01 10 09 00')

const CARRYING: [string, Bytes, number, 4 | 6][] = [
  ['no optional field', PLAIN, 0x00c0ffee, 4],
  ['an IPv6 packet', over(gtpu(0x30, 255, 1, [], user6)), 1, 6],
  ['a sequence number', over(gtpu(0x32, 255, 2, hex('1234 00 00'), user)), 2, 4],
  ['an N-PDU number', over(gtpu(0x31, 255, 3, hex('0000 07 00'), user)), 3, 4],
  ['an extension bit without an extension', over(gtpu(0x34, 255, 4, NONE, user)), 4, 4],
  ['a session container', over(gtpu(0x34, 255, 0xffffffff, SESSION, user)), 0xffffffff, 4],
  ['two extension headers', over(gtpu(0x34, 255, 6, TWO, user6)), 6, 6],
  [
    'an extension type that does not count, as its bit is not set',
    over(gtpu(0x32, 255, 7, hex('1234 00 85'), user)),
    7,
    4,
  ],
]

test.each(CARRYING)('with %s', (_name, frame, teid, version) => {
  const headers = decoded(frame)
  expect(stopOf(headers)).toBe('none')
  expect(headers).toMatchObject({ tunnel: 'gtpu', tunnelId: teid, hasInner: true, srcPort: 2152 })
  expect(headers.inner).toMatchObject({ ipVersion: version, hasTransport: true, srcPort: 40_000 })
  expect(headers.inner.dstPort).toBe(version === 4 ? 443 : 50_000)
})

test.each<[string, Bytes]>([
  ['an echo request', over(gtpu(0x32, 1, 0, hex('0001 00 00'), []))],
  ['an error indication', over(gtpu(0x32, 26, 0, hex('0001 00 00 10 00 00 00 01'), []))],
  ['an end marker', over(gtpu(0x30, 254, 5, [], []))],
  ['GTP prime', over(gtpu(0x20, 255, 5, [], user))],
  ['GTP version 2', over(gtpu(0x48, 255, 5, [], user))],
  ['a packet that is no IP', over(gtpu(0x30, 255, 5, [], [0x10, 2, 3, 4]))],
])('%s carries nobody’s packet, and is no damage', (_name, frame) => {
  const headers = decoded(frame)
  expect(stopOf(headers)).toBe('none')
  expect(headers).toMatchObject({ tunnel: 'none', hasInner: false, hasTransport: true, dstPort: 2152 })
})

test.each<[string, Bytes, string]>([
  [
    'an extension of length 0',
    over(gtpu(0x34, 255, 5, hex('0000 00 85 00 00 09 00'), user)),
    'gtpu 54 malformed',
  ],
  [
    'extensions behind the end',
    over(gtpu(0x34, 255, 5, hex('0000 00 85 40 00 09 85'), [])),
    'gtpu 58 malformed',
  ],
  ['a header without its optional field', over(gtpu(0x34, 255, 5, [], [])), 'gtpu 50 malformed'],
  ['a header without a packet', over(gtpu(0x30, 255, 5, [], [])), 'gtpu 50 malformed'],
])('%s', (_name, frame, stop) => {
  expect(stopOf(decoded(frame))).toBe(stop)
  expect(decoded(frame).hasInner).toBe(false)
})

test('cut at each byte, by the capture or on the wire: the outer headers stay, and the stop is where the bytes end', () => {
  for (const [, frame] of CARRYING)
    for (let length = 0; length < frame.length; length++) {
      const cut = decoded(frame.slice(0, length), 1, frame.length)
      if (cut.stopLayer !== 'none') expect([cut.stopOffset, cut.stopByCapture]).toEqual([length, true])
      expect(cut.hasTransport).toBe(length >= 42)
      if (length >= 42 && length < 50) expect(stopOf(cut)).toBe(`gtpu ${length} cut`)
      expect(() => decoded(frame.slice(0, length))).not.toThrow()
    }
})

test('each bit of the header turned over', () => {
  const headers = new Headers()
  for (const [, frame] of CARRYING)
    for (let bit = 42 * 8; bit < Math.min(frame.length, 90) * 8; bit++) {
      const bytes = Uint8Array.from(frame)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      decodeFrame(bytes, 0, bytes.length, 1, bytes.length, headers)
      expect(headers).toMatchObject({ ipVersion: 4, hasTransport: true, dstPort: 2152 })
      if (headers.hasInner) expect(headers.inner.payloadOffset).toBeLessThanOrEqual(bytes.length)
    }
})

test.skipIf(!hasTshark())('tshark sees the same', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-gtpu-'))
  try {
    const file = join(folder, 'gtpu.pcap')
    const frames = CARRYING.map(([, bytes]) => ({
      bytes: Uint8Array.from(bytes),
      originalLenBytes: bytes.length,
    }))
    writePcap(file, { linkType: 1, frames })
    const fields = ['gtp.teid', 'ip.src', 'ipv6.src', 'tcp.srcport', 'udp.srcport', '_ws.malformed']
    const theirs = tsharkFields(file, fields)
    expect(theirs).toHaveLength(CARRYING.length)
    for (const [i, [name, , teid, version]] of CARRYING.entries()) {
      const frame = theirs[i]!
      const inner = version === 4 ? frame.get('tcp.srcport') : frame.get('udp.srcport')!.slice(1)
      expect([name, Number(frame.get('gtp.teid')![0]), inner, frame.get('_ws.malformed')]).toEqual([
        ...[name, teid, ['40000'], []],
      ])
      expect(frame.get(version === 4 ? 'ip.src' : 'ipv6.src')!.at(-1)).toBe(
        version === 4 ? '10.45.0.2' : '2001:db8:45::2',
      )
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe('ports', () => {
  const inner = ethernet(0x0800, user)
  const decodedAt = (frame: Bytes, ports?: Headers['tunnelPorts']): Headers => {
    const headers = new Headers()
    if (ports) headers.tunnelPorts = ports
    decodeFrame(Uint8Array.from(frame), 0, frame.length, 1, frame.length, headers)
    return headers
  }

  test('that were named, and no others', () => {
    const ports = new Map([
      [8888, 'vxlan'],
      [7777, 'geneve'],
      [6666, 'gtpu'],
    ] as const)
    expect(decodedAt(over(vxlan(5, inner), 8888), ports)).toMatchObject({ tunnel: 'vxlan', tunnelId: 5 })
    expect(decodedAt(over(geneve(6, 0x6558, [], inner), 7777), ports)).toMatchObject({ tunnel: 'geneve' })
    expect(decodedAt(over(gtpu(0x30, 255, 7, [], user), 6666), ports)).toMatchObject({ tunnel: 'gtpu' })
    expect(decodedAt(over(vxlan(5, inner), 4789), ports)).toMatchObject({ tunnel: 'none', hasInner: false })
    expect(decodedAt(over(vxlan(5, inner), 8888))).toMatchObject({ tunnel: 'none', hasInner: false })
  })

  test('hold inside of a tunnel, too', () => {
    const ports = new Map([[8888, 'vxlan']] as const)
    const twice = decodedAt(over(vxlan(5, over(vxlan(6, inner), 8888)), 8888), ports)
    expect(twice.inner).toMatchObject({ tunnel: 'vxlan', tunnelId: 6, hasInner: true })
    expect(twice.inner.inner).toMatchObject({ hasTransport: true, dstPort: 443 })
  })
})

test('an ICMP error inside of GTP-U quotes its packet', () => {
  const error = ipv4({ protocol: 1, src: '198.51.100.1', dst: '10.45.0.2' }, icmp(3, 1, be32(0), user))
  const { inner } = decoded(over(gtpu(0x34, 255, 9, SESSION, error)))
  expect(inner).toMatchObject({ hasQuoted: true, icmpType: 3 })
  expect(inner.quoted).toMatchObject({ hasTransport: true, dstPort: 443 })
})
