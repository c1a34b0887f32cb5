/** Capture places: where the frames of these containers can be captured, client side first, each place once. */

import type { CapturePlace } from '../capture/live/place.ts'
import type { Container, ContainerInterface, Place, Topology } from './topology.ts'

const MAX_NAME_CHARACTERS = 60
/** Leaves room for what stands behind a container's name. */
const MAX_CONTAINER_CHARACTERS = 30

/** A place, and the names that it may have: the first one that is free. */
type Candidate = Omit<CapturePlace, 'name' | 'next'> & {
  readonly names: readonly string[]
  readonly next?: Interface | undefined
}

/** An interface that is a place as well, perhaps. */
type Interface = Pick<CapturePlace, 'netns' | 'interfaceName'>

/**
 * The places on the way of these containers' packets. One container: `container`, `veth`, `bridge`, `uplink` and the
 * like; several: their names and `NAME.veth`, and what they share once. Containers that do not run have none.
 */
export function capturePlaces(
  { host }: Topology,
  containers: readonly Container[],
  { areSeveral = haveSeveralNamespaces(containers), held }: Naming = {},
): CapturePlace[] {
  const running = onePerNamespace(containers)
  const [uplink] = host.uplinks
  const out = uplink && { netns: null, interfaceName: uplink.interfaceName }
  const candidates = [
    ...running.flatMap((group) => insidePlaces(group, areSeveral, held !== undefined)),
    ...overlayPlaces(running, out),
    ...bridgePlaces(running, out, areSeveral),
    ...uplinkPlaces(running, host),
    ...parentPlaces(running),
    ...(running.some(([{ netnsPath }]) => netnsPath === null) ? [LOOPBACK] : []),
  ]
  const places = new Map<string, Candidate & { name: string }>()
  // The name of one that has gone is free: it may be back somewhere else.
  const taken = new Set(candidates.flatMap((place) => held?.get(placeKey(place)) ?? []))
  for (const candidate of candidates) {
    const key = placeKey(candidate)
    if (places.has(key)) continue
    const name = held?.get(key) ?? freeName(candidate.names.map(harmlessName), taken)
    taken.add(name)
    places.set(key, { name, ...candidate })
  }
  return [...places.values()].map(({ names: _, next, ...place }) => {
    const behind = next && places.get(placeKey(next))?.name
    return behind === undefined ? place : { ...place, next: behind }
  })
}

/** What must not change while containers come and go. */
export interface Naming {
  /** Whether places carry the names of containers. */
  readonly areSeveral?: boolean
  /** Names that are given already, by `placeKey`, where places are looked for again. */
  readonly held?: ReadonlyMap<string, string>
}

/** The same for the same interface. */
export function placeKey({ netns, interfaceName }: Interface): string {
  return `${netns ?? ''}\n${interfaceName}`
}

/** Whether the places of these containers carry the containers' names, where nothing else is said. */
export function haveSeveralNamespaces(containers: readonly Container[]): boolean {
  return onePerNamespace(containers).length > 1
}

/** Containers that have the same network namespace. */
type Group = readonly [Container, ...Container[]]

const LOOPBACK: Candidate = {
  names: ['lo'],
  netns: null,
  interfaceName: 'lo',
  description: 'lo of the host',
  hardware: 'loopback',
}

function onePerNamespace(containers: readonly Container[]): Group[] {
  const groups = new Map<string, [Container, ...Container[]]>()
  for (const container of containers) {
    const { netns, netnsPath, mode, pid } = container
    if (netnsPath === null && (mode !== 'host' || pid === null)) continue
    const key = netnsPath === null ? 'host' : String(netns ?? netnsPath)
    const group = groups.get(key)
    if (!group) groups.set(key, [container])
    // It goes by the name of the one that the others share it with.
    else if (mode === 'container' || group[0].mode !== 'container') group.push(container)
    else group.unshift(container)
  }
  return [...groups.values()]
}

/** Its interfaces, each with the other end of its cable; the overlay's first, which other containers are reached by. */
function insidePlaces(group: Group, hasNames: boolean, isAgain: boolean): Candidate[] {
  const [{ name, netnsPath, id, image, mode }] = group
  if (netnsPath === null) return []
  const title = group.map((container) => container.name).join(', ')
  const whose = image === null ? `of ${title}` : `of container ${title}`
  const inside = hasNames ? name.slice(0, MAX_CONTAINER_CHARACTERS) : 'container'
  const common = { netns: netnsPath, container: id }
  const interfaces = interfacesOf(group).sort(
    (a, b) => Number(b.overlay !== null) - Number(a.overlay !== null),
  )
  // Between two networks, its lo must not take the name of the interface that will be back.
  if (interfaces.length === 0 && isAgain && image !== null && mode !== 'none') return []
  if (interfaces.length === 0)
    return [
      { ...common, names: [inside], interfaceName: 'lo', description: `lo ${whose}`, hardware: 'loopback' },
    ]
  return interfaces.flatMap(({ name: own, kind, peer, parent, overlay }) => {
    const below = peer ?? parent
    const next = below ? { netns: below.netnsPath, interfaceName: below.interfaceName } : undefined
    const names = [inside, `${inside}.${own}`]
    const places: Candidate[] = [
      { ...common, names, interfaceName: own, description: `${own} ${whose}`, hardware: kind, next },
    ]
    if (peer) {
      const word = overlay ? 'overlay-veth' : 'veth'
      const end = hasNames ? `${inside}.${word}` : word
      places.push({
        netns: peer.netnsPath,
        container: id,
        names: [end, `${end}.${own}`],
        interfaceName: peer.interfaceName,
        description: `${peer.interfaceName}, other end of ${own} ${whose}`,
        hardware: peer.kind,
        next: peer.bridge === null ? undefined : { netns: peer.netnsPath, interfaceName: peer.bridge },
      })
    }
    return places
  })
}

function overlayPlaces(groups: readonly Group[], out: Interface | undefined): Candidate[] {
  return groups.flatMap(interfacesOf).flatMap(({ overlay, network }) => {
    if (!overlay) return []
    const { netnsPath, bridge, vxlan, vni } = overlay
    const places: Candidate[] = [
      {
        netns: netnsPath,
        names: namesFor('overlay', network, false),
        interfaceName: bridge,
        description: `${bridge}, bridge of overlay network ${network}`,
        hardware: 'bridge',
        next: vxlan === null ? undefined : { netns: netnsPath, interfaceName: vxlan },
      },
    ]
    if (vxlan !== null)
      places.push({
        netns: netnsPath,
        names: namesFor('vxlan', network, false),
        interfaceName: vxlan,
        description: `${vxlan}, VXLAN${vni === null ? '' : ` ${vni}`} of overlay network ${network}`,
        hardware: 'vxlan',
        next: out,
      })
    return places
  })
}

/** Of several containers with several bridges, each bridge carries its network's name. */
function bridgePlaces(
  groups: readonly Group[],
  out: Interface | undefined,
  areSeveral: boolean,
): Candidate[] {
  const bridged = groups
    .flatMap(interfacesOf)
    .flatMap(({ peer, overlay, network }) =>
      peer?.bridge && !overlay ? { ...peer, bridge: peer.bridge, network } : [],
    )
  const keys = new Set(bridged.map(({ netnsPath, bridge }) => `${netnsPath} ${bridge}`))
  const areNamed = areSeveral && keys.size > 1
  return bridged.map(({ netnsPath, bridge, network }) => ({
    netns: netnsPath,
    names: namesFor('bridge', network ?? bridge, areNamed),
    interfaceName: bridge,
    description: network === null ? `${bridge}, bridge` : `${bridge}, bridge of network ${network}`,
    hardware: 'bridge',
    next: out,
  }))
}

/** Where their packets leave the host: not for those that are on a parent interface, or have no network. */
function uplinkPlaces(groups: readonly Group[], { uplinks, links, hostname }: Topology['host']): Candidate[] {
  const isUsed = groups.some(
    (group) => group[0].netnsPath === null || interfacesOf(group).some(({ kind }) => !isOnParent(kind)),
  )
  if (!isUsed) return []
  return uplinks.map(({ interfaceName }) => ({
    netns: null,
    names: ['uplink', `uplink.${interfaceName}`],
    interfaceName,
    description: `${interfaceName}, uplink of ${hostname}`,
    hardware: links.find(({ name }) => name === interfaceName)?.kind ?? 'ether',
  }))
}

function parentPlaces(groups: readonly Group[]): Candidate[] {
  const parents = groups
    .flatMap(interfacesOf)
    .flatMap(({ parent, name }) => (parent ? { ...parent, above: name } : []))
  return parents.map(({ netnsPath, interfaceName, kind, above }: Place & { above: string }) => ({
    netns: netnsPath,
    names: ['parent', `parent.${interfaceName}`],
    interfaceName,
    description: `${interfaceName}, parent of ${above}`,
    hardware: kind,
  }))
}

function interfacesOf([{ interfaces }]: Group): ContainerInterface[] {
  return interfaces.filter(({ index, isUp }) => index !== null && isUp)
}

function isOnParent(kind: string): boolean {
  return kind.startsWith('macv') || kind.startsWith('ipv')
}

function namesFor(word: string, network: string | null, isNamed: boolean): string[] {
  const named = network === null ? [] : [`${word}.${network}`]
  return isNamed ? named : [word, ...named]
}

/** What a point may be called anywhere: on a command line, in a file name, on a terminal. */
function harmlessName(name: string): string {
  return name.replace(/[^A-Za-z0-9._:-]/g, '_').slice(0, MAX_NAME_CHARACTERS) || 'point'
}

function freeName(names: readonly string[], taken: ReadonlySet<string>): string {
  const free = names.find((name) => !taken.has(name))
  if (free !== undefined) return free
  const base = (names.at(-1) ?? 'point').slice(0, MAX_NAME_CHARACTERS - 5)
  for (let i = 2; ; i++) if (!taken.has(`${base}.${i}`)) return `${base}.${i}`
}
