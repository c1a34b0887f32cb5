import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseLinks, parseUplinks } from '../../src/topology/links.ts'
import { parseNamespaces } from '../../src/topology/namespaces.ts'

describe('ip -j -d addr', () => {
  test('a veth in a container, and a VXLAN device on a bridge', () => {
    const text = JSON.stringify([
      {
        ifindex: 11,
        link_index: 12,
        ifname: 'eth0',
        flags: ['BROADCAST', 'UP', 'LOWER_UP'],
        mtu: 1500,
        link_type: 'ether',
        address: '02:42:ac:12:00:03',
        link_netnsid: 0,
        linkinfo: { info_kind: 'veth' },
        addr_info: [{ family: 'inet', local: '172.18.0.3', prefixlen: 16 }, {}],
      },
      {
        ifindex: 4,
        ifname: 'vxlan0',
        flags: [],
        master: 'br0',
        link_type: 'ether',
        linkinfo: { info_kind: 'vxlan', info_data: { id: 4097 }, info_slave_kind: 'bridge' },
      },
    ])
    expect(parseLinks(text)).toEqual([
      {
        index: 11,
        name: 'eth0',
        kind: 'veth',
        mac: '02:42:ac:12:00:03',
        mtu: 1500,
        isUp: true,
        addresses: [{ ip: '172.18.0.3', prefixLength: 16 }],
        master: null,
        linkIndex: 12,
        linkNetnsId: 0,
        vni: null,
      },
      expect.objectContaining({
        name: 'vxlan0',
        kind: 'vxlan',
        master: 'br0',
        vni: 4097,
        isUp: false,
        linkIndex: null,
      }),
    ])
  })

  test('an other end in the same namespace stands there by its name', () => {
    const veth = (ifindex: number, ifname: string, link: string) => ({
      ifindex,
      ifname,
      link,
      linkinfo: { info_kind: 'veth' },
    })
    const links = parseLinks(JSON.stringify([veth(3, 'a', 'b'), veth(4, 'b', 'a'), veth(5, 'c', 'gone')]))!
    expect(links.map(({ linkIndex }) => linkIndex)).toEqual([4, 3, null])
  })

  test('nothing at all is no link; what is no JSON is said to be none', () => {
    expect(parseLinks('\n')).toEqual([])
    for (const text of ['Object "-j" is unknown', '{}', '[{']) expect(parseLinks(text)).toBeNull()
  })

  test('entries that are none are left out', () => {
    const odd = [
      null,
      7,
      {},
      { ifname: 'x' },
      { ifindex: 1e30, ifname: 'x' },
      { ifindex: 5, ifname: 'x'.repeat(16) },
    ]
    expect(parseLinks(JSON.stringify(odd))).toEqual([])
    fc.assert(fc.property(fc.jsonValue(), (value) => void parseLinks(JSON.stringify([value]))))
  })
})

test('default routes: best metric first, each interface once, both families, several next hops', () => {
  const routes = [
    { dst: 'default', gateway: '10.0.0.1', dev: 'wlan0', metric: 600 },
    { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', metric: 100 },
    { dst: '192.0.2.0/24', dev: 'eth0' },
    {
      dst: 'default',
      metric: 700,
      nexthops: [{ dev: 'a', via: { family: 'inet6', host: 'fe80::1' } }, { dev: 'b' }, 7],
    },
    { dst: 'default', dev: 'dead0', flags: ['dead', 'linkdown'] },
  ]
  const routes6 = [{ dst: 'default', gateway: 'fe80::2', dev: 'eth0', metric: 1024 }]
  expect(parseUplinks(JSON.stringify(routes), JSON.stringify(routes6))).toEqual([
    { interfaceName: 'eth0', gateways: ['192.0.2.1', 'fe80::2'] },
    { interfaceName: 'wlan0', gateways: ['10.0.0.1'] },
    { interfaceName: 'a', gateways: ['fe80::1'] },
    { interfaceName: 'b', gateways: [] },
  ])
  expect(parseUplinks('', 'nonsense')).toEqual([])
})

test('lsns, in its versions that print numbers and that print texts', () => {
  const text = JSON.stringify({
    namespaces: [
      { ns: 4026531840, pid: 1, netnsid: 'unassigned' },
      { ns: '4026532325', pid: '7734', netnsid: '1' },
      { ns: null },
    ],
  })
  expect(parseNamespaces(text)).toEqual([
    { inode: 4026531840, pid: 1, netnsId: null },
    { inode: 4026532325, pid: 7734, netnsId: 1 },
  ])
  expect(parseNamespaces('lsns: unknown column')).toBeNull()
})
