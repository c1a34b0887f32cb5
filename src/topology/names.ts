/** Names of addresses: what an IP address of this host is called by those who run its containers. */

import type { Topology } from './topology.ts'

/** IP address → container, bridge or host name. An address that two containers claim has no name. Foreign text. */
export function addressNames({ host, containers, known }: Topology): Map<string, string> {
  const names = new Map<string, string>()
  for (const { interfaceName } of host.uplinks)
    for (const { ip } of host.links.find(({ name }) => name === interfaceName)?.addresses ?? [])
      if (!isLinkLocal(ip)) names.set(ip, host.hostname)
  for (const { kind, name, addresses } of host.links)
    if (kind === 'bridge')
      for (const { ip } of addresses) if (!isLinkLocal(ip) && !names.has(ip)) names.set(ip, name)
  for (const { ip, name } of known.flatMap(({ gateways }) => gateways))
    if (!names.has(ip)) names.set(ip, name)

  const owners = new Map<string, Set<string>>()
  const claim = (ip: string, name: string) => owners.set(ip, (owners.get(ip) ?? new Set()).add(name))
  for (const { name, addresses } of known) for (const ip of addresses) claim(ip, name)
  for (const { name, sharesNetworkWith, interfaces } of containers)
    if (sharesNetworkWith === null)
      for (const { ip } of interfaces.flatMap(({ addresses }) => addresses)) claim(ip, name)
  for (const [ip, claimants] of owners)
    if (claimants.size === 1 && !names.has(ip)) names.set(ip, [...claimants][0]!)
  return names
}

function isLinkLocal(ip: string): boolean {
  return ip.startsWith('fe80:') || ip.startsWith('127.') || ip === '::1'
}
