/** Topologies made by hand, for what reads them. */

import type { Container, ContainerInterface, Topology } from '../../src/topology/topology.ts'

export function topologyOf(containers: Container[], more: Partial<Topology['host']> = {}): Topology {
  const host = {
    hostname: 'box',
    netns: 1,
    forwarding: { ipv4: true, ipv6: null },
    uplinks: [{ interfaceName: 'eth0', gateways: ['192.0.2.1'] }],
    links: [
      {
        index: 2,
        name: 'eth0',
        kind: 'ether',
        mac: '02:00:00:00:00:01',
        mtu: 1500,
        isUp: true,
        addresses: [{ ip: '192.0.2.2', prefixLength: 24 }],
        master: null,
        linkIndex: null,
        linkNetnsId: null,
        vni: null,
      },
    ],
    ...more,
  }
  return { host, containers, known: [], notes: [] }
}

/** A running container with an interface on docker0, unless told otherwise. */
export function containerOf(name: string, more: Partial<Container> = {}): Container {
  const pid = 100 + [...name].reduce((sum, letter) => 7 * sum + letter.charCodeAt(0), 0)
  return {
    id: name.padEnd(12, '0'),
    name,
    image: 'box',
    state: 'running',
    since: '2026-01-02T03:04:05.678Z',
    pid,
    mode: 'bridge',
    sharesNetworkWith: null,
    netnsPath: `/proc/${pid}/ns/net`,
    netns: pid,
    namespaces: [],
    interfaces: [interfaceOf('eth0')],
    ports: [],
    sees: 'Seen.',
    rules: [],
    ...more,
  }
}

let lastIndex = 10

export function interfaceOf(name: string, more: Partial<ContainerInterface> = {}): ContainerInterface {
  const index = ++lastIndex
  return {
    name,
    index,
    kind: 'veth',
    mac: '02:42:ac:11:00:02',
    mtu: 1500,
    isUp: true,
    addresses: [{ ip: '172.17.0.2', prefixLength: 16 }],
    gateways: ['172.17.0.1'],
    network: 'bridge',
    driver: 'bridge',
    dnsNames: [],
    peer: {
      netnsPath: null,
      interfaceName: `veth${index}`,
      index: index + 1,
      kind: 'veth',
      owner: 'host',
      bridge: 'docker0',
    },
    parent: null,
    overlay: null,
    ...more,
  }
}

/** An interface of a user-defined network. */
export function onBridge(name: string, network: string): ContainerInterface {
  const one = interfaceOf(name, { network })
  return { ...one, peer: { ...one.peer!, bridge: `br-${network}` } }
}

export function onOverlay(name: string, network: string): ContainerInterface {
  const netnsPath = `/run/docker/netns/1-${network}`
  const one = interfaceOf(name, { network, driver: 'overlay' })
  return {
    ...one,
    peer: { ...one.peer!, netnsPath, owner: 'overlay', bridge: 'br0' },
    overlay: { netnsPath, bridge: 'br0', vxlan: 'vxlan0', vni: 4097 },
  }
}
