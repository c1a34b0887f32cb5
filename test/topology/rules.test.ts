import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseIptables } from '../../src/topology/iptables.ts'
import { parseNftables } from '../../src/topology/nftables.ts'
import { type Concern, rulesFor } from '../../src/topology/rules.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const RECORDED = join(import.meta.dirname, 'recorded')

/** The container `web` on docker0 of the recorded host. */
const WEB: Concern = {
  addresses: ['172.17.0.2'],
  interfaces: ['docker0', 'veth123'],
  otherNetworks: ['172.17.0.0/16', '172.18.0.0/16'],
  otherInterfaces: ['br-4c925cc48974'],
  hooks: ['prerouting', 'forward', 'postrouting', 'output'],
}
const CLI: Concern = { ...WEB, addresses: ['172.17.0.3'], hooks: ['prerouting', 'forward', 'postrouting'] }

function recorded(name: string): string {
  return readFileSync(join(RECORDED, name), 'utf8')
}

function iptables(text: string, concern: Concern): string[] {
  return rulesFor(parseIptables(text, 'ip', 'host'), concern).map((rule) => `${rule.chain} ${rule.text}`)
}

describe('iptables-save', () => {
  const filter = recorded('iptables.txt')

  test('what applies to a container with a published port', () => {
    expect(iptables(filter, WEB)).toEqual([
      'POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      'POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE',
      'DOCKER -i docker0 -j RETURN',
      'DOCKER ! -i docker0 -p tcp -m tcp --dport 8078 -j DNAT --to-destination 172.17.0.2:80',
      'FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      'FORWARD -o docker0 -j DOCKER',
      'FORWARD -i docker0 ! -o docker0 -j ACCEPT',
      'FORWARD -i docker0 -o docker0 -j ACCEPT',
      'DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT',
      'DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
      'DOCKER-ISOLATION-STAGE-2 -o br-4c925cc48974 -j DROP',
      'DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
      'DOCKER-USER -d 203.0.113.238/32 -p tcp -m tcp --dport 80 -j DROP',
      'DOCKER-USER -j RETURN',
      'FORWARD policy DROP',
    ])
  })

  test("not what is another container's on the same bridge", () => {
    const rules = iptables(filter, CLI)
    expect(rules).toContain('POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE')
    expect(rules.join('\n')).not.toContain('172.17.0.2')
  })

  test('counters, targets and tables', () => {
    const rules = rulesFor(parseIptables(filter, 'ip', 'host'), WEB)
    expect(rules.find(({ target }) => target === 'MASQUERADE')).toEqual({
      where: 'host',
      family: 'ip',
      table: 'nat',
      chain: 'POSTROUTING',
      text: '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      target: 'MASQUERADE',
      packets: 12,
      bytes: 900,
    })
    expect(rules.find(({ text }) => text === 'policy DROP')).toMatchObject({ packets: 3, bytes: 180 })
  })

  test('host mode: input and output; no network: nothing', () => {
    const local = { ...WEB, addresses: [], interfaces: [], hooks: ['input', 'output'] }
    const text = filter.replace(':INPUT ACCEPT', ':INPUT DROP')
    expect(iptables(text, local)).toEqual([
      'INPUT -p tcp -m tcp --dport 23 -j REJECT --reject-with tcp-reset',
      'INPUT policy DROP',
    ])
    expect(iptables(filter, { ...WEB, hooks: [] })).toEqual([])
  })

  test('newer chains of Docker, rules with quoted comments, chains that nothing leads to', () => {
    const text = `*filter
:FORWARD ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-BRIDGE - [0:0]
:LOST - [0:0]
[5:300] -A FORWARD -j DOCKER-FORWARD
[0:0] -A DOCKER-FORWARD -j DOCKER-CT
[0:0] -A DOCKER-FORWARD -j DOCKER-BRIDGE
[1:60] -A DOCKER-FORWARD -i docker0 -j ACCEPT
[1:60] -A DOCKER-BRIDGE -o docker0 -j DOCKER
[4:240] -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[2:120] -A DOCKER ! -i docker0 -o docker0 -m comment --comment "not -d 172.17.0.3/32 -j ACCEPT" -j DROP
[0:0] -A LOST -o docker0 -j DROP
COMMIT
`
    expect(iptables(text, WEB)).toEqual([
      'DOCKER-FORWARD -i docker0 -j ACCEPT',
      'DOCKER-BRIDGE -o docker0 -j DOCKER',
      'DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      'DOCKER ! -i docker0 -o docker0 -m comment --comment "not -d 172.17.0.3/32 -j ACCEPT" -j DROP',
    ])
  })

  test('the recorded NAT tables of all captures give each their MASQUERADE', () => {
    const texts = readdirSync(CAPTURES, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('iptables.nat.txt'))
      .map((name) => readFileSync(join(CAPTURES, name), 'utf8'))
    expect(texts.length).toBeGreaterThan(5)
    for (const text of texts) {
      const hasRule = text.includes('-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE')
      expect(iptables(text, CLI).includes('POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE')).toBe(
        hasRule,
      )
    }
  })

  test('damaged output is passed over', () => {
    const odd = `[9:9] -A FORWARD -j DROP
*filter
:FORWARD
:FORWARD DROP [99999999999999999999999:-1]
[1:2] -A
[99999999999999999999999:3] -A FORWARD -s nonsense/99 -d -i -j
-A FORWARD -s 172.17.0.0/400 -j DROP
-A FORWARD -o docker0 -g DROP`
    expect(iptables(odd, WEB)).toContain('FORWARD -o docker0 -g DROP')
    for (const { rule } of parseIptables(odd, 'ip', 'host').rules) expect(rule.packets).not.toBe(Infinity)
  })
})

describe('nft -j', () => {
  test('says the same as iptables-save of the same host', () => {
    const parsed = parseNftables(recorded('nft.json'), 'host')!
    const rules = rulesFor(parsed, WEB).map(({ chain, target }) => `${chain} ${target}`)
    const same = rulesFor(parseIptables(recorded('iptables.txt'), 'ip', 'host'), WEB)
    // nft cannot look into targets of iptables' own: DNAT is there without its address.
    const chains = same
      .filter(({ target }) => target !== 'DNAT')
      .map(({ chain, target }) => `${chain} ${target}`)
    expect(rules.filter((rule) => !rule.endsWith('DNAT')).sort()).toEqual(chains.sort())
    expect(rulesFor(parsed, WEB).map(({ text }) => text)).toContain(
      'oifname != docker0 ip saddr 172.17.0.0/16 xt target MASQUERADE',
    )
  })

  test("tables in nftables' own words", () => {
    const rule = (chain: string, ...expr: object[]) => ({
      rule: { family: 'ip', table: 'docker-bridges', chain, expr },
    })
    const match = (left: object, right: unknown, op = '==') => ({ match: { op, left, right } })
    const saddr = { payload: { protocol: 'ip', field: 'saddr' } }
    const set = {
      nftables: [
        { metainfo: { version: '1.0.6' } },
        {
          chain: {
            family: 'ip',
            table: 'docker-bridges',
            name: 'nat-post',
            hook: 'postrouting',
            policy: 'accept',
          },
        },
        {
          chain: {
            family: 'ip',
            table: 'docker-bridges',
            name: 'nat-pre',
            hook: 'prerouting',
            policy: 'drop',
          },
        },
        rule(
          'nat-post',
          match({ meta: { key: 'oifname' } }, 'docker0', '!='),
          match(saddr, { prefix: { addr: '172.17.0.0', len: 16 } }),
          { counter: { packets: 7, bytes: 420 } },
          { masquerade: null },
        ),
        rule('nat-post', match(saddr, { set: ['172.18.0.2', '172.18.0.3'] }), { drop: null }),
        rule('nat-pre', match({ payload: { protocol: 'tcp', field: 'dport' } }, 8080), {
          dnat: { addr: '172.17.0.2', port: 80 },
        }),
      ],
    }
    expect(rulesFor(parseNftables(JSON.stringify(set), 'host')!, WEB)).toMatchObject([
      { text: 'policy DROP', target: 'DROP' },
      {
        text: 'oifname != docker0 ip saddr 172.17.0.0/16 masquerade',
        target: 'MASQUERADE',
        packets: 7,
        bytes: 420,
      },
      { text: 'tcp dport 8080 dnat to 172.17.0.2:80', target: 'DNAT', packets: null },
    ])
  })

  test('whatever stands in the JSON, nothing throws', () => {
    expect(parseNftables('<html>', 'host')).toBeNull()
    for (const odd of [
      null,
      7,
      'x',
      [],
      {},
      { rule: 7 },
      {
        rule: {
          family: 'ip',
          table: 't',
          chain: 'c',
          expr: [7, {}, { match: null }, { counter: 'x' }, { dnat: 1 }, { jump: [] }],
        },
      },
    ])
      expect(() => parseNftables(JSON.stringify({ nftables: [odd] }), 'host')).not.toThrow()
  })
})
