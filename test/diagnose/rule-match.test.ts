/** Rule matching: iptables-save and nft texts against packets; what is not understood excludes nothing, and hostile text does nothing. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Form, isIn, mayMatch, namesPort } from '../../src/diagnose/rule-match.ts'

/** `tcp 172.17.0.2:40000 > 203.0.113.9:80`, IPv6 in brackets. */
function form(text: string): Form {
  const [, protocol, src, sport, dst, dport] =
    /^(\w+) \[?([\da-f.:]+?)\]?:(\d+) > \[?([\da-f.:]+?)\]?:(\d+)$/.exec(text)!
  return {
    protocol: protocol!,
    src: { ip: src!, port: Number(sport) },
    dst: { ip: dst!, port: Number(dport) },
  }
}

const WEB = 'tcp 172.17.0.2:40000 > 203.0.113.9:80'
const BACK = 'tcp 203.0.113.9:80 > 172.17.0.2:40000'
const DNS = 'udp 172.17.0.2:40000 > 203.0.113.53:53'
const PING = 'icmp 172.17.0.2:7 > 203.0.113.9:7'
const WEB6 = 'tcp [fd00::2]:40000 > [2001:db8::9]:443'
const PING6 = 'icmpv6 [fd00::2]:7 > [2001:db8::9]:7'
const ALL = [WEB, BACK, DNS, PING, WEB6, PING6]

/** The text, and the packets of `ALL` that it may match. */
const RULES: [string, string[]][] = [
  // iptables-save
  ['-j DROP', ALL],
  ['-p tcp -m tcp --dport 80 -j DROP', [WEB]],
  ['-p tcp -m tcp --sport 80 -j DROP', [BACK]],
  ['-p tcp -m tcp --dport 1024:65535 -j DROP', [BACK]],
  ['-p tcp -m multiport --dports 22,80,443 -j DROP', [WEB, WEB6]],
  ['-p tcp -m multiport --dports 22,100:200,440:443 -j DROP', [WEB6]],
  ['-p tcp -m multiport ! --dports 80,443 -j DROP', [BACK]],
  ['-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE', [WEB, DNS, PING]],
  ['-s 172.17.0.2/32 -d 203.0.113.53/32 -j DROP', [DNS]],
  ['-d 203.0.113.0/24 -p udp -j DROP', [DNS]],
  ['! -s 172.17.0.0/16 -j DROP', [BACK, WEB6, PING6]],
  ['-s 172.0.0.2/255.0.0.255 -j DROP', ALL],
  ['-m iprange --src-range 10.0.0.1-10.0.0.9 -j DROP', ALL],
  ['-p icmp -m icmp --icmp-type 8 -j DROP', [PING]],
  ['-p ipv6-icmp -j DROP', [PING6]],
  ['-s fd00::/8 -j DROP', [WEB6, PING6]],
  ['-d 2001:db8::9/128 -p tcp -m tcp --dport 443 -j DROP', [WEB6]],
  ['-p 17 -j DROP', [DNS]],
  ['-p all -j DROP', ALL],
  ['-p esp -j DROP', ALL],
  ['-p tcp -m comment --comment "not -p udp, nor -s 10.0.0.1 --dport 22" -j DROP', [WEB, BACK, WEB6]],
  ['-m comment --comment --dport 22 -j DROP', ALL],
  ['-m conntrack --ctstate INVALID -j DROP', ALL],
  ['-m set --match-set bad src -j DROP', ALL],
  ['-i docker0 -o docker0 -j DROP', ALL],
  ['policy DROP', ALL],
  // nft
  ['drop', ALL],
  ['tcp dport 80 drop', [WEB]],
  ['tcp dport { 22, 80 } counter packets 3 bytes 180 drop', [WEB]],
  ['tcp dport 400-500 drop', [WEB6]],
  ['tcp dport @blocked drop', [WEB, BACK, WEB6]],
  ['tcp dport != 80 drop', [BACK, DNS, PING, WEB6, PING6]],
  ['tcp dport != { 80, 443 } drop', ALL],
  ['ip saddr 172.17.0.0/16 oifname != "docker0" masquerade', [WEB, DNS, PING]],
  ['ip saddr != 172.17.0.0/16 drop', [BACK, WEB6, PING6]],
  ['ip saddr 172.17.0.1-172.17.0.9 drop', ALL],
  ['ip saddr { 172.17.0.2, 172.17.0.3 } drop', ALL],
  ['ip saddr @bad drop', ALL],
  ['ip saddr & 255.0.0.0 == 172.0.0.0 drop', ALL],
  ['ip daddr 203.0.113.53 udp dport 53 drop', [DNS]],
  ['ip6 saddr fd00::/8 ip6 nexthdr ipv6-icmp drop', [PING6]],
  ['meta l4proto tcp drop', [WEB, BACK, WEB6]],
  ['meta l4proto { tcp, udp } drop', ALL],
  ['meta l4proto 6 drop', [WEB, BACK, WEB6]],
  ['icmp type echo-request drop', [PING]],
  ['iifname "ip saddr 10.0.0.1" tcp dport 80 comment "udp dport 53" drop', [WEB]],
  ['ct state invalid drop', ALL],
  ['th dport 53 drop', [DNS]],
]

test.each(RULES)('%s', (text, expected) => {
  expect(ALL.filter((packet) => mayMatch(text, [form(packet)]))).toEqual(expected)
})

test('a packet has several forms: one that fits is enough, and each has to fit as a whole', () => {
  const before = form('tcp 198.51.100.7:41000 > 192.168.7.2:8080')
  const after = form('tcp 198.51.100.7:41000 > 172.17.0.2:80')
  expect(mayMatch('-d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j DROP', [before, after])).toBe(true)
  expect(mayMatch('-d 172.17.0.2/32 -p tcp -m tcp --dport 8080 -j DROP', [before, after])).toBe(false)
  expect(mayMatch('-j DROP', [])).toBe(false)
})

test.each<[string, number, boolean]>([
  ['-p tcp -m tcp --dport 8080 -j DNAT', 8080, true],
  ['-p tcp -m tcp --dport 8080 -j DNAT', 80, false],
  ['-p tcp -m tcp --dport 8000:8090 -j DNAT', 8085, true],
  ['-p tcp -m multiport --dports 80,443 -j DNAT', 443, true],
  ['tcp dport { 80, 8000-8090 } dnat to 172.17.0.2', 8001, true],
  ['-p tcp -j DNAT --to-destination 172.17.0.2:80', 80, false],
])('%s names port %d: %s', (text, port, expected) => {
  expect(namesPort(text, port)).toBe(expected)
})

test.each<[string, string, boolean]>([
  ['172.17.0.2', '172.17.0.0/16', true],
  ['172.18.0.2', '172.17.0.0/16', false],
  ['172.17.0.2', '172.17.0.2', true],
  ['fd00::2', 'fd00::/8', true],
  ['fd00::2', '172.17.0.0/16', false],
  ['172.17.0.2', '172.17.0.0/33', false],
  ['172.17.0.2', '0.0.0.0/0', true],
  ['172.17.0.2', '', false],
  ['x', 'y/z', false],
])('%s in %s: %s', (ip, network, expected) => {
  expect(isIn(ip, network)).toBe(expected)
})

describe('hostile text', () => {
  const words = fc.constantFrom(
    ...[
      '-p',
      '-s',
      '-d',
      '!',
      '!=',
      '{',
      '}',
      '"',
      '\\',
      '--dport',
      '--dports',
      'dport',
      'ip saddr',
      'ip6 daddr',
    ],
    ...[
      'meta l4proto',
      'tcp',
      'udp',
      '10.0.0.0/8',
      '10.0.0.0/99',
      '::/0',
      '/',
      ':',
      '-',
      '80',
      '1:2:3',
      '80,',
      '\n',
    ],
    ...['--comment', '__proto__', 'constructor'],
  )
  const text = fc.oneof(
    fc.string({ maxLength: 1000 }),
    fc.array(words, { maxLength: 60 }).map((parts) => parts.join(' ')),
    fc.array(words, { maxLength: 60 }).map((parts) => parts.join('')),
  )

  test('never throws, and says the same again', () => {
    fc.assert(
      fc.property(text, (rule) => {
        const may = ALL.map((packet) => mayMatch(rule, [form(packet)]))
        expect(may.every((it) => typeof it === 'boolean')).toBe(true)
        expect(ALL.map((packet) => mayMatch(rule, [form(packet)]))).toEqual(may)
        namesPort(rule, 80)
      }),
      { numRuns: 1000 },
    )
  })

  test.each([
    ['one long word', 'a'],
    ['words', 'a a '],
    ['signs', '! --a '],
    ['quotes', '"\\'],
    ['open quotes', '"'],
    ['ports', '--dport 1,'],
    ['digits', 'dport 1'],
    ['commas', ', '],
    ['braces', 'a b != {'],
    ['addresses', 'ip saddr 1.'],
    ['spaces', ' '],
  ])('takes no time for it: %s', (_, piece) => {
    // Receipts hold texts of at most 1000 characters; even of far longer ones none may take long.
    const rule = `dport ${piece.repeat(20_000 / piece.length)}`
    const begin = performance.now()
    mayMatch(rule, [form(WEB)])
    namesPort(rule, 80)
    expect(performance.now() - begin).toBeLessThan(2000)
  })
})
