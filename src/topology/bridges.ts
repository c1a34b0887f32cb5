/** Bridges: which of the host's carries which of the engine's networks. */

import type { EngineNetwork } from './docker-objects.ts'
import type { Link } from './topology.ts'

/** The networks with the bridge that is there: engines name theirs each in their own way, but all give it the gateway. */
export function withBridges(networks: readonly EngineNetwork[], links: readonly Link[]): EngineNetwork[] {
  const bridges = links.filter(({ kind }) => kind === 'bridge')
  return networks.map((network) => {
    const { driver, bridge, gateways } = network
    if (driver !== 'bridge' || bridges.some(({ name }) => name === bridge)) return network
    const found = bridges.find(({ addresses }) => addresses.some(({ ip }) => gateways.includes(ip)))
    return found ? { ...network, bridge: found.name } : network
  })
}
