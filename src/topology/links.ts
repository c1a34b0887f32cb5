/** Links: interfaces, addresses and default routes of a network namespace, as `ip -j` tells them inside of it. */

import { isIP } from 'node:net'
import { fieldsOf, integerOf, listOf, textOf, textsOf } from './foreign.ts'
import { type Outcome, runIn } from './programs.ts'
import type { Address, Link, Uplink } from './topology.ts'

export interface NamespaceLinks {
  readonly links: readonly Link[]
  /** Interfaces of the default routes, best metric first, each once. */
  readonly uplinks: readonly Uplink[]
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it is about
const CONTROL = /[\x00-\x09\x0b-\x1f]/g

/** Reads the namespace at `netnsPath` (null: the own one); in place of that, why it cannot be read. */
export async function readLinks(netnsPath: string | null): Promise<NamespaceLinks | string> {
  const [links, routes, routes6] = await Promise.all([
    runIn(netnsPath, 'ip', '-j', '-d', 'addr'),
    runIn(netnsPath, 'ip', '-j', 'route'),
    runIn(netnsPath, 'ip', '-j', '-6', 'route'),
  ])
  if (!links.ok)
    return links.missing ? 'ip or nsenter is not installed (packages iproute2, util-linux)' : links.why
  const parsed = parseLinks(links.stdout)
  if (parsed === null) return 'ip does not answer with JSON: iproute2 must be 4.14 or newer'
  return { links: parsed, uplinks: parseUplinks(outputOf(routes), outputOf(routes6)) }
}

function outputOf(outcome: Outcome): string {
  return outcome.ok ? outcome.stdout : ''
}

/** What `ip -j -d addr` printed; null where that is no JSON. */
export function parseLinks(json: string): Link[] | null {
  const entries = parseList(json)
  if (entries === null) return null
  const names = new Map<string, number>()
  for (const entry of entries) {
    const { ifname, ifindex } = fieldsOf(entry)
    const index = integerOf(ifindex)
    if (typeof ifname === 'string' && index !== null) names.set(ifname, index)
  }
  return entries.flatMap((entry) => {
    const fields = fieldsOf(entry)
    const index = integerOf(fields.ifindex, 0x7fff_ffff)
    const name = textOf(fields.ifname)
    if (!index || name === null || name.length > 15) return []
    const linkInfo = fieldsOf(fields.linkinfo)
    // An other end in the same namespace is told by its name.
    const inside = textOf(fields.link)
    return {
      index,
      name,
      kind: textOf(linkInfo.info_kind) ?? textOf(fields.link_type) ?? 'unknown',
      mac: textOf(fields.address),
      mtu: integerOf(fields.mtu),
      isUp: textsOf(fields.flags).includes('UP'),
      addresses: listOf(fields.addr_info).flatMap(addressOf),
      master: textOf(fields.master),
      linkIndex: integerOf(fields.link_index) ?? (inside === null ? null : (names.get(inside) ?? null)),
      linkNetnsId: integerOf(fields.link_netnsid),
      vni: integerOf(fieldsOf(linkInfo.info_data).id),
    }
  })
}

/** The interfaces of the default routes in what `ip -j route` and `ip -j -6 route` printed. */
export function parseUplinks(routes: string, routes6: string): Uplink[] {
  const hops = [routes, routes6].flatMap((json) => (parseList(json) ?? []).flatMap(defaultHops))
  hops.sort((a, b) => a.metric - b.metric)
  const gateways = new Map<string, Set<string>>()
  for (const { dev, gateway } of hops) {
    const known = gateways.get(dev) ?? new Set()
    if (gateway !== null) known.add(gateway)
    gateways.set(dev, known)
  }
  return [...gateways].map(([interfaceName, known]) => ({
    interfaceName,
    gateways: [...known].sort((a, b) => isIP(a) - isIP(b)),
  }))
}

function defaultHops(entry: unknown): { dev: string; gateway: string | null; metric: number }[] {
  const route = fieldsOf(entry)
  if (route.dst !== 'default' || textsOf(route.flags).includes('dead')) return []
  const metric = integerOf(route.metric) ?? 0
  const hops = route.nexthops === undefined ? [route] : listOf(route.nexthops).map(fieldsOf)
  return hops.flatMap((hop) => {
    const dev = textOf(hop.dev)
    const gateway = textOf(hop.gateway) ?? textOf(fieldsOf(hop.via).host)
    return dev === null || dev === 'lo' ? [] : { dev, gateway, metric }
  })
}

function addressOf(entry: unknown): Address[] {
  const fields = fieldsOf(entry)
  const ip = textOf(fields.local)
  const prefixLength = integerOf(fields.prefixlen, 128)
  return ip !== null && isIP(ip) !== 0 && prefixLength !== null ? [{ ip, prefixLength }] : []
}

/** What `ip -j` printed, which is nothing at all where there is nothing to tell; null where it is no JSON. */
export function parseList(json: string): readonly unknown[] | null {
  if (json.trim() === '') return []
  try {
    // An interface may have any bytes in its name, and `ip` prints them as they are.
    const value: unknown = JSON.parse(json.replace(CONTROL, escaped))
    return Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
