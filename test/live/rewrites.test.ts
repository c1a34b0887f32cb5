/** Rewrites that are no translation of addresses, and translations of one direction only: mangle, raw, nft without state. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { FlowReport } from '../../src/report/model.ts'
import { type PointName, requireSite, type Site, startSite } from './routed-site.ts'
import { checked } from './site-oracles.ts'

const SERVER = '203.0.113.10'
const WAY: readonly PointName[] = ['c1', 'veth1', 'bridge', 'uplink', 'lan', 'wan', 'server']
const MASQUERADE = 'iptables -t nat -A POSTROUTING -o eth0 -s 10.1.0.0/24 -j MASQUERADE'

function ttls({ forward }: FlowReport): number[] {
  return forward.path.map(({ ttl }) => ttl)
}

function pointsOf({ forward }: FlowReport): string[] {
  return forward.path.map(({ point }) => point)
}

describe.skipIf(!requireSite())('rewrites', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite()
  })
  afterAll(() => site?.stop())
  beforeEach(() => site.reset())

  async function talk(): Promise<void> {
    expect(await site.c1.do('tcp', { to: [SERVER, 80], local: 45_000 })).toBeNull()
    expect(await site.c1.do('udp', { to: [SERVER, 7], local: 45_000 })).toEqual([10, 10, 18])
    expect(await site.c1.do('ping', { to: SERVER, id: 45_000 })).not.toContain(false)
  }

  test.each([
    ['set at the uplink, as it was', '-o eth0', '--ttl-set 64', [64, 64, 64, 64, 64, 63, 63]],
    ['set at the uplink, higher', '-o eth0', '--ttl-set 65', [64, 64, 64, 65, 65, 64, 64]],
    ['increased at the uplink', '-o eth0', '--ttl-inc 3', [64, 64, 64, 66, 66, 65, 65]],
    ['increased at the uplink both ways', '-p all', '--ttl-inc 1', [64, 64, 64, 64, 64, 63, 63]],
    ['set low at the uplink', '-o eth0', '--ttl-set 9', [64, 64, 64, 9, 9, 8, 8]],
  ])('TTL %s', async (_, where, change, expected) => {
    site.sh('r1', MASQUERADE)
    site.sh('r1', `iptables -t mangle -A FORWARD ${where} -j TTL ${change}`)
    const recording = await site.record(...WAY)
    await talk()
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(3)
    expect(report.path).toEqual(WAY)
    for (const flow of report.flows) {
      expect(pointsOf(flow)).toEqual(WAY)
      expect(flow.reverse.path.map(({ point }) => point)).toEqual(WAY.toReversed())
      expect(ttls(flow)).toEqual(expected)
      expect(flow.translations).toMatchObject([{ kind: 'snat', between: ['bridge', 'uplink'] }])
    }
  })

  test('DSCP and TOS rewritten: nothing else is', async () => {
    site.sh('r1', MASQUERADE)
    site.sh(
      'r1',
      `iptables -t mangle -A FORWARD -o eth0 -j DSCP --set-dscp 46
       iptables -t mangle -A FORWARD -o br0 -j TOS --set-tos 0x13/0xff`,
    )
    const recording = await site.record(...WAY)
    await talk()
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(3)
  })

  test('ECN taken out of the handshake', async () => {
    site.sh('r1', MASQUERADE)
    site.sh('r1', 'iptables -t mangle -A PREROUTING -p tcp -j ECN --ecn-tcp-remove')
    for (const place of ['c1', 'server'] as const) site.sh(place, 'sysctl -q -w net.ipv4.tcp_ecn=1')
    const recording = await site.record(...WAY)
    await talk()
    for (const place of ['c1', 'server'] as const) site.sh(place, 'sysctl -q -w net.ipv4.tcp_ecn=2')
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(3)
  })

  test('MSS clamped to a narrower link', async () => {
    site.sh('r1', MASQUERADE)
    site.sh(
      'r2',
      `ip link set wan mtu 1300
       iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`,
    )
    const recording = await site.record(...WAY)
    await talk()
    site.sh('r2', 'ip link set wan mtu 1500')
    const { report } = await checked(site, recording)
    const clamped = report.findings.filter(({ code }) => code === 'mss-clamped')
    const [{ id }] = report.flows.filter(({ protocol }) => protocol === 'tcp') as [FlowReport]
    expect(clamped).toMatchObject([
      {
        severity: 'info',
        flow: id,
        summary: expect.stringContaining('MSS 1460 became 1260 between lan and wan'),
        evidence: { from: 1460, to: 1260, between: ['lan', 'wan'], direction: 'forward' },
      },
      { flow: id, evidence: { from: 1460, to: 1260, between: ['wan', 'lan'], direction: 'reverse' } },
    ])
  })

  test('a destination rewritten without state, and answers that come from there', async () => {
    site.sh(
      'r1',
      `nft add table ip site
       nft 'add chain ip site pre { type filter hook prerouting priority -310; }'
       nft add rule ip site pre iifname br0 udp dport 5000 ip daddr set 203.0.113.11`,
    )
    const recording = await site.record(...WAY)
    expect(await site.c1.do('udp', { to: [SERVER, 5000], local: 45_000 })).toEqual([10, 10, 18])
    const { report } = await checked(site, recording, { conntrack: null })
    expect(report.flows).toHaveLength(1)
    expect(report.flows[0]!.translations).toEqual([
      {
        kind: 'dnat',
        between: ['bridge', 'uplink'],
        from: { ip: SERVER, port: 5000 },
        to: { ip: '203.0.113.11', port: 5000 },
      },
    ])
  })

  test('answers that miss conntrack keep the address that NAT put in, and end at the router', async () => {
    site.sh('r1', MASQUERADE)
    site.sh('r1', 'iptables -t raw -A PREROUTING -i eth0 -p udp --sport 7 -j NOTRACK')
    const recording = await site.record(...WAY)
    const answers = await site.c1.do('udp', { to: [SERVER, 7], local: 45_000, wait: 0.1 })
    expect(answers).toEqual(['timed out', 'timed out', 'timed out'])
    const { report, journeys } = await checked(site, recording)
    expect(report.flows).toHaveLength(1)
    expect(report.flows[0]!.reverse.path.map(({ point }) => point)).toEqual([
      'server',
      'wan',
      'lan',
      'uplink',
    ])
    // The router has no such port open, and says so to the server.
    const back = journeys.filter(({ direction }) => direction === 'reverse')
    expect(back.map(({ outcome, answeredBy }) => [outcome, answeredBy?.from])).toEqual(
      Array(3).fill(['answered', '192.168.5.100']),
    )
  })

  test('answers by another way: seen at the uplink and never at the bridge', async () => {
    site.sh('r1', MASQUERADE)
    const mac = JSON.parse(site.sh('c1', 'ip -j link show eth0'))[0].address
    site.sh(
      'r1',
      `ip neigh replace 10.1.0.11 lladdr ${mac} dev veth1 nud permanent
       ip route add 10.1.0.11 dev veth1 src 10.1.0.1 table 7
       ip rule add iif eth0 lookup 7`,
    )
    // What a bridge and its port take in has one time stamp: only answers could tell which is in front.
    const way = WAY.filter((point) => point !== 'veth1')
    const recording = await site.record(...way)
    await talk()
    site.sh('r1', 'ip rule del iif eth0 lookup 7')
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(3)
    for (const flow of report.flows) {
      expect(pointsOf(flow)).toEqual(way)
      const back = way.filter((point) => point !== 'bridge').reverse()
      expect(flow.reverse.path.map(({ point }) => point)).toEqual(back)
    }
    expect(report.findings.filter(({ code }) => code === 'asymmetric-path')).toHaveLength(3)
  })
})
