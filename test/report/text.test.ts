import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { renderFlowDetail } from '../../src/report/flow-detail.ts'
import { renderText } from '../../src/report/text.ts'
import { displayWidth } from '../../src/report/width.ts'
import {
  doubleNat,
  embeddedDns,
  finding,
  fortyPoints,
  forwardDrop,
  hairpin,
  inboundPublishedPort,
  ipv6,
  loopbackProxy,
  lossyDownload,
  manyFlows,
  masqueraded,
  noFlows,
  outboundMasquerade,
  portCollision,
  report,
  scenarios,
  udpAndPing,
} from './scenarios.ts'

const PLAIN = { columns: 80, color: false }
const section = (text: string, title: string): string => {
  const start = text.indexOf(`\n${title}`) + 1
  const end = text.indexOf('\n\n', start)
  return text.slice(start, end < 0 ? -1 : end)
}

describe.each(Object.entries(scenarios))('%s', (_, scenario) => {
  test.each([60, 80, 120, 200])('fits into %i columns, and colour changes nothing but colour', (columns) => {
    const plain = renderText(scenario, { columns, color: false })
    for (const line of plain.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
    expect(plain).not.toContain('\u001b')
    const colored = renderText(scenario, { columns, color: true })
    expect(colored).toContain('\u001b[')
    expect(stripVTControlCharacters(colored)).toBe(plain)
    for (const flow of scenario.flows.slice(0, 3)) {
      const detail = renderFlowDetail(scenario, flow, { columns, color: false })
      for (const line of detail.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
      expect(detail).not.toContain('\u001b')
      expect(stripVTControlCharacters(renderFlowDetail(scenario, flow, { columns, color: true }))).toBe(
        detail,
      )
    }
  })

  test('no line ends in a space', () => {
    expect(renderText(scenario, PLAIN)).not.toMatch(/ \n/)
  })
})

test('outbound through masquerade', () => {
  expect(renderText(outboundMasquerade, PLAIN)).toMatchInlineSnapshot(`
    "4 points · 104 frames · 2 flows · 1.02 s

    Path
      container ── veth ── bridge ──[ SNAT · TTL −1 ]── uplink

    Flows  2 tcp
     flow  │ client → server                              │ packets, state
    ───────┼──────────────────────────────────────────────┼────────────────
     1 tcp │ 172.17.0.3:47276 → 203.0.113.238:80          │ → 6
           │ SNAT 172.17.0.3:47276 → 192.168.78.100:47276 │ ← 5
           │      bridge ── uplink                        │ closed
           │ TTL 64 → 63 at uplink                        │ RTT 84.2 µs
    ───────┼──────────────────────────────────────────────┼────────────────
     2 tcp │ 172.17.0.3:47286 → 203.0.113.238:80          │ → 6
           │ SNAT 172.17.0.3:47286 → 192.168.78.100:47286 │ ← 5
           │      bridge ── uplink                        │ closed
           │ TTL 64 → 63 at uplink                        │ RTT 84.2 µs

    Not joined
      arp  bridge 4 · uplink 2
    "
  `)
})

test('inbound to a published port', () => {
  expect(renderText(inboundPublishedPort, PLAIN)).toMatchInlineSnapshot(`
    "4 points · 104 frames · 1 flow · 1.02 s

    Path
      uplink ──[ DNAT · TTL −1 ]── bridge ── veth ── container

    Flows  1 tcp
     flow  │ client → server                          │ packets, state
    ───────┼──────────────────────────────────────────┼────────────────
     1 tcp │ 198.51.100.7:39822 → 192.168.78.100:8078 │ → 6
           │ DNAT 192.168.78.100:8078 → 172.17.0.2:80 │ ← 5
           │      uplink ── bridge                    │ closed
           │ TTL 62 → 61 at bridge                    │ RTT 84.2 µs
    "
  `)
})

test('two routers that translate', () => {
  expect(renderText(doubleNat, PLAIN)).toMatchInlineSnapshot(`
    "7 points · 182 frames · 1 flow · 1.02 s

    Path
      container ── veth ── bridge ──[ SNAT · TTL −1 ]── uplink ── lan
        ──[ SNAT · TTL −1 ]── wan ── server

    Flows  1 tcp
     flow  │ client → server                               │ packets, state
    ───────┼───────────────────────────────────────────────┼────────────────
     1 tcp │ 172.17.0.3:55210 → 203.0.113.238:80           │ → 6
           │ SNAT 172.17.0.3:55210 → 192.168.78.100:55210  │ ← 5
           │      bridge ── uplink                         │ closed
           │ SNAT 192.168.78.100:55210 → 203.0.113.1:55210 │ RTT 84.2 µs
           │      lan ── wan                               │
           │ TTL 64 → 63 at uplink → 62 at wan             │
    "
  `)
})

test('two clients with one source port', () => {
  expect(renderText(portCollision, PLAIN)).toMatchInlineSnapshot(`
    "4 points · 104 frames · 2 flows · 1.02 s

    Path
      a ── bridge ──[ SNAT · TTL −1 ]── uplink (1 flow)
      b ── bridge ──[ SNAT · TTL −1 ]── uplink (1 flow)

    Flows  2 tcp
     flow  │ client → server                              │ packets, state
    ───────┼──────────────────────────────────────────────┼────────────────
     1 tcp │ 172.17.0.3:45000 → 203.0.113.238:80          │ → 6
           │ SNAT 172.17.0.3:45000 → 192.168.78.100:45000 │ ← 5
           │      bridge ── uplink                        │ closed
           │ TTL 64 → 63 at uplink                        │ RTT 84.2 µs
           │ via a ── bridge ── uplink                    │
    ───────┼──────────────────────────────────────────────┼────────────────
     2 tcp │ 172.17.0.4:45000 → 203.0.113.238:80          │ → 6
           │ SNAT 172.17.0.4:45000 → 192.168.78.100:54039 │ ← 5
           │      bridge ── uplink                        │ closed
           │ TTL 64 → 63 at uplink                        │ RTT 84.2 µs
           │ via b ── bridge ── uplink                    │

    Findings  1 note
      · port-remapped · flow 2: Source port 45000 became 54039 between bridge and
        uplink: another flow held 45000.
    "
  `)
})

test('hairpin: the bridge stands twice', () => {
  expect(renderText(hairpin, PLAIN)).toMatchInlineSnapshot(`
    "5 points · 130 frames · 2 flows · 1.02 s

    Path
      client ── clientveth ── bridge ──[ DNAT · SNAT · TTL −1 ]── bridge
        ── serverveth ── server (1 flow)
      server ── serverveth ── bridge ──[ DNAT · SNAT · TTL −1 ]── bridge
        ── serverveth ── server (1 flow)

    Flows  2 tcp
     flow  │ client → server                              │ packets, state
    ───────┼──────────────────────────────────────────────┼────────────────
     1 tcp │ 172.17.0.3:47814 → 192.168.78.100:8078       │ → 8
           │ DNAT 192.168.78.100:8078 → 172.17.0.2:80     │ ← 7
           │ SNAT 172.17.0.3:47814 → 172.17.0.1:47814     │ closed
           │      bridge ── bridge                        │ RTT 84.2 µs
           │ TTL 64 → 63 at bridge (2nd)                  │
           │ via client ── clientveth ── bridge ── bridge │
           │     ── serverveth ── server                  │
    ───────┼──────────────────────────────────────────────┼────────────────
     2 tcp │ 172.17.0.2:50100 → 192.168.78.100:8078       │ → 8
           │ DNAT 192.168.78.100:8078 → 172.17.0.2:80     │ ← 7
           │ SNAT 172.17.0.2:50100 → 172.17.0.1:50100     │ closed
           │      bridge ── bridge                        │ RTT 84.2 µs
           │ TTL 64 → 63 at bridge (2nd)                  │
           │ via server ── serverveth ── bridge ── bridge │
           │     ── serverveth ── server                  │

    Findings  2 notes
      · hairpin · flow 1: The flow leaves the bridge where it came in.
      · hairpin · flow 2: The container reaches itself through the published port.
    "
  `)
})

test('packets dropped on the way', () => {
  expect(renderText(forwardDrop, PLAIN)).toMatchInlineSnapshot(`
    "4 points · 104 frames · 1 flow · 1.02 s

    Path
      container ── veth ── bridge ──✗ 3 lost →── uplink

    Flows  1 tcp
     flow  │ client → server                     │ TTL │ packets      │ state
    ───────┼─────────────────────────────────────┼─────┼──────────────┼──────────
     1 tcp │ 172.17.0.3:47316 → 203.0.113.238:81 │ 64  │ → 3  ← 0     │ syn-only
           │                                     │     │ ✗ 3 lost →   │
           │                                     │     │ ↻ 2 resent → │

    Findings  1 error, 1 warning
      ✗ dropped-between-points · flow 1: 3 packets to 203.0.113.238:81 were seen at
        bridge and never at uplink; nothing answered them.
        frames: bridge 4 5 6
      ▲ retransmissions · flow 1: The SYN was sent 3 times.
    "
  `)
})

test('losses, unseen and undecided packets, damaged input', () => {
  expect(renderText(lossyDownload, PLAIN)).toMatchInlineSnapshot(`
    "4 points · 104 frames · 1 flow · 1.02 s

    Path
      container ── veth ── bridge ──[ SNAT · TTL −1 ]──✗ 91 lost ←── uplink

    Flows  1 tcp
     flow  │ client → server                              │ packets, state
    ───────┼──────────────────────────────────────────────┼────────────────
     1 tcp │ 172.17.0.3:51320 → 203.0.113.238:80          │ → 1,204
           │ SNAT 172.17.0.3:51320 → 192.168.78.100:51320 │ ←     5
           │      bridge ── uplink                        │ ↻ 88 resent ←
           │ TTL 64 → 63 at uplink                        │ closed
           │ ✗ 91 lost ← uplink ── bridge                 │ RTT 84.2 µs

    Not joined
      unseen      veth 2 (a capture that missed them, or ended first)
      ambiguous   3 packets of 1 flow, not told apart from others
      duplicates  7 frames seen twice at one point, counted once

    Warnings
      ▲ lossy/veth.pcap.gz: gzip data ends early at byte 482113; 1188 records kept
    "
  `)
})

test('IPv6', () => {
  expect(renderText(ipv6, PLAIN)).toMatchInlineSnapshot(`
    "4 points · 104 frames · 2 flows · 1.02 s

    Path
      container ── veth ── bridge ──[ SNAT · TTL −1 ]── uplink

    Flows  1 tcp, 1 udp
     flow  │ client → server                                       │ packets, state
    ───────┼───────────────────────────────────────────────────────┼────────────────
     1 tcp │ [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000        │ → 12
           │ → [2001:db8:ffff::1:2:3:238]:443                      │ ← 11
           │ SNAT [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000   │ closed
           │      → [2001:db8:1:2:3:4:5:1]:61024  bridge ── uplink │ RTT 84.2 µs
           │ TTL 64 → 63 at uplink                                 │
    ───────┼───────────────────────────────────────────────────────┼────────────────
     2 udp │ [fe80::1]:546 → [ff02::1:2]:547                       │ →  1
           │ TTL 1                                                 │ ←  0
           │ only at container                                     │ stateless
    "
  `)
})

test('ICMP: echo ids and errors', () => {
  expect(section(renderText(udpAndPing, PLAIN), 'Flows')).toMatchInlineSnapshot(`
    "Flows  2 icmp
     flow   │ client → server                                     │ packets, state
    ────────┼─────────────────────────────────────────────────────┼────────────────
     1 icmp │ 172.17.0.3 id 20843 → 203.0.113.238                 │ → 6
            │ SNAT 172.17.0.3 id 20843 → 192.168.78.100 id 51     │ ← 5
            │      bridge ── uplink                               │ stateless
            │ TTL 64 → 63 at uplink                               │ RTT 84.2 µs
    ────────┼─────────────────────────────────────────────────────┼────────────────
     2 icmp │ 172.17.0.3 id 7 → 203.0.113.238                     │ → 1
            │ TTL 1                                               │ ← 0
            │ only at container ── veth ── bridge                 │ stateless
            │ ✗ time to live exceeded in transit, says 172.17.0.1 │"
  `)
})

test('a rewrite of which only the result was seen', () => {
  expect(renderText(embeddedDns, PLAIN)).toMatchInlineSnapshot(`
    "2 points · 52 frames · 1 flow · 1.02 s

    Path
      ──[ DNAT ]── lo
      no flow was seen at eth0

    Flows  1 udp
     flow  │ client → server │ translation        │ TTL │ packets │ state
    ───────┼─────────────────┼────────────────────┼─────┼─────────┼─────────────
     1 udp │ 127.0.0.1:51234 │ DNAT before lo     │ 64  │ → 1     │ stateless
           │ → 127.0.0.11:53 │ 127.0.0.11:53      │     │ ← 1     │ RTT 84.2 µs
           │ Docker's DNS    │ → 127.0.0.11:39901 │     │         │
           │ its own DNAT    │                    │     │         │
    "
  `)
})

test('the resolver of Docker, in full', () => {
  expect(renderFlowDetail(embeddedDns, embeddedDns.flows[0], PLAIN)).toMatchInlineSnapshot(`
    "Flow 1  udp · stateless · lasted 5.71 ms · RTT 84.2 µs
      127.0.0.1:51234 → 127.0.0.11:53
      DNS server., example.org
      Docker's DNS: the container asks 127.0.0.11:53, Docker's own DNAT leads to the
        port where its resolver listens

    → forward  1 packet · 75 B
      │     ≠ DNAT 127.0.0.11:53 → 127.0.0.11:39901
      ● lo  127.0.0.1:51234 → 127.0.0.11:39901  TTL 64  1 packet

    ← reverse  1 packet · 75 B
      ● lo  127.0.0.11:53 → 127.0.0.1:51234  TTL 64  1 packet
    "
  `)
})

test('an exchange through a proxy: two connections, and no translation', () => {
  expect(renderText(loopbackProxy, PLAIN)).toMatchInlineSnapshot(`
    "2 points · 52 frames · 2 flows · 1.02 s

    Path
      lo (1 flow)
      bridge (1 flow)

    Flows  2 tcp
     flow  │ client → server                  │ TTL │ packets  │ state
    ───────┼──────────────────────────────────┼─────┼──────────┼─────────────
     1 tcp │ 127.0.0.1:60758 → 127.0.0.1:8078 │ 64  │ → 5  ← 5 │ closed
           │ at lo                            │     │          │ RTT 84.2 µs
           │ proxied to #2                    │     │          │
    ───────┼──────────────────────────────────┼─────┼──────────┼─────────────
     2 tcp │ 172.17.0.1:59826 → 172.17.0.2:80 │ 64  │ → 6  ← 6 │ closed
           │ at bridge                        │     │          │ RTT 84.2 µs
           │ proxied from #1                  │     │          │
    "
  `)
  const [outer, inner] = loopbackProxy.flows.map((flow) => renderFlowDetail(loopbackProxy, flow, PLAIN))
  expect(outer.split('\n\n')[0]).toMatchInlineSnapshot(`
    "Flow 1  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      127.0.0.1:60758 → 127.0.0.1:8078
      proxied to #2: 127.0.0.1:8078 ends this connection and opens that one 831 µs
        later; both carry the same first 78 B → and 234 B ← (no NAT)"
  `)
  expect(inner.split('\n\n')[0]).toMatchInlineSnapshot(`
    "Flow 2  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      172.17.0.1:59826 → 172.17.0.2:80
      proxied from #1: the proxy that ends that connection opens this one from
        172.17.0.1:59826, 831 µs later; both carry the same first 78 B → and 234 B ←
        (no NAT)"
  `)
})

test('no flows', () => {
  expect(renderText(noFlows, PLAIN)).toMatchInlineSnapshot(`
    "2 points · 52 frames · 0 flows · 1.02 s

    Path
      a ┄┄ b

    Flows
      none: no packet belongs to a flow that could be followed

    Not joined
      undecoded  a 26
    "
  `)
  expect(renderText(report([], []), PLAIN)).toMatchInlineSnapshot(`
    "0 points · 0 frames · 0 flows

    Flows
      none: no packet belongs to a flow that could be followed
    "
  `)
})

test('a long path is wrapped between points', () => {
  expect(section(renderText(fortyPoints, PLAIN), 'Path')).toMatchInlineSnapshot(`
    "Path
      point1 ── point2 ── point3 ── point4 ──[ TTL −1 ]── point5 ── point6 ── point7
        ── point8 ──[ TTL −1 ]── point9 ── point10 ── point11 ── point12
        ──[ TTL −1 ]── point13 ── point14 ── point15 ── point16
        ──[ TTL −1 ]── point17 ── point18 ── point19 ── point20
        ──[ TTL −1 ]── point21 ── point22 ── point23 ── point24
        ──[ TTL −1 ]── point25 ── point26 ── point27 ── point28
        ──[ TTL −1 ]── point29 ── point30 ── point31 ── point32
        ──[ TTL −1 ]── point33 ── point34 ── point35 ── point36
        ──[ TTL −1 ]── point37 ── point38 ── point39 ── point40"
  `)
})

test('wide and middle terminals', () => {
  expect(section(renderText(outboundMasquerade, { ...PLAIN, columns: 100 }), 'Flows')).toMatchInlineSnapshot(`
    "Flows  2 tcp
     flow  │ client → server    │ translation            │ TTL            │ packets │ state
    ───────┼────────────────────┼────────────────────────┼────────────────┼─────────┼─────────────
     1 tcp │ 172.17.0.3:47276   │ SNAT bridge ── uplink  │ 64             │ → 6     │ closed
           │ → 203.0.113.238:80 │ 172.17.0.3:47276       │ → 63 at uplink │ ← 5     │ RTT 84.2 µs
           │                    │ → 192.168.78.100:47276 │                │         │
    ───────┼────────────────────┼────────────────────────┼────────────────┼─────────┼─────────────
     2 tcp │ 172.17.0.3:47286   │ SNAT bridge ── uplink  │ 64             │ → 6     │ closed
           │ → 203.0.113.238:80 │ 172.17.0.3:47286       │ → 63 at uplink │ ← 5     │ RTT 84.2 µs
           │                    │ → 192.168.78.100:47286 │                │         │"
  `)
  expect(section(renderText(outboundMasquerade, { ...PLAIN, columns: 180 }), 'Flows')).toMatchInlineSnapshot(`
    "Flows  2 tcp
     flow  │ client → server                     │ translation                                                    │ TTL               │ packets  │ state
    ───────┼─────────────────────────────────────┼────────────────────────────────────────────────────────────────┼───────────────────┼──────────┼─────────────
     1 tcp │ 172.17.0.3:47276 → 203.0.113.238:80 │ SNAT 172.17.0.3:47276 → 192.168.78.100:47276  bridge ── uplink │ 64 → 63 at uplink │ → 6  ← 5 │ closed
           │                                     │                                                                │                   │          │ RTT 84.2 µs
    ───────┼─────────────────────────────────────┼────────────────────────────────────────────────────────────────┼───────────────────┼──────────┼─────────────
     2 tcp │ 172.17.0.3:47286 → 203.0.113.238:80 │ SNAT 172.17.0.3:47286 → 192.168.78.100:47286  bridge ── uplink │ 64 → 63 at uplink │ → 6  ← 5 │ closed
           │                                     │                                                                │                   │          │ RTT 84.2 µs"
  `)
})

test('a long list is cut, with the flows in trouble first', () => {
  const table = section(renderText(manyFlows, PLAIN), 'Flows')
  const ids = [...table.matchAll(/^ (\d+) tcp/gm)].map(([, id]) => Number(id))
  expect(ids).toEqual([121, ...Array.from({ length: 49 }, (_, i) => i + 1)])
  expect(table).toMatch(/\n … 100 more flows: --json lists all$/)
  const accused = { ...manyFlows, findings: [finding('no-reply', 'error', 77, 'Nothing came back.')] }
  expect(section(renderText(accused, { ...PLAIN, maxFlows: 2 }), 'Flows')).toMatch(
    /\n 77 tcp[\s\S]*\n 121 tcp/,
  )
  expect(renderText(manyFlows, { ...PLAIN, maxFlows: 150 })).not.toContain('more flow')
})

test('many findings of one kind are counted', () => {
  expect(section(renderText(manyFlows, PLAIN), 'Findings')).toMatch(
    /\n {4}… 7 more port-remapped \(flows 6 to 12\)$/,
  )
})

test('of 10,000 flows the first ones are listed and the others counted', () => {
  const flows = Array.from({ length: 10_000 }, (_, i) => masqueraded(i + 1, 1024 + i))
  const text = renderText(report(['container', 'veth', 'bridge', 'uplink'], flows), PLAIN)
  expect(text.split('\n').length).toBeLessThan(400)
  expect(text).toContain('9,950 more flows')
})

test('one flow in full', () => {
  expect(renderFlowDetail(outboundMasquerade, outboundMasquerade.flows[0], PLAIN)).toMatchInlineSnapshot(`
    "Flow 1  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      172.17.0.3:47276 → 203.0.113.238:80

    → forward  6 packets · 450 B
      ● container  172.17.0.3:47276 → 203.0.113.238:80      TTL 64  6 packets
      │            1.68 µs  (min 1.12 µs, p99 10.1 µs)
      ● veth       172.17.0.3:47276 → 203.0.113.238:80      TTL 64  6 packets
      │            1.22 µs  (min 812 ns, p99 7.31 µs)
      ● bridge     172.17.0.3:47276 → 203.0.113.238:80      TTL 64  6 packets
      │            32.1 µs  (min 21.4 µs, p99 193 µs)
      │            ≠ SNAT 172.17.0.3:47276 → 192.168.78.100:47276
      │            ≠ TTL 64 → 63
      ◆ uplink     192.168.78.100:47276 → 203.0.113.238:80  TTL 63  6 packets

    ← reverse  5 packets · 375 B
      ● uplink     203.0.113.238:80 → 192.168.78.100:47276  TTL 63  5 packets
      │            14.1 µs  (min 9.40 µs, p99 84.6 µs)
      │            ≠ SNAT undone 192.168.78.100:47276 → 172.17.0.3:47276
      │            ≠ TTL 63 → 62
      ◆ bridge     203.0.113.238:80 → 172.17.0.3:47276      TTL 62  5 packets
      ● veth       203.0.113.238:80 → 172.17.0.3:47276      TTL 62  5 packets
      ● container  203.0.113.238:80 → 172.17.0.3:47276      TTL 62  5 packets
    "
  `)
  expect(renderFlowDetail(forwardDrop, forwardDrop.flows[0], PLAIN)).toMatchInlineSnapshot(`
    "Flow 1  tcp · syn-only · lasted 5.71 ms
      172.17.0.3:47316 → 203.0.113.238:81

    → forward  3 packets · 225 B · 2 resent
      ● container  172.17.0.3:47316 → 203.0.113.238:81  TTL 64  3 packets
      ● veth       172.17.0.3:47316 → 203.0.113.238:81  TTL 64  3 packets
      ● bridge     172.17.0.3:47316 → 203.0.113.238:81  TTL 64  3 packets
      │            ✗ 3 lost
      ○ uplink

    Findings
      ✗ dropped-between-points · flow 1: 3 packets to 203.0.113.238:81 were seen at
        bridge and never at uplink; nothing answered them.
        frames: bridge 4 5 6
      ▲ retransmissions · flow 1: The SYN was sent 3 times.
    "
  `)
  expect(renderFlowDetail(hairpin, hairpin.flows[0], PLAIN)).toMatchInlineSnapshot(`
    "Flow 1  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      172.17.0.3:47814 → 192.168.78.100:8078

    → forward  8 packets · 600 B
      ● client        172.17.0.3:47814 → 192.168.78.100:8078  TTL 64  8 packets
      ● clientveth    172.17.0.3:47814 → 192.168.78.100:8078  TTL 64  8 packets
      ● bridge        172.17.0.3:47814 → 192.168.78.100:8078  TTL 64  8 packets
      │               ≠ SNAT 172.17.0.3:47814 → 172.17.0.1:47814
      │               ≠ DNAT 192.168.78.100:8078 → 172.17.0.2:80
      │               ≠ TTL 64 → 63
      ◆ bridge (2nd)  172.17.0.1:47814 → 172.17.0.2:80        TTL 63  8 packets
      ● serverveth    172.17.0.1:47814 → 172.17.0.2:80        TTL 63  8 packets
      ● server        172.17.0.1:47814 → 172.17.0.2:80        TTL 63  8 packets

    ← reverse  7 packets · 525 B
      ● server        172.17.0.2:80 → 172.17.0.1:47814        TTL 64  7 packets
      ● serverveth    172.17.0.2:80 → 172.17.0.1:47814        TTL 64  7 packets
      ● bridge        172.17.0.2:80 → 172.17.0.1:47814        TTL 64  7 packets
      │               ≠ DNAT undone 172.17.0.2:80 → 192.168.78.100:8078
      │               ≠ SNAT undone 172.17.0.1:47814 → 172.17.0.3:47814
      │               ≠ TTL 64 → 63
      ◆ bridge (2nd)  192.168.78.100:8078 → 172.17.0.3:47814  TTL 63  7 packets
      ● clientveth    192.168.78.100:8078 → 172.17.0.3:47814  TTL 63  7 packets
      ● client        192.168.78.100:8078 → 172.17.0.3:47814  TTL 63  7 packets

    Findings
      · hairpin · flow 1: The flow leaves the bridge where it came in.
    "
  `)
  expect(renderFlowDetail(ipv6, ipv6.flows[0], PLAIN)).toMatchInlineSnapshot(`
    "Flow 1  tcp · closed · lasted 5.71 ms · RTT 84.2 µs
      [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000
        → [2001:db8:ffff::1:2:3:238]:443
      DNS example.org

    → forward  12 packets · 900 B
      ● container  TTL 64  12 packets
      │     [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000
      │   → [2001:db8:ffff::1:2:3:238]:443
      ● veth       TTL 64  12 packets
      ● bridge     TTL 64  12 packets
      │     ≠ SNAT [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000
      │       → [2001:db8:1:2:3:4:5:1]:61024
      │     ≠ TTL 64 → 63
      ◆ uplink     TTL 63  12 packets
      │     [2001:db8:1:2:3:4:5:1]:61024
      │   → [2001:db8:ffff::1:2:3:238]:443

    ← reverse  11 packets · 825 B
      ● uplink     TTL 57  11 packets
      │     [2001:db8:ffff::1:2:3:238]:443
      │   → [2001:db8:1:2:3:4:5:1]:61024
      │     ≠ SNAT undone [2001:db8:1:2:3:4:5:1]:61024
      │       → [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000
      │     ≠ TTL 57 → 56
      ◆ bridge     TTL 56  11 packets
      │     [2001:db8:ffff::1:2:3:238]:443
      │   → [2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000
      ● veth       TTL 56  11 packets
      ● container  TTL 56  11 packets
    "
  `)
  expect(renderFlowDetail(udpAndPing, udpAndPing.flows[1], PLAIN)).toMatchInlineSnapshot(`
    "Flow 2  icmp · stateless · lasted 5.71 ms
      172.17.0.3 id 7 → 203.0.113.238

    → forward  1 packet · 75 B
      ● container  172.17.0.3 id 7 → 203.0.113.238  TTL 1  1 packet
      ● veth       172.17.0.3 id 7 → 203.0.113.238  TTL 1  1 packet
      ● bridge     172.17.0.3 id 7 → 203.0.113.238  TTL 1  1 packet
      │            ✗ 1 packet answered by 172.17.0.1: time to live exceeded in
      │              transit (type 11, code 0)
    "
  `)
})
