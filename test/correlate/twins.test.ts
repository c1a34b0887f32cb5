/** Equal packets: what time and order tell apart is told, and what they don't is ambiguous. */

import { expect, test } from 'vitest'
import { TraceBuilder } from '../trace/builder.ts'
import { analyzeTrace } from './compare.ts'

const POINTS = ['container', 'veth', 'bridge', 'uplink']
const CLIENT = { ip: '172.17.0.2', port: 40_000 }
const SERVER = { ip: '203.0.113.9', port: 5000 }
const BEAT = Buffer.from('heartbeat of the service')
const MASQUERADE = {
  kind: 'snat' as const,
  between: ['bridge', 'uplink'] as const,
  to: { ip: '192.168.7.2', port: 40_000 },
}

function outbound(seed: number): TraceBuilder {
  return new TraceBuilder({ seed, points: POINTS, routed: [['bridge', 'uplink']] })
}

/** Twenty heartbeats, each so long after the one before; the fifth as told. */
function heartbeats(everyNs: number, fifth: object): TraceBuilder {
  const trace = outbound(1)
  const udp = trace.udp({ client: CLIENT, server: SERVER, nat: [MASQUERADE] })
  for (let beat = 1; beat <= 20; beat++) {
    udp.send('client', BEAT, { ipId: 0, burst: true, ...(beat === 5 ? fifth : {}) })
    udp.wait(everyNs)
  }
  return trace
}

test('one of several equal datagrams is lost: which one, the delays say', async () => {
  const { report, wrong, missed } = await analyzeTrace(heartbeats(3e6, { lostBetween: ['veth', 'bridge'] }))
  expect([wrong, missed]).toEqual([[], []])
  expect(report.flows[0]).toMatchObject({
    ambiguous: 0,
    lost: [{ direction: 'forward', between: ['veth', 'bridge'], packets: 1 }],
  })
})

test('one of several equal datagrams that follow each other at once is lost: which one, nothing says', async () => {
  const { report, wrong } = await analyzeTrace(heartbeats(1_000, { lostBetween: ['veth', 'bridge'] }))
  expect(wrong).toEqual([])
  expect(report.flows[0]!.ambiguous).toBeGreaterThanOrEqual(2)
  expect(report.flows[0]!.lost).toEqual([])
})

test('an equal datagram that is overtaken by the next one is taken for neither', async () => {
  const late = { delayedBetween: { hop: ['bridge', 'uplink'], ns: 700_000 } }
  const { report, wrong } = await analyzeTrace(heartbeats(300_000, late))
  expect(wrong).toEqual([])
  expect(report.flows[0]!.ambiguous).toBeGreaterThanOrEqual(2)
})

test('a delay that is longer than usual is no doubt where no other packet could be meant', async () => {
  const late = { delayedBetween: { hop: ['bridge', 'uplink'], ns: 700_000 } }
  const { report, wrong, missed } = await analyzeTrace(heartbeats(3e6, late))
  expect([wrong, missed]).toEqual([[], []])
  expect(report.flows[0]).toMatchObject({ ambiguous: 0, lost: [] })
})

test('datagrams without an ID are joined again after their mapping was renewed, and after it went to another container', async () => {
  for (const client of [CLIENT, { ip: '172.17.0.3', port: 41_000 }]) {
    const trace = outbound(2)
    const isOther = client !== CLIENT
    const again = isOther ? MASQUERADE : { ...MASQUERADE, to: { ip: '192.168.7.2', port: 50_123 } }
    for (const [who, nat, startNs] of [
      [CLIENT, MASQUERADE, 0],
      [client, again, 40e9],
    ] as const) {
      const udp = trace.udp({ client: who, server: SERVER, nat: [nat], startNs })
      for (let i = 0; i < 3; i++) {
        udp.send('client', 40, { ipId: 0 })
        udp.send('server', 60, { ipId: 0 })
      }
    }
    const { report, wrong, missed } = await analyzeTrace(trace)
    expect([wrong, missed]).toEqual([[], []])
    const told = report.flows.flatMap((flow) => flow.translations.map((t) => `${t.from.ip} ${t.to.port}`))
    expect(told.sort()).toEqual([`${CLIENT.ip} 40000`, `${client.ip} ${again.to.port}`].sort())
  }
})

test('two containers that say the same without an ID are joined with nobody else', async () => {
  const trace = new TraceBuilder({ seed: 3, points: ['container', 'veth', 'bridge', 'veth2', 'container2'] })
  const path = ['container', 'veth', 'bridge', 'veth2', 'container2']
  const beat = Buffer.from('PING00000001')
  for (const [client, server, startNs] of [
    [{ ip: '172.17.0.2', port: 40_000 }, { ip: '172.17.0.6', port: 5000 }, 0],
    [{ ip: '172.17.0.7', port: 40_001 }, { ip: '172.17.0.3', port: 5001 }, 300_000],
  ] as const) {
    const isBack = startNs > 0
    const udp = trace.udp({ client, server, path: isBack ? path.toReversed() : path, startNs })
    for (let i = 0; i < 5; i++) {
      udp.send('client', beat, {
        ipId: 0,
        burst: true,
        ...(isBack ? {} : { lostBetween: ['veth', 'bridge'] }),
      })
      udp.wait(2e6)
    }
  }
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(report.flows).toHaveLength(2)
  expect(report.flows.flatMap((flow) => flow.translations)).toEqual([])
})
