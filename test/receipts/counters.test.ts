import { expect, test } from 'vitest'
import {
  movedCounters,
  parseConntrackStatistics,
  parseSnmp,
  parseSnmp6,
  parseSoftnet,
} from '../../src/receipts/counters.ts'
import { recorded } from './recorded.ts'

test('counters of the protocols that moved, without those that any traffic moves', () => {
  const moved = movedCounters(parseSnmp(recorded('snmp-before.txt')), parseSnmp(recorded('snmp-after.txt')))
  expect(moved).toContainEqual({ group: 'Udp', name: 'OutDatagrams', before: 0, after: 12 })
  expect(moved).toContainEqual({ group: 'Tcp', name: 'AttemptFails', before: 0, after: 1 })
  expect(moved.filter(({ before, after }) => before === after)).toEqual([])
  const extended = parseSnmp(recorded('netstat-after.txt'))
  expect(extended.get('TcpExt ListenDrops')).toBe(0)
  expect(extended.get('IpExt InOctets')).toBeGreaterThan(1000)
  const names = movedCounters(parseSnmp(recorded('netstat-before.txt')), extended).map(({ name }) => name)
  expect(names.filter((name) => /Octets|Pkts/.test(name))).toEqual([])
})

test('counters of IPv6 with their group', () => {
  const counters = parseSnmp6(recorded('snmp6-after.txt'))
  expect(counters.has('Ip6 InNoRoutes')).toBe(true)
  expect(counters.has('Icmp6 InErrors')).toBe(true)
  expect(counters.has('Udp6 NoPorts')).toBe(true)
})

test('tables of processors are summed', () => {
  const two = 'entries  drop early_drop\n00000005  0000000a 00000001\n00000005  00000001 00000000\n'
  expect([...parseConntrackStatistics(two)]).toEqual([
    ['nf_conntrack drop', 11],
    ['nf_conntrack early_drop', 1],
  ])
  expect(parseConntrackStatistics(recorded('nf_conntrack.txt')).get('nf_conntrack insert_failed')).toBe(0)
  expect(parseSoftnet('00000001 00000010 00000000\n00000001 00000001\n').get('softnet dropped')).toBe(17)
  expect(parseSoftnet(recorded('softnet_stat.txt')).get('softnet dropped')).toBe(0)
})

test('what was not there before has no before, and nonsense is no number', () => {
  expect(movedCounters(new Map(), new Map([['Ip InNoRoutes', 2]]))).toEqual([
    { group: 'Ip', name: 'InNoRoutes', before: null, after: 2 },
  ])
  expect(parseSnmp('Ip: A B\nIp: 1 x\nTcp: A\n').size).toBe(1)
  expect(parseConntrackStatistics('drop\nxyz\n').size).toBe(0)
})
