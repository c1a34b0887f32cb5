/** What lies between the points, as text: short, within the terminal, and nothing in it acts on one. */

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { renderLinks } from '../../src/report/links-text.ts'
import type { LinkReport, Report } from '../../src/report/model.ts'
import { paletteFor } from '../../src/report/palette.ts'
import { renderText } from '../../src/report/text.ts'
import { displayWidth } from '../../src/report/width.ts'
import { expectHarmless } from '../commands/program.ts'

const PLAIN = paletteFor(false)
const capturesOf = (...names: string[]) =>
  names.map((name) => join(import.meta.dirname, '../../captures', name))

async function reportOf(...names: string[]): Promise<Report> {
  return (await analyze(capturesOf(...names))).report
}

const SIDE: LinkReport['evidence']['forward'] = {
  packets: 10,
  flows: 1,
  ttl: [{ step: 0, packets: 10 }],
  macs: { kept: 10, replaced: 0, partly: 0 },
  vlans: [],
  rewritten: { source: 0, destination: 0 },
  tunnels: [],
  delay: { minNs: 1, medianNs: 2 },
}

/** The line of one link, put together by hand. */
function lineOf(
  relation: LinkReport['relation'],
  forward: Partial<typeof SIDE>,
  reverse: Partial<typeof SIDE> = {},
): string {
  const evidence = {
    forward: { ...SIDE, ...forward },
    reverse: { ...SIDE, ...reverse },
    translations: { snat: 0, dnat: 0 },
  }
  const report = { links: [{ between: ['a', 'b'], relation, evidence }] } as unknown as Report
  return renderLinks(report, 200, PLAIN).join('\n').trim()
}

test('one line for each two points, below the path', async () => {
  const report = await reportOf('outbound-masquerade')
  const lines = [
    '  container → veth  same wire: TTL and MACs kept in 22 of 22 packets',
    '  veth → bridge     same wire: TTL and MACs kept in 22 of 22 packets',
    '  bridge → uplink   routed, SNAT: TTL −1 and MACs replaced in 22 of 22 packets,',
    '      source rewritten in 12 of 12 →',
  ]
  expect(renderLinks(report, 80, PLAIN)).toEqual(lines)
  expect(renderText(report, { columns: 80, color: false })).toContain(`\n\n${lines.join('\n')}\n\nFlows`)
  expect(renderText(report, { columns: 80, color: false, hidesLinks: true })).not.toContain('same wire')
})

test('figures that differ are told apart', () => {
  expect(lineOf('same-wire', { macs: { kept: 7, replaced: 1, partly: 1 } })).toBe(
    'a → b  same wire: TTL kept in 20 of 20 packets, MACs kept in 17 of 20 packets, MACs replaced in 1 of 20 packets, one MAC replaced in 1 of 20 packets',
  )
  const step = { ttl: [{ step: -2, packets: 10 }], macs: { kept: 0, replaced: 10, partly: 0 } }
  expect(lineOf('routed', step, { ...step, ttl: [{ step: -1, packets: 4 }] })).toBe(
    'a → b  routed: MACs replaced in 20 of 20 packets, TTL −2 in 10 of 20 packets',
  )
  const blind = { ttl: [], macs: { kept: 0, replaced: 0, partly: 0 } }
  expect(lineOf('unclear', blind, blind)).toBe('a → b  unclear: TTL varies, MACs not captured')
})

test('one direction that is not undone in the other is told for both', () => {
  const rewritten = (source: number, destination: number) => ({ rewritten: { source, destination } })
  expect(lineOf('nat', rewritten(10, 0), rewritten(0, 10))).toMatch(/, source rewritten in 10 of 10 →$/)
  expect(lineOf('nat', rewritten(10, 0), rewritten(0, 4))).toMatch(
    /, source rewritten in 10 of 10 →, destination rewritten in 4 of 10 ←$/,
  )
})

test('VLANs and tunnels by name', () => {
  const tunnel = { kind: 'vxlan' as const, id: 42, src: '10.0.0.1', dst: '10.0.0.2' }
  expect(lineOf('tunnel', { tunnels: [{ from: [], to: [tunnel], packets: 10 }] })).toMatch(/into VXLAN 42 →$/)
  expect(lineOf('same-wire', { vlans: [{ from: [], to: [7, 8], packets: 10 }] })).toMatch(
    /VLAN none then 7 in 8 →$/,
  )
})

test('files that saw nothing in common are named; a warning does it where that is all of them', async () => {
  const apart = renderLinks(await reportOf('outbound-masquerade', 'same-bridge'), 200, PLAIN)
  expect(apart[0]).toBe(
    '  these saw nothing in common: container, veth, bridge, uplink │ client, clientveth, bridge#2, serverveth, server',
  )
  const alone = renderText(await reportOf('embedded-dns'), { columns: 120, color: false })
  expect(alone).not.toContain('nothing in common')
  expect(alone).toContain('no traffic in common')
})

test('many links are counted', async () => {
  const report = await reportOf('double-nat', 'hairpin', 'bulk-gso')
  const lines = renderLinks(report, 80, PLAIN)
  expect(lines.filter((line) => / (→|at) /.test(line) && /: (TTL|MACs|\d)/.test(line)).length).toBe(8)
  expect(lines.at(-1)).toMatch(/… 9 more links: --json lists all/)
})

const ATTACKS = ['\u001b[31mred\u001b[2J', 'a\u202egpj', 'two\nlines\r', '漢字'.repeat(40), 'x'.repeat(900)]

test.each(ATTACKS)('hostile names %#', async (attack) => {
  const report = await reportOf('hairpin', 'any-cooked')
  const hostile = JSON.parse(JSON.stringify(report), (_, value) =>
    typeof value === 'string' ? value + attack : value,
  ) as Report
  for (const columns of [60, 80, 200]) {
    const lines = renderLinks(hostile, columns, PLAIN)
    expectHarmless(lines.join('\n'))
    for (const line of lines) expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
  }
})
