/** The recorded scenarios: nothing is wrong with the clean ones, and with the others what was broken on purpose. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { Report } from '../../src/report/model.ts'
import { all, only, trouble } from './diagnosing.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')

/** Codes of severity error and warning, in their order. */
const BROKEN: Record<string, string[]> = {
  'forward-drop': ['dropped-between-points', 'retransmissions'],
  'lossy-download': ['dropped-between-points', 'retransmissions'],
  'masquerade-missing': ['snat-missing', 'retransmissions'],
  'udp-and-ping': ['connection-refused', 'ttl-expired'],
}
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

async function reportOf(scenario: string): Promise<Report> {
  return (await analyze([join(CAPTURES, scenario)])).report
}

test.each(SCENARIOS)('%s', async (scenario) => {
  expect(trouble(await reportOf(scenario))).toEqual(BROKEN[scenario] ?? [])
})

test('forward-drop: three SYNs, by their frames', async () => {
  const found = only(await reportOf('forward-drop'), 'dropped-between-points')
  expect(found.summary).toMatch(/^3 SYNs to 203\.0\.113\.238:\d+ reached bridge and never uplink/)
  expect(found.evidence.frames!.bridge).toHaveLength(3)
})

test('lossy-download: a fifth of what comes back, and neither a black hole nor a silent server', async () => {
  const report = await reportOf('lossy-download')
  const found = only(report, 'dropped-between-points')
  expect(found.evidence).toMatchObject({ direction: 'reverse', between: ['uplink', 'bridge'] })
  const share = Number(found.evidence.packets) / report.flows[0]!.reverse.packets
  expect(share).toBeGreaterThan(0.1)
  expect(share).toBeLessThan(0.3)
})

test('udp-and-ping: who refused, and where the TTL ended', async () => {
  const report = await reportOf('udp-and-ping')
  expect(only(report, 'connection-refused').summary).toContain('answered ICMP port unreachable')
  expect(only(report, 'ttl-expired').summary).toMatch(/TTL \(1 at container\) .*172\.17\.0\.1 answered/)
})

test('what is good to know: proxies, remapped ports, offload', async () => {
  expect(all(await reportOf('loopback-proxy'), 'proxy-splice')).toHaveLength(1)
  expect(all(await reportOf('port-collision'), 'port-remapped')).toHaveLength(1)
  expect(all(await reportOf('bulk-gso'), 'segmentation-differs').length).toBeGreaterThan(0)
  expect(all(await reportOf('outbound-masquerade'), 'checksum-offload')).toHaveLength(1)
  expect(all(await reportOf('same-bridge'), 'port-remapped')).toEqual([])
})
