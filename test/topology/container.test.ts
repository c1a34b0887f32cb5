import { describe, expect, test } from 'vitest'
import { interfacesOf, isItsNamespace, networkModeOf } from '../../src/topology/container.ts'
import type { Endpoint, EngineNetwork } from '../../src/topology/docker-objects.ts'
import { parseLinks } from '../../src/topology/links.ts'
import { PeerFinder, type Scan } from '../../src/topology/peers.ts'
import { seesSentence } from '../../src/topology/sees.ts'
import type { Subject } from '../../src/topology/subjects.ts'

const NETWORKS = ['bridge', 'mynet', 'host', 'none', 'lan', 'ipv', 'ov', 'weave'].map(
  (name, i): EngineNetwork => {
    const drivers = ['bridge', 'bridge', 'host', 'null', 'macvlan', 'ipvlan', 'overlay', 'weavemesh']
    return {
      id: `${i}`.repeat(12),
      name,
      driver: drivers[i],
      bridge: null,
      parent: null,
      subnets: [],
      gateways: [],
    }
  },
)

function endpoint(network: string, ip = '10.0.0.2', mac = '02:00:00:00:00:01'): Endpoint {
  const networkId = NETWORKS.find(({ name }) => name === network)?.id ?? null
  return {
    network,
    networkId,
    mac,
    addresses: [ip],
    prefixLengths: [24],
    gateways: ['10.0.0.1'],
    dnsNames: [],
  }
}

function subject(networkMode: string | null, ...endpoints: Endpoint[]): Subject {
  return {
    id: 'a'.repeat(64),
    name: 'web',
    image: 'box',
    state: 'running',
    since: null,
    pid: 1,
    networkMode,
    netnsPath: '/nowhere/net',
    sandboxPath: null,
    isFar: false,
    endpoints,
    ports: [],
  }
}

test.each([
  ['default', ['bridge'], 'bridge'],
  ['bridge', ['bridge'], 'bridge'],
  ['mynet', ['bridge', 'mynet'], 'user-defined'],
  ['1'.repeat(12), ['mynet'], 'user-defined'],
  // It was started on the default network and has moved to another one.
  ['default', ['mynet'], 'user-defined'],
  ['host', ['host'], 'host'],
  ['none', ['none'], 'none'],
  ['container:abc', [], 'container'],
  ['lan', ['lan'], 'macvlan'],
  ['ipv', ['ipv'], 'ipvlan'],
  ['ov', ['ov'], 'overlay'],
  ['weave', ['weave'], 'other'],
  ['slirp4netns', [], 'other'],
  [null, [], 'namespace'],
])('mode %s with networks %j is %s', (networkMode, networks, mode) => {
  const endpoints = networks.map((name) => endpoint(name))
  expect(networkModeOf(subject(networkMode, ...endpoints), NETWORKS)).toBe(mode)
})

/** Two interfaces of ipvlan, which all have their parent's MAC address. */
const IPVLAN = parseLinks(
  JSON.stringify(
    [10, 11].map((ifindex) => ({
      ifindex,
      link_index: 2,
      ifname: `eth${ifindex - 10}`,
      flags: ['UP'],
      link_type: 'ether',
      address: '02:00:00:00:00:01',
      link_netnsid: 0,
      linkinfo: { info_kind: 'ipvlan', info_data: { mode: 'l2' } },
      addr_info: [{ local: `10.0.${ifindex}.2`, prefixlen: 24 }],
    })),
  ),
)!

describe('ipvlan', () => {
  const host: Scan = { path: null, inode: 1, owner: 'host', uplinks: [], links: [] }
  const uplinks = [{ interfaceName: 'eth1', gateways: ['10.0.11.1'] }]
  const scan: Scan = { path: '/nowhere/net', inode: 2, owner: 'web', uplinks, links: IPVLAN }
  const web = subject('ipv', endpoint('mynet', '10.0.11.2'), endpoint('ipv', '10.0.10.2'))

  test('interfaces are told apart by address; the one of the default route comes first', async () => {
    const found = await interfacesOf(
      { subject: web, inodes: null, scan },
      NETWORKS,
      new PeerFinder(host, [], []),
    )
    expect(found.map(({ name, network, driver }) => ({ name, network, driver }))).toEqual([
      { name: 'eth1', network: 'mynet', driver: 'bridge' },
      { name: 'eth0', network: 'ipv', driver: 'ipvlan' },
    ])
    // The namespace cannot be asked for the kernel's ids: no parent is guessed.
    expect(found.map(({ parent }) => parent)).toEqual([null, null])
    const options = { isRunning: true, isReadable: true, sharesNetworkWith: null, isHostNetwork: false }
    expect(seesSentence('ipvlan', found.slice(1), options)).toBe(
      'Directly on the parent interface: no bridge, and no NAT by the host.',
    )
  })
})

test('a process that is another one: none of the addresses, or an engine far away', async () => {
  expect(await isItsNamespace(subject('ipv', endpoint('ipv', '10.0.10.2')), IPVLAN)).toBe(true)
  expect(await isItsNamespace(subject('ipv', endpoint('ipv', '10.9.9.9')), IPVLAN)).toBe(false)
  expect(await isItsNamespace(subject('none'), [])).toBe(true)
  expect(await isItsNamespace({ ...subject('host'), isFar: true }, [])).toBe(false)
})
