import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HoptraceError } from '../../src/errors.ts'
import { renderNoMatch, selectFlows } from '../../src/report/filter.ts'
import { parseFilterExpression } from '../../src/report/filter-expression.ts'
import type { FlowReport } from '../../src/report/model.ts'
import { expectHarmless } from '../commands/program.ts'
import {
  doubleNat,
  embeddedDns,
  forwardDrop,
  hairpin,
  inboundPublishedPort,
  ipv6,
  lossyDownload,
  outboundMasquerade,
  portCollision,
  udpAndPing,
} from './scenarios.ts'

function select({ flows }: { flows: readonly FlowReport[] }, expression: string): number[] {
  return flows.filter(parseFilterExpression(expression)).map((flow) => flow.id)
}

function refusal(expression: string): string {
  try {
    parseFilterExpression(expression)
  } catch (error) {
    expect(error).toBeInstanceOf(HoptraceError)
    expect((error as HoptraceError).exitCode).toBe(2)
    return (error as HoptraceError).message
  }
  return 'is taken'
}

describe('one condition', () => {
  test.each([
    // Inside the container, on the uplink, beyond the router: each address finds the flow.
    ['host 172.17.0.3', [1]],
    ['host 192.168.78.100', [1]],
    ['host 203.0.113.1', [1]],
    ['host 172.17.0.4', []],
    ['net 172.17.0.0/16', [1]],
    ['net 172.17.255.255/16', [1]],
    ['net 172.17', [1]],
    ['net 172.17.0.2/32', []],
    ['net 0.0.0.0/0', [1]],
    ['net ::/0', []],
    ['src net 192.168.78', [1]],
    ['dst net 192.168.78', []],
    ['dst port 80', [1]],
    ['src port 80', []],
    ['server port 80', [1]],
    ['client host 203.0.113.1', [1]],
    ['portrange 55000-56000', [1]],
    ['port 56000-55000', [1]],
    ['src or dst port 80', [1]],
    ['src and dst port 80', []],
    ['tcp', [1]],
    ['udp', []],
    ['ip', [1]],
    ['ip6', []],
    ['ip proto 6', [1]],
    ['proto \\tcp', [1]],
    ['proto 132', []],
    ['172.17.0.3', [1]],
    ['src 172.17.0.3', [1]],
    ['TCP PORT 80 AND NOT UDP', [1]],
    ['nat', [1]],
    ['snat', [1]],
    ['dnat', []],
    ['lost', []],
    ['state closed', [1]],
    ['state reset', []],
    ['at wan', [1]],
    ['at "wan"', [1]],
    ['at moon', []],
  ])('%s', (expression, ids) => expect(select(doubleNat, expression)).toEqual(ids))

  test('IPv6, in any spelling', () => {
    for (const host of [
      '2001:db8:ffff::1:2:3:238',
      '2001:DB8:ffff:0:1:2:3:238',
      '2001:db8:ffff:0:1:2:0.3.2.56',
    ])
      expect(select(ipv6, `host ${host}`)).toEqual([1])
    expect(select(ipv6, 'net 2001:db8:ffff::/48')).toEqual([1])
    expect(select(ipv6, 'net 2001:db8:fffe::/47')).toEqual([1])
    expect(select(ipv6, 'net 2001:db8:fffe::/48')).toEqual([])
    expect(select(ipv6, 'net fe80::/10 or ff02::/16')).toEqual([2])
    expect(select(ipv6, 'ip6 and udp')).toEqual([2])
    expect(select(ipv6, 'ip')).toEqual([])
    expect(select(ipv6, 'net 0.0.0.0/0')).toEqual([])
  })

  test('what became of the flow', () => {
    expect(select(forwardDrop, 'lost and state syn-only or refused')).toEqual([1])
    expect(select(forwardDrop, 'resent')).toEqual([1])
    expect(select(lossyDownload, 'resent and lost and ambiguous')).toEqual([1])
    expect(select(udpAndPing, 'icmp-error')).toEqual([2])
    expect(select(inboundPublishedPort, 'dnat and not snat')).toEqual([1])
  })

  test('an echo id is no port', () => {
    expect(select(udpAndPing, 'id 20843')).toEqual([1])
    expect(select(udpAndPing, 'id 7 or 20843')).toEqual([1, 2])
    expect(select(udpAndPing, 'port 20843')).toEqual([])
    expect(select(doubleNat, 'id 80')).toEqual([])
  })

  test('the server as only the replies show it', () => {
    expect(select(embeddedDns, 'dst port 53')).toEqual([1])
    expect(select(embeddedDns, 'dst port 39901')).toEqual([1])
    expect(select(embeddedDns, 'src port 53')).toEqual([])
  })
})

describe('conditions together', () => {
  test('and wants both at one point: flows that NAT gives one port stay apart', () => {
    expect(select(portCollision, 'port 45000')).toEqual([1, 2])
    expect(select(portCollision, 'host 192.168.78.100')).toEqual([1, 2])
    expect(select(portCollision, 'host 192.168.78.100 and port 45000')).toEqual([1])
    expect(select(portCollision, 'at uplink and port 45000')).toEqual([1])
    expect(select(doubleNat, 'host 172.17.0.3 and host 192.168.78.100')).toEqual([])
  })

  test('not says that no point shows it', () => {
    expect(select(doubleNat, 'not host 172.17.0.3')).toEqual([])
    expect(select(portCollision, 'not host 172.17.0.3')).toEqual([2])
    expect(select(portCollision, 'port 45000 and not port 54039')).toEqual([1])
    expect(select(portCollision, 'not at a')).toEqual([2])
    expect(select(doubleNat, 'not (host 172.17.0.3 and host 192.168.78.100)')).toEqual([1])
    expect(select(forwardDrop, 'not at uplink')).toEqual([1])
    expect(select(outboundMasquerade, '! ! at uplink && host 172.17.0.3')).toEqual([1, 2])
  })

  test('and, or: alike, from the left, as in tcpdump', () => {
    expect(select(doubleNat, 'tcp or udp and udp')).toEqual([])
    expect(select(doubleNat, 'tcp or (udp and udp)')).toEqual([1])
    expect(select(hairpin, '(src 172.17.0.3 || src 172.17.0.2) && port 8078')).toEqual([1, 2])
    expect(select(hairpin, 'not tcp or tcp')).toEqual([1, 2])
  })

  test('a value on its own takes the words of the one before', () => {
    expect(select(outboundMasquerade, 'tcp src port 1 or 47276')).toEqual([1])
    expect(select(outboundMasquerade, 'tcp src port 80 or 443')).toEqual([])
    expect(select(outboundMasquerade, 'port (1 or 47286)')).toEqual([2])
    expect(select(outboundMasquerade, 'port 80 and not 47286')).toEqual([1])
    expect(select(portCollision, 'at a or b')).toEqual([1, 2])
    expect(select(portCollision, 'host 1.2.3.4 or 172.17.0.4')).toEqual([2])
  })
})

describe('what is wrong, and where', () => {
  test.each([
    ['tcp and prot 80', "'prot' at character 9 is no word that it knows: did you mean 'port'?"],
    ['hots 1.2.3.4', "'hots' at character 1 is no word that it knows: did you mean 'host'?"],
    [
      'web',
      "'web' at character 1 is no word that it knows: host, net, port, tcp, and, or, not, lost and nat are some",
    ],
    ['constructor', "'constructor' at character 1 is no word"],
    ['host web', "'web' at character 6 is no IP address, such as 172.17.0.3"],
    ['host 10.0.0.0/8', "'10.0.0.0/8' at character 6 is no single address: say 'net'"],
    ['net 10.0.0.0/33', "'10.0.0.0/33' at character 5 is no network"],
    ['net 256.1', "'256.1' at character 5 is no network"],
    ['net fe80::1%eth0/64', 'is no network'],
    ['port 65536', "'65536' at character 6 is no port from 0 to 65535"],
    ['port http', "'http' at character 6 is no port"],
    ['port 1-2-3', "'1-2-3' at character 6 is no port"],
    ['proto 256', "'256' at character 7 is no IP protocol"],
    ['state closd', "'closd' at character 7 is no state: there are syn-only, refused,"],
    ['id x', "'x' at character 4 is no ICMP echo identifier"],
    ['80', "'80' at character 1 stands alone: is it 'port 80'?"],
    ['tcp port', "ends with 'port' at character 5, where a value should follow 'port'"],
    ['tcp and', "ends with 'and' at character 5, where a condition should follow"],
    ['host and port 80', "'and' at character 6 stands where a value should follow 'host'"],
    ['and tcp', "'and' at character 1 stands where a condition should"],
    ['host 1.2.3.4 port 80', "'port' at character 14 follows without 'and' or 'or'"],
    ['(tcp', "'(' at character 1 is never closed"],
    ['tcp)', "')' at character 4 closes nothing"],
    ['()', "')' at character 2 stands where a condition should"],
    ['at )', "')' at character 4 stands where a value should follow 'at'"],
    ['tcp port (udp)', "'(' at character 10 stands where a value should follow 'port'"],
    ['icmp port 3', "'port' at character 6 is nothing that icmp has: 'id' is its echo identifier"],
    ['src state reset', "'state' at character 5 has no side"],
    ['tcp & udp', "'&' at character 5 is no word that it knows: did you mean '&&'?"],
    ['', 'is empty: give a condition'],
    ['  ', 'is empty: give a condition'],
    ['😀😀 x', "'😀😀' at character 1 is no word"],
    ['😀 or'.replace('😀', '"😀"'), "'😀' at character 1 is no IP address"],
    ['tcp and \u001b[2J', "'\\x1b[2J' at character 9 is no word"],
    ['('.repeat(100_000), 'has 100000 characters: 10000 are the most'],
    ['('.repeat(9000), "'(' at character 101 is nested deeper than 100"],
    ['!'.repeat(9000), "'!' at character 101 is nested deeper than 100"],
  ])('refusal %#', (expression, message) => {
    expect(refusal(expression).startsWith('--filter: ')).toBe(true)
    expect(refusal(expression)).toContain(message)
  })

  test('thousands of conditions are none too many', () => {
    expect(select(doubleNat, `udp${' or ip'.repeat(1600)}`)).toEqual([1])
    expect(select(doubleNat, `${'('.repeat(100)}tcp${')'.repeat(100)}`)).toEqual([1])
  })

  test('no text makes it throw anything else, or print anything wild', () => {
    const word = fc.constantFrom(
      ...'host net port portrange src dst or and not ( ) ! && || tcp udp icmp6 ip proto at state id lost nat'.split(
        ' ',
      ),
      ...'1.2.3.4 ::1 10.0.0.0/8 80 1-2 reset "a b" constructor __proto__ \\icmp'.split(' '),
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.oneof({ weight: 9, arbitrary: word }, fc.string()), { maxLength: 30 })
        .map((words) => words.join(' ')),
    )
    fc.assert(
      fc.property(text, (expression) => {
        const message = refusal(expression)
        expectHarmless(message)
        if (message === 'is taken')
          for (const { flows } of [hairpin, ipv6]) flows.filter(parseFilterExpression(expression))
      }),
      { numRuns: 3000 },
    )
  })
})

test('selects flows of a report beside the other filters, and is named where none is left', () => {
  const filter = (text: string, ports: number[] = []) => ({
    hosts: [],
    ports,
    protocols: [],
    ids: [],
    expression: { text, matches: parseFilterExpression(text) },
  })
  expect(selectFlows(portCollision, filter('host 172.17.0.4', [54_039])).flows.map(({ id }) => id)).toEqual([
    2,
  ])
  expect(selectFlows(portCollision, filter('host 172.17.0.3', [54_039])).flows).toEqual([])
  expect(renderNoMatch(portCollision, filter('host 1.2.3.4 or at "\u001b"'))).toBe(
    'No flow matches --filter \'host 1.2.3.4 or at "\\x1b"\', out of 2 flows (2 tcp)',
  )
})
