/** Filter expressions against two oracles: a naive reading of them, and tcpdump on the recorded captures. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { parseFilterExpression } from '../../src/report/filter-expression.ts'
import type { FlowReport } from '../../src/report/model.ts'
import { join as bytes } from '../capture/bytes.ts'
import { recordsOf, SCENARIOS } from '../commands/program.ts'
import { requireTool, run } from '../tools.ts'
import {
  doubleNat,
  forwardDrop,
  hairpin,
  inboundPublishedPort,
  ipv6,
  lossyDownload,
  outboundMasquerade,
  portCollision,
} from './scenarios.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')

/** An expression and, written apart from the code under test, the points at which it holds (all numbered through). */
interface Known {
  text: string
  holdsAt(flow: FlowReport): Set<number>
}

const stationsOf = (flow: FlowReport) => [
  ...flow.forward.path,
  ...flow.reverse.path.map((station) => ({ ...station, src: station.dst, dst: station.src })),
]
type Ends = ReturnType<typeof stationsOf>[number]

function leaf(text: string, test: (ends: Ends, flow: FlowReport) => boolean): Known {
  return {
    text,
    holdsAt: (flow) => new Set(stationsOf(flow).flatMap((ends, i) => (test(ends, flow) ? [i] : []))),
  }
}

const ADDRESSES = [
  '172.17.0.3',
  '192.168.78.100',
  '203.0.113.238',
  '172.17.0.1',
  '172.17.0.2',
  '2001:db8:1:2:3:4:5:1',
]
const LEAVES: Known[] = [
  ...ADDRESSES.flatMap((ip) => [
    leaf(`host ${ip}`, ({ src, dst }) => src.ip === ip || dst.ip === ip),
    leaf(`src ${ip}`, ({ src }) => src.ip === ip),
    leaf(`dst host ${ip}`, ({ dst }) => dst.ip === ip),
  ]),
  ...[80, 8078, 45_000, 47_276].flatMap((port) => [
    leaf(`port ${port}`, ({ src, dst }) => src.port === port || dst.port === port),
    leaf(`src port ${port}`, ({ src }) => src.port === port),
    leaf(`tcp dst port ${port}`, ({ dst }, flow) => flow.protocol === 'tcp' && dst.port === port),
  ]),
  leaf('net 172.17.0.0/16', ({ src, dst }) => [src, dst].some(({ ip }) => ip.startsWith('172.17.'))),
  leaf('src net 172.17.0.2/31', ({ src }) => ['172.17.0.2', '172.17.0.3'].includes(src.ip)),
  leaf('udp', (_, flow) => flow.protocol === 'udp'),
  leaf('ip6', ({ src }) => src.ip.includes(':')),
  leaf('at uplink', ({ point }) => point === 'uplink'),
  leaf('lost', (_, flow) => flow.lost.length > 0),
  leaf('state closed', (_, flow) => flow.state === 'closed'),
]

const { known } = fc.letrec<{ known: Known }>((tie) => ({
  known: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(...LEAVES),
    tie('known').map((inner) => ({
      text: `not (${inner.text})`,
      holdsAt: (flow: FlowReport) => new Set(inner.holdsAt(flow).size === 0 ? stationsOf(flow).keys() : []),
    })),
    fc.tuple(tie('known'), fc.constantFrom('and', '&&'), tie('known')).map(([a, and, b]) => ({
      text: `(${a.text}) ${and} (${b.text})`,
      holdsAt: (flow: FlowReport) =>
        new Set([...a.holdsAt(flow)].filter((station) => b.holdsAt(flow).has(station))),
    })),
    fc.tuple(tie('known'), fc.constantFrom('or', '||'), tie('known')).map(([a, or, b]) => ({
      text: `(${a.text}) ${or} (${b.text})`,
      holdsAt: (flow: FlowReport) => new Set([...a.holdsAt(flow), ...b.holdsAt(flow)]),
    })),
  ),
}))

test('agrees with a naive reading of random expressions', () => {
  const flows = [
    doubleNat,
    forwardDrop,
    hairpin,
    inboundPublishedPort,
    ipv6,
    lossyDownload,
    outboundMasquerade,
    portCollision,
  ].flatMap((scenario) => scenario.flows)
  fc.assert(
    fc.property(known, ({ text, holdsAt }) => {
      const predicate = parseFilterExpression(text)
      for (const flow of flows) expect(predicate(flow), text).toBe(holdsAt(flow).size > 0)
    }),
    { numRuns: 1000 },
  )
})

describe.skipIf(!requireTool('tcpdump'))('the flows of which tcpdump finds a packet at any point', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hoptrace-filter-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  test.each(SCENARIOS)('%s', async (scenario) => {
    const { report } = await analyze([join(CAPTURES, scenario)])
    const file = join(folder, `${scenario}.pcap`)
    writeFileSync(file, allRecords(join(CAPTURES, scenario)))
    const expressions = fc.sample(tcpdumpExpression(report.flows), { numRuns: 25, seed: scenario.length })
    let found = 0
    for (const expression of expressions) {
      const ids = withTcpdump(file, report.flows, expression)
      expect({
        expression,
        ids: report.flows.filter(parseFilterExpression(expression)).map(({ id }) => id),
      }).toEqual({ expression, ids })
      if (ids.length > 0 && ids.length < report.flows.length) found++
    }
    // Else the comparison would be worth little.
    if (report.flows.length > 1) expect(found).toBeGreaterThan(2)
  })
})

/** The records of all captures of a folder behind each other in one file. */
function allRecords(folder: string): Uint8Array {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.pcap.gz'))
    .map((name) => recordsOf(new Uint8Array(gunzipSync(readFileSync(join(folder, name))))))
  return bytes(files[0]!.header, ...files.flatMap(({ records }) => records))
}

/** Expressions without `not`, over what the flows have and a bit more. */
function tcpdumpExpression(flows: readonly FlowReport[]): fc.Arbitrary<string> {
  const stations = flows.flatMap(stationsOf)
  const ips = [...new Set(stations.flatMap(({ src, dst }) => [src.ip, dst.ip])), '192.0.2.1']
  const ports = [...new Set(stations.flatMap(({ src, dst }) => [src.port, dst.port])), 80, 1]
  const side = fc.constantFrom('', '', 'src ', 'dst ', 'src or dst ', 'src and dst ')
  const port = fc.constantFrom(...ports)
  const network = fc
    .tuple(fc.constantFrom(...ips), fc.constantFrom(0, 8, 16, 24, 31, 32))
    .map(([ip, length]) => `${masked(ip, length)}/${length}`)
  const simple = fc.oneof(
    fc.tuple(side, fc.constantFrom(...ips)).map(([which, ip]) => `${which}host ${ip}`),
    fc.tuple(side, network).map(([which, net]) => `${which}net ${net}`),
    fc
      .tuple(fc.constantFrom('', 'tcp ', 'udp '), side, port)
      .map(([protocol, which, n]) => `${protocol}${which}port ${n}`),
    fc.tuple(side, port, port).map(([which, low, high]) => `${which}portrange ${low}-${high}`),
    fc.tuple(port, port).map(([one, other]) => `port ${one} or ${other}`),
    fc.constantFrom('tcp', 'udp', 'icmp', 'ip', 'ip proto 17'),
  )
  const more = fc.array(fc.tuple(fc.constantFrom('and', 'or'), simple, fc.boolean()), { maxLength: 3 })
  return fc
    .tuple(simple, more)
    .map(([first, rest]) =>
      rest.reduce(
        (text, [operator, next, inParentheses]) =>
          `${text} ${operator} ${inParentheses ? `(${next})` : next}`,
        first,
      ),
    )
}

function masked(ip: string, length: number): string {
  const bits = ip.split('.').reduce((sum, octet) => sum * 256n + BigInt(octet), 0n)
  const kept = (bits >> BigInt(32 - length)) << BigInt(32 - length)
  return [24n, 16n, 8n, 0n].map((shift) => (kept >> shift) & 255n).join('.')
}

/** A packet on its way back has its source where the client's packets have their destination. */
function withTcpdump(file: string, flows: readonly FlowReport[], expression: string): number[] {
  const forward = tuplesOf(file, expression)
  const turned = expression.replace(/\b(?:src or dst|src and dst)\b|\bsrc\b|\bdst\b/g, (side) =>
    side === 'src' ? 'dst' : side === 'dst' ? 'src' : side,
  )
  const reverse = turned === expression ? forward : tuplesOf(file, turned)
  const isIn = (tuples: Set<string>, protocol: string, { src, dst }: Ends) =>
    tuples.has([protocol, src.ip, src.port, dst.ip, dst.port].join(' '))
  return flows
    .filter(
      (flow) =>
        flow.forward.path.some((station) => isIn(forward, flow.protocol, station)) ||
        flow.reverse.path.some((station) => isIn(reverse, flow.protocol, station)),
    )
    .map(({ id }) => id)
}

function tuplesOf(file: string, expression: string): Set<string> {
  const tuples = new Set<string>()
  for (const line of tcpdump(file, expression).split('\n')) {
    const [, src, dst, what] = / ?IP (\S+) > (\S+): (.*)$/.exec(line) ?? []
    if (src === undefined) continue
    const echo = /^ICMP echo (?:request|reply), id (\d+)/.exec(what)
    if (echo) tuples.add(['icmp', src, echo[1], dst, echo[1]].join(' '))
    else tuples.add([what.startsWith('tcp') ? 'tcp' : 'udp', endOf(src), endOf(dst)].join(' '))
  }
  return tuples
}

function endOf(text: string): string {
  return text.replace(/\.(\d+)$/, ' $1')
}

function tcpdump(file: string, expression: string): string {
  try {
    return run('tcpdump', '-nnqt', '-r', file, expression)
  } catch {
    // `expression rejects all packets`, which it finds out without looking at one; another error shows as a difference.
    return ''
  }
}
