/** ICMP errors that come back through NAT: each is told at the flow whose packet it quotes, with the hop that sent it. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import { fieldsOf } from './capturing.ts'
import type { Recording } from './recording.ts'
import { type PointName, requireSite, type Site, startSite } from './routed-site.ts'
import { checked } from './site-oracles.ts'

const SERVER = '203.0.113.10'
const SERVER6 = '2001:db8:113::10'
/** Without the bridge's ports: they give what they take in the bridge's own time stamp, and there may be no answer to tell. */
const WAY: readonly PointName[] = ['c1', 'bridge', 'uplink', 'lan', 'wan', 'server']
const MASQUERADE = ['iptables', 'ip6tables'].map(
  (tool) => `${tool} -t nat -A POSTROUTING -o eth0 -j MASQUERADE`,
)

/** What was answered by an error, and what it said: `203.0.113.10: port unreachable`. */
function answers(journeys: readonly JourneyReport[]): string[] {
  return journeys.flatMap(({ outcome, answeredBy }) =>
    outcome === 'answered' ? [`${answeredBy?.from}: ${answeredBy?.name}`] : [],
  )
}

describe.skipIf(!requireSite())('ICMP errors through NAT', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite()
  })
  afterAll(() => site?.stop())
  beforeEach(() => {
    site.reset()
    site.sh('r1', MASQUERADE.join('\n'))
    // A second translation on the way: the quoted packet is translated back twice.
    site.sh('r2', 'iptables -t nat -A POSTROUTING -o wan -j MASQUERADE --random-fully')
  })

  /** Errors at a point as tshark reads them, each with whom it is from and whom it quotes. */
  function errorsAt(recording: Recording, point: PointName): string[][] {
    const fields = ['ip.src', 'ipv6.src', 'icmp.type', 'icmp.code', 'icmpv6.type', 'icmpv6.code']
    return fieldsOf(recording.file(point), fields, '-Y', 'icmp.type in {3,11} or icmpv6.type in {1,2,3,4}')
  }

  test('a port where nobody listens', async () => {
    const recording = await site.record(...WAY)
    expect(await site.c1.do('udp', { to: [SERVER, 9], local: 45_000, payloads: ['question'] })).toEqual([
      '[Errno 111] Connection refused',
    ])
    const { report, journeys } = await checked(site, recording)
    expect(report.flows).toMatchObject([
      {
        state: 'refused',
        icmpErrors: [{ direction: 'forward', from: SERVER, name: 'port unreachable', packets: 1 }],
      },
    ])
    expect(report.flows[0]!.translations).toHaveLength(2)
    expect(answers(journeys)).toEqual([`${SERVER}: port unreachable`])
    expect(Object.keys(report.flows[0]!.icmpErrors[0]!.frames).sort()).toEqual([...WAY].sort())
    expect(report.notJoined.filter(({ reason }) => reason === 'icmp-error')).toEqual([])
  })

  test('a port where nobody listens, by IPv6', async () => {
    const recording = await site.record(...WAY)
    expect(await site.c1.do('udp', { to: [SERVER6, 9], local: 45_000, payloads: ['question'] })).toEqual([
      '[Errno 111] Connection refused',
    ])
    const { report, journeys } = await checked(site, recording)
    expect(report.flows).toMatchObject([{ state: 'refused' }])
    expect(answers(journeys)).toEqual([`${SERVER6}: port unreachable`])
    expect(report.notJoined.filter(({ reason }) => reason === 'icmp-error')).toEqual([])
  })

  test('a connection that a router refuses', async () => {
    site.sh('r2', 'iptables -A FORWARD -p tcp --dport 80 -j REJECT --reject-with icmp-admin-prohibited')
    const recording = await site.record(...WAY)
    expect(await site.c1.do('connect', { to: [SERVER, 80], local: 45_000 })).toContain('No route to host')
    // The second router has refused before it translated.
    const { report, journeys } = await checked(site, recording, {
      conntrack: { r1: site.conntrack('r1'), r2: [] },
    })
    expect(report.flows).toMatchObject([
      { state: 'refused', translations: [{ between: ['bridge', 'uplink'] }] },
    ])
    expect(answers(journeys)).toEqual(['192.168.5.1: communication administratively prohibited'])
  })

  test('a packet that is too big for a link behind both translations', async () => {
    site.sh('r2', 'ip link set wan mtu 1300')
    const recording = await site.record(...WAY)
    const sent = { to: [SERVER, 7], local: 45_000, payloads: [40, 1400, 41], wait: 1, whole: true }
    const got = await site.c1.do('udp', sent)
    site.sh('r2', 'ip link set wan mtu 1500')
    expect(got).toEqual([40, '[Errno 90] Message too long', 41])
    const { report, journeys } = await checked(site, recording)
    expect(report.flows).toMatchObject([
      {
        icmpErrors: [{ direction: 'forward', from: '192.168.5.1', name: 'fragmentation needed', mtu: 1300 }],
      },
    ])
    expect(answers(journeys)).toEqual(['192.168.5.1: fragmentation needed'])
  })

  test.each([
    ['UDP', 'udp', { to: [SERVER, 33_434], local: 45_000, payloads: ['how far is it?'], wait: 1 }],
    ['ping', 'ping', { to: SERVER, id: 4711, count: 1, wait: 0.1 }],
  ])('traceroute by %s: each hop answers one packet', async (_, command, options) => {
    const recording = await site.record(...WAY)
    for (const ttl of [1, 2, 3]) await site.c1.do(command, { ...options, ttl })
    const known = { r1: site.conntrack('r1'), r2: site.conntrack('r2') }
    const { report, journeys } = await checked(site, recording, { conntrack: known })
    const end = command === 'udp' ? [`${SERVER}: port unreachable`] : []
    expect(answers(journeys)).toEqual([
      '10.1.0.1: time to live exceeded',
      '192.168.5.1: time to live exceeded',
      ...end,
    ])
    const reached = journeys.map(({ sightings }) => sightings.at(-1)!.point)
    expect(reached.slice(0, 3)).toEqual(['bridge', 'lan', 'server'])
    expect(errorsAt(recording, 'c1')).toHaveLength(2 + end.length)
    expect(report.flows).toHaveLength(1)
    expect(report.notJoined.filter(({ reason }) => reason === 'icmp-error')).toEqual([])
  })
})
