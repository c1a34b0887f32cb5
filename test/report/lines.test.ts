import { describe, expect, test } from 'vitest'
import { renderJourneyLine } from '../../src/report/journey-lines.ts'
import { renderJson, renderJsonChunks } from '../../src/report/json.ts'
import { type PacketLineOptions, renderPacketLine } from '../../src/report/packet-line.ts'
import { displayWidth } from '../../src/report/width.ts'
import { journey } from './journeys.ts'
import { manyFlows, masqueraded, report, scenarios } from './scenarios.ts'

describe('--json', () => {
  test.each(Object.entries(scenarios))('%s is read back as it was', (_, scenario) => {
    expect(JSON.parse(renderJson(scenario))).toEqual(scenario)
  })

  test('is a line for each point, flow and finding', () => {
    const lines = renderJson(manyFlows).split('\n')
    expect(lines[0]).toBe('{')
    expect(lines[1]).toBe('"schema": "hoptrace.report/1",')
    expect(lines.filter((line) => line.startsWith('  {"id":'))).toHaveLength(150)
    expect(lines.at(-1)).toBe('')
  })

  test('10,000 flows come in pieces', () => {
    const big = report(
      ['a'],
      Array.from({ length: 10_000 }, (_, i) => masqueraded(i + 1, 1024 + i)),
    )
    const pieces = [...renderJsonChunks(big)]
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(100_000)
    expect(JSON.parse(pieces.join('')).flows).toHaveLength(10_000)
  })
})

test('--journeys begins as the contract says', () => {
  const line = renderJourneyLine(journey({ outcome: 'lost', lostBetween: ['bridge', 'uplink'] }))
  expect(line).not.toContain('\n')
  expect(line.startsWith('{"flow":1,')).toBe(true)
  expect(JSON.parse(line)).toMatchObject({
    flow: 1,
    direction: 'forward',
    sightings: [{ point: 'container', frames: [3], timeNs: '1795300329142743000' }, {}, {}, {}],
    outcome: 'lost',
    lostBetween: ['bridge', 'uplink'],
  })
})

describe('--packets', () => {
  const options: PacketLineOptions = {
    columns: Number.POSITIVE_INFINITY,
    color: false,
    flowFirstNs: '1795300329141743000',
  }
  const back = journey({
    direction: 'reverse',
    sightings: journey()
      .sightings.toReversed()
      .map((it, i) => ({
        ...it,
        src: it.dst,
        dst: it.src,
        ttl: i === 0 ? 63 : 62,
        timeNs: String(1_795_300_329_143_000_000 + i),
      })),
    summary: 'SA seq 4 len 0',
    retransmission: true,
  })

  test('a line a packet', () => {
    const lines = [
      journey(),
      back,
      journey({
        outcome: 'lost',
        lostBetween: ['bridge', 'uplink'],
        sightings: journey().sightings.slice(0, 3),
      }),
      journey({
        outcome: 'answered',
        answeredBy: { from: '172.17.0.1', type: 11, code: 0, name: 'time exceeded' },
      }),
      journey({ outcome: 'ambiguous', sightings: journey().sightings.slice(0, 1) }),
      journey({ outcome: 'unseen', sightings: [] }),
    ].map((it) => renderPacketLine(it, options))
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      " 1.00 ms →  S seq 1392019128 len 0        container 64 ── veth ── bridge ─SNAT 192.168.78.100:47276─ uplink 63  31.2 µs
       1.26 ms ←↻ SA seq 4 len 0                uplink 63 ─SNAT 172.17.0.3:47276─ bridge 62 ── veth ── container  0 ns
       1.00 ms →  S seq 1392019128 len 0        container 64 ── veth ── bridge  2.04 µs  ✗ lost before uplink
       1.00 ms →  S seq 1392019128 len 0        container 64 ── veth ── bridge ─SNAT 192.168.78.100:47276─ uplink 63  31.2 µs  ✗ time exceeded, says 172.17.0.1
       1.00 ms →  S seq 1392019128 len 0        container 64  ? ambiguous
               →  S seq 1392019128 len 0        ? unseen"
    `)
  })

  test('is shortened step by step', () => {
    const widths = [200, 100, 85, 60]
    const lines = widths.map((columns) => renderPacketLine(journey(), { ...options, columns }))
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      " 1.00 ms →  S seq 1392019128 len 0        container 64 ── veth ── bridge ─SNAT 192.168.78.100:47276─ uplink 63  31.2 µs
       1.00 ms →  S seq 1392019128 len 0        container 64 ── veth ── bridge ─SNAT─ uplink 63  31.2 µs
       1.00 ms →  S seq 1392019128 len 0        container 64 ─SNAT─ uplink 63  31.2 µs
       1.00 ms →  S seq 1…  container 64 ─SNAT─ uplink 63  31.2 µs"
    `)
    lines.forEach((line, i) => {
      expect(displayWidth(line)).toBeLessThanOrEqual(widths[i])
    })
  })

  test('colour only where it is asked for', () => {
    expect(renderPacketLine(back, options)).not.toContain('\u001b')
    expect(renderPacketLine(back, { ...options, color: true })).toContain('\u001b[33m↻')
  })
})
