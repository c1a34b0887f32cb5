import { describe, expect, test } from 'vitest'
import { RECEIPTS_SCHEMA, type Receipts, type TraceReceipt } from '../../src/receipts/model.ts'
import { receiptComments, receiptsIn } from '../../src/receipts/receipts-text.ts'
import { MAX_STEPS, MAX_TRACES, TraceKeeper } from '../../src/receipts/trace-keeper.ts'
import { parseTraceLine } from '../../src/receipts/trace-lines.ts'
import { recorded } from './recorded.ts'

/** The table that marked packets while `nft-trace.txt` was recorded, on a Docker host with a table `inet fw` besides. */
const TABLE = 'hoptrace-4711-0a1b2c3d'

function kept(text: string, table = TABLE): TraceReceipt[] {
  const keeper = new TraceKeeper(table)
  for (const [i, line] of text.split('\n').entries()) keeper.take(line, String(1000 + i))
  return keeper.finish()
}

/** `chain verdict`, a step each. */
function wayOf({ steps }: TraceReceipt): string[] {
  return steps.map(({ chain, isPolicy, verdict }) => `${chain} ${isPolicy ? 'policy ' : ''}${verdict}`)
}

describe('what nft monitor trace printed on a Docker host', () => {
  const traces = kept(recorded('nft-trace.txt'))
  const find = (dport: number) => traces.find(({ forms }) => forms[0]!.dport === dport)!

  test('a packet on its way out: the kernel gives it another id in the middle of its way', () => {
    const syn = find(80)
    expect(syn).toMatchObject({ protocol: 'tcp', tcpFlags: 2 })
    expect(syn.forms).toEqual([
      { src: '172.17.0.3', dst: '203.0.113.10', sport: expect.any(Number), dport: 80 },
    ])
    expect(wayOf(syn)).toEqual([
      'PREROUTING policy accept',
      'FORWARD jump DOCKER-USER',
      'DOCKER-USER return',
      'FORWARD jump DOCKER-ISOLATION-STAGE-1',
      'DOCKER-ISOLATION-STAGE-1 jump DOCKER-ISOLATION-STAGE-2',
      'DOCKER-ISOLATION-STAGE-2 return',
      'DOCKER-ISOLATION-STAGE-1 return',
      'FORWARD accept',
      'way continue',
      'way accept',
      'POSTROUTING accept',
    ])
    expect(syn.steps.at(-1)).toEqual({
      family: 'ip',
      table: 'nat',
      chain: 'POSTROUTING',
      number: null,
      handle: 3,
      text: 'oifname != "docker0" ip saddr 172.17.0.0/16 masquerade',
      isPolicy: false,
      verdict: 'accept',
    })
  })

  test('a packet to a published port is told before and after its destination is rewritten', () => {
    const syn = find(8080)
    const sport = syn.forms[0]!.sport
    expect(syn.forms).toEqual([
      { src: '192.168.78.1', dst: '192.168.78.100', sport, dport: 8080 },
      { src: '192.168.78.1', dst: '172.17.0.2', sport, dport: 80 },
    ])
    expect(syn.steps.map(({ text }) => text)).toContain(
      'iifname != "docker0" tcp dport 8080 dnat to 172.17.0.2:80',
    )
    // A policy's line ends with the mark that a rule gave the packet.
    expect(wayOf(syn).at(-1)).toBe('POSTROUTING policy accept')
  })

  test('dropped and rejected packets end with the rule that did it, whatever its comment says', () => {
    expect(find(53).steps.at(-1)).toMatchObject({
      chain: 'DOCKER-USER',
      verdict: 'drop',
      handle: 20,
      text: expect.stringContaining('udp dport 53 '),
    })
    expect(find(81).steps.at(-1)).toMatchObject({
      chain: 'DOCKER-USER',
      verdict: 'drop',
      text: expect.stringContaining('reject with tcp reset'),
    })
  })

  test('an echo has its id for ports', () => {
    const echo = traces.find(({ protocol }) => protocol === 'icmp')!
    expect(echo.forms[0]).toMatchObject({ dst: '203.0.113.10', sport: echo.forms[0]!.dport })
    expect(echo.forms[0]!.sport).toBeGreaterThan(0)
  })

  test('at most two packets of the same addresses and ports are kept', () => {
    const pairs = traces.map(({ forms }) => JSON.stringify(forms[0]))
    for (const pair of new Set(pairs)) expect(pairs.filter((it) => it === pair).length).toBeLessThan(3)
    expect(new Set(pairs).size).toBe(6)
  })

  test('what another run marked is not told', () => {
    expect(kept(recorded('nft-trace.txt'), 'hoptrace-4711-ffffffff')).toEqual([])
  })

  test('they come out of a file as they went in', () => {
    const namespace = {
      ...{ name: 'host', inode: 1, points: [], rules: [], ruleCount: 0, conntrack: null, settings: [] },
      ...{ counters: [], interfaces: [], routes: [], neighbours: [], listeners: [], processes: null, traces },
    }
    const receipts: Receipts = {
      ...{ schema: RECEIPTS_SCHEMA, beginNs: '1', endNs: '2', hostname: 'h', kernel: '6' },
      ...{ namespaces: [namespace], drops: [], notRead: [] },
    }
    const warnings: string[] = []
    expect(receiptsIn(receiptComments(receipts), 'file', warnings)).toEqual([receipts])
    expect(warnings).toEqual([])
  })
})

test('IPv6: an echo, dropped by a policy', () => {
  const [echo, ...more] = kept(recorded('nft-trace-ip6.txt'), 'hoptrace-12-0123abcd')
  expect(more).toEqual([])
  expect(echo).toMatchObject({ protocol: 'icmpv6', ipId: null, tcpFlags: null })
  expect(echo!.forms).toEqual([{ src: '::1', dst: '::1', sport: 1651, dport: 1651 }])
  expect(wayOf(echo!)).toEqual(['i policy drop'])
})

describe('hostile text', () => {
  const packet = (id: string, sport: number, where = `${TABLE} traced`) =>
    `trace id ${id} inet ${where} packet: iif "x" ip saddr 10.0.0.1 ip daddr 10.0.0.2 ip ttl 64 ip id 7 ip protocol 6 ip length 60 tcp sport ${sport} tcp dport 80 tcp flags == 0x2 tcp window 1 `
  const mark = (id: string) =>
    `trace id ${id} inet ${TABLE} traced rule meta nftrace set 1 # handle 2 (verdict continue)`
  const rule = (id: string, text: string) => `trace id ${id} ip t c ${text}`

  test('comments that look like what nft prints behind a rule', () => {
    const text = 'accept comment "# handle 9 (verdict drop)" # handle 4 (verdict accept)'
    expect(parseTraceLine(rule('00000001', `rule ${text}`))?.event).toEqual({
      kind: 'rule',
      text: 'accept comment "# handle 9 (verdict drop)"',
      handle: 4,
      verdict: 'accept',
    })
    expect(parseTraceLine(rule('00000001', 'unknown rule handle 4 (verdict drop)'))?.event).toEqual({
      kind: 'rule',
      text: null,
      handle: 4,
      verdict: 'drop',
    })
  })

  test('lines of all kinds are passed over, and quickly', () => {
    const begin = performance.now()
    for (const line of [
      '',
      'trace id',
      'trace id 1 ip',
      `${packet('00000001', 1).slice(0, 90)}`,
      '\x1b[2J',
      'x'.repeat(60_000),
    ])
      expect(parseTraceLine(line)).toBeNull()
    for (const filling of [' (verdict', ' # handle 1', ' counter packets 1', ' ip id ', '"'])
      parseTraceLine(rule('00000001', `rule ${filling.repeat(6000)}`))
    expect(parseTraceLine(packet('00000001', 1).replace('10.0.0.1', '10.0.0.1;x'))).toBeNull()
    expect(performance.now() - begin).toBeLessThan(2000)
  })

  test('any number of packets and steps is bounded, and a dropped one is told though it comes late', () => {
    const lines: string[] = []
    for (let sport = 1; sport <= 1000; sport++) {
      const id = sport.toString(16).padStart(8, '0')
      lines.push(packet(id, sport), mark(id), rule(id, 'rule accept # handle 1 (verdict accept)'))
    }
    const last = 'fffffff0'
    lines.push(packet(last, 2000), mark(last))
    for (let i = 0; i < 200; i++) lines.push(rule(last, `rule counter # handle ${i} (verdict continue)`))
    lines.push(rule(last, 'policy drop '))
    const traces = kept(lines.join('\n'))
    expect(traces.length).toBe(MAX_TRACES + 1)
    const { steps, omitted } = traces.at(-1)!
    expect(steps.length).toBe(MAX_STEPS)
    expect(omitted).toBe(161)
    expect(steps.at(-1)).toMatchObject({ isPolicy: true, verdict: 'drop' })
  })

  test('a packet that has the id of another one is none of its steps', () => {
    const lines = [
      packet('00000001', 1),
      mark('00000001'),
      rule('00000001', 'rule accept # handle 1 (verdict accept)'),
      // Another program traces this one.
      packet('00000001', 2, 'other chain').replace('ip id 7', 'ip id 8'),
      rule('00000001', 'rule drop # handle 2 (verdict drop)'),
    ]
    expect(kept(lines.join('\n')).map(wayOf)).toEqual([['c accept']])
  })
})
