/** Addresses and ports that are used again, and recordings that begin or end in the middle of what they show. */

import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { run } from '../tools.ts'
import { fieldsOf, rewritesIn } from './capturing.ts'
import type { ConntrackEntry } from './docker-host.ts'
import type { Recording } from './recording.ts'
import { type PointName, requireSite, type Site, startSite } from './routed-site.ts'
import { checked } from './site-oracles.ts'

const SERVER = '203.0.113.10'
const FROM_C1: readonly PointName[] = ['c1', 'veth1', 'bridge', 'uplink', 'lan', 'wan', 'server']
const ALL: readonly PointName[] = ['c2', 'veth2', ...FROM_C1]
const WEB = [SERVER, 80]
const MASQUERADE = 'iptables -t nat -A POSTROUTING -o eth0 -s 10.1.0.0/24 -j MASQUERADE'

describe.skipIf(!requireSite())('reuse', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite()
  })
  afterAll(() => site?.stop())
  beforeEach(() => {
    site.reset()
    site.sh('r1', MASQUERADE)
  })

  test('the same addresses and ports again, at once: two connections', async () => {
    const recording = await site.record(...FROM_C1)
    const known: ConntrackEntry[] = []
    for (let i = 0; i < 3; i++) {
      expect(await site.c1.do('tcp', { to: WEB, local: 45_000, closes_first: true })).toBeNull()
      known.push(...site.conntrack('r1'))
    }
    const { report } = await checked(site, recording, { conntrack: { r1: known, r2: [] } })
    expect(report.flows.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed'])
    // tshark tells them apart as well; whether an ACK goes alone is a matter of time.
    const streams = fieldsOf(recording.file('c1'), ['tcp.stream'], '-Y', 'ip.src == 10.1.0.11').flat()
    const sent = ['0', '1', '2'].map((stream) => streams.filter((one) => one === stream).length)
    expect(report.flows.map(({ forward }) => forward.packets)).toEqual(sent)
  })

  test('a connection that was reset, and the same addresses and ports again', async () => {
    const recording = await site.record(...FROM_C1)
    await site.c1.do('connect', { to: WEB, local: 45_000 })
    await site.c1.do('ask', { sizes: [100] })
    await site.c1.do('reset')
    const known = site.conntrack('r1')
    expect(await site.c1.do('tcp', { to: WEB, local: 45_000 })).toBeNull()
    known.push(...site.conntrack('r1'))
    const { report } = await checked(site, recording, { conntrack: { r1: known, r2: [] } })
    expect(report.flows.map(({ state }) => state)).toEqual(['reset', 'closed'])
  })

  test('a port of the router given to the other client, by TCP', async () => {
    const recording = await site.record(...ALL)
    const known: ConntrackEntry[] = []
    for (const client of [site.c1, site.c2, site.c1]) {
      expect(await client.do('tcp', { to: WEB, local: 45_000, closes_first: true })).toBeNull()
      known.push(...site.conntrack('r1'))
      site.sh('r1', 'conntrack -D -p tcp 2>&1')
    }
    // All three had the same port in front of the server.
    expect(new Set(rewritesIn(known).map(({ to }) => to.port))).toEqual(new Set([45_000]))
    const { report } = await checked(site, recording, { conntrack: { r1: known, r2: [] } })
    expect(report.flows.map(({ client }) => client.ip)).toEqual(['10.1.0.11', '10.1.0.12', '10.1.0.11'])
  })

  test('a port of the router given to the other client, by UDP, once its mapping has timed out', async () => {
    const known: ConntrackEntry[] = []
    const recordings: Recording[] = []
    for (const client of [site.c1, site.c2]) {
      const recording = await site.record(...ALL)
      recordings.push(recording)
      expect(await client.do('udp', { to: [SERVER, 7], local: 45_000 })).toEqual([10, 10, 18])
      known.push(...site.conntrack('r1'))
      await recording.endAll()
      site.sh('r1', 'conntrack -D -p udp 2>&1')
    }
    expect(new Set(rewritesIn(known).map(({ to }) => to.port))).toEqual(new Set([45_000]))
    // Netfilter waits so long; instead of waiting with it, what came second is moved.
    const [first, second] = recordings as [Recording, Recording]
    for (const point of ALL) {
      const moved = join(second.folder, 'moved')
      run('editcap', '-F', 'nsecpcap', '-t', '31', second.file(point), moved)
      run('mergecap', '-a', '-F', 'nsecpcap', '-w', `${moved}-all`, first.file(point), moved)
      renameSync(`${moved}-all`, first.file(point))
    }
    const { report } = await checked(site, first, { conntrack: { r1: known, r2: [] } })
    expect(report.flows.map(({ client }) => client.ip)).toEqual(['10.1.0.11', '10.1.0.12'])
  })

  test('a port of the router given to the other client, by UDP, at once', async () => {
    const recording = await site.record(...ALL)
    const known: ConntrackEntry[] = []
    for (const client of [site.c1, site.c2]) {
      const options = { to: [SERVER, 7], local: 45_000, connected: true }
      expect(await client.do('udp', options)).toEqual([10, 10, 18])
      known.push(...site.conntrack('r1'))
      site.sh('r1', 'conntrack -D -p udp 2>&1')
    }
    expect(new Set(rewritesIn(known).map(({ to }) => to.port))).toEqual(new Set([45_000]))
    const { report } = await checked(site, recording, { conntrack: { r1: known, r2: [] } })
    expect(report.flows.map(({ client }) => client.ip)).toEqual(['10.1.0.11', '10.1.0.12'])
  })

  test('connections older than the recording', async () => {
    for (const client of [site.c1, site.c2]) {
      expect(await client.do('connect', { to: WEB, local: 45_000 })).toBeNull()
      await client.do('ask', { sizes: [500] })
    }
    const recording = await site.record(...ALL)
    for (const client of [site.c1, site.c2]) await client.do('ask', { sizes: [700, 30, 0] })
    await site.c1.do('close')
    const { report } = await checked(site, recording)
    await site.c2.do('close')
    expect(report.flows.map(({ client, server, state }) => [client.ip, server.port, state])).toEqual([
      ['10.1.0.11', 80, 'closed'],
      ['10.1.0.12', 80, 'established'],
    ])
    for (const { translations } of report.flows)
      expect(translations).toMatchObject([{ between: ['bridge', 'uplink'] }])
  })

  test.each([
    ['uplink', 'begins late'],
    ['server', 'begins late'],
    ['c1', 'begins late'],
    ['uplink', 'ends early'],
    ['server', 'ends early'],
    ['bridge', 'ends early'],
  ] as const)('the recording at %s %s: what is not there was not lost', async (point, how) => {
    const recording = await site.record(...FROM_C1.filter((one) => how === 'ends early' || one !== point))
    expect(await site.c1.do('connect', { to: WEB, local: 45_000 })).toBeNull()
    await site.c1.do('ask', { sizes: [500] })
    expect(await site.c1.do('udp', { to: [SERVER, 7], local: 45_000 })).toEqual([10, 10, 18])
    if (how === 'ends early') await recording.end(point)
    else await recording.begin(point)
    await site.c1.do('ask', { sizes: [700, 30] })
    expect(await site.c1.do('udp', { to: [SERVER, 7], local: 45_000 })).toEqual([10, 10, 18])
    await site.c1.do('close')
    const { report } = await checked(site, recording)
    expect(report.flows).toHaveLength(2)
    expect(report.path).toEqual(FROM_C1)
    for (const { forward, unseen, translations } of report.flows) {
      expect(forward.path.map((station) => station.point)).toEqual(FROM_C1)
      expect(translations).toMatchObject([{ between: ['bridge', 'uplink'] }])
      expect(new Set(unseen.map((one) => one.point))).toEqual(new Set([point]))
    }
  })
})
