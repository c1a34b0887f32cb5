/** The state of a namespace's network: interfaces, queues, routes, neighbours and listeners, as `ip -j`, `tc -j` and /proc tell them. */

import { isIP } from 'node:net'
import { addressText } from '../capture/address-bytes.ts'
import { type Fields, fieldsOf, integerOf, listOf, textOf, textsOf } from '../topology/foreign.ts'
import { parseList } from '../topology/links.ts'
import { type Counters, movedCounters } from './counters.ts'
import type { InterfaceReceipt, Listener, NeighbourReceipt, RouteReceipt } from './model.ts'

const MAX_INTERFACES = 64
const MAX_ROUTES = 200
const MAX_NEIGHBOURS = 128
const MAX_LISTENERS = 256
/** What counts packets that got lost, in `ip -s -s link`; the others count those that did not. */
const ORDINARY_LINK = new Set([
  'bytes',
  'packets',
  'multicast',
  'compressed',
  'carrier_changes',
  'collisions',
])
const LOCAL_TYPES = new Set(['local', 'broadcast', 'anycast', 'multicast'])
/** Neighbours in these states don't answer. */
const SILENT = ['FAILED', 'INCOMPLETE']

/** An interface at one moment. */
export interface LinkState {
  readonly fields: Omit<
    InterfaceReceipt,
    'counters' | 'queues' | 'rpFilter' | 'forwarding4' | 'forwarding6' | 'routeLocalnet'
  >
  /** `link rx_dropped` → count. */
  readonly counters: Counters
  /** Whether it has a queue that may drop. */
  readonly hasQueue: boolean
}

/** What `ip -j -s -s -d addr` printed, by index; null where that is no JSON. */
export function parseLinkStates(json: string): Map<number, LinkState> | null {
  const entries = parseList(json)
  if (entries === null) return null
  const links = new Map<number, LinkState>()
  for (const entry of entries) {
    const fields = fieldsOf(entry)
    const index = integerOf(fields.ifindex, 0x7fff_ffff)
    const name = textOf(fields.ifname)
    if (index === null || name === null) continue
    const addresses = listOf(fields.addr_info).flatMap((one) => {
      const { local, prefixlen } = fieldsOf(one)
      return typeof local === 'string' && isIP(local) !== 0
        ? `${local}/${integerOf(prefixlen, 128) ?? ''}`
        : []
    })
    links.set(index, {
      fields: {
        name,
        index,
        kind: textOf(fieldsOf(fields.linkinfo).info_kind) ?? textOf(fields.link_type) ?? 'unknown',
        isUp: textsOf(fields.flags).includes('UP'),
        mtu: integerOf(fields.mtu),
        mac: textOf(fields.address),
        master: textOf(fields.master),
        addresses,
      },
      counters: linkCounters(fieldsOf(fields.stats64 ?? fields.stats)),
      hasQueue: !['noqueue', 'noop'].includes(textOf(fields.qdisc) ?? 'noqueue'),
    })
  }
  return links
}

function linkCounters(statistics: Fields): Counters {
  const counters = new Map<string, number>()
  for (const direction of ['rx', 'tx'])
    for (const [name, value] of Object.entries(fieldsOf(statistics[direction]))) {
      const count = integerOf(value)
      if (count !== null && !ORDINARY_LINK.has(name)) counters.set(`link ${direction}_${name}`, count)
    }
  return counters
}

/** What `tc -s -j qdisc` printed: drops of each interface's queues, `qdisc fq_codel` → count; null where that is no JSON. */
export function parseQueues(json: string): Map<string, Counters> | null {
  const entries = parseList(json)
  if (entries === null) return null
  const queues = new Map<string, Map<string, number>>()
  for (const entry of entries) {
    const { dev, kind, drops } = fieldsOf(entry)
    const count = integerOf(drops)
    if (typeof dev !== 'string' || typeof kind !== 'string' || count === null) continue
    const counters = queues.get(dev) ?? new Map<string, number>()
    queues.set(dev, counters.set(`qdisc ${kind}`, (counters.get(`qdisc ${kind}`) ?? 0) + count))
  }
  return queues
}

/** The interfaces with what moved: those of `captured` first, then those that lost packets, then the others. */
export function compareLinks(
  before: { links: ReadonlyMap<number, LinkState>; queues: ReadonlyMap<string, Counters> },
  after: typeof before,
  captured: readonly string[],
  settingsOf: (
    name: string,
  ) => Pick<InterfaceReceipt, 'rpFilter' | 'forwarding4' | 'forwarding6' | 'routeLocalnet'>,
): InterfaceReceipt[] {
  const all = [...after.links].map(([index, { fields, counters }]) => {
    const earlier = before.links.get(index)
    const queues = after.queues.get(fields.name) ?? new Map()
    const mtuBefore = earlier?.fields.mtu
    return {
      ...fields,
      ...(typeof mtuBefore === 'number' && mtuBefore !== fields.mtu ? { mtuBefore } : {}),
      counters: earlier === undefined ? [] : movedCounters(earlier.counters, counters),
      queues: earlier === undefined ? [] : movedCounters(before.queues.get(fields.name) ?? new Map(), queues),
    }
  })
  const rank = ({ name, counters, queues, isUp }: (typeof all)[number]) =>
    captured.includes(name) ? 0 : counters.length + queues.length > 0 ? 1 : isUp ? 2 : 3
  return all
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, MAX_INTERFACES)
    .map((link) => ({ ...link, ...settingsOf(link.name) }))
}

/** What `ip -j -d route show table all` printed, default routes first. */
export function parseRoutes(json: string, family: 'ip' | 'ip6'): RouteReceipt[] {
  const routes = (parseList(json) ?? []).flatMap((entry): RouteReceipt[] => {
    const route = fieldsOf(entry)
    const destination = textOf(route.dst)
    const type = textOf(route.type) ?? 'unicast'
    if (destination === null || LOCAL_TYPES.has(type) || /^ff|^fe80:/.test(destination)) return []
    const hops = route.nexthops === undefined ? [route] : listOf(route.nexthops).map(fieldsOf)
    return hops.map((hop) => ({
      destination,
      family,
      table: textOf(route.table) ?? 'main',
      type,
      gateway: textOf(hop.gateway) ?? textOf(fieldsOf(hop.via).host),
      interfaceName: textOf(hop.dev),
      metric: integerOf(route.metric),
      source: textOf(route.prefsrc),
      mtu: integerOf(fieldsOf(listOf(route.metrics)[0]).mtu),
    }))
  })
  const isDefault = ({ destination }: RouteReceipt) => Number(destination !== 'default')
  return routes.sort((a, b) => isDefault(a) - isDefault(b)).slice(0, MAX_ROUTES)
}

/** What `ip -j neigh` printed, those that don't answer first. */
export function parseNeighbours(json: string): NeighbourReceipt[] {
  const neighbours = (parseList(json) ?? []).flatMap((entry): NeighbourReceipt[] => {
    const { dst, dev, lladdr, state } = fieldsOf(entry)
    const [word] = textsOf(state)
    if (typeof dst !== 'string' || typeof dev !== 'string' || isIP(dst) === 0 || word === undefined) return []
    return word === 'NOARP' ? [] : [{ ip: dst, interfaceName: dev, mac: textOf(lladdr), state: word }]
  })
  const isSilent = ({ state }: NeighbourReceipt) => Number(!SILENT.includes(state))
  return neighbours.sort((a, b) => isSilent(a) - isSilent(b)).slice(0, MAX_NEIGHBOURS)
}

/** Sockets in LISTEN, of UDP those without a peer: state 0A and 07 in `/proc/net/tcp` and the like. */
export function parseListeners(text: string, protocol: Listener['protocol']): Listener[] {
  const wanted = protocol === 'tcp' ? '0A' : '07'
  const listeners = new Map<string, Listener>()
  for (const [, address = '', port = '', peer = '', state] of text.matchAll(
    /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+:[0-9A-F]{4}) ([0-9A-F]{2}) /gm,
  )) {
    if (state !== wanted || /[1-9A-F]/.test(peer)) continue
    const listener = { protocol, ip: hexAddress(address), port: Number.parseInt(port, 16) }
    listeners.set(`${listener.ip} ${port}`, listener)
    if (listeners.size >= MAX_LISTENERS) break
  }
  return [...listeners.values()]
}

/** `0100007F` → `127.0.0.1`; 32 digits → IPv6: words of 32 bits in the byte order of the machine. */
function hexAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => {
    const four = (word.match(/../g) ?? []).map((two) => Number.parseInt(two, 16))
    return LITTLE_ENDIAN ? four.reverse() : four
  })
  return addressText(Uint8Array.from(bytes))
}

const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1
