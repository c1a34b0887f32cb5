/** Discovery: asks the engine, the namespaces and the packet filter, and joins their answers to a `Topology`. */

import { dirname } from 'node:path'
import { displayText } from '../capture/display-text.ts'
import { withBridges } from './bridges.ts'
import { interfacesOf, isItsNamespace, networkModeOf, type Seen } from './container.ts'
import { connectEngine, type DockerApi, EngineError } from './docker-api.ts'
import { type EngineNetwork, type ListedContainer, listContainers, listNetworks } from './docker-objects.ts'
import { readHost } from './host.ts'
import { readLinks } from './links.ts'
import { findContainer } from './lookup.ts'
import { type Inodes, NAMESPACE_KINDS, namespaceInode, namespacesOf } from './namespaces.ts'
import { PeerFinder } from './peers.ts'
import { readRules } from './rule-sets.ts'
import { concernOf, type RuleSet, rulesFor } from './rules.ts'
import { seesSentence } from './sees.ts'
import { containerSubject, namespaceSubject, processSubject, type Subject, sharerOf } from './subjects.ts'
import type { Container, KnownContainer, Namespace, Topology } from './topology.ts'

export interface DiscoverOptions {
  /** Names, ids or beginnings of either. With neither these nor `pids` nor `netns`: all containers. */
  readonly containers?: readonly string[]
  /** Processes whose network namespaces are looked at as if they were containers'. */
  readonly pids?: readonly number[]
  /** Names of `ip netns`, or paths. */
  readonly netns?: readonly string[]
  /** Whether to read the packet filter's rules; yes if nothing is said. */
  readonly rules?: boolean
  /**
   * For looking again: a container that does not run is part of the result and one that is gone is left out, neither is
   * an error; `containers` are whole names.
   */
  readonly allowStopped?: boolean
  /** The engine, where it is connected already; null: without any engine. */
  readonly api?: DockerApi | null
}

interface Engine {
  readonly api: DockerApi
  readonly listed: readonly ListedContainer[]
  readonly networks: readonly EngineNetwork[]
}

interface Surroundings {
  readonly seen: readonly Seen[]
  readonly listed: readonly ListedContainer[]
  readonly networks: readonly EngineNetwork[]
  readonly own: Inodes
  readonly finder: PeerFinder
  readonly rules: RuleSet | null
  readonly notes: string[]
}

/**
 * Looks at the host and at what was asked for. Rejects with a `HoptraceError` where a container, process or
 * namespace is not there, or no engine for the containers asked for; what cannot be read otherwise is a note.
 */
export async function discover(options: DiscoverOptions = {}): Promise<Topology> {
  const notes: string[] = []
  const [engine, { host, scan: hostScan }, own, rules] = await Promise.all([
    engineFor(options, notes),
    readHost(notes),
    namespacesOf('self'),
    options.rules === false ? null : readRules(null, notes),
  ])
  const listed = engine?.listed ?? []
  const networks = withBridges(engine?.networks ?? [], host.links)
  const subjects = await subjectsFor(options, engine)
  const seen = await Promise.all(subjects.map((subject) => look(subject, notes)))
  const folders = subjects.flatMap(({ sandboxPath }) =>
    sandboxPath?.startsWith('/') ? dirname(sandboxPath) : [],
  )
  const finder = new PeerFinder(
    hostScan,
    seen.flatMap(({ scan }) => scan ?? []),
    folders,
  )
  const surroundings = { seen, listed, networks, own, finder, rules, notes }
  const containers = await Promise.all(seen.map((one) => containerFrom(one, surroundings)))
  if (process.geteuid?.() !== 0 && containers.some(({ pid, netns }) => pid !== null && netns === null))
    notes.push('what is inside of the containers, and their other ends, only root can read: run it with sudo')
  return {
    host,
    containers,
    known: listed.map((one) => knownFrom(one, networks)),
    notes: [...new Set(notes)],
  }
}

/** Null where none is there and none is needed: what is asked for is not the engine's, or simply everything. */
async function engineFor(options: DiscoverOptions, notes: string[]): Promise<Engine | null> {
  if (options.api === null) return null
  const asksElsewhere = (options.pids?.length ?? 0) + (options.netns?.length ?? 0) > 0
  const asksEngine = (options.containers?.length ?? 0) > 0
  try {
    const api = options.api ?? (await connectEngine())
    const [listed, networks] = await Promise.all([listContainers(api), listNetworks(api)])
    return { api, listed, networks }
  } catch (error) {
    if (!(error instanceof EngineError) || asksEngine) throw error
    if (asksElsewhere) return null
    // That someone named does not answer, or one that is there does not let us in.
    if (error.reason !== 'absent' || process.env.DOCKER_HOST) throw error
    notes.push(error.message)
    return null
  }
}

async function subjectsFor(options: DiscoverOptions, engine: Engine | null): Promise<Subject[]> {
  const { containers = [], pids = [], netns = [], allowStopped = false } = options
  const isAll = containers.length + pids.length + netns.length === 0
  const listed = engine?.listed ?? []
  // The beginning of a name that is gone may be that of a stranger's.
  const find = (name: string) =>
    allowStopped ? listed.filter((one) => one.name === name) : [findContainer(listed, name)]
  const wanted = isAll ? listed : new Set(containers.flatMap(find))
  const subjects = await Promise.all([
    ...[...wanted].map((one) => containerSubject(engine!.api, one, isAll || allowStopped)),
    ...[...new Set(pids)].map(processSubject),
    ...[...new Set(netns)].map(namespaceSubject),
  ])
  const found = subjects.flatMap((subject) => subject ?? [])
  if (!isAll) return found
  return found.sort((a, b) => Number(a.pid === null) - Number(b.pid === null) || (a.name < b.name ? -1 : 1))
}

/** Looks into the namespaces of one of them. */
async function look(subject: Subject, notes: string[]): Promise<Seen> {
  const { netnsPath, pid } = subject
  if (netnsPath === null) return { subject, inodes: null, scan: null }
  const [inodes, inode, links] = await Promise.all([
    pid === null ? null : namespacesOf(pid),
    namespaceInode(netnsPath),
    readLinks(netnsPath),
  ])
  const shown = displayText(subject.name)
  if (typeof links === 'string') {
    if (process.geteuid?.() === 0)
      notes.push(`${shown}: its network namespace could not be entered: ${displayText(links, 200)}`)
    return { subject, inodes, scan: null }
  }
  if (!(await isItsNamespace(subject, links.links))) {
    notes.push(
      `${shown}: process ${pid} on this host is another one: its engine runs on another host, or in other namespaces; nothing inside of it can be read from here`,
    )
    return { subject, inodes: null, scan: null }
  }
  return { subject, inodes, scan: { ...links, path: netnsPath, inode, owner: subject.name } }
}

async function containerFrom(one: Seen, surroundings: Surroundings): Promise<Container> {
  const { subject, inodes, scan } = one
  const { networks, own, finder, listed, notes } = surroundings
  const netns = scan?.inode ?? inodes?.net ?? null
  const engineMode = networkModeOf(subject, networks)
  const isHostNetwork = netns === null ? engineMode === 'host' : netns === own.net
  const interfaces = isHostNetwork ? [] : await interfacesOf(one, networks, finder)
  const isRunning = subject.netnsPath !== null
  const sharer = sharerOf(subject.networkMode)
  const sharesNetworkWith = listed.find(({ id, name }) => id === sharer || name === sharer)?.name ?? sharer
  const container = {
    id: subject.id,
    name: subject.name,
    image: subject.image,
    state: subject.state,
    since: subject.since,
    pid: scan === null && inodes === null ? null : subject.pid,
    mode: engineMode === 'namespace' && isHostNetwork ? 'host' : engineMode,
    sharesNetworkWith,
    netnsPath: isHostNetwork || scan === null ? null : scan.path,
    netns,
    namespaces: inodes ? namespacesFrom(one, inodes, surroundings) : [],
    interfaces,
    ports: subject.ports,
    sees: seesSentence(engineMode, interfaces, {
      isRunning,
      isReadable: netns !== null,
      sharesNetworkWith,
      isHostNetwork,
    }),
  } as const
  const far = interfaces.find(
    ({ peer }) => peer?.bridge && peer.netnsPath !== null && peer.owner !== 'overlay',
  )?.peer
  if (far)
    notes.push(
      `${displayText(subject.name)}: its bridge ${displayText(far.bridge!)} is in the network namespace of ${displayText(far.owner)}, not in the one that this program runs in: uplink and rules are those from here`,
    )
  if (surroundings.rules === null || !isRunning) return { ...container, rules: [] }
  const rules = rulesFor(surroundings.rules, concernOf(container, networks, isHostNetwork))
  // Docker's DNS server, say, is reached through NAT inside of the container.
  const inside = container.netnsPath === null ? null : await readRules(container.netnsPath, notes)
  return { ...container, rules: [...rules, ...(inside?.rules ?? []).map(({ rule }) => rule)] }
}

function namespacesFrom(one: Seen, inodes: Inodes, { seen, own }: Surroundings): Namespace[] {
  return NAMESPACE_KINDS.map((kind) => {
    const inode = inodes[kind]
    const isHost = inode !== null && inode === own[kind]
    const sharers =
      inode === null || isHost ? [] : seen.filter((other) => other !== one && other.inodes?.[kind] === inode)
    return { kind, inode, isHost, sharedWith: sharers.map(({ subject }) => subject.name) }
  })
}

function knownFrom(
  { id, name, image, state, status, endpoints }: ListedContainer,
  networks: readonly EngineNetwork[],
): KnownContainer {
  return {
    id,
    name,
    image,
    state,
    status,
    addresses: endpoints.flatMap(({ addresses }) => addresses),
    gateways: endpoints.flatMap(({ gateways, network, networkId }) => {
      const { bridge } = networks.find((one) => one.id === networkId || one.name === network) ?? {}
      return bridge ? gateways.map((ip) => ({ ip, name: bridge })) : []
    }),
  }
}
