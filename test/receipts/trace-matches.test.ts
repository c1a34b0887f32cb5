import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { narrowed, type TraceMatch, traceMatchesOf, traceTable } from '../../src/receipts/trace-matches.ts'
import { requireTool } from '../tools.ts'

const TABLE = 'hoptrace-1-00000000'

/** What goes to nft between the hook and where marked packets go. */
function rulesFor(matches: readonly TraceMatch[]): string[] {
  return traceTable(TABLE, matches)
    .split('; add rule ')
    .flatMap((command) => / prerouting (.*) goto traced/.exec(command)?.[1] ?? [])
}

test.each([
  ['host 10.0.0.1', ['ip saddr 10.0.0.1', 'ip daddr 10.0.0.1']],
  ['src net 10.0.0.0/8', ['ip saddr 10.0.0.0/8', 'ip daddr 10.0.0.0/8']],
  ['fd00::1', ['ip6 saddr fd00::1', 'ip6 daddr fd00::1']],
  ['tcp', ['meta l4proto 6']],
  ['tcp dst port 80', ['meta l4proto 6 th sport 80', 'meta l4proto 6 th dport 80']],
  ['udp portrange 5000-5009', ['meta l4proto 17 th sport 5000-5009', 'meta l4proto 17 th dport 5000-5009']],
  [
    'tcp port 80 or 443',
    ['80', '443'].flatMap((port) => ['sport', 'dport'].map((side) => `meta l4proto 6 th ${side} ${port}`)),
  ],
  ['host 10.0.0.1 && icmp || ip6', null],
  [
    'host 10.0.0.1 and port 53',
    ['ip saddr', 'ip daddr']
      .flatMap((side) => [expect.stringContaining(`${side} 10.0.0.1 th `)])
      .flatMap((it) => [it, it]),
  ],
  ['not host 10.0.0.1', null],
  ['(tcp)', null],
  ['host web', null],
  ['port http', null],
  ['port 70000', null],
  ['net 10.0.0.0/33', null],
  ['host 10.0.0.1; flush ruleset', null],
  ['host 10.0.0.1%lo', null],
  ['tcp and udp', null],
  ['nat', null],
  ['', null],
  ['port 80 and', null],
  [Array.from({ length: 65 }, (_, i) => `port ${i}`).join(' or '), null],
])('%s', (expression, rules) => {
  const matches = traceMatchesOf(expression)
  if (rules === null) expect(matches).toBeNull()
  else expect(rulesFor(matches!).sort()).toEqual(expect.arrayContaining(rules))
  if (rules !== null) expect(rulesFor(matches!).length).toBe(rules.length)
})

test('a protocol alone is narrowed to the containers, an address is not', () => {
  const own: TraceMatch[] = [
    { protocol: null, hosts: ['172.17.0.2'], ports: [] },
    { protocol: 6, hosts: [], ports: [[8080, 8080]], isPublished: true },
  ]
  expect(rulesFor(narrowed(traceMatchesOf('tcp')!, own))).toEqual([
    'meta l4proto 6 ip saddr 172.17.0.2',
    'meta l4proto 6 ip daddr 172.17.0.2',
    'meta l4proto 6 th dport 8080 fib daddr type local',
  ])
  expect(rulesFor(narrowed(traceMatchesOf('udp')!, own))).toEqual([
    'meta l4proto 17 ip saddr 172.17.0.2',
    'meta l4proto 17 ip daddr 172.17.0.2',
  ])
  const host = traceMatchesOf('host 10.0.0.1')!
  expect(narrowed(host, own)).toEqual(host)
})

test('nothing but numbers and addresses gets to nft', () => {
  const hostile = [
    { protocol: null, hosts: ['10.0.0.1; flush ruleset'], ports: [] },
    { protocol: null, hosts: ['10.0.0.1/8/8'], ports: [] },
    { protocol: '6; flush ruleset', hosts: [], ports: [] },
    { protocol: 6, hosts: [], ports: [['80; flush ruleset', 80]] },
    { protocol: 6, hosts: [7], ports: [] },
    { protocol: -1, hosts: [], ports: [] },
  ] as unknown as TraceMatch[]
  expect(rulesFor(hostile)).toEqual([])
  expect(traceTable(TABLE, hostile)).not.toContain('flush')
})

describe.skipIf(!requireTool('nft', 'unshare') || process.getuid?.() !== 0)('nft', () => {
  test('takes the table with all kinds of matches', () => {
    const expressions = [
      'host 10.0.0.1 and tcp port 80 or 443 or net fd00::/8 or icmp6 or icmp and host 10.0.0.2 or portrange 1-9',
      'host 10.0.0.1 and host 10.0.0.2 and sctp portrange 5-6',
    ]
    const published = { protocol: null, hosts: ['10.0.0.3'], ports: [[80, 80]], isPublished: true } as const
    const table = traceTable(TABLE, [...expressions.flatMap((one) => traceMatchesOf(one)!), published])
    const { stdout, stderr } = spawnSync('unshare', ['--net', 'nft', '-i'], {
      input: `${table}\nlist ruleset\n`,
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(stdout).toContain('flags owner')
    expect(stdout.match(/goto traced/g)!.length).toBe(
      2 * rulesFor([...expressions.flatMap((one) => traceMatchesOf(one)!), published]).length,
    )
  })
})
