/** Tunnels in the text of reports: where packets enter and leave them, at 80 columns; and kinds that nobody knows. */

import { describe, expect, test } from 'vitest'
import { tunnelName } from '../../src/report/encapsulation.ts'
import { renderFlowDetail } from '../../src/report/flow-detail.ts'
import { renderPacketLine } from '../../src/report/packet-line.ts'
import { paletteFor } from '../../src/report/palette.ts'
import { renderPathLines } from '../../src/report/path-line.ts'
import { renderText } from '../../src/report/text.ts'
import { journey } from './journeys.ts'
import { flow, overlay, report, tunneled, way } from './scenarios.ts'

const PLAIN = { columns: 80, color: false }

test('the whole report', () => {
  expect(renderText(overlay, PLAIN)).toMatchInlineSnapshot(`
    "6 points · 156 frames · 2 flows · 1.02 s

    Path
      pod ── bridge ──[ into VXLAN 4097 · into GRE 9 · TTL −1 ]── uplink
        ──✗ 2 lost →── uplink2
        ──[ out of VXLAN 4097 · out of GRE 9 · TTL −1 ]── bridge2 ── pod2

    Flows  2 tcp
     flow  │ client → server   │ TTL             │ packets    │ state
    ───────┼───────────────────┼─────────────────┼────────────┼─────────────
     1 tcp │ 10.244.1.5:40000  │ 64              │ → 5        │ closed
           │ → 10.244.2.7:8080 │ → 63 at uplink  │ ← 4        │ RTT 84.2 µs
           │                   │ → 62 at bridge2 │ ✗ 2 lost → │
    ───────┼───────────────────┼─────────────────┼────────────┼─────────────
     2 tcp │ 10.244.1.5:40001  │ 64              │ → 5        │ closed
           │ → 10.244.2.7:8080 │ → 63 at uplink  │ ← 4        │ RTT 84.2 µs
           │                   │ → 62 at bridge2 │            │
    "
  `)
})

test('one flow in detail', () => {
  expect(renderFlowDetail(overlay, overlay.flows[0]!, PLAIN)).toMatchInlineSnapshot(`
    "Flow 1  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      10.244.1.5:40000 → 10.244.2.7:8080

    → forward  5 packets · 375 B
      ● pod      10.244.1.5:40000 → 10.244.2.7:8080  TTL 64  5 packets
      ● bridge   10.244.1.5:40000 → 10.244.2.7:8080  TTL 64  5 packets
      │          ≠ into VXLAN 4097 (192.168.1.10 → 192.168.2.20)
      │          ≠ TTL 64 → 63
      ◆ uplink   10.244.1.5:40000 → 10.244.2.7:8080  TTL 63  5 packets
      │          ✗ 2 lost
      ● uplink2  10.244.1.5:40000 → 10.244.2.7:8080  TTL 63  5 packets
      │          ≠ out of VXLAN 4097
      │          ≠ TTL 63 → 62
      ◆ bridge2  10.244.1.5:40000 → 10.244.2.7:8080  TTL 62  5 packets
      ● pod2     10.244.1.5:40000 → 10.244.2.7:8080  TTL 62  5 packets

    ← reverse  4 packets · 300 B
      ● pod2     10.244.2.7:8080 → 10.244.1.5:40000  TTL 64  4 packets
      ● bridge2  10.244.2.7:8080 → 10.244.1.5:40000  TTL 64  4 packets
      │          ≠ into VXLAN 4097 (192.168.2.20 → 192.168.1.10)
      │          ≠ TTL 64 → 63
      ◆ uplink2  10.244.2.7:8080 → 10.244.1.5:40000  TTL 63  4 packets
      ● uplink   10.244.2.7:8080 → 10.244.1.5:40000  TTL 63  4 packets
      │          ≠ out of VXLAN 4097
      │          ≠ TTL 63 → 62
      ◆ bridge   10.244.2.7:8080 → 10.244.1.5:40000  TTL 62  4 packets
      ● pod      10.244.2.7:8080 → 10.244.1.5:40000  TTL 62  4 packets
    "
  `)
})

test('a tunnel in a tunnel, in detail', () => {
  expect(renderFlowDetail(overlay, overlay.flows[1]!, PLAIN).split('← reverse')[0]).toMatchInlineSnapshot(`
    "Flow 2  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      10.244.1.5:40001 → 10.244.2.7:8080

    → forward  5 packets · 375 B
      ● pod      10.244.1.5:40001 → 10.244.2.7:8080  TTL 64  5 packets
      ● bridge   10.244.1.5:40001 → 10.244.2.7:8080  TTL 64  5 packets
      │          ≠ into VXLAN 4097 (192.168.1.10 → 192.168.2.20)
      │          ≠ into GRE 9 (2001:db8:aaaa:bbbb:1::10 → 2001:db8:aaaa:bbbb:2::20)
      │          ≠ TTL 64 → 63
      ◆ uplink   10.244.1.5:40001 → 10.244.2.7:8080  TTL 63  5 packets
      ● uplink2  10.244.1.5:40001 → 10.244.2.7:8080  TTL 63  5 packets
      │          ≠ out of GRE 9
      │          ≠ out of VXLAN 4097
      │          ≠ TTL 63 → 62
      ◆ bridge2  10.244.1.5:40001 → 10.244.2.7:8080  TTL 62  5 packets
      ● pod2     10.244.1.5:40001 → 10.244.2.7:8080  TTL 62  5 packets

    "
  `)
})

test('one packet', () => {
  const { sightings } = journey()
  const encapsulation = tunneled(
    way(1, 'uplink 10.0.0.1:1 10.0.0.2:2 64'),
    'uplink',
    'vxlan 4097 192.0.2.1 192.0.2.2',
  ).path[0]!.encapsulation!
  const through = journey({
    sightings: sightings.map((it, i) => (i === 3 ? { ...it, src: sightings[0]!.src, encapsulation } : it)),
  })
  const lineAt = (columns: number) =>
    renderPacketLine(through, { columns, color: false, flowFirstNs: sightings[0]!.timeNs })
  expect(lineAt(200)).toMatchInlineSnapshot(
    `"    0 ns →  S seq 1392019128 len 0        container 64 ── veth ── bridge ─into VXLAN 4097─ uplink 63  31.2 µs"`,
  )
  expect(lineAt(80)).toMatchInlineSnapshot(
    `"    0 ns →  S seq 1392019128…  container 64 ─into VXLAN 4097─ uplink 63  31.2 µs"`,
  )
})

test('a tunnel whose outer addresses change on the way is the same one', () => {
  const path = way(1, 'a 10.0.0.1:1 10.0.0.2:2 64', 'b 10.0.0.1:1 10.0.0.2:2 64')
  const there = tunneled(
    tunneled(path, 'a', 'vxlan 5 192.0.2.1 192.0.2.2'),
    'b',
    'vxlan 5 203.0.113.1 192.0.2.2',
  )
  const readdressed = report(['a', 'b'], [flow(1, there, way(0))])
  const { lines } = renderPathLines(readdressed, 80, paletteFor(false))
  expect(renderFlowDetail(readdressed, readdressed.flows[0]!, PLAIN)).toContain(
    '≠ VXLAN 5 readdressed (203.0.113.1 → 192.0.2.2)',
  )
  expect(lines).toMatchInlineSnapshot(`
    [
      "  a ──[ VXLAN 5 readdressed ]── b",
    ]
  `)
})

test('many tunnels in one gap', () => {
  const flows = Array.from({ length: 9 }, (_, i) => {
    const there = way(1, `a 10.0.0.1:${i} 10.0.0.2:2 64`, `b 10.0.0.1:${i} 10.0.0.2:2 64`)
    return flow(i + 1, tunneled(there, 'b', `vxlan ${i + 1} 192.0.2.1 192.0.2.2`), way(0))
  })
  const { lines } = renderPathLines(report(['a', 'b'], flows), 80, paletteFor(false))
  expect(lines).toEqual(['  a ──[ into VXLAN 1 · into VXLAN 2 · 7 more tunnels ]── b'])
})

describe('a kind that nobody knows', () => {
  test.each([
    'wireguard',
    'constructor',
    '__proto__',
    'toString',
    '',
    null,
    7,
    '\u001b[31m',
    'x'.repeat(5000),
  ])('%j', (kind) => {
    const known = { kind: kind as never, id: 5, src: '192.0.2.1', dst: '192.0.2.2' }
    expect(tunnelName(known)).toBe(`${kind} 5`)
    const there = way(1, 'a 10.0.0.1:1 10.0.0.2:2 64', 'b 10.0.0.1:1 10.0.0.2:2 64')
    there.path[1]!.encapsulation = [known]
    const strange = report(['a', 'b'], [flow(1, there, way(0))])
    const { sightings } = journey()
    const line = renderPacketLine(
      journey({ sightings: [sightings[0]!, { ...sightings[0]!, encapsulation: [known] }] }),
      { ...PLAIN, flowFirstNs: sightings[0]!.timeNs },
    )
    for (const text of [
      renderText(strange, PLAIN),
      renderFlowDetail(strange, strange.flows[0]!, PLAIN),
      line,
    ]) {
      expect(text).not.toContain('\u001b')
      for (const one of text.split('\n')) expect(one.length).toBeLessThanOrEqual(80)
    }
  })
})
