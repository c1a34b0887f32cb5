/** Translations of every kind, made by the kernel and told from recordings: conntrack and tshark are the witnesses. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { FlowReport } from '../../src/report/model.ts'
import { type PointName, requireSite, type Site, startSite } from './routed-site.ts'
import { checked } from './site-oracles.ts'

const SERVER = '203.0.113.10'
const SERVER6 = '2001:db8:113::10'
const ROUTER = '192.168.5.100'
const ROUTER6 = 'fd00:5::100'
const FROM_C1 = ['c1', 'veth1', 'bridge', 'uplink', 'lan', 'wan', 'server'] as const
const ALL: readonly PointName[] = ['c2', 'veth2', ...FROM_C1]
const MASQUERADE = 'iptables -t nat -A POSTROUTING -o eth0 -s 10.1.0.0/24 -j MASQUERADE'

function ttls({ forward }: FlowReport): number[] {
  return forward.path.map(({ ttl }) => ttl)
}

function pointsOf({ forward }: FlowReport): string[] {
  return forward.path.map(({ point }) => point)
}

describe.skipIf(!requireSite())('translations', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite()
  })
  afterAll(() => site?.stop())
  beforeEach(() => site.reset())

  /** Both clients with the same ports and identifiers, by TCP, UDP and ping: one after the other, then at the same time. */
  async function sameFromBoth(to = SERVER): Promise<void> {
    const clients = [site.c1, site.c2]
    // One after the other: of two first packets at the same time, netfilter may drop one for the other's mapping.
    for (const client of clients) {
      expect(await client.do('connect', { to: [to, 80], local: 45_000 })).toBeNull()
      expect(await client.do('udp', { to: [to, 7], local: 45_000, payloads: ['question 0'] })).toEqual([10])
      expect(await client.do('ping', { to, id: 45_000, count: 1 })).toEqual([true])
    }
    const both = (command: string, options = {}) =>
      Promise.all(clients.map((client) => client.do(command, options)))
    await both('ask', { sizes: [30, 900, 0] })
    await both('close')
    expect((await both('udp', { to: [to, 7], local: 45_000 })).flat()).toEqual([10, 10, 18, 10, 10, 18])
    expect((await both('ping', { to, id: 45_000 })).flat()).not.toContain(false)
  }

  test.each([
    ['SNAT to an address', '-j SNAT --to-source 192.168.5.100'],
    ['SNAT to a range of ports', '-p tcp -j SNAT --to-source 192.168.5.100:3000-3999'],
    ['MASQUERADE', '-j MASQUERADE'],
    ['MASQUERADE to any port', '-j MASQUERADE --random-fully'],
  ])('%s: two clients with the same ports and identifiers', async (_, rule) => {
    site.sh('r1', `iptables -t nat -A POSTROUTING -o eth0 -s 10.1.0.0/24 ${rule}`)
    const recording = await site.record(...ALL)
    await sameFromBoth()
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(6)
    expect(report.path.filter((point) => !/2/.test(point))).toEqual([...FROM_C1])
    for (const flow of report.flows) expect(ttls(flow)).toEqual([64, 64, 64, 63, 63, 62, 62])
  })

  test.each([
    ['on the router', 0],
    ['inside of the bridge', 1],
  ])('DNAT %s: a server behind the router', async (_, inBridge) => {
    site.bridgeNetfilter(inBridge === 1)
    site.sh(
      'r1',
      `iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to 10.1.0.11:80
       iptables -t nat -A PREROUTING -i eth0 -p udp --dport 8007 -j DNAT --to 10.1.0.12:7`,
    )
    const recording = await site.record(...ALL)
    expect(await site.server.do('tcp', { to: [ROUTER, 8080], local: 45_000 })).toBeNull()
    expect(await site.server.do('udp', { to: [ROUTER, 8007], local: 45_000 })).toEqual([10, 10, 18])
    const { report } = await checked(site, recording)
    expect(report.flows.map(pointsOf)).toEqual([
      ['server', 'wan', 'lan', 'uplink', 'bridge', 'veth1', 'c1'],
      ['server', 'wan', 'lan', 'uplink', 'bridge', 'veth2', 'c2'],
    ])
    expect(report.flows.map(({ client, server }) => [client.ip, server.ip])).toEqual([
      [SERVER, ROUTER],
      [SERVER, ROUTER],
    ])
    for (const flow of report.flows) expect(ttls(flow)).toEqual([64, 64, 63, 63, 62, 62, 62])
  })

  test('REDIRECT to the router itself: told where netfilter runs inside of the bridge', async () => {
    site.bridgeNetfilter(true)
    site.sh('r1', 'iptables -t nat -A PREROUTING -i br0 -p tcp --dport 81 -j REDIRECT --to-ports 80')
    const recording = await site.record('c1', 'veth1', 'bridge', 'uplink')
    expect(await site.c1.do('tcp', { to: [SERVER, 81], local: 45_000 })).toBeNull()
    const { report } = await checked(site, recording)
    expect(report.flows).toMatchObject([{ state: 'closed', server: { ip: SERVER, port: 81 } }])
    expect(report.flows[0]!.translations).toMatchObject([{ kind: 'dnat', between: ['veth1', 'bridge'] }])
  })

  test('REDIRECT to the router itself: not told where no point is behind it', async () => {
    site.sh('r1', 'iptables -t nat -A PREROUTING -i br0 -p tcp --dport 81 -j REDIRECT --to-ports 80')
    const recording = await site.record('c1', 'veth1', 'bridge', 'uplink')
    expect(await site.c1.do('tcp', { to: [SERVER, 81], local: 45_000 })).toBeNull()
    expect(site.conntrack('r1')).toHaveLength(1)
    const { report } = await checked(site, recording, { conntrack: { r1: [], r2: [] } })
    expect(report.flows.map(pointsOf)).toEqual([['c1', 'veth1', 'bridge']])
  })

  test.each([
    ['itself', '10.1.0.11'],
    ['another client', '10.1.0.12'],
  ])('hairpin: a client asks the router for what is on %s', async (_, host) => {
    site.sh(
      'r1',
      `iptables -t nat -A PREROUTING -d ${ROUTER} -p tcp --dport 8080 -j DNAT --to ${host}:80
       iptables -t nat -A PREROUTING -d ${ROUTER} -p udp --dport 8007 -j DNAT --to ${host}:7
       iptables -t nat -A POSTROUTING -o br0 -s 10.1.0.0/24 -d ${host} -j MASQUERADE`,
    )
    const recording = await site.record(...ALL)
    expect(await site.c1.do('tcp', { to: [ROUTER, 8080], local: 45_000 })).toBeNull()
    expect(await site.c1.do('udp', { to: [ROUTER, 8007], local: 45_000 })).toEqual([10, 10, 18])
    const { report } = await checked(site, recording)
    const [veth, end] = host.endsWith('1') ? ['veth1', 'c1'] : ['veth2', 'c2']
    for (const flow of report.flows) {
      expect(pointsOf(flow)).toEqual(['c1', 'veth1', 'bridge', 'bridge', veth, end])
      expect(ttls(flow)).toEqual([64, 64, 64, 63, 63, 63])
      expect(flow.translations.map(({ between }) => between)).toEqual([
        ['bridge', 'bridge'],
        ['bridge', 'bridge'],
      ])
    }
    expect(report.findings.filter(({ code }) => code === 'hairpin')).toHaveLength(2)
  })

  test('double NAT: two routers, two translations of each flow', async () => {
    site.sh('r1', MASQUERADE)
    site.sh('r2', 'iptables -t nat -A POSTROUTING -o wan -j MASQUERADE --random-fully')
    const recording = await site.record(...ALL)
    await sameFromBoth()
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(6)
    expect(report.flows.flatMap(({ translations }) => translations)).toHaveLength(12)
  })

  test('double NAT the other way: a port forwarded twice', async () => {
    site.sh('r2', 'iptables -t nat -A PREROUTING -i wan -p tcp --dport 80 -j DNAT --to 192.168.5.100:8080')
    site.sh('r1', 'iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to 10.1.0.11:80')
    const recording = await site.record(...ALL)
    expect(await site.server.do('tcp', { to: ['203.0.113.1', 80], local: 45_000 })).toBeNull()
    const { report } = await checked(site, recording)
    expect(report.flows[0]!.translations.map(({ kind, between }) => [kind, ...between])).toEqual([
      ['dnat', 'wan', 'lan'],
      ['dnat', 'uplink', 'bridge'],
    ])
  })

  test('NAT66: MASQUERADE of two clients with the same ports and identifiers', async () => {
    site.sh('r1', 'ip6tables -t nat -A POSTROUTING -o eth0 -s fd00:1::/64 -j MASQUERADE')
    const recording = await site.record(...ALL)
    await sameFromBoth(SERVER6)
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(6)
  })

  test('NAT66: DNAT', async () => {
    site.sh('r1', "ip6tables -t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to '[fd00:1::11]:80'")
    const recording = await site.record(...ALL)
    expect(await site.server.do('tcp', { to: [ROUTER6, 8080], local: 45_000 })).toBeNull()
    const { report } = await checked(site, recording)
    expect(report.flows.map(pointsOf)).toEqual([['server', 'wan', 'lan', 'uplink', 'bridge', 'veth1', 'c1']])
  })

  test('a prefix for a prefix, with state: nft snat ip6 prefix to', async () => {
    site.sh(
      'r1',
      `nft add table ip6 site
       nft 'add chain ip6 site post { type nat hook postrouting priority 100; }'
       nft add rule ip6 site post oifname eth0 ip6 saddr fd00:1::/64 snat ip6 prefix to 2001:db8:5::/64`,
    )
    site.sh('r2', 'ip route replace 2001:db8:5::/64 via fd00:5::100')
    const recording = await site.record(...ALL)
    await sameFromBoth(SERVER6)
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(6)
    expect(new Set(report.flows.flatMap(({ translations }) => translations.map(({ to }) => to.ip)))).toEqual(
      new Set(['2001:db8:5::11', '2001:db8:5::12']),
    )
  })

  test('NPTv6: prefixes exchanged without state, the address made neutral to checksums', async () => {
    site.sh(
      'r1',
      `ip6tables -t mangle -A POSTROUTING -o eth0 -s fd00:1::/64 -j SNPT --src-pfx fd00:1::/64 --dst-pfx 2001:db8:5::/64
       ip6tables -t mangle -A PREROUTING -i eth0 -d 2001:db8:5::/64 -j DNPT --src-pfx 2001:db8:5::/64 --dst-pfx fd00:1::/64
       ip6tables -t raw -A PREROUTING -j NOTRACK`,
    )
    site.sh('r2', 'ip route replace 2001:db8:5::/64 via fd00:5::100')
    const recording = await site.record(...ALL)
    await sameFromBoth(SERVER6)
    // conntrack knows nothing of it: the addresses are tshark's.
    const { report } = await checked(site, recording, { conntrack: null })
    expect(report.flows).toHaveLength(6)
    for (const { translations } of report.flows)
      expect(translations).toMatchObject([{ kind: 'snat', between: ['bridge', 'uplink'] }])
  })
})
