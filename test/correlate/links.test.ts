/** Links: what is told of captures that nobody labelled, and its evidence, against tshark's own fields. */

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AnalysisOptions, analyze } from '../../src/analysis.ts'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { LinkDirection, LinkReport, Report } from '../../src/report/model.ts'
import { requireTool, run } from '../tools.ts'
import { TraceBuilder } from '../trace/builder.ts'
import { analyzeTrace } from './compare.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
const hasTools = requireTool('tshark', 'mergecap', 'editcap')
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hoptrace-links-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function filesOf(scenario: string): string[] {
  return readdirSync(join(CAPTURES, scenario))
    .filter((name) => name.includes('.pcap'))
    .map((name) => join(CAPTURES, scenario, name))
}

async function reportOf(args: string[], options: AnalysisOptions = {}): Promise<Report> {
  return (await analyze(args, options)).report
}

/** `container → veth same-wire`, a line each. */
function conclusions({ links = [] }: Report): string[] {
  return links.map(({ between, relation }) => `${between.join(' → ')} ${relation}`)
}

interface Frame {
  source: string
  destination: string
  ttl: number
}

/** What tshark says of each frame of a file, by frame number; '' where there is no MAC address, or only zeros. */
function framesOf(file: string): Map<number, Frame> {
  const names = ['frame.number', 'eth.src', 'sll.src.eth', 'eth.dst', 'ip.ttl', 'ipv6.hlim']
  const wanted = names.flatMap((name) => ['-e', name])
  const mac = (value: string | undefined) => (value === '00:00:00:00:00:00' ? '' : (value ?? ''))
  const lines = run('tshark', '-nr', file, '-T', 'fields', '-E', 'occurrence=f', ...wanted).split('\n')
  return new Map(
    lines.map((line) => {
      const [number, ethernet, cooked, destination, ttl, hops] = line.split('\t')
      return [
        Number(number),
        { source: mac(ethernet || cooked), destination: mac(destination), ttl: Number(ttl || hops) },
      ]
    }),
  )
}

/** The figures of a link that tshark can tell, in each direction. */
type Figures = Pick<LinkDirection, 'packets' | 'ttl' | 'macs'>

/** Which frames are one packet is the correlator's word, what stands in them is tshark's. */
function figuresByTshark(
  between: readonly [string, string],
  journeys: readonly JourneyReport[],
  frameAt: (point: string, frame: number) => Frame,
): Figures[] {
  const figures: Figures[] = [0, 1].map(() => ({
    packets: 0,
    ttl: [],
    macs: { kept: 0, replaced: 0, partly: 0 },
  }))
  for (const { sightings, outcome } of journeys) {
    const some = sightings.filter(({ point }) => between.includes(point))
    if (outcome === 'ambiguous' || some.length !== 2 || some[0]!.point === some[1]!.point) continue
    const [from, to] = some.map(({ point, frames }) => frameAt(point, frames[0]!)) as [Frame, Frame]
    const figure = figures[some[0]!.point === between[0] ? 0 : 1]!
    figure.packets++
    const step = figure.ttl.find((known) => known.step === to.ttl - from.ttl)
    if (step) step.packets++
    else figure.ttl.push({ step: to.ttl - from.ttl, packets: 1 })
    const ends = (['source', 'destination'] as const).filter((end) => from[end] !== '' && to[end] !== '')
    const same = ends.filter((end) => from[end] === to[end]).length
    if (ends.length > 0) figure.macs[same === ends.length ? 'kept' : same === 0 ? 'replaced' : 'partly']++
  }
  return figures
}

describe.skipIf(!hasTools)('recorded', () => {
  test.each(SCENARIOS)(
    '%s: packets, TTL steps and MACs of each link are those of tshark',
    async (scenario) => {
      const { report, journeys } = await analyze(filesOf(scenario), { journeys: true })
      const files = new Map(report.points.map(({ name, source }) => [name, source]))
      const frames = new Map([...new Set(files.values())].map((file) => [file, framesOf(file)]))
      const all = [...journeys()]
      const frameAt = (point: string, frame: number) => frames.get(files.get(point)!)!.get(frame)!
      const links = report.links!.filter(({ between: [a, b], evidence }) => a !== b && !evidence.proxied)
      const told = links.map(({ between, evidence: { forward, reverse } }) => ({
        between,
        figures: [forward, reverse].map(({ packets, ttl, macs }) => ({ packets, ttl, macs })),
      }))
      const expected = links.map(({ between }) => ({
        between,
        figures: figuresByTshark(between, all, frameAt),
      }))
      expect(told).toEqual(expected)
      // Inside of one container, Docker's resolver is translated at one point.
      if (scenario !== 'embedded-dns') expect(links.length).toBeGreaterThan(0)
    },
  )
})

/** The report with its points called as `names` has them; links in the order of the names, whichever end came first. */
function renamed({ links = [], groups = [], flows }: Report, names: ReadonlyMap<string, string>) {
  const nameOf = (point: string) => names.get(point) ?? point
  const turn = ({ between, relation, evidence }: LinkReport) => {
    const [a, b] = between.map(nameOf) as [string, string]
    const { forward, reverse, ...rest } = evidence
    return a <= b
      ? { between: [a, b], relation, forward, reverse, ...rest }
      : { between: [b, a], relation, forward: reverse, reverse: forward, ...rest }
  }
  return {
    links: links.map(turn).sort((a, b) => (a.between.join() < b.between.join() ? -1 : 1)),
    groups: groups.map((group) => group.map(nameOf).sort()).sort(),
    flows: flows.map(({ protocol, client, server, forward, reverse, translations }) => ({
      ...{ protocol, client, server },
      ways: [forward, reverse].map(({ path }) => path.map(({ point }) => nameOf(point))),
      translations: translations.map((it) => ({ ...it, between: it.between.map(nameOf) })),
    })),
  }
}

/** Fisher–Yates by a small generator, the same in each run. */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  const result = [...list]
  let state = seed
  for (let i = result.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    const j = (state >>> 8) % (i + 1)
    ;[result[i], result[j]] = [result[j]!, result[i]!]
  }
  return result
}

describe('nobody labelled the captures', () => {
  const several = SCENARIOS.filter((scenario) => filesOf(scenario).length > 1)

  test.each(several)('%s: names and order of the files do not matter', async (scenario) => {
    const files = filesOf(scenario)
    const usual = renamed(await reportOf(files), new Map())
    for (const seed of [1, 2, 3]) {
      const place = join(folder, `${scenario}-${seed}`)
      mkdirSync(place)
      const names = new Map<string, string>()
      const copies = shuffled(files, seed).map((file, i) => {
        names.set(`${i}x`, file.split('/').at(-1)!.replace('.pcap.gz', ''))
        copyFileSync(file, join(place, `${i}x.pcap.gz`))
        return join(place, `${i}x.pcap.gz`)
      })
      expect(renamed(await reportOf(copies), names)).toEqual(usual)
    }
  })

  test.skipIf(!hasTools).each(several)('%s: as one pcapng of several interfaces', async (scenario) => {
    const files = filesOf(scenario)
    const merged = join(folder, `${scenario}.pcapng`)
    run('mergecap', '-I', 'none', '-w', merged, ...files)
    const usual = renamed(await reportOf(files), new Map())
    const names = files.map(
      (file, i) => [String(i), file.split('/').at(-1)!.replace('.pcap.gz', '')] as const,
    )
    const report = await reportOf([merged], { interfaceNames: new Map(names) })
    expect(report.points.map(({ name }) => name)).toEqual(names.map(([, name]) => name))
    expect(report.warnings.filter((line) => line.includes('--ifname'))).toEqual([])
    expect(renamed(report, new Map())).toEqual(usual)
  })

  test('recordings that have nothing to do with each other stay apart', async () => {
    const report = await reportOf(SCENARIOS.map((scenario) => join(CAPTURES, scenario)))
    const folderOf = new Map(report.points.map(({ name, source }) => [name, source.split('/').at(-2)!]))
    const isSilent = (name: string) => !report.groups!.some((group) => group.includes(name))
    for (const group of report.groups!) expect(new Set(group.map((name) => folderOf.get(name))).size).toBe(1)
    // Inside of one container, lo and eth0 have nothing in common.
    expect(report.groups).toHaveLength(SCENARIOS.length + 1)
    // What a firewall dropped was never at the uplink.
    const silent = report.points.filter(({ name }) => isSilent(name))
    expect(silent.map(({ name }) => folderOf.get(name))).toEqual(['forward-drop'])
  })
})

/** Lowers the TTL of the nth echo request in a pcap file by n modulo 5, as a traceroute that keeps its identifier. */
function varyTtl(file: string): void {
  const bytes = readFileSync(file)
  let requests = 0
  for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8)) {
    const ip = at + 16 + 14
    if (bytes[ip + 20] === 8) bytes[ip + 8]! -= requests++ % 5
  }
  writeFileSync(file, bytes)
}

describe('conclusions', () => {
  test('of the recorded scenarios', async () => {
    const told = async (scenario: string) => conclusions(await reportOf([join(CAPTURES, scenario)]))
    expect(await told('double-nat')).toEqual([
      'container → veth same-wire',
      'veth → bridge same-wire',
      'bridge → uplink nat',
      'uplink → lan same-wire',
      'lan → wan nat',
      'wan → server same-wire',
    ])
    expect(await told('masquerade-missing')).toContain('bridge → uplink routed')
    expect(await told('loopback-proxy')).toEqual(['bridge → container same-wire', 'bridge → lo proxy'])
    expect(await told('hairpin')).toContain('bridge → bridge proxy')
    expect(await told('embedded-dns')).toEqual(['lo → lo nat'])
    expect(await told('any-cooked')).toEqual([
      'any:2 → any:3 nat',
      'any:3 → any:6 same-wire',
      'any:3 → any:8 same-wire',
    ])
  })

  test.skipIf(!hasTools)(
    'one interface captured twice is the same place; two ends of a cable are not',
    async () => {
      const [container, veth] = ['container', 'veth'].map((name) =>
        join(CAPTURES, 'microseconds-snaplen', `${name}.pcap.gz`),
      )
      const copy = join(folder, 'again.pcap')
      // The second capture began later and keeps less of each frame.
      run('editcap', '-F', 'pcap', '-s', '80', container!, copy, '1-3')
      // Whole µs are equal by chance: few packets prove nothing.
      expect(conclusions(await reportOf([`a=${container}`, `b=${copy}`, `c=${veth}`]))).toContain(
        'a → b same-wire',
      )
      const fine = join(CAPTURES, 'lossy-download', 'container.pcap.gz')
      const part = join(folder, 'part.pcap')
      run('editcap', '-F', 'nsecpcap', '-s', '80', fine, part, '1-3')
      const other = join(CAPTURES, 'lossy-download', 'veth.pcap.gz')
      const report = await reportOf([`a=${fine}`, `b=${part}`, `c=${other}`])
      expect(conclusions(report)).toEqual(['a → b same-place', 'b → c same-wire'])
      // The way back has them turned around, though no time passes between them.
      const back = report.flows.map(({ reverse }) => reverse.path.map(({ point }) => point))
      expect(back).toEqual([['c', 'b', 'a']])
    },
  )

  test('VLAN tags and tunnels: where they begin and end, and what is inside proves nothing about outside', async () => {
    const trace = new TraceBuilder({
      seed: 5,
      points: ['pod', { name: 'trunk', vlan: 42 }, 'uplink', 'uplink2', 'pod2'],
      routed: [
        ['trunk', 'uplink'],
        ['uplink', 'uplink2'],
        ['uplink2', 'pod2'],
      ],
    })
    const web = trace.tcp({
      client: { ip: '10.244.1.5', port: 40_000 },
      server: { ip: '10.244.2.7', port: 8080 },
      tunnels: [
        {
          kind: 'vxlan',
          id: 4097,
          within: [
            ['trunk', 'uplink'],
            ['uplink2', 'pod2'],
          ],
          client: '192.168.1.10',
          server: '192.168.2.20',
        },
      ],
    })
    web.open()
    web.send('client', 100)
    web.close()
    const { report } = await analyzeTrace(trace)
    expect(conclusions(report)).toEqual([
      'pod → trunk same-wire',
      'trunk → uplink tunnel',
      'uplink → uplink2 unclear',
      'uplink2 → pod2 tunnel',
    ])
    const [first, into, , out] = report.links!.map(({ evidence }) => evidence)
    const { packets } = first!.forward
    expect(first!.forward.vlans).toEqual([{ from: [], to: [42], packets }])
    expect(first!.reverse.vlans).toEqual([{ from: [42], to: [], packets: first!.reverse.packets }])
    const tunnel = { kind: 'vxlan', id: 4097, src: '192.168.1.10', dst: '192.168.2.20' }
    expect(into!.forward.tunnels).toEqual([{ from: [], to: [tunnel], packets }])
    expect(out!.forward.tunnels).toEqual([{ from: [tunnel], to: [], packets }])
  })

  test('a TTL that varies within a flow is no evidence for any step', async () => {
    const trace = new TraceBuilder({
      seed: 6,
      points: ['client', 'hop', 'server'],
      routed: [['hop', 'server']],
    })
    const ping = trace.echo({ client: { ip: '10.0.0.1', port: 7 }, server: { ip: '10.0.1.1', port: 7 } })
    for (let seq = 1; seq <= 12; seq++) {
      ping.request(seq)
      ping.reply(seq)
    }
    const place = join(folder, 'ttl')
    mkdirSync(place)
    trace.write(place)
    for (const point of ['client', 'hop', 'server']) varyTtl(join(place, `${point}.pcap`))
    const report = await reportOf([place])
    const [, routed] = report.links!
    expect(routed!.evidence.forward).toMatchObject({ packets: 12, ttl: [], macs: { replaced: 12 } })
    // The answers all had the same.
    expect(routed!.evidence.reverse).toMatchObject({ packets: 12, ttl: [{ step: -1, packets: 12 }] })
    expect(conclusions(report)).toEqual(['client → hop same-wire', 'hop → server routed'])
  })
})
