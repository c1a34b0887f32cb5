/** The line of a packet: what it tells at each width, and that it fits whatever the packet and the names are. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { renderLiveLine } from '../../src/report/live-line.ts'
import { displayWidth } from '../../src/report/width.ts'
import { expectHarmless } from '../commands/program.ts'
import { journey } from './journeys.ts'
import { end } from './scenarios.ts'

const NAMES = new Map([
  ['172.17.0.3', 'web'],
  ['192.168.78.100', 'host'],
])
const WIDE = { columns: Number.POSITIVE_INFINITY, color: false, names: NAMES }
/** The time of day is local. */
const masked = (line: string) => line.replace(/\d\d:\d\d:\d\d/, 'hh:mm:ss')

test('tells all where there is room', () => {
  expect(masked(renderLiveLine(journey(), WIDE))).toBe(
    'hh:mm:ss.142743 #1 → S seq 1392019128 len 0  web 172.17.0.3:47276 → 203.0.113.238:80  container 64 ── veth ── bridge ─SNAT 192.168.78.100:47276─ uplink 63  31.2 µs',
  )
})

test('a reply is told from its server to the client as the client calls itself', () => {
  const { sightings } = journey()
  const back = sightings
    .map(({ src, dst, ...more }) => ({ ...more, src: dst, dst: src }))
    .reverse()
    .map((sighting, i) => ({ ...sighting, ttl: 64 - i, timeNs: sightings[i].timeNs }))
  const line = renderLiveLine(journey({ direction: 'reverse', sightings: back }), WIDE)
  expect(line).toContain('#1 ← S seq')
  expect(line).toContain('203.0.113.238:80 → web 172.17.0.3:47276')
})

test('what was sent again, and what became of it', () => {
  const lost = journey({ outcome: 'lost', lostBetween: ['bridge', 'uplink'], retransmission: true })
  lost.sightings.pop()
  const line = renderLiveLine(lost, WIDE)
  expect(line).toContain('→↻')
  expect(line).toMatch(/lost/i)
  for (const columns of [60, 80, 100, 200])
    expect(renderLiveLine(lost, { ...WIDE, columns })).toMatch(/lost/i)
})

test('with less room there are names without addresses, then only what changes, then what was rewritten', () => {
  const lines = [140, 120, 100, 80, 60].map((columns) =>
    masked(renderLiveLine(journey(), { ...WIDE, columns })),
  )
  expect(lines).toMatchInlineSnapshot(`
    [
      "hh:mm:ss.142743 #1 → S seq 1392019128 len 0  web:47276 → 203.0.113.238:80  container 64 ── veth ── bridge ─SNAT─ uplink 63  31.2 µs",
      "hh:mm:ss.142 #1 → S seq 1392019128 len 0  web:47276 → 203.0.113.238:80  container 64 … bridge ─SNAT─ uplink 63  31.2 µs",
      "hh:mm:ss.142 #1 → S seq 1392019128 len 0 web:47276 → 203.0.113.238:80 64 SNAT 63 31.2 µs",
      "hh:mm:ss.142 #1 → S seq 1392019128 len 0 web:47276 → 203.0.113.238:80 6… 31.2 µs",
      "hh:mm:ss.142 #1 → S seq 1392019128 len 0 web:47276 … 31.2 µs",
    ]
  `)
})

describe('whatever comes, a line', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  const endpoint = fc.record({ ip: address, port: fc.nat(65_535) })
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '\x1b[2J\x1b]0;owned\x07',
      'a\nb',
      '\u202eevil',
      '漢字'.repeat(20),
      '👩‍👩‍👧‍👦'.repeat(9),
      'x'.repeat(500),
      '',
    ),
  )
  const sighting = fc.record({
    point: fc.oneof(fc.constantFrom('container', 'veth', 'bridge', 'uplink'), hostile),
    frames: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
    timeNs: fc.oneof(fc.bigInt(0n, 2n ** 62n).map(String), fc.constant('x')),
    ttl: fc.nat(255),
    src: endpoint,
    dst: endpoint,
  })
  const any = fc.record({
    flow: fc.nat(),
    protocol: fc.constantFrom('tcp', 'udp', 'icmp', 'icmpv6', 'sctp'),
    direction: fc.constantFrom('forward' as const, 'reverse' as const),
    sightings: fc.array(sighting, { maxLength: 12 }),
    outcome: fc.constantFrom('delivered' as const, 'lost' as const, 'unseen' as const, 'ambiguous' as const),
    lostBetween: fc.tuple(hostile, hostile),
    summary: hostile,
    lenBytes: fc.nat(),
    retransmission: fc.boolean(),
  })

  test('fits, and does nothing to the terminal', () => {
    fc.assert(
      fc.property(
        any,
        fc.integer({ min: 60, max: 200 }),
        fc.array(hostile, { maxLength: 4 }),
        (packet, columns, texts) => {
          const ips = packet.sightings.flatMap(({ src, dst }) => [src.ip, dst.ip])
          const names = new Map(texts.map((text, i) => [ips[i] ?? '192.0.2.1', text]))
          const line = renderLiveLine(packet, { columns, color: false, names })
          expect(displayWidth(line)).toBeLessThanOrEqual(columns)
          expect(line).not.toContain('\n')
          expectHarmless(line)
          // With color it is the same text in the same width.
          const colored = renderLiveLine(packet, { columns, color: true, names })
          expect(displayWidth(colored)).toBeLessThanOrEqual(columns)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('is empty for a packet that nobody saw', () => {
    expect(renderLiveLine(journey({ sightings: [] }), WIDE)).toBe('')
  })
})

test('every width from 60 to 200 is kept, and at each of them it begins with the time and the flow', () => {
  const wide = journey({ flow: 12_345 })
  for (const sighting of wide.sightings) sighting.src = end('[2001:db8:1:2:3:4:5:6]:47276')
  for (let columns = 60; columns <= 200; columns++)
    for (const packet of [journey(), wide]) {
      const line = renderLiveLine(packet, { ...WIDE, columns })
      expect(displayWidth(line)).toBeLessThanOrEqual(columns)
      expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3,6} #\d+ →/)
    }
})
