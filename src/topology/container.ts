/** A container: what the engine says of it, joined with what its network namespace and the host's show. */

import { readFile } from 'node:fs/promises'
import type { Endpoint, EngineNetwork } from './docker-objects.ts'
import type { Inodes } from './namespaces.ts'
import type { Found, PeerFinder, Scan } from './peers.ts'
import { type Subject, sharerOf } from './subjects.ts'
import type { ContainerInterface, Link, NetworkMode, Overlay, Peer } from './topology.ts'

/** A subject with what was found in its namespaces. */
export interface Seen {
  readonly subject: Subject
  /** Its namespaces; null where it does not run. */
  readonly inodes: Inodes | null
  /** Its network namespace; null where that cannot be entered. */
  readonly scan: Scan | null
}

/** Kinds of interface that lie on another one. */
const STACKED = ['macvlan', 'macvtap', 'ipvlan', 'ipvtap', 'vlan']
/** What Docker and Podman call the network that a container is in if nothing is said. */
const DEFAULT_NETWORKS = ['bridge', 'podman']

/** How it is connected: the engine's own words, and the drivers of its networks. */
export function networkModeOf(subject: Subject, networks: readonly EngineNetwork[]): NetworkMode {
  const { networkMode, endpoints } = subject
  if (networkMode === null) return 'namespace'
  if (networkMode === 'host' || networkMode === 'none') return networkMode
  if (networkMode.startsWith('container:')) return 'container'
  // It may have left the network that it was started in.
  const named = endpoints.find(({ network, networkId }) => [network, networkId].includes(networkMode))
  const endpoint = named ?? endpoints[0]
  const network = endpoint && networkOf(endpoint, networks)
  if (network === undefined)
    return networkMode === 'default' || DEFAULT_NETWORKS.includes(networkMode) ? 'bridge' : 'other'
  if (network.driver === 'bridge') return DEFAULT_NETWORKS.includes(network.name) ? 'bridge' : 'user-defined'
  if (network.driver === 'host') return 'host'
  if (network.driver === 'null') return 'none'
  const { driver } = network
  return driver === 'macvlan' || driver === 'ipvlan' || driver === 'overlay' ? driver : 'other'
}

/** Its interfaces without `lo`, each with its other end; the one of the default route first. */
export async function interfacesOf(
  { subject, scan }: Seen,
  networks: readonly EngineNetwork[],
  finder: PeerFinder,
): Promise<ContainerInterface[]> {
  if (scan === null)
    return subject.endpoints.filter(isSetUp).map((one) => toldInterface(subject, one, networks))
  const rank = (link: Link) => {
    const place = scan.uplinks.findIndex(({ interfaceName }) => interfaceName === link.name)
    return place < 0 ? scan.uplinks.length : place
  }
  // The kernel makes these unasked in each new namespace: sit0, tunl0 and the like, down and without an address.
  const links = scan.links.filter(
    ({ kind, isUp, addresses }) => kind !== 'loopback' && (isUp || addresses.length > 0 || kind === 'veth'),
  )
  links.sort((a, b) => rank(a) - rank(b) || a.index - b.index)
  return Promise.all(
    links.map(async (link) => {
      const endpoint = subject.endpoints.find((one) => isOf(one, link))
      const network = endpoint && networkOf(endpoint, networks)
      const peer = link.kind === 'veth' ? peerFrom(await finder.peerOf(link, scan)) : null
      const parent = STACKED.includes(link.kind) ? await finder.parentOf(link, scan) : null
      const uplink = scan.uplinks.find(({ interfaceName }) => interfaceName === link.name)
      return {
        name: link.name,
        index: link.index,
        kind: link.kind,
        mac: link.mac,
        mtu: link.mtu,
        isUp: link.isUp,
        addresses: link.addresses.filter(({ ip }) => !ip.startsWith('fe80:')),
        gateways: uplink?.gateways ?? endpoint?.gateways ?? [],
        network: endpoint?.network ?? null,
        driver: network?.driver ?? null,
        dnsNames: endpoint ? dnsNamesOf(subject, endpoint) : [],
        peer: peer?.place ?? null,
        parent: parent && placeOf(parent),
        overlay: peer?.overlay ?? null,
      }
    }),
  )
}

/**
 * False where the engine's PID means another process here: none of the container's addresses is in its namespace. What
 * has no address, and an engine that may be on another machine, has to have the container's id in its cgroup.
 */
export async function isItsNamespace(subject: Subject, links: readonly Link[]): Promise<boolean> {
  const known = subject.endpoints.filter(isSetUp)
  if (known.length > 0) return known.some((endpoint) => links.some((link) => isOf(endpoint, link)))
  if (!subject.isFar) return true
  const cgroups = await readFile(`/proc/${subject.pid}/cgroup`, 'utf8').catch(() => '')
  return cgroups.includes(subject.id)
}

function isSetUp({ addresses, mac }: Endpoint): boolean {
  return addresses.length > 0 || mac !== null
}

function networkOf(endpoint: Endpoint, networks: readonly EngineNetwork[]): EngineNetwork | undefined {
  return (
    networks.find(({ id }) => id === endpoint.networkId) ??
    networks.find(({ name }) => name === endpoint.network)
  )
}

/** By address first: ipvlan gives all its interfaces the MAC address of their parent. */
function isOf({ addresses, mac }: Endpoint, link: Link): boolean {
  if (addresses.length > 0) return link.addresses.some(({ ip }) => addresses.includes(ip))
  return mac !== null && link.mac?.toLowerCase() === mac
}

/** Docker's DNS knows containers by name as well, but not on the network that all are in if nothing is said. */
function dnsNamesOf({ name, networkMode }: Subject, { network, dnsNames }: Endpoint): readonly string[] {
  if (DEFAULT_NETWORKS.includes(network) || sharerOf(networkMode) !== null) return dnsNames
  return [...new Set([name, ...dnsNames])]
}

function toldInterface(
  subject: Subject,
  endpoint: Endpoint,
  networks: readonly EngineNetwork[],
): ContainerInterface {
  return {
    name: '?',
    index: null,
    kind: 'unknown',
    mac: endpoint.mac,
    mtu: null,
    isUp: true,
    addresses: endpoint.addresses.map((ip, i) => ({ ip, prefixLength: endpoint.prefixLengths[i]! })),
    gateways: endpoint.gateways,
    network: endpoint.network,
    driver: networkOf(endpoint, networks)?.driver ?? null,
    dnsNames: dnsNamesOf(subject, endpoint),
    peer: null,
    parent: null,
    overlay: null,
  }
}

function placeOf({ scan, link }: Found) {
  return { netnsPath: scan.path, interfaceName: link.name, index: link.index, kind: link.kind }
}

function peerFrom(found: Found | null): { place: Peer; overlay: Overlay | null } | null {
  if (found === null) return null
  const { scan, link } = found
  const bridge = scan.links.find(({ name, kind }) => name === link.master && kind === 'bridge')
  return {
    place: { ...placeOf(found), owner: scan.owner, bridge: bridge?.name ?? null },
    overlay: bridge ? overlayOf(scan, bridge) : null,
  }
}

/** A bridge in a namespace that is not the host's, with a VXLAN device on it, is that of an overlay network. */
function overlayOf(scan: Scan, bridge: Link): Overlay | null {
  const vxlan = scan.links.find(({ kind, master }) => kind === 'vxlan' && master === bridge.name)
  if (scan.path === null || (!vxlan && scan.owner !== 'overlay')) return null
  return { netnsPath: scan.path, bridge: bridge.name, vxlan: vxlan?.name ?? null, vni: vxlan?.vni ?? null }
}
