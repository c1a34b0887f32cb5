/** Traffic that goes through tunnels between two hosts: the packet inside is what is followed, and nothing is invented. */

import { describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { TraceBuilder } from '../trace/builder.ts'
import type { ConversationOptions, PacketOptions, PointOptions, Tunnel } from '../trace/model.ts'
import { analyzeTrace, type Compared, difference } from './compare.ts'

const POINTS = ['pod', 'bridge', 'uplink', 'uplink2', 'bridge2', 'pod2']
/** Both hosts route into their tunnel; between their uplinks is a router that sees only the outer header. */
const ROUTED = [
  ['bridge', 'uplink'],
  ['uplink', 'uplink2'],
  ['uplink2', 'bridge2'],
] as const
const WITHIN = [ROUTED[0], ROUTED[2]] as const
const CLIENT = { ip: '10.244.1.5', port: 40_000 }
const SERVER = { ip: '10.244.2.7', port: 8080 }
const HOSTS = { client: '192.168.1.10', server: '192.168.2.20' }
const HOSTS6 = { client: '2001:db8:1::10', server: '2001:db8:2::20' }
const VXLAN: Tunnel = { kind: 'vxlan', id: 4097, within: WITHIN, ...HOSTS }

function overlay(seed: number, points: (string | PointOptions)[] = POINTS): TraceBuilder {
  return new TraceBuilder({ seed, points, routed: ROUTED })
}

/** A TCP connection, a DNS exchange without IPv4 IDs, and two pings. */
function talk(trace: TraceBuilder, options: Partial<ConversationOptions>, port = 40_000): void {
  const common = { client: { ...CLIENT, port }, server: SERVER, ...options }
  const web = trace.tcp(common)
  web.open()
  for (let i = 0; i < 4; i++) {
    web.send('client', 100)
    web.send('server', 1200)
    web.ack('client')
  }
  web.close()
  const dns = trace.udp({ ...common, server: { ...common.server, port: 53 } })
  dns.send('client', 40, { ipId: 0 })
  dns.send('server', 90, { ipId: 0 })
  const ping = trace.echo({ ...common, server: { ...common.server, port } })
  for (const seq of [1, 2]) {
    ping.request(seq)
    ping.reply(seq)
  }
}

/** Everything that is known of the flows, as one list of texts. */
function told(flows: Report['flows'] | Compared['truth']['flows']): unknown[] {
  return flows.flatMap(({ protocol, client, server, forward, reverse, translations, lost, unseen }) => [
    { protocol, client, server, forward: forward.packets, reverse: reverse.packets },
    ...[forward, reverse].flatMap((direction, side) =>
      direction.path.map(({ point, src, dst, ttl, packets, encapsulation }) => ({
        ...{ side, point, src, dst, ttl, packets, encapsulation },
      })),
    ),
    ...translations.map(({ kind, between, from, to }) => ({ client, kind, between, from, to })),
    ...lost.map(({ direction, between, packets }) => ({ client, direction, between, packets })),
    ...unseen.map(({ direction, point, packets }) => ({ client, direction, point, packets })),
  ])
}

/** All is as the truth has it: journeys, and what the flows say of addresses, tunnels, TTL, losses. */
async function expectTruth(trace: TraceBuilder): Promise<Compared> {
  const compared = await analyzeTrace(trace)
  const { report, truth, wrong, missed, journeys } = compared
  expect([wrong, missed]).toEqual([[], []])
  expect(difference(told(report.flows), told(truth.flows))).toEqual({ extra: [], lacking: [] })
  expect(journeys).toHaveLength(truth.journeys.length)
  expect(report.flows.every(({ ambiguous }) => ambiguous === 0)).toBe(true)
  return compared
}

function alarms({ findings }: Report): string[] {
  return findings.filter(({ severity }) => severity !== 'info').map(({ summary }) => summary)
}

const KINDS: [string, Tunnel[]][] = [
  ['VXLAN', [VXLAN]],
  ['VXLAN over IPv6', [{ ...VXLAN, ...HOSTS6 }]],
  ['VXLAN behind port 8472', [{ ...VXLAN, port: 8472 }]],
  ['Geneve', [{ ...VXLAN, kind: 'geneve', id: 16_777_215 }]],
  ['GRE with a key', [{ ...VXLAN, kind: 'gre', id: 4_294_967_295 }]],
  ['GRE over IPv6', [{ ...VXLAN, ...HOSTS6, kind: 'gre', id: 7 }]],
  ['IP in IP', [{ ...VXLAN, kind: 'ipip', id: 0 }]],
  ['IPv4 in IPv6', [{ ...VXLAN, ...HOSTS6, kind: 'ipip', id: 0 }]],
  ['GTP-U, with another TEID each way', [{ ...VXLAN, kind: 'gtpu', id: 0xfeedbeef, replyId: 0xcafe }]],
  ['VXLAN in GRE', [{ ...VXLAN, kind: 'gre', id: 9, client: '198.51.100.1', server: '198.51.100.2' }, VXLAN]],
]

describe.each(KINDS)('%s', (_name, tunnels) => {
  test('one journey from pod to pod, each station with its tunnels', async () => {
    const trace = overlay(1)
    talk(trace, { tunnels })
    const { report } = await expectTruth(trace)
    expect(report.path).toEqual(POINTS)
    expect(alarms(report)).toEqual([])
    const { path } = report.flows[0]!.forward
    expect(path.map(({ ttl }) => ttl)).toEqual([64, 64, 63, 63, 62, 62])
    expect(path.map(({ encapsulation = [] }) => encapsulation.map(({ kind }) => kind))).toEqual(
      [0, 0, 1, 1, 0, 0].map((inside) => (inside ? tunnels.map(({ kind }) => kind) : [])),
    )
  })

  test('IPv6 inside', async () => {
    const trace = overlay(2)
    talk(trace, {
      tunnels,
      client: { ip: 'fd00:1::5', port: 40_000 },
      server: { ip: 'fd00:2::7', port: 8080 },
    })
    await expectTruth(trace)
  })

  test('seen only inside of the tunnel, both directions are one flow', async () => {
    const trace = overlay(3, ['uplink', 'uplink2'])
    const within: Tunnel['within'] = [-1, 1]
    talk(trace, { tunnels: tunnels.map((tunnel) => ({ ...tunnel, within })), routed: [0] })
    const { report } = await expectTruth(trace)
    expect(report.flows).toHaveLength(3)
  })

  test('lost between the two uplinks', async () => {
    const trace = overlay(4)
    const web = trace.tcp({ client: CLIENT, server: SERVER, tunnels })
    web.open()
    for (let i = 0; i < 5; i++) {
      const first = web.send('client', 300, i === 2 ? { lostBetween: ['uplink', 'uplink2'] } : {})
      if (first.outcome === 'lost') {
        web.wait(250e6)
        web.retransmit(first)
      }
      web.ack('server')
    }
    const answer = web.send('server', 700, { lostBetween: ['uplink2', 'bridge2'] })
    web.wait(250e6)
    web.retransmit(answer)
    web.close()
    const { report } = await expectTruth(trace)
    expect(report.flows[0]!.lost.map(({ direction, between }) => [direction, ...between])).toEqual([
      ['forward', 'uplink', 'uplink2'],
      ['reverse', 'bridge2', 'uplink2'],
    ])
  })
})

test('NAT of the inner packet before it enters the tunnel', async () => {
  const trace = overlay(5)
  const to = { ip: '10.244.1.1', port: 61_000 }
  talk(trace, { tunnels: [VXLAN], nat: [{ kind: 'snat', between: ['bridge', 'uplink'], to }] })
  const { report } = await expectTruth(trace)
  expect(report.flows[0]!.translations).toMatchObject([{ kind: 'snat', between: ['bridge', 'uplink'], to }])
})

test('NAT of the outer header is no translation of the flow', async () => {
  const trace = overlay(6)
  const nat = [{ kind: 'snat' as const, between: ['uplink', 'uplink2'] as const, to: '203.0.113.1' }]
  talk(trace, { tunnels: [{ ...VXLAN, nat }] })
  const { report } = await expectTruth(trace)
  expect(report.flows.flatMap(({ translations }) => translations)).toEqual([])
  expect(report.flows[0]!.forward.path.flatMap(({ encapsulation = [] }) => encapsulation)).toEqual([
    { kind: 'vxlan', id: 4097, src: '192.168.1.10', dst: '192.168.2.20' },
    { kind: 'vxlan', id: 4097, src: '203.0.113.1', dst: '192.168.2.20' },
  ])
})

test('many flows, each with outer source ports of its own', async () => {
  const trace = overlay(7)
  for (let port = 40_000; port < 40_020; port++) talk(trace, { tunnels: [VXLAN] }, port)
  const { report } = await expectTruth(trace)
  expect(report.flows).toHaveLength(60)
})

test('an ICMP error about an inner packet is the flow’s, also where only its tunnel is seen', async () => {
  for (const tunnels of [[VXLAN], [{ ...VXLAN, kind: 'gtpu' as const, id: 1, replyId: 2 }]])
    for (const points of [POINTS, ['uplink', 'uplink2']]) {
      const trace = overlay(
        8,
        POINTS.map((name) => ({ name, ...(points.includes(name) ? {} : { untilNs: -1 }) })),
      )
      const log = trace.udp({ client: CLIENT, server: { ...SERVER, port: 514 }, tunnels })
      const first = log.send('client', 60)
      log.refuse(first, 'bridge2', { from: '10.244.2.1', type: 3, code: 3 })
      const { report, wrong, journeys } = await analyzeTrace(trace)
      expect(wrong).toEqual([])
      expect(report.flows).toHaveLength(1)
      expect(report.notJoined).toEqual([])
      expect(report.flows[0]!.icmpErrors).toMatchObject([{ from: '10.244.2.1', name: 'port unreachable' }])
      expect(journeys).toMatchObject([{ outcome: 'answered', answeredBy: { from: '10.244.2.1' } }])
    }
})

test('a connection whose every packet is lost in the tunnel', async () => {
  const trace = overlay(15)
  talk(trace, { tunnels: [VXLAN] })
  const web = trace.tcp({ client: { ...CLIENT, port: 41_000 }, server: SERVER, tunnels: [VXLAN] })
  const syn = web.syn({ lostBetween: ['uplink', 'uplink2'] })
  for (const seconds of [1, 2]) {
    web.wait(seconds * 1e9)
    web.retransmit(syn, { lostBetween: ['uplink', 'uplink2'] })
  }
  web.wait(2e9)
  talk(trace, { tunnels: [VXLAN] }, 40_001)
  const { report, wrong, missed } = await analyzeTrace(trace)
  expect([wrong, missed]).toEqual([[], []])
  const lost = report.flows.flatMap(({ client, lost }) =>
    lost.map(({ packets, between }) => [client.port, packets, ...between]),
  )
  expect(lost).toEqual([[41_000, 3, 'uplink', 'uplink2']])
})

test.each([1, 2, 3])(
  'many flows through two VNIs with losses, copies and frames that a capture dropped: %i',
  async (seed) => {
    const trace = overlay(100 + seed)
    const { random } = trace
    const trouble = (): PacketOptions => ({
      burst: random.chance(0.3),
      ...(random.chance(0.03) ? { lostBetween: random.integer(0, 4) } : {}),
      ...(random.chance(0.01) ? { unseenAt: [random.integer(0, 5)] } : {}),
      ...(random.chance(0.01) ? { duplicateAt: [random.integer(0, 5)] } : {}),
    })
    for (let i = 0; i < 60; i++) {
      const client = { ip: `10.244.1.${1 + (i % 5)}`, port: 40_000 + i }
      const id = 4097 + (i % 2)
      const web = trace.tcp({
        client,
        server: SERVER,
        tunnels: [{ ...VXLAN, id }],
        startNs: random.integer(0, 20e6),
      })
      web.open()
      for (let round = 0; round < 5; round++)
        for (const [from, bytes] of [
          ['client', 80],
          ['server', 1100],
        ] as const) {
          let journey = web.send(from, bytes, trouble())
          while (journey.outcome === 'lost') {
            web.wait(250e6)
            journey = web.retransmit(journey, trouble())
          }
        }
      web.close()
    }
    const { report, truth, wrong, missed } = await analyzeTrace(trace)
    expect([wrong, missed]).toEqual([[], []])
    const parts = (flows: typeof report.flows | typeof truth.flows) =>
      flows.flatMap(({ client, forward, reverse, lost, translations }) => [
        ...[forward, reverse].map(({ path }) => [
          client,
          path.map(({ point, encapsulation }) => [point, encapsulation]),
        ]),
        ...lost.map(({ direction, between, packets }) => [client, direction, between, packets]),
        ...translations,
      ])
    expect(difference(parts(report.flows), parts(truth.flows))).toEqual({ extra: [], lacking: [] })
  },
)

test('an ICMP error about the tunnel’s own packet is nobody’s', async () => {
  const trace = overlay(16)
  const web = trace.tcp({ client: CLIENT, server: SERVER, tunnels: [VXLAN] })
  web.open()
  const underlay = trace.udp({
    client: { ip: VXLAN.client, port: 50_000 },
    server: { ip: VXLAN.server, port: 4789 },
    path: ['uplink', 'uplink2'],
    routed: [0],
  })
  const probe = { ...web.send('client', 900) }
  const quote = { ...probe, content: { ...probe.content, protocol: 'udp' as const } }
  underlay.refuse(quote, 'uplink', { from: '192.168.1.1', type: 3, code: 4 })
  web.close()
  const { report, wrong, missed } = await analyzeTrace(trace)
  expect([wrong, missed]).toEqual([[], []])
  expect(report.flows).toHaveLength(1)
  expect(report.flows[0]!.icmpErrors).toEqual([])
  expect(report.notJoined).toEqual([{ reason: 'icmp-error', point: 'uplink', packets: 1 }])
})

test('more tunnels than are told apart: the others are followed from outside, and nothing is wrong', async () => {
  const trace = new TraceBuilder({ seed: 17, points: ['pod', 'uplink', 'uplink2', 'pod2'] })
  for (let id = 1; id <= 4100; id++)
    trace
      .udp({
        client: { ...CLIENT, port: 1024 + id },
        server: SERVER,
        tunnels: [{ ...VXLAN, id, within: [0, 2] }],
      })
      .send('client', 40)
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(report.flows.flatMap(({ lost, translations }) => [...lost, ...translations])).toEqual([])
  const inside = report.flows.filter(({ forward }) => forward.path.length === 4)
  expect(inside).toHaveLength(4000)
  expect(report.flows).toHaveLength(4000 + 2 * 100)
})

test('ARP inside of a tunnel is ARP', async () => {
  const trace = overlay(9)
  const web = trace.tcp({ client: CLIENT, server: SERVER, tunnels: [VXLAN] })
  web.arp('uplink')
  web.wait(1e6)
  web.arp('uplink2')
  web.open()
  const { report } = await expectTruth(trace)
  expect(report.flows).toHaveLength(1)
  expect(report.notJoined).toEqual([
    { reason: 'arp', point: 'uplink', packets: 1 },
    { reason: 'arp', point: 'uplink2', packets: 1 },
  ])
})

/** Two tenants with the same addresses and ports at the same time, each with pods of its own. */
function tenants(seed: number, shown: readonly string[], twins: boolean): TraceBuilder {
  const names = ['red', 'blue', 'uplink', 'uplink2', 'red2', 'blue2']
  const points = names.map((name) => ({ name, ...(shown.includes(name) ? {} : { untilNs: -1 }) }))
  const trace = new TraceBuilder({ seed, points })
  const [red, blue] = ['red', 'blue'].map((tenant, i) => {
    const path = [tenant, 'uplink', 'uplink2', `${tenant}2`]
    const within: Tunnel['within'] = [0, 2]
    const options: ConversationOptions = {
      ...{ client: CLIENT, server: SERVER, path, routed: [0, 1, 2], startNs: 0 },
      tunnels: [{ ...VXLAN, id: 100 + i, within }],
    }
    return { web: trace.tcp(options), dns: trace.udp({ ...options, server: { ...SERVER, port: 53 } }) }
  }) as [Tenant, Tenant]
  for (const { web } of [red, blue]) {
    web.open()
    web.send('client', 200)
    web.send('server', 900)
    web.close()
  }
  for (let i = 0; i < 4; i++) {
    const query = trace.random.text(40)
    for (const { dns } of [red, blue]) {
      dns.send('client', twins ? query : 40, { ipId: 0 })
      dns.send('server', twins ? query : 90, { ipId: 0 })
    }
  }
  return trace
}
type Tenant = { web: ReturnType<TraceBuilder['tcp']>; dns: ReturnType<TraceBuilder['udp']> }

test('two tenants with the same addresses in two VNIs stay two flows, wherever they are seen', async () => {
  for (const shown of [
    ['red', 'blue', 'uplink', 'uplink2', 'red2', 'blue2'],
    ['uplink', 'uplink2'],
    ['red', 'uplink', 'red2', 'blue2'],
    ['red', 'blue', 'uplink'],
  ]) {
    const { report, truth, wrong, missed } = await analyzeTrace(tenants(10, shown, false))
    expect([shown, wrong, missed]).toEqual([shown, [], []])
    expect(report.flows).toHaveLength(4)
    const ways = (flows: Report['flows'] | typeof truth.flows) =>
      flows.map(({ protocol, forward, reverse }) => [
        protocol,
        ...[forward, reverse].map(({ path }) =>
          path
            .filter(({ point }) => shown.includes(point))
            .map(({ point, encapsulation = [] }) => [point, ...encapsulation.map(({ id }) => id)].join()),
        ),
      ])
    expect(difference(ways(report.flows), ways(truth.flows))).toEqual({ extra: [], lacking: [] })
    expect(report.flows.flatMap(({ lost }) => lost)).toEqual([])
  }
})

test('tenants whose packets are equal to the last byte: apart where the VNI shows, else ambiguous', async () => {
  for (const shown of [
    ['red', 'blue', 'uplink', 'uplink2', 'red2', 'blue2'],
    ['uplink', 'uplink2'],
  ]) {
    const { report, wrong, missed } = await analyzeTrace(tenants(11, shown, true))
    expect(wrong).toEqual([])
    if (!shown.includes('red')) expect([report.flows.length, missed]).toEqual([4, []])
    expect(report.flows.flatMap(({ lost }) => lost)).toEqual([])
    for (const { path } of report.flows.flatMap(({ forward, reverse }) => [forward, reverse])) {
      const vnis = path.flatMap(({ encapsulation = [] }) => encapsulation.map(({ id }) => id))
      expect(new Set(vnis).size).toBe(1)
    }
  }
})

test('a point that sees packets both outside and inside of the tunnel', async () => {
  const trace = new TraceBuilder({ seed: 12, points: ['pod', 'host', 'far'] })
  const path = ['pod', 'host', 'host', 'far']
  talk(trace, { path, routed: [], tunnels: [{ ...VXLAN, within: [1, 3] }] })
  const { report, wrong } = await analyzeTrace(trace)
  expect(wrong).toEqual([])
  expect(report.flows.filter(({ protocol }) => protocol === 'tcp')).toHaveLength(1)
  expect(report.flows[0]!.forward.path.map(({ point }) => point)).toEqual(path)
})

describe('cut by the capture', () => {
  const cutAt = (snapLen: number) =>
    POINTS.map((name) => ({ name, ...(name.startsWith('uplink') ? { snapLen } : {}) }))

  test.each([128, 160, 200])('%i bytes of each frame: all is joined still', async (snapLen) => {
    for (const ends of [HOSTS, HOSTS6]) {
      const trace = overlay(13, cutAt(snapLen))
      talk(trace, { tunnels: [{ ...VXLAN, ...ends }] })
      const { report, wrong, missed } = await analyzeTrace(trace)
      expect(wrong).toEqual([])
      // What no capture told before: the first packet that is cut.
      expect(missed.length).toBeLessThanOrEqual(1)
      expect(report.flows).toHaveLength(3)
      expect(alarms(report)).toEqual([])
    }
  })

  test.each([48, 56, 64, 70, 84, 96, 104, 110])(
    '%i bytes: no loss and no translation is claimed',
    async (snapLen) => {
      const trace = overlay(14, cutAt(snapLen))
      talk(trace, { tunnels: [VXLAN] })
      const { report, wrong } = await analyzeTrace(trace)
      expect(wrong).toEqual([])
      expect(report.flows.flatMap(({ lost, translations }) => [...lost, ...translations])).toEqual([])
      expect(report.flows.filter(({ client }) => client.ip === CLIENT.ip)).toHaveLength(3)
    },
  )
})
