import { describe, expect, test } from 'vitest'
import { compareRules, countIptables, countNftables, type RuleCounts } from '../../src/receipts/rules.ts'
import { recorded } from './recorded.ts'

function counted(name: string, backend: 'iptables' | 'iptables-legacy' = 'iptables'): RuleCounts {
  const counts: RuleCounts = new Map()
  countIptables(recorded(name), 'ip', backend, counts)
  return counts
}

const difference = (before: RuleCounts, after: RuleCounts) => compareRules(before, after, []).rules
const short = ({ chain, number, text, change, packets }: ReturnType<typeof difference>[number]) =>
  `${change} ${chain} ${number} ${text} ${packets.before}→${packets.after}`

describe('iptables', () => {
  test('tells what moved, came, went, and what decides though it did not move', () => {
    const rules = difference(counted('iptables-before.txt'), counted('iptables-after.txt'))
    const said = '-p udp -m udp --dport 99 -m comment --comment "not -j ACCEPT, \\"quoted\\"" -j DROP'
    expect(rules.map(short)).toEqual([
      'appeared INPUT 1 -p udp -m udp --dport 90 -j DROP null→0',
      `counted INPUT 2 ${said} 0→3`,
      'counted INPUT 3 -p tcp -m tcp --dport 98 -j REJECT --reject-with tcp-reset 0→1',
      `vanished INPUT 2 ${said} 0→null`,
      'same FORWARD null policy DROP 0→0',
      'same DOCKER-USER 1 -j RETURN 0→0',
      'same PREROUTING 1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80 0→0',
    ])
    expect(rules.map(({ target, to }) => [target, to])).toEqual([
      ['DROP', null],
      ['DROP', null],
      ['REJECT', null],
      ['DROP', null],
      ['DROP', null],
      ['RETURN', null],
      ['DNAT', '172.17.0.2:80'],
    ])
    expect(rules[1]).toMatchObject({
      ...{ backend: 'iptables', family: 'ip', table: 'filter', handle: null },
      bytes: { before: 0, after: 3 * (99 + 28) },
    })
  })

  test('of the legacy kind', () => {
    const [before, after] = ['iptables-legacy-before.txt', 'iptables-legacy-after.txt'].map((name) =>
      counted(name, 'iptables-legacy'),
    )
    const rules = difference(before!, after!)
    expect(rules).toContainEqual({
      ...{
        backend: 'iptables-legacy',
        family: 'ip',
        table: 'filter',
        chain: 'OUTPUT',
        number: 1,
        handle: null,
      },
      ...{ text: '-p udp -m udp --dport 95 -j DROP', target: 'DROP', to: null, change: 'counted' },
      ...{ packets: { before: 0, after: 1 }, bytes: { before: 0, after: 29 } },
    })
    expect(rules.find(({ target }) => target === 'SNAT')).toMatchObject({
      chain: 'POSTROUTING',
      to: '10.9.0.1',
    })
  })

  test('stays small on a host with a hundred thousand rules', () => {
    const lines = Array.from(
      { length: 100_000 },
      (_, i) =>
        `[${i}:0] -A KUBE-${i % 1000} -d 10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32 -j DNAT --to-destination 1.2.3.4:5`,
    )
    const text = `*nat\n${lines.join('\n')}\nCOMMIT\n`
    const [before, after]: RuleCounts[] = [new Map(), new Map()]
    countIptables(text, 'ip', 'iptables', before!)
    countIptables(text.replaceAll(/^\[1/gm, '[2'), 'ip', 'iptables', after!)
    const { rules, omitted } = compareRules(before!, after!, ['10.1.134.159'])
    expect(rules.length).toBe(1200)
    expect(omitted).toBe(100_000 - 1200)
    // The container's own are told before others that did not move either.
    expect(rules.find(({ change }) => change === 'same')!.text).toContain('10.1.134.159')
  })
})

describe('nft', () => {
  function ruleset(name: string): RuleCounts {
    const counts: RuleCounts = new Map()
    const isTold = (family: string, table: string) => family === 'ip' && ['filter', 'nat'].includes(table)
    expect(countNftables(recorded(name), isTold, counts)).toBe(true)
    return counts
  }

  test('tells counters and handles of its own tables, and rules without a counter as what they are', () => {
    const rules = difference(ruleset('nft-before.json'), ruleset('nft-after.json'))
    expect(rules).toEqual([
      {
        ...{ backend: 'nft', family: 'inet', table: 't', chain: 'c', number: 1, handle: 2 },
        ...{ text: 'udp dport 97 drop', target: 'DROP', to: null, change: 'counted' },
        ...{ packets: { before: 0, after: 3 }, bytes: { before: 0, after: 3 * (97 + 28) } },
      },
      {
        ...{ backend: 'nft', family: 'ip', table: 'n', chain: 'pre', number: 1, handle: 2 },
        ...{ text: 'tcp dport 81 dnat to 10.9.9.9:80', target: 'DNAT', to: '10.9.9.9:80', change: 'same' },
        ...{ packets: { before: 0, after: 0 }, bytes: { before: 0, after: 0 } },
      },
    ])
  })

  test('is none where it is no JSON', () => {
    expect(countNftables('Error: …', () => false, new Map())).toBe(false)
  })
})
