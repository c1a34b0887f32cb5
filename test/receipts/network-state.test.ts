import { expect, test } from 'vitest'
import {
  compareLinks,
  parseLinkStates,
  parseListeners,
  parseNeighbours,
  parseQueues,
  parseRoutes,
} from '../../src/receipts/network-state.ts'
import { recorded } from './recorded.ts'

const NO_SETTINGS = () => ({ rpFilter: null, forwarding4: null, forwarding6: null, routeLocalnet: null })

test('interfaces, captured ones first, with what moved and what is set', () => {
  const links = parseLinkStates(recorded('addr.json'))!
  const [index, va] = [...links].find(([, { fields }]) => fields.name === 'va')!
  const later = new Map(links).set(index, {
    ...va,
    fields: { ...va.fields, mtu: 1000 },
    counters: new Map([...va.counters]).set('link tx_dropped', 7),
  })
  const [before, after] = [links, later].map((one, i) => ({
    links: one,
    queues: new Map([['va', new Map([['qdisc tbf', i]])]]),
  }))
  const [first, second] = compareLinks(before!, after!, ['va'], NO_SETTINGS)
  expect(first).toMatchObject({
    ...{ name: 'va', kind: 'veth', isUp: true, mtu: 1000, mtuBefore: 1400 },
    counters: [{ group: 'link', name: 'tx_dropped', before: 0, after: 7 }],
    queues: [{ group: 'qdisc', name: 'tbf', before: 0, after: 1 }],
  })
  expect(first!.addresses).toContain('10.9.0.1/24')
  expect(second).toMatchObject({ name: 'lo', kind: 'loopback', mtu: 65536, counters: [] })
})

test('queues by interface', () => {
  expect(parseQueues(recorded('qdisc.json'))!.get('eth0')!.get('qdisc pfifo_fast')).toBe(0)
  expect(parseQueues('no JSON')).toBeNull()
})

test('routes of all tables, the default first', () => {
  const routes = parseRoutes(recorded('routes.json'), 'ip')
  const told = routes.map(
    ({ destination, type, table, gateway, mtu }) => `${destination} ${type} ${table} ${gateway} ${mtu}`,
  )
  expect(told).toEqual([
    'default unicast main 10.9.0.2 null',
    '10.6.0.0/16 unicast 7 10.9.0.2 1300',
    '10.5.0.0/16 unicast main 10.9.0.2 null',
    '10.5.0.0/16 unicast main 10.9.0.3 null',
    '10.9.0.0/24 unicast main null null',
    '10.66.0.0/16 blackhole main null null',
  ])
})

test('neighbours, those that do not answer first', () => {
  const neighbours = parseNeighbours(recorded('neigh.json'))
  expect(neighbours.map(({ ip, mac, state }) => [ip, mac !== null, state])).toEqual([
    ['10.9.0.77', false, 'INCOMPLETE'],
    ['10.9.0.2', true, 'REACHABLE'],
  ])
})

test('sockets that listen, not those that are connected', () => {
  const all = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((name) =>
    parseListeners(recorded(`${name}.txt`), name.startsWith('tcp') ? 'tcp' : 'udp'),
  )
  expect(all).toEqual([
    { protocol: 'tcp', ip: '127.0.0.1', port: 80 },
    { protocol: 'tcp', ip: '::', port: 443 },
    { protocol: 'udp', ip: '::', port: 53 },
  ])
})
