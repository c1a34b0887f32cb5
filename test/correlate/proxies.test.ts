/** Proxies: the two halves of an exchange are found by payload and time, and where that does not decide, none is told. */

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { Report } from '../../src/report/model.ts'
import { TraceBuilder } from '../trace/builder.ts'
import type { Endpoint } from '../trace/frame.ts'
import type { ConversationOptions, PointOptions } from '../trace/model.ts'
import type { TcpConversation } from '../trace/tcp.ts'
import { analyzeTrace } from './compare.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const POINTS = ['lo', 'bridge', 'container']
const LISTENS = { ip: '127.0.0.1', port: 8080 }
const SERVER = { ip: '172.17.0.2', port: 80 }
const asks = (port: number) => ({ ip: '127.0.0.1', port })
const dials = (port: number) => ({ ip: '172.17.0.1', port })
const bytes = (text: string) => new TextEncoder().encode(text)
const GET = bytes('GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n')
const PAGE = bytes('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n')

/** Both halves as `port of the client > port that the proxy dials from`, told from both sides. */
function pairsIn({ flows }: Report): string[] {
  const pairs = flows.flatMap(({ client, spliced = [] }) =>
    spliced.map(({ side, flow }) => {
      const other = flows.find(({ id }) => id === flow)!
      const [a, b] = side === 'client' ? [client, other.client] : [other.client, client]
      return `${a.port} > ${b.port}`
    }),
  )
  const once = [...new Set(pairs)].sort()
  expect(pairs.sort()).toEqual([...once, ...once].sort())
  return once
}

function newTrace(seed: number, points: (string | PointOptions)[] = POINTS): TraceBuilder {
  return new TraceBuilder({ seed, points, hopDelayNs: [2_000, 9_000] })
}

interface Exchange {
  client: Endpoint
  listens: Endpoint
  dials: Endpoint
  server: Endpoint
  paths: [string[], string[]]
  startNs?: number
}

/** A connection to a proxy and the one that it opens then. */
function opened(trace: TraceBuilder, { client, listens, dials, server, paths, startNs }: Exchange) {
  const at = startNs === undefined ? {} : { startNs }
  const outer = trace.tcp({ client, server: listens, path: paths[0], ...at })
  outer.open()
  const inner = trace.tcp({ client: dials, server, path: paths[1], startNs: outer.nowNs + 300_000 })
  inner.open()
  return [outer, inner] as const
}

const loopback = (n: number, startNs?: number): Exchange => ({
  client: asks(40_000 + n),
  listens: LISTENS,
  dials: dials(50_000 + n),
  server: SERVER,
  paths: [['lo'], ['bridge', 'container']],
  ...(startNs === undefined ? {} : { startNs }),
})

/** What one side has done comes before what the other does now. */
function after(earlier: TcpConversation, later: TcpConversation): TcpConversation {
  later.nowNs = Math.max(later.nowNs, earlier.nowNs)
  return later
}

function ask(outer: TcpConversation, inner: TcpConversation, request = GET, answer = PAGE): void {
  outer.send('client', request)
  after(outer, inner).send('client', request)
  inner.send('server', answer)
  after(inner, outer).send('server', answer)
}

function close(outer: TcpConversation, inner: TcpConversation): void {
  after(outer, inner).close('server')
  after(inner, outer).close('server')
}

test('docker-proxy: one exchange of two connections, and no NAT', async () => {
  const trace = newTrace(1)
  const [outer, inner] = opened(trace, loopback(0))
  ask(outer, inner)
  close(outer, inner)
  const { report } = await analyzeTrace(trace)
  const matchedBytes = { forward: GET.length, reverse: PAGE.length }
  const betweenSynsNs = expect.any(Number)
  expect(report.flows.map(({ spliced }) => spliced)).toEqual([
    [{ side: 'client', flow: 2, proxy: LISTENS, matchedBytes, betweenSynsNs }],
    [{ side: 'server', flow: 1, proxy: dials(50_000), matchedBytes, betweenSynsNs }],
  ])
  expect(report.flows.flatMap(({ translations }) => translations)).toEqual([])
  const told = report.findings.filter(({ code }) => code === 'proxy-splice')
  expect(told).toMatchObject([
    { severity: 'info', flow: 1, evidence: { flows: [1, 2], proxy: LISTENS, matchedBytes } },
  ])
})

test.each<[string, Endpoint, Endpoint]>([
  ['of containers', { ip: '172.18.0.3', port: 40_000 }, { ip: '172.18.0.5', port: 80 }],
  ['from lo on', asks(40_000), LISTENS],
])('a chain of two proxies %s: the middle one is half of two exchanges', async (_, client, listens) => {
  const trace = newTrace(2, ['a', 'b', 'c'])
  const dialsFrom = listens === LISTENS ? '172.18.0.1' : listens.ip
  const second = '172.18.0.6'
  const [outer, middle] = opened(trace, {
    client,
    listens,
    dials: { ip: dialsFrom, port: 40_001 },
    server: { ip: second, port: 80 },
    paths: [['a'], ['b']],
  })
  const inner = trace.tcp({
    client: { ip: second, port: 40_002 },
    server: { ip: '172.18.0.7', port: 80 },
    path: ['c'],
    startNs: middle.nowNs,
  })
  inner.open()
  outer.send('client', GET)
  after(outer, middle).send('client', GET)
  after(middle, inner).send('client', GET)
  inner.send('server', PAGE)
  after(inner, middle).send('server', PAGE)
  after(middle, outer).send('server', PAGE)
  const { report } = await analyzeTrace(trace)
  expect(pairsIn(report)).toEqual(['40000 > 40001', '40001 > 40002'])
  expect(report.flows[1]!.spliced!.map(({ side, flow }) => `${side} ${flow}`)).toEqual([
    'server 1',
    'client 3',
  ])
})

test('connections that are kept for many requests, and others after them with the same bytes', async () => {
  const trace = newTrace(3)
  for (let n = 0; n < 5; n++) {
    const [outer, inner] = opened(trace, loopback(n))
    for (let i = 0; i < 4; i++) ask(outer, inner)
    close(outer, inner)
  }
  const { report } = await analyzeTrace(trace)
  expect(pairsIn(report)).toEqual([0, 1, 2, 3, 4].map((n) => `${40_000 + n} > ${50_000 + n}`))
})

test.each([0, 0.2e6, 1e6, 3e6])('equal requests %i ns apart: only right pairs', async (gapNs) => {
  const trace = newTrace(4)
  for (let n = 0; n < 100; n++) {
    const [outer, inner] = opened(trace, loopback(n, n * gapNs))
    outer.wait(trace.random.integer(0, 400_000))
    ask(outer, inner)
    close(outer, inner)
  }
  const { report } = await analyzeTrace(trace)
  const pairs = pairsIn(report)
  for (const pair of pairs) {
    const [outer, inner] = pair.split(' > ').map(Number)
    expect(inner! - outer!).toBe(10_000)
  }
  if (gapNs === 0) expect(pairs).toEqual([])
  if (gapNs === 3e6) expect(pairs).toHaveLength(100)
})

test('retransmissions, lost segments, and bytes that are cut elsewhere', async () => {
  const trace = newTrace(5)
  const request = trace.random.text(1800)
  const answer = trace.random.text(90_000)
  const [outer, inner] = opened(trace, loopback(0))
  const asked = outer.send('client', request)
  outer.wait(200e6)
  outer.retransmit(asked)
  after(outer, inner)
  inner.send('client', request.subarray(0, 90))
  const lost = inner.send('client', request.subarray(90, 200), { lostBetween: ['bridge', 'container'] })
  inner.wait(200e6)
  inner.retransmit(lost)
  inner.send('client', request.subarray(200))
  for (let at = 0; at < answer.length; at += 1448) inner.send('server', answer.subarray(at, at + 1448))
  after(inner, outer)
  outer.send('server', answer.subarray(0, 30_000))
  outer.send('server', answer.subarray(30_000))
  close(outer, inner)
  const { report } = await analyzeTrace(trace)
  expect(pairsIn(report)).toEqual(['40000 > 50000'])
  expect(report.flows[0]!.spliced![0]!.matchedBytes).toEqual({ forward: 256, reverse: 256 })
})

test.each<[string, (outer: TcpConversation, inner: TcpConversation) => void]>([
  [
    'TLS that ends at the proxy',
    (outer, inner) => {
      outer.send('client', 517)
      outer.send('server', 1200)
      after(outer, inner).send('client', GET)
      inner.send('server', PAGE)
      after(inner, outer).send('server', 300)
    },
  ],
  [
    'an answer that differs in one byte',
    (outer, inner) => {
      outer.send('client', GET)
      after(outer, inner).send('client', GET)
      inner.send('server', PAGE)
      after(inner, outer).send('server', bytes(new TextDecoder().decode(PAGE).replace('hello', 'hallo')))
    },
  ],
  [
    'one that is longer behind the first bytes',
    (outer, inner) => {
      const page = new Uint8Array(2000).fill(65)
      ask(outer, inner, GET, page)
      outer.send('server', page)
    },
  ],
  [
    'an answer that was there before the other one',
    (outer, inner) => {
      outer.send('client', GET)
      outer.send('server', PAGE)
      after(outer, inner).wait(1e6)
      inner.send('client', GET)
      inner.send('server', PAGE)
    },
  ],
  ['too few bytes', (outer, inner) => ask(outer, inner, bytes('hi'), bytes('hi'))],
  ['no answer', (outer, inner) => void [outer.send('client', GET), after(outer, inner).send('client', GET)]],
])('not told: %s', async (_, talk) => {
  const trace = newTrace(6)
  const [outer, inner] = opened(trace, loopback(0))
  talk(outer, inner)
  close(outer, inner)
  const { report } = await analyzeTrace(trace)
  expect(pairsIn(report)).toEqual([])
})

test.each<[string, PointOptions[]]>([
  ['begins in the middle', POINTS.map((name) => ({ name, fromNs: 1e9 }))],
  ['begins in the middle on one side', POINTS.map((name) => ({ name, fromNs: name === 'lo' ? 1e9 : 0 }))],
  ['cuts the payload', POINTS.map((name) => ({ name, snapLen: 90 }))],
])('not told from a capture that %s', async (_, points) => {
  const trace = newTrace(7, points)
  const [outer, inner] = opened(trace, loopback(0))
  for (const half of [outer, inner]) half.wait(2e9)
  ask(outer, inner)
  close(outer, inner)
  const { report } = await analyzeTrace(trace)
  expect(report.flows.length).toBe(2)
  expect(pairsIn(report)).toEqual([])
})

test.each<[string, ConversationOptions, ConversationOptions]>([
  [
    'one client of two servers',
    { client: { ip: '172.18.0.3', port: 40_000 }, server: { ip: '172.18.0.4', port: 80 }, path: ['a', 'b'] },
    { client: { ip: '172.18.0.3', port: 40_001 }, server: { ip: '172.18.0.5', port: 80 }, path: ['a', 'c'] },
  ],
  [
    'one client of a server with two addresses',
    { client: { ip: 'fd00::3', port: 40_000 }, server: { ip: 'fd00::4', port: 80 }, path: ['a', 'b'] },
    { client: { ip: '172.18.0.3', port: 40_001 }, server: { ip: '172.18.0.4', port: 80 }, path: ['a', 'b'] },
  ],
  [
    'one loopback client of two servers',
    { client: asks(40_000), server: LISTENS, path: ['a'] },
    { client: asks(40_001), server: { ip: '127.0.0.1', port: 8081 }, path: ['a'] },
  ],
  [
    'clients and servers that have nothing to do with each other',
    { client: { ip: '172.18.0.3', port: 40_000 }, server: { ip: '172.18.0.4', port: 80 }, path: ['a', 'b'] },
    { client: { ip: '172.18.0.5', port: 40_001 }, server: { ip: '172.18.0.6', port: 80 }, path: ['c', 'd'] },
  ],
])('not told of equal requests within each other: %s', async (_, first, second) => {
  const trace = newTrace(8, ['a', 'b', 'c', 'd'])
  const outer = trace.tcp(first)
  outer.open()
  const inner = trace.tcp({ ...second, startNs: outer.nowNs + 100_000 })
  inner.open()
  ask(outer, inner)
  close(outer, inner)
  const { report } = await analyzeTrace(trace)
  expect(report.flows.length).toBe(2)
  expect(pairsIn(report)).toEqual([])
})

test('not told of a connection that was open before, nor of one that another client could have caused', async () => {
  const pooled = newTrace(9)
  const inner = pooled.tcp({ client: dials(50_000), server: SERVER, path: ['bridge', 'container'] })
  inner.open()
  const outer = pooled.tcp({ client: asks(40_000), server: LISTENS, path: ['lo'] })
  outer.open()
  ask(outer, inner)
  expect(pairsIn((await analyzeTrace(pooled)).report)).toEqual([])

  const contested = newTrace(10)
  const other = contested.tcp({ client: asks(40_001), server: LISTENS, path: ['lo'], startNs: 0 })
  other.open()
  other.send('client', GET)
  const [asked, opens] = opened(contested, loopback(0, 0))
  ask(asked, opens)
  after(asked, other).send('server', PAGE)
  expect(pairsIn((await analyzeTrace(contested)).report)).toEqual([])
})

test('as recorded: docker-proxy for a request on lo, and for containers that ask the host', async () => {
  const told = async (scenario: string) => {
    const { report } = await analyze([join(CAPTURES, scenario)])
    return pairsIn(report)
  }
  // The ports as conntrack has them.
  expect(await told('loopback-proxy')).toEqual(['60758 > 59826'])
  expect(await told('hairpin')).toEqual(['35452 > 50470', '47814 > 50468'])
})
