/** What only all flows together show, and what the receipts say by themselves: SYN floods, full tables, slow hops. */

import { describe, expect, test } from 'vitest'
import type { TraceBuilder } from '../trace/builder.ts'
import type { TraceOptions } from '../trace/model.ts'
import {
  all,
  CLIENT,
  causes,
  diagnosed,
  dockerHost,
  MASQUERADE,
  only,
  SERVER,
  trouble,
} from './diagnosing.ts'
import { counter, host, receipts } from './receipts.ts'

const SECOND = 1e9

describe('SYN flood', () => {
  const INSIDE = {
    points: ['lan', 'uplink', 'bridge', 'veth', 'container'],
    routed: [['uplink', 'bridge']],
  } as const
  const TARGET = { ip: '192.168.7.2', port: 8080 }
  const nat = [{ kind: 'dnat', between: ['uplink', 'bridge'], to: { ip: '172.17.0.2', port: 80 } }] as const

  /** So many SYNs from as many addresses, which the server answers, and nobody takes that. */
  function flood(
    count: number,
    more: { again?: boolean; lost?: boolean; whole?: number } = {},
  ): TraceBuilder {
    const trace = dockerHost(INSIDE)
    const at = (i: number) => ({ startNs: i * 1e6, server: TARGET, nat })
    for (let i = 0; i < (more.whole ?? 0); i++) {
      const web = trace.tcp({ ...at(i), client: { ip: '198.51.100.250', port: 30_000 + i } })
      web.open()
      web.close()
    }
    for (let i = 0; i < count; i++) {
      const web = trace.tcp({
        ...at(20 + i),
        client: { ip: `198.51.100.${1 + (i % 200)}`, port: 20_000 + i },
      })
      const syn = web.syn(more.lost ? { lostBetween: ['uplink', 'bridge'] } : {})
      if (!more.lost) web.synAck()
      web.wait(SECOND)
      if (more.again) web.retransmit(syn, more.lost ? { lostBetween: ['uplink', 'bridge'] } : {})
    }
    return trace
  }

  test('one finding for all of them', async () => {
    const report = await diagnosed(flood(120), { untilNs: 5 * SECOND })
    const found = only(report, 'syn-flood')
    expect(found.summary).toMatch(
      /^120 connections to 192\.168\.7\.2 port 8080 from 120 addresses within 0\.12 s were begun and never completed, 0 were: a SYN flood/,
    )
    expect(found.evidence).toMatchObject({ server: TARGET, flows: 120 })
    expect(trouble(report)).toEqual(['syn-flood'])
  })

  test.each<[string, TraceBuilder, number, string[]]>([
    ['a hundred is not reached', flood(60), 5, []],
    ['many connections that have just begun', flood(120), 0.9, []],
    ['as many that were completed', flood(120, { whole: 40 }), 5, []],
  ])('not: %s', async (_, trace, untilS, expected) => {
    const report = await diagnosed(trace, { untilNs: untilS * SECOND })
    expect(trouble(report)).toEqual(expected)
  })

  test('not where a rule drops them all: each says so', async () => {
    const report = await diagnosed(flood(120, { lost: true, whole: 1 }), { untilNs: 5 * SECOND })
    expect(all(report, 'syn-flood')).toEqual([])
    expect(all(report, 'dropped-between-points')).toHaveLength(120)
  })

  test('not where they ask again, as everybody does who means it', async () => {
    expect(all(await diagnosed(flood(120, { again: true }), { untilNs: 9 * SECOND }), 'syn-flood')).toEqual(
      [],
    )
  })
})

describe('connection table full', () => {
  const quiet = () => dockerHost()
  const table = (dropped: number, raced: number) => ({
    conntrack: {
      ...{ count: { before: 10, after: 256 }, max: 256, entries: [], omitted: 0 },
      stats: [counter('nf_conntrack', 'drop', dropped), counter('nf_conntrack', 'insert_failed', raced)],
    },
  })

  test('though no packet of it was captured', async () => {
    const report = await diagnosed(quiet(), { untilNs: SECOND, receipts: receipts([host(table(7, 2))]) })
    const found = only(report, 'conntrack-full')
    expect(found.summary).toMatch(
      /^connection tracking dropped packets in host: the connection table of host is full \(nf_conntrack_max = 256, entries 256\)/,
    )
    expect(causes(found)).toEqual(['conntrack-full!'])
  })

  test('not where nothing was dropped for it', async () => {
    for (const more of [table(0, 0), table(3, 3), { conntrack: null }])
      expect(
        trouble(await diagnosed(quiet(), { untilNs: SECOND, receipts: receipts([host(more)]) })),
      ).toEqual([])
  })
})

describe('slow hop', () => {
  /** Ten requests and answers; `slow` of a hop in ns there and back. */
  function talk(there: number, back: number, options: Partial<TraceOptions> = {}): TraceBuilder {
    const trace = dockerHost(options)
    const web = trace.tcp({ client: CLIENT, server: SERVER, nat: MASQUERADE })
    const slow = (ns: number) => ({ delayedBetween: { hop: ['bridge', 'uplink'] as const, ns } })
    web.syn(slow(there))
    web.synAck(slow(back))
    web.ack('client', slow(there))
    for (let i = 0; i < 10; i++) {
      web.send('client', 50, slow(there))
      web.send('server', 50, slow(back))
    }
    web.close()
    return trace
  }

  test('where the time goes', async () => {
    const report = await diagnosed(talk(20e6, 10e6))
    const found = only(report, 'slow-hop')
    expect(found.summary).toMatch(
      /^bridge ── uplink costs (100|99) % of the time on the way: 15\.0 ms in the median$/,
    )
    expect(found.evidence).toMatchObject({ between: ['bridge', 'uplink'] })
    expect(trouble(report)).toEqual([])
  })

  test('not of hops that are all as quick, nor of less than a millisecond', async () => {
    expect(all(await diagnosed(talk(0, 0)), 'slow-hop')).toEqual([])
    expect(all(await diagnosed(talk(0.8e6, 0.8e6)), 'slow-hop')).toEqual([])
  })

  test('not of two clocks that differ, known or not', async () => {
    const points = ['container', 'veth', 'bridge', { name: 'uplink', clockOffsetNs: 8e6 }]
    expect(all(await diagnosed(talk(0, 0, { points })), 'slow-hop')).toEqual([])
    // One way only: the clock may be ahead as well.
    const trace = dockerHost({ points })
    const log = trace.udp({ client: CLIENT, server: { ip: '203.0.113.9', port: 514 }, nat: MASQUERADE })
    for (let i = 0; i < 20; i++) log.send('client', 50 + i)
    expect(all(await diagnosed(trace), 'slow-hop')).toEqual([])
  })
})
