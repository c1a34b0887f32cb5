import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatRate, formatTotal } from '../../src/report/watch-cells.ts'
import { flowsPerPage, renderWatch, type WatchView } from '../../src/report/watch-table.ts'
import { displayWidth } from '../../src/report/width.ts'
import { expectHarmless } from '../commands/program.ts'
import {
  doubleNat,
  embeddedDns,
  inboundPublishedPort,
  ipv6,
  lossyDownload,
  manyFlows,
  scenarios,
  udpAndPing,
} from './scenarios.ts'

const SIZES = [
  [60, 10],
  [60, 24],
  [80, 24],
  [100, 40],
  [132, 16],
  [160, 50],
  [250, 10],
  [250, 80],
] as const
const point = (name: string, more: Partial<WatchView['points'][number]> = {}) => ({
  name,
  packets: 48_120,
  packetsPerSecond: 1203,
  drops: 0,
  note: null,
  ...more,
})

function viewOf(flows: WatchView['flows'][number]['flow'][], more: Partial<WatchView> = {}): WatchView {
  const events = ['data', 'SYN', 'FIN', 'ICMP error', 'retransmission']
  return {
    elapsedNs: 72e9,
    points: [point('container'), point('veth'), point('bridge'), point('uplink')],
    flows: flows.map((flow, i) => ({
      flow,
      packetsPerSecond: 15_203 / (i + 1) ** 2,
      bytesPerSecond: 1.5e6 / (i + 1) ** 2,
      lastEvent: events[i % 5],
      idleNs: i * 1e9,
    })),
    flowCount: flows.length,
    lostPackets: 0,
    message: null,
    names: new Map([
      ['172.17.0.3', 'web'],
      ['203.0.113.238', 'example.org'],
    ]),
    ...more,
  }
}

const some = [lossyDownload, doubleNat, inboundPublishedPort, ipv6, udpAndPing, embeddedDns].flatMap(
  ({ flows }) => flows,
)
const plain = (view: WatchView, columns: number, rows: number) =>
  renderWatch(view, { columns, rows, color: false })

test('60 columns: two lines a flow, so that nothing is left out', () => {
  const view = viewOf(some, {
    points: [
      point('container'),
      point('veth'),
      point('bridge', { drops: 12 }),
      point('uplink', { packetsPerSecond: 0.4, drops: null, note: 'down' }),
    ],
    flowCount: 412,
    lostPackets: 94,
    message: 'container web stopped',
  })
  expect(`\n${plain(view, 60, 20)}\n`).toMatchInlineSnapshot(`
    "
    live 1:12 · 412 flows · ✗ 94 packets lost
    container 48,120 · 1,203/s ── veth 48,120 · 1,203/s
      ── bridge 48,120 · 1,203/s ✗ 12 dropped
      ── uplink 48,120 · 0.4/s drops ? ✗ down
    ⚠ container web stopped
    flow   client                → server                  pkt/s
    tcp    web 172.17.0.3:51320  → example.org:80          15.2k
           ✗ 91 lost uplink ── bridge · TTL 64→63 · ↻ 88 resent
    tcp    web 172.17.0.3:55210  → example.org:80          3,801
           SNAT → 192.168.78.100:55210 SNAT → 203.0.113.1:55210
    tcp    198.51.100.7:39822    → 192.168.78.100:8078     1,689
           DNAT → 172.17.0.2:80 · TTL 62→61 · FIN 2 s ago
    tcp    [2001:db8:…001]:45000 → [2001:db8:…3:238]:443     950
           SNAT → [2001:db8:1:2:3:4:5:1]:61024 · TTL 64→63
    udp    [fe80::1]:546         → [ff02::1:2]:547           608
           TTL 1 · retransmission 4 s ago · → 1 ← 0 · 60.0 kB/s
    icmp   web                   → example.org               422
           SNAT → 192.168.78.100 id 51 · TTL 64→63 · → 6 ← 5

    q end  p pause  s sort  ↑↓ PgUp PgDn scroll       1–6 of 412
    "
  `)
})

test('10 rows: one line a flow, the loss among what is left', () => {
  expect(
    `\n${plain(viewOf(some, { sorting: 'rate', paused: true, lostPackets: 91 }), 60, 10)}\n`,
  ).toMatchInlineSnapshot(`
    "
    live 1:12 · 8 flows · by rate · ‖ paused · ✗ 91 packets lost
    container 48,120 · 1,203/s ── veth 48,120 · 1,203/s
      ── bridge 48,120 · 1,203/s ── uplink 48,120 · 1,203/s
    flow   client            → server              pkt/s    lost
    tcp    web:51320         → example.org:80      15.2k    ✗ 91
    tcp    web:55210         → example.org:80      3,801
    tcp    198.51.1….7:39822 → 192.168.…100:8078   1,689
    tcp    [2001:db…1]:45000 → [2001:db…238]:443     950
    udp    [fe80::1]:546     → [ff02::1:2]:547       608
    q end  p resume  s sort  ↑↓ PgUp PgDn scroll        1–5 of 8
    "
  `)
})

test('100 columns', () => {
  expect(`\n${plain(viewOf(some), 100, 24)}\n`).toMatchInlineSnapshot(`
    "
    live 1:12 · 8 flows
    container 48,120 · 1,203/s ── veth 48,120 · 1,203/s ── bridge 48,120 · 1,203/s
      ── uplink 48,120 · 1,203/s

    flow   client                   → server                   TTL        pkt/s   packets    lost resent
    tcp    web 172.17.0.3:51320     → example.org:80           64→63      15.2k     1,209    ✗ 91   ↻ 88
           SNAT → 192.168.78.100:51320 · data · 1.50 MB/s
    tcp    web 172.17.0.3:55210     → example.org:80           64→63→62   3,801        11
           SNAT → 192.168.78.100:55210 SNAT → 203.0.113.1:55210 · SYN · 375 kB/s
    tcp    198.51.100.7:39822       → 192.168.78.100:8078      62→61      1,689        11
           DNAT → 172.17.0.2:80 · FIN 2 s ago · 167 kB/s
    tcp    [2001:db8:aa…1001]:45000 → [2001:db8:ff…:3:238]:443 64→63        950        23
           SNAT → [2001:db8:1:2:3:4:5:1]:61024 · ICMP error 3 s ago · 93.8 kB/s
    udp    [fe80::1]:546            → [ff02::1:2]:547          1            608         1
           retransmission 4 s ago · 60.0 kB/s
    icmp   web 172.17.0.3 id 20843  → example.org              64→63        422        11
           SNAT → 192.168.78.100 id 51 · data 5 s ago · 41.7 kB/s
    icmp   web 172.17.0.3 id 7      → example.org              1            310         1
           SYN 6 s ago · 30.6 kB/s
    udp    127.0.0.1:51234          → 127.0.0.11:53            64           238         2
           DNAT → 127.0.0.11:39901 · FIN 7 s ago · 23.4 kB/s


    q end  p pause  s sort  ↑↓ PgUp PgDn scroll
    "
  `)
})

test('160 columns: a line a flow, with all there is to say', () => {
  expect(`\n${plain(viewOf(some), 160, 16)}\n`).toMatchInlineSnapshot(`
    "
    live 1:12 · 8 flows
    container 48,120 · 1,203/s ── veth 48,120 · 1,203/s ── bridge 48,120 · 1,203/s ── uplink 48,120 · 1,203/s

    flow   client                  → server                  translation                  TTL        pkt/s   bytes/s   packets    lost resent last event
    tcp    web 172.17.0.3:51320    → example.org:80          SNAT → 192.168.78.100:51320  64→63      15.2k 1.50 MB/s     1,209    ✗ 91   ↻ 88 data
    tcp    web 172.17.0.3:55210    → example.org:80          SNAT → 192.168.78.100:55210… 64→63→62   3,801  375 kB/s        11                SYN
    tcp    198.51.100.7:39822      → 192.168.78.100:8078     DNAT → 172.17.0.2:80         62→61      1,689  167 kB/s        11                FIN 2 s ago
    tcp    [2001:db8:a…1001]:45000 → [2001:db8:f…:3:238]:443 SNAT → [2001:db8:1:2:3:4:5:… 64→63        950 93.8 kB/s        23                ICMP error 3 s ago
    udp    [fe80::1]:546           → [ff02::1:2]:547                                      1            608 60.0 kB/s         1                retransmission 4 s ago
    icmp   web 172.17.0.3 id 20843 → example.org             SNAT → 192.168.78.100 id 51  64→63        422 41.7 kB/s        11                data 5 s ago
    icmp   web 172.17.0.3 id 7     → example.org                                          1            310 30.6 kB/s         1                SYN 6 s ago
    udp    127.0.0.1:51234         → 127.0.0.11:53           DNAT → 127.0.0.11:39901      64           238 23.4 kB/s         2                FIN 7 s ago



    q end  p pause  s sort  ↑↓ PgUp PgDn scroll
    "
  `)
})

describe.each(SIZES)('%i columns, %i rows', (columns, rows) => {
  test.each(Object.entries(scenarios))(
    '%s: fills the screen and no more, and colour changes nothing else',
    (_, { flows }) => {
      for (const message of [null, 'a warning '.repeat(30)]) {
        const view = viewOf(flows, { message, lostPackets: 12_345_678, flowCount: 5000 })
        const text = plain(view, columns, rows)
        expect(text.split('\n')).toHaveLength(rows)
        for (const line of text.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
        expectHarmless(text)
        const colored = renderWatch(view, { columns, rows, color: true })
        expect(colored).toContain('\u001b[')
        expect(stripVTControlCharacters(colored)).toBe(text)
      }
    },
  )

  test('hostile text', () => {
    for (const attack of [
      '\u001b[2J',
      'two\nlines',
      'a\u202eb',
      '漢字'.repeat(60),
      'x'.repeat(5000),
      '\u009b2J\u0007',
    ]) {
      const [flow] = inboundPublishedPort.flows
      const hostile = {
        ...flow,
        protocol: attack,
        client: { ip: attack, port: 1 },
        translations: flow.translations.map((translation) => ({
          ...translation,
          to: { ip: attack, port: 2 },
        })),
        lost: [{ ...lossyDownload.flows[0].lost[0], between: [attack, attack] as [string, string] }],
      }
      const view = viewOf([hostile, ...some], {
        points: Array.from({ length: 5 }, () => point(attack, { note: attack, drops: 1 })),
        message: attack,
        sorting: attack,
        names: new Map([['203.0.113.238', attack]]),
      })
      view.flows[1].lastEvent = attack
      const text = plain(view, columns, rows)
      expectHarmless(text)
      expect(text.split('\n')).toHaveLength(rows)
      for (const line of text.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
    }
  })
})

test('any numbers on any screen', () => {
  const number = fc.oneof(fc.double(), fc.nat(), fc.constantFrom(Number.NaN, Infinity, -1, 1e15))
  fc.assert(
    fc.property(
      number,
      number,
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 100 }),
      (a, b, columns, rows) => {
        const view = viewOf(some, {
          elapsedNs: a,
          lostPackets: Math.abs(b),
          offset: Math.trunc(a) || 0,
          points: [point('p', { packets: a, packetsPerSecond: b, drops: b })],
        })
        for (const flow of view.flows)
          Object.assign(flow, { packetsPerSecond: a, bytesPerSecond: b, idleNs: a })
        const lines = plain(view, columns, rows).split('\n')
        expect(lines).toHaveLength(rows)
        for (const line of lines) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
      },
    ),
  )
})

test('points that do not fit are counted, those in trouble too', () => {
  const points = Array.from({ length: 40 }, (_, i) => point(`point${i}`, { note: i > 37 ? 'gone' : null }))
  const lines = plain(viewOf(some, { points }), 80, 24).split('\n')
  expect(lines[4]).toMatch(/… \d+ more points, ✗ 2 in trouble$/)
  expect(lines.filter((line) => line.includes('point'))).toHaveLength(4)
})

test('scrolling: whole pages, and not past the end', () => {
  const size = { columns: 80, rows: 24 }
  const view = viewOf(manyFlows.flows)
  const page = flowsPerPage(view, size)
  expect(page).toBe(9)
  const shown = (offset: number) => plain({ ...view, offset }, 80, 24).match(/web(?: 172\.17\.0\.3)?:\d+/g)
  expect(shown(0)).toHaveLength(page)
  expect(shown(page)![0]).toContain(':50009')
  expect(shown(9999)!.at(-1)).toContain(':50149')
  expect(shown(-5)).toEqual(shown(0))
  expect(plain({ ...view, offset: 9999 }, 80, 24)).toContain('142–150 of 150')
  expect(plain(viewOf([]), 80, 24)).toContain('no flow yet')
})

test('keys are named only where there are any', () => {
  expect(plain(viewOf(some), 60, 24)).toContain('q end  p pause  s sort')
  expect(plain(viewOf(some, { hasKeys: false }), 60, 24)).toMatch(/\nCtrl-C ends/)
})

test('rates and totals', () => {
  expect([0, 0.01, 0.4, 1, 999.6, 9999, 12_345, 999_499, 999_500, 1.5e9, Number.NaN].map(formatRate)).toEqual(
    ['0', '<0.1', '0.4', '1', '1,000', '9,999', '12.3k', '999k', '1.00M', '1.50G', '0'],
  )
  expect([0, 1234, 9_999_999, 10_000_000].map(formatTotal)).toEqual(['0', '1,234', '9,999,999', '10.0M'])
})
