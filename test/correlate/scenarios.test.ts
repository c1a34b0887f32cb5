/** The recorded scenarios: against what conntrack said of them, and against the expected result beside each. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { renderJson } from '../../src/report/json.ts'
import type { FlowReport, Report } from '../../src/report/model.ts'
import { difference } from './compare.ts'
import { type Connection, natOf, readConntrack } from './conntrack.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

/** Which machine's conntrack answers for which rewrites: the points in front of and behind its NAT. */
const HOST = ['container', 'client', 'clientveth', 'a', 'b', 'veth', 'bridge', 'any:3', 'any:6', 'any:8']

async function reportOf(scenario: string): Promise<Report> {
  // Relative, so that the expected results name no folder of this machine.
  process.chdir(join(import.meta.dirname, '../..'))
  return (await analyze([`captures/${scenario}`])).report
}

/** The rewrites of all flows that happened on the host, or behind it on its router. */
function rewritesOf(report: Report, isOnHost: boolean) {
  return report.flows.flatMap((flow) =>
    flow.translations
      // Docker's resolver is translated inside of the container, where nobody listened to conntrack.
      .filter(({ between: [a, b] }) => a !== b)
      .filter(({ between }) => between.some((point) => HOST.includes(point)) === isOnHost)
      .map(({ kind, from, to }) => ({ kind, from, to })),
  )
}

/** Connections that some flow of the report is about, by what conntrack saw first. */
function seenIn(report: Report, connections: Connection[]): Connection[] {
  const shown = (flow: FlowReport, { protocol, original }: Connection) =>
    flow.protocol === protocol &&
    flow.forward.path.some(
      ({ src, dst }) =>
        src.ip === original.src.ip &&
        src.port === original.src.port &&
        dst.ip === original.dst.ip &&
        (protocol === 'icmp' || dst.port === original.dst.port),
    )
  return connections.filter((connection) => report.flows.some((flow) => shown(flow, connection)))
}

test.each(SCENARIOS)('%s: each translation as conntrack says, with its exact ports', async (scenario) => {
  const report = await reportOf(scenario)
  const host = readConntrack(join(CAPTURES, scenario, 'conntrack.host.txt'))
  expect(difference(rewritesOf(report, true), seenIn(report, host).flatMap(natOf))).toEqual({
    extra: [],
    lacking: [],
  })
  // Every connection that the host's conntrack confirmed passed one of our points: none may be missing.
  expect(seenIn(report, host)).toEqual(host)
  const behind = ['wan', 'server'].some((point) =>
    report.points.some((p) => p.name === point && report.path.includes('lan')),
  )
  if (!behind) return
  const router = readConntrack(join(CAPTURES, scenario, 'conntrack.router.txt'))
  expect(difference(rewritesOf(report, false), seenIn(report, router).flatMap(natOf))).toEqual({
    extra: [],
    lacking: [],
  })
})

test.each(SCENARIOS)('%s: as in expected.json', async (scenario) => {
  const file = join(CAPTURES, scenario, 'expected.json')
  if (process.env.CI === 'true') expect(existsSync(file)).toBe(true)
  await expect(renderJson(await reportOf(scenario))).toMatchFileSnapshot(file)
})
