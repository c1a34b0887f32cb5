/** What can be seen of a container's traffic, and where: one sentence for each way of being connected. */

import type { ContainerInterface, NetworkMode } from './topology.ts'

/** Also for a container that is stopped, or that only the engine could be asked about. */
export function seesSentence(
  mode: NetworkMode,
  interfaces: readonly ContainerInterface[],
  {
    isRunning,
    isReadable,
    sharesNetworkWith,
    isHostNetwork,
  }: {
    isRunning: boolean
    /** Its network namespace could be looked into. */
    isReadable: boolean
    sharesNetworkWith: string | null
    isHostNetwork: boolean
  },
): string {
  if (!isRunning) return 'It does not run: there is nothing to see until it is started.'
  if (isHostNetwork)
    return "It uses the host's interfaces: no veth, no NAT; its frames are on the uplink, those to the host itself on lo."
  if (mode === 'host' && interfaces.length > 0)
    return 'It uses the network of the host that its engine is on: not the one that this program runs in.'
  if (mode === 'container')
    return `It shares the network of ${sharesNetworkWith ?? 'another container'}: the same frames are seen for both.`
  if (interfaces.length === 0 && !isReadable)
    return 'Only root may look into its network: nothing is known of what can be seen there.'
  if (interfaces.length === 0)
    return 'It has no network: only what it says to itself is seen, on lo inside of it.'
  return [...new Set(interfaces.map(sentenceFor))].join(' ')
}

function sentenceFor({ name, kind, driver, peer, parent, overlay }: ContainerInterface): string {
  if (overlay)
    return `Through an overlay network: seen at ${name}, the bridge and the VXLAN device in the overlay's namespace, and encapsulated on the uplink.`
  if (kind === 'macvlan' || kind === 'ipvlan' || driver === 'macvlan' || driver === 'ipvlan') {
    const where = parent ? parent.interfaceName : 'the parent interface'
    return `Directly on ${where}: no bridge, and no NAT by the host.`
  }
  if (peer?.bridge)
    return `Seen at ${name}, its veth ${peer.interfaceName}, the bridge ${peer.bridge} and, translated, on the uplink.`
  if (peer) return `Seen at ${name} and its other end ${peer.interfaceName}${ownerOf(peer.owner)}.`
  if (driver === 'bridge')
    return 'Through a bridge: seen in the container, at its veth, the bridge and, translated, on the uplink.'
  if (driver === 'overlay')
    return "Through an overlay network: seen in the container, in the overlay's namespace, and encapsulated on the uplink."
  return `Seen at ${name === '?' ? 'its interface' : name}; where its frames go from there is not known.`
}

function ownerOf(owner: string): string {
  return owner === 'host' ? ' on the host' : ` in ${owner}`
}
