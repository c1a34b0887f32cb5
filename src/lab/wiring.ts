/** The lab's cables: links, addresses and routes as commands of `ip -batch`, and settings of the kernel, by station. */

import { writeFileSync } from 'node:fs'
import { inNetworkNamespace } from '../capture/live/network-namespace.ts'
import { attempt } from './processes.ts'
import { run } from './programs.ts'
import {
  ALL_STATIONS,
  hasEngine,
  isContainer,
  type LabNames,
  netnsOf,
  netnsPathOf,
  type Station,
  USER_BRIDGE,
} from './stations.ts'

type Commands = Partial<Record<Station, readonly string[]>>

/** Links as they are made, in this order: a cable is made where it is plugged in. `{STATION}` stands for its namespace. */
const LINKS: Commands = {
  router: [
    'link add lan0 type bridge',
    'link add lan1 type veth peer name eth0 netns {host}',
    'link add lan2 type veth peer name eth0 netns {host2}',
    'link add wan0 type veth peer name eth0 netns {internet}',
    'link set lan1 master lan0',
    'link set lan2 master lan0',
    'address add 192.168.78.1/24 dev lan0',
    'address add 203.0.113.1/24 dev wan0',
    ...['lan1', 'lan2', 'lan0', 'wan0'].map(up),
  ],
  host: ['address add 192.168.78.100/24 dev eth0', up('eth0')],
  host2: ['address add 192.168.78.101/24 dev eth0', up('eth0')],
  internet: ['address add 203.0.113.10/24 dev eth0', up('eth0')],
}

/** What an engine makes by itself, where the lab has one. */
const BRIDGES: Commands = {
  host: [
    'link add docker0 address 02:42:5a:00:00:01 type bridge',
    `link add ${USER_BRIDGE} address 02:42:5a:00:00:02 type bridge`,
    ...cable('veth1a2b3c4', 'container1', '02:42:ac:11:00:02', 'docker0'),
    ...cable('veth5d6e7f8', 'container2', '02:42:ac:11:00:03', 'docker0'),
    ...cable('veth9a0b1c2', 'container3', '02:42:ac:12:00:02', USER_BRIDGE),
    // A container that asks for its own published port: its bridge sends the frame back where it came from.
    'link set veth1a2b3c4 type bridge_slave hairpin on',
    'address add 172.17.0.1/16 dev docker0',
    `address add 172.18.0.1/16 dev ${USER_BRIDGE}`,
    ...['docker0', USER_BRIDGE].map(up),
  ],
  container1: ['address add 172.17.0.2/16 dev eth0', up('eth0')],
  container2: ['address add 172.17.0.3/16 dev eth0', up('eth0')],
  container3: ['address add 172.18.0.2/16 dev eth0', up('eth0')],
}

/** As Docker's overlay driver has it: bridge and VXLAN in a namespace of the engine's, the VXLAN's socket in the host's. */
const OVERLAY: Commands = {
  host: overlay('ov1', '192.168.78.100', '192.168.78.101'),
  host2: overlay('ov2', '192.168.78.101', '192.168.78.100'),
  ov1: overlayBridge('overlay1', '02:42:0a:00:01:02'),
  ov2: overlayBridge('overlay2', '02:42:0a:00:01:03'),
  overlay1: ['address add 10.0.1.2/24 dev eth0', up('eth0')],
  overlay2: ['address add 10.0.1.3/24 dev eth0', up('eth0')],
}

const MACVLAN: Commands = {
  host: ['link add link eth0 name eth0 address 02:42:c0:a8:4e:32 netns {macvlan1} type macvlan mode bridge'],
  macvlan1: ['address add 192.168.78.50/24 dev eth0', up('eth0')],
}

/** What can be set again at any time. */
const ROUTES: Commands = {
  container1: ['link set eth0 mtu 1500', 'route replace default via 172.17.0.1'],
  container2: ['link set eth0 mtu 1500', 'route replace default via 172.17.0.1'],
  container3: ['link set eth0 mtu 1500', 'route replace default via 172.18.0.1'],
  host: ['link set eth0 mtu 1500', 'link set docker0 up', 'route replace default via 192.168.78.1'],
  host2: ['link set eth0 mtu 1500', 'route replace default via 192.168.78.1'],
  router: ['link set wan0 mtu 1500', 'link set wan0 up'],
  internet: ['link set eth0 mtu 1500'],
}

/** Routes that only a fault brings. */
const STRAY_ROUTES: Commands = { host: ['route flush 203.0.113.10/32'] }

function up(name: string): string {
  return `link set ${name} up`
}

function cable(end: string, station: Station, mac: string, bridge: string): string[] {
  return [
    `link add ${end} type veth peer name eth0 address ${mac} netns {${station}}`,
    `link set ${end} master ${bridge}`,
    up(end),
  ]
}

function overlay(into: Station, local: string, remote: string): string[] {
  return [
    `link add vxlan0 type vxlan id 4097 dstport 4789 local ${local} remote ${remote}`,
    `link set vxlan0 netns {${into}}`,
  ]
}

function overlayBridge(station: Station, mac: string): string[] {
  return [
    'link add br0 mtu 1450 type bridge',
    `link add veth0 mtu 1450 type veth peer name eth0 mtu 1450 address ${mac} netns {${station}}`,
    'link set veth0 master br0',
    'link set vxlan0 mtu 1450 master br0',
    ...['veth0', 'vxlan0', 'br0'].map(up),
  ]
}

/**
 * Makes the namespaces, and all links between them; those of containers are left to the engine, where there is one. What the
 * kernel does not have is told: its stations stay empty.
 */
export function makeNetworks(names: LabNames): string[] {
  const stations = ALL_STATIONS.filter((station) => !(hasEngine(names) && isContainer(station)))
  run(
    names,
    ['ip', '-batch', '-'],
    stations.map((station) => `netns add ${netnsOf(names, station)}\n`).join(''),
  )
  for (const station of stations) {
    // Where there is no IPv6 there is nothing to turn off.
    attempt(() =>
      set(names, station, { 'ipv6/conf/all/disable_ipv6': 1, 'ipv6/conf/default/disable_ipv6': 1 }),
    )
    apply(names, { [station]: [up('lo')] })
  }
  apply(names, LINKS)
  if (!hasEngine(names)) apply(names, BRIDGES)
  const missing = [
    ...optional('VXLAN, for the overlay network', () => apply(names, OVERLAY)),
    ...optional('macvlan', () => apply(names, MACVLAN)),
  ]
  return missing
}

function optional(what: string, action: () => void): string[] {
  try {
    action()
    return []
  } catch {
    return [`this kernel has no ${what}: its scenario is left out`]
  }
}

/** Sets again all that can be set wrongly: sizes, routes, settings. */
export function setNetworks(names: LabNames): void {
  attempt(() => apply(names, STRAY_ROUTES))
  apply(names, ROUTES)
  attempt(() => apply(names, { macvlan1: ['route replace default via 192.168.78.1'] }))
  for (const station of ALL_STATIONS) {
    const forwards = ['host', 'host2', 'router'].includes(station)
    set(names, station, {
      'ipv4/ip_forward': forwards ? 1 : 0,
      'ipv4/ip_default_ttl': 64,
      'ipv4/conf/all/rp_filter': 0,
      'ipv4/conf/default/rp_filter': 0,
      'ipv4/conf/lo/rp_filter': 0,
    })
    attempt(() => set(names, station, { 'ipv4/conf/eth0/rp_filter': 0 }))
    // Where the kernel has bridges ask the packet filter, which is for each namespace to say since Linux 5.3.
    attempt(() => set(names, station, { 'bridge/bridge-nf-call-iptables': 0 }))
  }
}

/** Writes settings of /proc/sys/net in a station. */
export function set(names: LabNames, station: Station, settings: Record<string, number>): void {
  inNetworkNamespace(netnsPathOf(names, station), () => {
    for (const [path, value] of Object.entries(settings))
      writeFileSync(`/proc/sys/net/${path}`, String(value))
  })
}

/** Runs commands of `ip` in the stations, one process a station. */
export function apply(names: LabNames, commands: Commands): void {
  for (const [station, lines] of Object.entries(commands)) {
    const text = lines.map((line) => line.replace(/\{(\w+)\}/g, (_, other: Station) => netnsOf(names, other)))
    run(names, ['ip', '-n', netnsOf(names, station as Station), '-batch', '-'], `${text.join('\n')}\n`)
  }
}
