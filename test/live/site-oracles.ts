/** What a routed site's recordings must come out as: translations by conntrack's word, stations and packets by tshark's. */

import { readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'vitest'
import { type Analysis, analyze } from '../../src/analysis.ts'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report, Station } from '../../src/report/model.ts'
import { difference } from '../correlate/compare.ts'
import { run } from '../tools.ts'
import { fieldsOf, rewritesIn } from './capturing.ts'
import type { ConntrackEntry } from './docker-host.ts'
import type { Recording } from './recording.ts'
import type { Site } from './routed-site.ts'

export interface Outcome {
  report: Report
  journeys: JourneyReport[]
}

export interface Expectations {
  /** What the routers know of; asked now unless given; null where they can't know. */
  conntrack?: Record<'r1' | 'r2', ConntrackEntry[]> | null
  /** Packets that no next point may have shown, since the case is about that. */
  lost?: number
}

/** Where each router's translations are to be told: in front of and behind it. */
const INSIDE = { r1: ['c1', 'c2', 'veth1', 'veth2', 'bridge', 'uplink'], r2: ['lan', 'wan', 'server'] }

export async function analyzed(...files: string[]): Promise<Outcome> {
  const analysis: Analysis = await analyze(files, { journeys: true })
  return { journeys: [...analysis.journeys()], report: analysis.report }
}

/**
 * Ends a recording, analyses it and holds it against conntrack and tshark: each translation, at the right router, none
 * missing and none more; packets and TTL of each station; nothing lost, nothing ambiguous.
 */
export async function checked(
  site: Site,
  recording: Recording,
  expected: Expectations = {},
): Promise<Outcome> {
  const { conntrack = { r1: site.conntrack('r1'), r2: site.conntrack('r2') } } = expected
  await recording.endAll()
  const outcome = await analyzed(recording.folder)
  if (conntrack) checkTranslations(outcome.report, conntrack)
  checkStations(outcome, recording.folder)
  const { flows } = outcome.report
  expect(flows.flatMap((flow) => flow.lost).reduce((sum, { packets }) => sum + packets, 0)).toBe(
    expected.lost ?? 0,
  )
  expect(flows.filter(({ ambiguous }) => ambiguous > 0)).toEqual([])
  return outcome
}

/** Each translation as conntrack says, where it was made, both ways. */
export function checkTranslations({ flows }: Report, conntrack: Record<'r1' | 'r2', ConntrackEntry[]>): void {
  const told = flows.flatMap(({ translations }) => translations)
  for (const router of ['r1', 'r2'] as const) {
    const here = told
      .filter(({ between }) => between.every((point) => INSIDE[router].includes(point)))
      .map(({ kind, from, to }) => ({ kind, from, to }))
    expect(difference(here, rewritesIn(conntrack[router])), router).toEqual({ extra: [], lacking: [] })
  }
  const elsewhere = told.filter(
    ({ between }) =>
      !Object.values(INSIDE).some((inside) => between.every((point) => inside.includes(point))),
  )
  expect(elsewhere).toEqual([])
}

const FIELDS = [
  ...['frame.interface_id', 'ip.src', 'ipv6.src', 'ip.dst', 'ipv6.dst', 'ip.ttl', 'ipv6.hlim'],
  ...['tcp.srcport', 'udp.srcport', 'icmp.ident', 'icmpv6.echo.identifier'],
  ...['tcp.dstport', 'udp.dstport'],
]
/** ICMP errors, which are no packets of a flow of their own, and what neighbours say to each other. */
const NO_FLOW = 'icmp.type in {3,5,11} or (icmpv6.type and not icmpv6.type in {128,129})'

/** Records by `point source destination` and TTL as tshark reads them. */
function tsharkStations(folder: string): Map<string, { ttls: Set<number>; packets: number }> {
  const stations = new Map<string, { ttls: Set<number>; packets: number }>()
  const files = readdirSync(folder).filter((name) => name.endsWith('.pcap'))
  // One file of all, an interface each: tshark takes longer to start than to read.
  const merged = join(folder, 'merged.pcapng')
  run('mergecap', '-I', 'none', '-w', merged, ...files.map((name) => join(folder, name)))
  for (const line of fieldsOf(merged, FIELDS, '-Y', `not (${NO_FLOW})`)) {
    const [index, src4, src6, dst4, dst6, ttl4, ttl6, ts, us, id4, id6, td, ud] = line
    const id = id4 || id6 ? String(Number(id4 || id6)) : ''
    const point = basename(files[Number(index)]!, '.pcap')
    const key = [point, src4 || src6, ts || us || id, dst4 || dst6, td || ud || id].join(' ')
    const station = stations.get(key) ?? { ttls: new Set(), packets: 0 }
    stations.set(key, station)
    station.ttls.add(Number(ttl4 || ttl6))
    station.packets++
  }
  rmSync(merged)
  return stations
}

function keyOf({ point, src, dst }: Pick<Station, 'point' | 'src' | 'dst'>): string {
  return [point, src.ip, src.port, dst.ip, dst.port].join(' ')
}

/**
 * Each tuple at each point is a station of some flow with tshark's packets, and the sightings there have tshark's TTLs; a
 * packet is in one journey only.
 */
export function checkStations({ report, journeys }: Outcome, folder: string): void {
  const told = new Map<string, { ttls: Set<number>; packets: number }>()
  for (const { forward, reverse } of report.flows)
    for (const station of [...forward.path, ...reverse.path]) {
      const known = told.get(keyOf(station)) ?? { ttls: new Set([station.ttl]), packets: 0 }
      told.set(keyOf(station), known)
      known.packets += station.packets
    }
  for (const { sightings } of journeys)
    for (const sighting of sightings) told.get(keyOf(sighting))!.ttls.add(sighting.ttl)
  const plain = (stations: typeof told) =>
    [...stations].map(([key, { ttls, packets }]) => `${key}: ${packets} with TTL ${[...ttls].sort()}`)
  expect(difference(plain(told), plain(tsharkStations(folder)))).toEqual({ extra: [], lacking: [] })
  expect(journeys).toHaveLength(
    report.flows.reduce((sum, { forward, reverse }) => sum + forward.packets + reverse.packets, 0),
  )
}
