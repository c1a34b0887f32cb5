/** What should have been translated and was not, and what was in a notable way. */

import { describe, expect, test } from 'vitest'
import { TraceBuilder } from '../trace/builder.ts'
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
import { host, link, namespace, receipts, rule } from './receipts.ts'

const SECOND = 1e9
const NAT = { table: 'nat' }
const OUTSIDE = { ip: '198.51.100.7', port: 41_000 }

describe('source not translated', () => {
  function untranslated(server = SERVER) {
    const trace = dockerHost()
    const web = trace.tcp({ client: CLIENT, server })
    const first = web.syn()
    web.wait(SECOND)
    web.retransmit(first)
    return trace
  }

  test('a private source leaves, and nobody answers', async () => {
    const report = await diagnosed(untranslated(), { untilNs: 5 * SECOND })
    const found = only(report, 'snat-missing')
    expect(found.summary).toBe(
      '172.17.0.2 left uplink for 203.0.113.9 untranslated and got no reply: no SNAT or MASQUERADE rule took it',
    )
    expect(found.evidence).toEqual({ point: 'uplink', source: '172.17.0.2' })
    expect(causes(found)).toEqual(['no-snat-rule'])
    expect(found.causes![0]!.check).toBe('iptables -t nat -nvL POSTROUTING')
    expect(trouble(report)).toEqual(['snat-missing', 'retransmissions'])
  })

  test.each([
    ['there is none at all', [], true],
    [
      'there is only: -s 172.18.0.0/16 ! -o br-1 -j MASQUERADE',
      [rule('POSTROUTING', '-s 172.18.0.0/16 ! -o br-1 -j MASQUERADE', 0, NAT)],
      true,
    ],
    [
      'it vanished during the capture',
      [
        rule('POSTROUTING', '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE', 0, {
          ...{ ...NAT, change: 'vanished', packets: { before: 4, after: null } },
        }),
      ],
      true,
    ],
    [
      'it counted nothing during the capture',
      [rule('POSTROUTING', '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE', 0, NAT)],
      true,
    ],
    ['no SNAT or MASQUERADE rule took it', [rule('POSTROUTING', '-o eth0 -j MASQUERADE', 3, NAT)], false],
  ])('as the rules say: %s', async (says, rules, isConfirmed) => {
    const kernel = receipts([host({ rules })])
    const found = only(
      await diagnosed(untranslated(), { untilNs: 5 * SECOND, receipts: kernel }),
      'snat-missing',
    )
    expect(causes(found)).toEqual([isConfirmed ? 'no-snat-rule!' : 'no-snat-rule'])
    expect(found.summary).toContain(says)
  })

  test('nothing follows from rules that nobody could read', async () => {
    const notRead = [{ namespace: 'host', what: 'iptables-save', why: 'permission denied' }]
    const report = await diagnosed(untranslated(), {
      untilNs: 5 * SECOND,
      receipts: receipts([host()], { notRead }),
    })
    expect(causes(only(report, 'snat-missing'))).toEqual(['no-snat-rule'])
  })

  test('not from one private network to another, nor of what needs no answer', async () => {
    const inside = await diagnosed(untranslated({ ip: '10.9.8.7', port: 80 }), { untilNs: 5 * SECOND })
    expect(trouble(inside)).toEqual(['no-reply', 'retransmissions'])

    const quiet = dockerHost()
    quiet.udp({ client: CLIENT, server: { ip: '203.0.113.9', port: 514 } }).send('client', 80)
    quiet.udp({ client: CLIENT, server: { ip: '239.1.2.3', port: 5000 } }).send('client', 80)
    expect(trouble(await diagnosed(quiet, { untilNs: 5 * SECOND }))).toEqual([])
  })

  test('not where a router further out translates, and answers come', async () => {
    const trace = dockerHost()
    const web = trace.tcp({ client: CLIENT, server: SERVER })
    web.open()
    web.send('client', 100)
    web.send('server', 100)
    web.close()
    expect(trouble(await diagnosed(trace, { untilNs: 5 * SECOND }))).toEqual([])
  })

  test('not while the capture is young', async () => {
    const trace = dockerHost()
    trace.tcp({ client: CLIENT, server: SERVER }).syn()
    expect(trouble(await diagnosed(trace, { untilNs: 0.8 * SECOND }))).toEqual([])
  })
})

describe('published port not translated', () => {
  const PUBLISHED = '! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80'

  /** Somebody outside asks the host itself, and is refused or gets no answer. */
  function atHost(port: number, isRefused = true) {
    const trace = new TraceBuilder({ seed: 3, points: ['uplink'] })
    const web = trace.tcp({ client: OUTSIDE, server: { ip: '192.168.7.2', port } })
    web.syn()
    if (isRefused) web.reset('server')
    return trace
  }
  const withRules = (texts: string[], more = {}) =>
    receipts([host({ rules: texts.map((text) => rule('DOCKER', text, 0, NAT)), ...more })])

  test.each([
    ['published-elsewhere!', [PUBLISHED.replace('! -i docker0', '-d 127.0.0.1/32 ! -i docker0')], 8080],
    ['not-published!', [PUBLISHED], 9090],
    ['not-published!', [PUBLISHED.replace('8080', '80:89')], 90],
  ])('%s', async (cause, texts, port) => {
    const report = await diagnosed(atHost(port), { untilNs: 3 * SECOND, receipts: withRules(texts) })
    const found = only(report, 'dnat-missing')
    expect(found.summary).toMatch(
      new RegExp(`^192\\.168\\.7\\.2:${port} at uplink was not translated to a container, and refused: `),
    )
    expect(causes(found)).toEqual([cause])
    expect(found.causes![0]!.receipt).toBe(`published: ${texts[0]}`)
    expect(trouble(report)).toEqual(['dnat-missing'])
  })

  test('the rule is gone', async () => {
    const gone = rule('DOCKER', PUBLISHED, 0, {
      ...{ ...NAT, change: 'vanished', packets: { before: 2, after: null } },
    })
    const kernel = receipts([host({ rules: [gone] })])
    const found = only(
      await diagnosed(atHost(8080, false), { untilNs: 3 * SECOND, receipts: kernel }),
      'dnat-missing',
    )
    expect(causes(found)).toEqual(['rule-gone!'])
    expect(found.summary).toContain(
      'was not translated to a container and nothing came back: rule 1 of DOCKER in nat',
    )
  })

  test.each<[string, string[], number, object]>([
    ['the host publishes nothing', [], 8080, {}],
    ['a rule publishes it, which must have been met by nothing', [PUBLISHED], 8080, {}],
    ['a rule publishes it in a range', [PUBLISHED.replace('8080', '8000:8090')], 8085, {}],
    ['only another protocol is published', [PUBLISHED.replaceAll('tcp', 'udp')], 8080, {}],
    [
      'a program of the host listens there',
      [PUBLISHED],
      22,
      { listeners: [{ protocol: 'tcp', ip: '0.0.0.0', port: 22 }] },
    ],
    ['the address is not the host’s', [PUBLISHED], 9090, { interfaces: [link('eth0')] }],
  ])('not where %s', async (_, texts, port, more) => {
    const report = await diagnosed(atHost(port), { untilNs: 3 * SECOND, receipts: withRules(texts, more) })
    expect(trouble(report)).toEqual(['connection-refused'])
  })

  test('not without receipts, nor of a port that is translated', async () => {
    expect(trouble(await diagnosed(atHost(9090), { untilNs: 3 * SECOND }))).toEqual(['connection-refused'])
    const trace = dockerHost({
      points: ['uplink', 'bridge', 'veth', 'container'],
      routed: [['uplink', 'bridge']],
    })
    const web = trace.tcp({
      ...{ client: OUTSIDE, server: { ip: '192.168.7.2', port: 8080 } },
      nat: [{ kind: 'dnat', between: ['uplink', 'bridge'], to: { ip: '172.17.0.2', port: 80 } }],
    })
    web.syn()
    web.reset('server')
    const kernel = withRules([PUBLISHED])
    expect(trouble(await diagnosed(trace, { untilNs: 3 * SECOND, receipts: kernel }))).toEqual([
      'connection-refused',
    ])
  })
})

describe('reply not translated back', () => {
  /** A client asks a port of the host that leads to a neighbour of its own; the answer may take the short way. */
  function hairpin(isTranslatedBack: boolean) {
    const trace = new TraceBuilder({ seed: 5, points: ['client', 'bridge', 'server'] })
    const to = { ip: '172.17.0.3', port: 80 }
    const dnat = { kind: 'dnat', between: ['client', 'bridge'], to } as const
    const web = trace.tcp({
      ...{ client: CLIENT, server: { ip: '172.17.0.1', port: 8080 } },
      // A reply that is said to be translated in front of its way comes untranslated out of it.
      nat: [isTranslatedBack ? dnat : { ...dnat, replyBetween: -1 }],
    })
    web.syn()
    web.synAck()
    web.reset('client')
    return trace
  }

  test('it comes from another address than was asked', async () => {
    const found = only(await diagnosed(hairpin(false), { untilNs: 3 * SECOND }), 'reply-not-translated')
    expect(found.summary).toBe(
      'the reply comes to client from 172.17.0.3:80 and not from 172.17.0.1:8080, as it was asked: it was not translated back',
    )
    expect(found.evidence).toMatchObject({ point: 'client', expected: { ip: '172.17.0.1', port: 8080 } })
    expect(causes(found)).toEqual(['another-way-back'])
  })

  test('not where it is', async () => {
    expect(all(await diagnosed(hairpin(true), { untilNs: 3 * SECOND }), 'reply-not-translated')).toEqual([])
  })

  test('not of netfilter inside of a bridge: requests are translated in front of it, replies as well', async () => {
    const trace = new TraceBuilder({ seed: 5, points: ['client', 'bridge', 'serverveth', 'server'] })
    const web = trace.tcp({
      ...{ client: CLIENT, server: { ip: '172.17.0.1', port: 8080 } },
      nat: [
        {
          ...{ kind: 'dnat', between: ['client', 'bridge'], to: { ip: '172.17.0.3', port: 80 } },
          replyBetween: ['bridge', 'serverveth'],
        },
      ],
    })
    web.open()
    web.send('client', 100)
    web.send('server', 100)
    web.close()
    expect(trouble(await diagnosed(trace, { without: ['client'] }))).toEqual([])
    expect(trouble(await diagnosed(trace))).toEqual([])
  })
})

describe('notable translations', () => {
  test('a remapped port, and an echo id; not a port that stays', async () => {
    const trace = dockerHost()
    const nat = (port: number) => [{ ...MASQUERADE[0], to: { ip: '192.168.7.2', port } }]
    for (const [client, port] of [
      [CLIENT, 40_000],
      [{ ...CLIENT, ip: '172.17.0.3' }, 1025],
    ] as const) {
      const web = trace.tcp({ client, server: SERVER, nat: nat(port) })
      web.open()
      web.close()
    }
    const ping = trace.echo({ client: { ...CLIENT, port: 7 }, server: { ...SERVER, port: 7 }, nat: nat(8) })
    ping.request(1)
    ping.reply(1)
    const report = await diagnosed(trace)
    expect(all(report, 'port-remapped').map(({ summary }) => summary)).toEqual([
      'source port 40000 became 1025: 172.17.0.3:40000 → 192.168.7.2:1025',
      'echo id 7 became 8: 172.17.0.2 → 192.168.7.2',
    ])
    expect(trouble(report)).toEqual([])
  })

  test('a hairpin passes a point twice; a way that does not is none', async () => {
    const trace = new TraceBuilder({ seed: 2, points: ['client', 'bridge', 'server'] })
    const web = trace.tcp({
      ...{ client: CLIENT, server: { ip: '172.17.0.1', port: 8080 } },
      ...{ path: ['client', 'bridge', 'bridge', 'server'], routed: [1] },
      nat: [{ kind: 'dnat', between: 1, to: { ip: '172.17.0.3', port: 80 } }],
    })
    web.open()
    web.close()
    const report = await diagnosed(trace)
    expect(only(report, 'hairpin')).toMatchObject({
      summary: 'the packets pass bridge twice',
      evidence: { points: ['bridge'] },
    })
    expect(trouble(report)).toEqual([])

    const straight = dockerHost()
    straight.tcp({ client: CLIENT, server: SERVER, nat: MASQUERADE }).open()
    expect(all(await diagnosed(straight), 'hairpin')).toEqual([])
  })
})

describe('rules and connection tracking tell of translations', () => {
  const TEXT = '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE'
  const entry = {
    ...{ protocol: 'tcp', state: 'TIME_WAIT', isReplied: true, isAssured: true, zone: null, mark: null },
    ...{ sinceNs: null, isThere: true },
    original: { src: CLIENT.ip, dst: SERVER.ip, sport: 40_000, dport: 80, packets: null },
    reply: { src: SERVER.ip, dst: '192.168.7.2', sport: 80, dport: 40_000, packets: null },
  }
  async function translation(rules: ReturnType<typeof rule>[], entries = [entry]) {
    const trace = dockerHost()
    const web = trace.tcp({ client: CLIENT, server: SERVER, nat: MASQUERADE })
    web.open()
    web.close()
    const conntrack = { count: { before: 0, after: 1 }, max: 65_536, stats: [], entries, omitted: 0 }
    const other = namespace('other', ['elsewhere'], { rules: [rule('POSTROUTING', '-j MASQUERADE', 9, NAT)] })
    const report = await diagnosed(trace, { receipts: receipts([host({ rules, conntrack }), other]) })
    return report.flows[0]!.translations[0]!
  }

  test('the one that counted and fits, and the entry with the same addresses', async () => {
    const wrong = { ...entry, original: { ...entry.original, sport: 40_001 } }
    const made = await translation(
      [
        rule('POSTROUTING', '-s 172.18.0.0/16 -j MASQUERADE', 5, NAT),
        rule('POSTROUTING', TEXT, 1, { ...NAT, number: 2 }),
        rule('POSTROUTING', '-j SNAT --to-source 10.0.0.1', 1, { ...NAT, number: 3 }),
      ],
      [wrong, entry],
    )
    expect(made.rule).toMatchObject({
      namespace: 'host',
      chain: 'POSTROUTING',
      number: 2,
      text: TEXT,
      packets: 1,
    })
    expect(made.conntrack).toMatchObject({ original: { sport: 40_000 }, reply: { dst: '192.168.7.2' } })
  })

  test.each([
    ['none counted', [rule('POSTROUTING', TEXT, 0, NAT)]],
    ['two fit', [rule('POSTROUTING', TEXT, 1, NAT), rule('POSTROUTING', '-o eth0 -j MASQUERADE', 1, NAT)]],
    ['it rewrites to something else', [rule('POSTROUTING', '-j SNAT --to-source 192.168.7.2:1-9', 1, NAT)]],
    ['it only lets pass', [rule('POSTROUTING', '-j ACCEPT', 1, NAT)]],
  ])('no rule where %s', async (_, rules) => {
    const made = await translation(rules, [])
    expect(made.rule).toBeUndefined()
    expect(made.conntrack).toBeUndefined()
  })
})
