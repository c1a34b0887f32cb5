/** Recordings of which some points are missing, or nothing says which point is which: the conclusions stay the same. */

import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { FlowReport, Report, Station, TranslationReport } from '../../src/report/model.ts'
import { run } from '../tools.ts'
import type { Recording } from './recording.ts'
import { type PointName, requireSite, type Site, startSite } from './routed-site.ts'
import { analyzed, checked } from './site-oracles.ts'

const SERVER = '203.0.113.10'
const WAY = ['c1', 'veth1', 'bridge', 'uplink', 'lan', 'wan', 'server'] as const satisfies PointName[]
const MASQUERADE = 'iptables -t nat -A POSTROUTING -o eth0 -s 10.1.0.0/24 -j MASQUERADE --random-fully'

const KINDS = {
  MASQUERADE: { r1: MASQUERADE, r2: 'true' },
  DNAT: {
    r1: `iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to 10.1.0.11:80
         iptables -t nat -A PREROUTING -i eth0 -p udp --dport 8007 -j DNAT --to 10.1.0.11:7`,
    r2: 'true',
  },
  'double NAT': { r1: MASQUERADE, r2: 'iptables -t nat -A POSTROUTING -o wan -j MASQUERADE --random-fully' },
} as const

/** What is told of one flow, as far as it does not depend on how much of the way was recorded. */
interface Told {
  protocol: string
  client: FlowReport['client']
  server: FlowReport['server']
  forward: string[]
  translations: TranslationReport[]
}

function subsetsOf<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length - 1 }, (_, i) =>
    items.filter((_, bit) => ((i + 1) >> bit) & 1),
  )
}

/** What the whole recording says, as it is to be told when only these points are there. */
function restricted({ flows }: Report, points: readonly string[]): Told[] {
  return flows.map(({ protocol, forward }) => {
    const path = forward.path.filter(({ point }) => points.includes(point))
    return {
      protocol,
      client: path[0]!.src,
      server: path[0]!.dst,
      forward: path.map(textOf),
      translations: path.slice(1).flatMap((to, i) => rewrites(path[i]!, to, protocol === 'icmp')),
    }
  })
}

function rewrites(a: Station, b: Station, isEcho: boolean): TranslationReport[] {
  const between: [string, string] = [a.point, b.point]
  const differ = (side: 'src' | 'dst') =>
    a[side].ip !== b[side].ip || (a[side].port !== b[side].port && !(isEcho && side === 'dst'))
  return [
    ...(differ('src') ? [{ kind: 'snat' as const, between, from: a.src, to: b.src }] : []),
    ...(differ('dst') ? [{ kind: 'dnat' as const, between, from: a.dst, to: b.dst }] : []),
  ]
}

function told({ flows }: Report): Told[] {
  return flows.map(({ protocol, client, server, forward, translations }) => ({
    protocol,
    client,
    server,
    forward: forward.path.map(textOf),
    translations,
  }))
}

function textOf({ point, src, dst, ttl, packets }: Station): string {
  return `${point} ${src.ip}:${src.port} → ${dst.ip}:${dst.port} TTL ${ttl} ×${packets}`
}

/** A report with its points called otherwise. */
function renamed(report: Report, names: ReadonlyMap<string, string>): Report {
  const points = new Set(report.points.map(({ name }) => name))
  return JSON.parse(JSON.stringify(report), (_, value) =>
    typeof value === 'string' && points.has(value) ? names.get(value) : value,
  )
}

describe.skipIf(!requireSite())('subsets', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite()
  })
  afterAll(() => site?.stop())
  beforeEach(() => site.reset())

  /** Records some connections through this NAT; what comes of all points together agrees with conntrack. */
  async function record(kind: keyof typeof KINDS): Promise<{ recording: Recording; report: Report }> {
    site.sh('r1', KINDS[kind].r1)
    site.sh('r2', KINDS[kind].r2)
    const recording = await site.record(...WAY)
    const isInward = kind === 'DNAT'
    const [from, to] = isInward ? [site.server, '192.168.5.100'] : [site.c1, SERVER]
    expect(await from.do('tcp', { to: [to, isInward ? 8080 : 80], local: 45_000 })).toBeNull()
    expect(await from.do('udp', { to: [to, isInward ? 8007 : 7], local: 45_000 })).toEqual([10, 10, 18])
    if (!isInward) expect(await from.do('ping', { to, id: 45_000 })).not.toContain(false)
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(isInward ? 2 : 3)
    expect(report.path).toEqual(isInward ? WAY.toReversed() : WAY)
    return { recording, report }
  }

  test.each(Object.keys(KINDS) as (keyof typeof KINDS)[])('%s: any of the points', async (kind) => {
    const { recording, report: whole } = await record(kind)
    for (const points of subsetsOf(WAY)) {
      const { report } = await analyzed(...points.map((point) => recording.file(point)))
      const summary = {
        points,
        path: report.path,
        flows: told(report),
        lost: report.flows.flatMap(({ lost }) => lost),
        ambiguous: report.flows.reduce((sum, { ambiguous }) => sum + ambiguous, 0),
      }
      expect(summary).toEqual({
        points,
        path: whole.path.filter((point) => points.some((one) => one === point)),
        flows: restricted(whole, points),
        lost: [],
        ambiguous: 0,
      })
    }
  })

  test.each(Object.keys(KINDS) as (keyof typeof KINDS)[])('%s: names that say nothing', async (kind) => {
    const { recording, report: whole } = await record(kind)
    for (const order of ['dafcgeb', 'gfedcba', 'bdfaceg']) {
      const names = new Map([...order].map((letter, i) => [letter, WAY[i]!]))
      const files = [...names].sort().map(([letter, point]) => {
        const file = join(recording.folder, letter)
        copyFileSync(recording.file(point), file)
        return file
      })
      const { report } = await analyzed(...files)
      expect(renamed(report, names).path).toEqual(whole.path)
      expect(told(renamed(report, names))).toEqual(told(whole))
      const merged = join(recording.folder, 'merged')
      run('mergecap', '-I', 'none', '-w', merged, ...files)
      const { report: ofOne } = await analyzed(merged)
      const inOrder = new Map(
        ofOne.points.map(({ name }, i) => [name, names.get([...order].sort()[i]!)!] as const),
      )
      expect(renamed(ofOne, inOrder).path).toEqual(whole.path)
      expect(told(renamed(ofOne, inOrder))).toEqual(told(whole))
    }
  })
})
