/** The discovered topology as a tree for people: the host, its containers, and the cables between them. */

import type {
  Container,
  ContainerInterface,
  Namespace,
  PublishedPort,
  Topology,
} from '../topology/topology.ts'
import { harmless } from './harmless.ts'
import { type Palette, paletteFor } from './palette.ts'
import { renderRules } from './rules-text.ts'
import type { TextOptions } from './text.ts'
import { type Branch, renderTree } from './tree.ts'
import { cutToWidth, wrapText } from './width.ts'

/** More containers than this are shown in short, unless they were asked for by name. */
const MAX_IN_FULL = 2
const MIN_COLUMNS = 60
/** A coloured name has to fit on a line. */
const MAX_NAME_CELLS = 40
/** Between facts on one line. */
const GAP = ' · '

export interface PointsOptions extends TextOptions {
  /** Containers or namespaces were asked for: each is shown in full. */
  readonly isChosen: boolean
}

/** Renders the tree, and the notes under it, with a newline at the end. */
export function renderPoints(topology: Topology, options: PointsOptions): string {
  const columns = Math.max(MIN_COLUMNS, options.columns)
  const palette = paletteFor(options.color)
  const { containers, notes } = topology
  const running = containers.filter(isRunning)
  const inFull = options.isChosen || running.length <= MAX_IN_FULL
  const root: Branch = {
    lines: [`host ${palette.heading(cutToWidth(harmless(topology.host.hostname), MAX_NAME_CELLS))}`],
    children: [
      ...hostBranches(topology),
      ...running.map((container, i) => {
        const same = running.slice(0, i).find(({ netns }) => netns !== null && netns === container.netns)
        return containerBranch(container, inFull, same ?? null, palette)
      }),
      ...stoppedBranches(containers.filter((container) => !isRunning(container))),
    ],
  }
  const lines = renderTree(root, columns, palette)
  if (!inFull)
    lines.push(
      '',
      ...wrapText('--container NAME shows the rules and namespaces of one; --json has all of all', columns),
    )
  for (const note of notes)
    lines.push('', ...wrapText(`${palette.warning('note')} ${harmless(note)}`, columns, '     '))
  return `${lines.join('\n')}\n`
}

function hostBranches({ host, containers }: Topology): Branch[] {
  const { ipv4, ipv6 } = host.forwarding
  const uplinks = host.uplinks.map(({ interfaceName, gateways }) => {
    const link = host.links.find(({ name }) => name === interfaceName)
    return joinFacts([
      `uplink ${harmless(interfaceName)}`,
      ...(link?.addresses ?? []).filter(({ ip }) => !ip.startsWith('fe80:')).map(cidr),
      ...gateways.map((ip) => `via ${ip}`),
    ])
  })
  const branches: Branch[] = [
    ...(uplinks.length > 0 ? uplinks : ['no uplink: there is no default route']).map((line) => ({
      lines: [line],
    })),
    { lines: [`ip_forward ${onOff(ipv4)}${GAP}for IPv6 ${onOff(ipv6)}`] },
  ]
  if (containers.length === 0)
    branches.push({ lines: ["no containers: nothing stands behind this host's interfaces"] })
  return branches
}

/** `same`: one that has the same network, and was shown before. */
function containerBranch(
  container: Container,
  inFull: boolean,
  same: Container | null,
  palette: Palette,
): Branch {
  const { name, image, state, since, pid, mode, interfaces, ports, namespaces, rules } = container
  const title = image === null ? 'namespace' : 'container'
  const facts = joinFacts([
    `${title} ${palette.heading(cutToWidth(harmless(name), MAX_NAME_CELLS))}`,
    image === null ? null : harmless(image),
    image === null ? null : `${state}${since === null ? '' : ` since ${shortTime(since)}`}`,
    pid === null ? null : `process ${pid}`,
  ])
  const children: Branch[] = [
    { lines: [modeLine(container)] },
    ...interfaces.map((one) => interfaceBranch(one, palette)),
  ]
  if (ports.length > 0 && mode !== 'container') children.push({ lines: [portsLine(ports)] })
  if (inFull) {
    if (same && rules.length > 0) children.push({ lines: [`rules as those of ${harmless(same.name)}`] })
    else if (rules.length > 0) children.push(...renderRules(rules, palette))
    if (namespaces.length > 0) children.push({ lines: namespaceLines(namespaces) })
  }
  return { lines: [facts, harmless(container.sees, 1000)], children, isSetOff: true }
}

function modeLine({ mode, sharesNetworkWith, interfaces }: Container): string {
  const networks = [...new Set(interfaces.flatMap(({ network }) => network ?? []))].map((name) =>
    harmless(name),
  )
  const ofNetworks = networks.length > 0 ? `${GAP}network ${networks.join(', ')}` : ''
  if (mode === 'container')
    return `mode container${GAP}shares the network of ${harmless(sharesNetworkWith ?? '?')}`
  return `mode ${mode === 'bridge' ? 'bridge (default)' : mode}${ofNetworks}`
}

/** `eth0 (5) ═══ (6) veth55767ed ─── docker0`, and below it what the interface has. */
function interfaceBranch(one: ContainerInterface, { heading, faint, warning }: Palette): Branch {
  const { name, index, kind, peer, parent, overlay } = one
  const own = index === null ? 'interface' : `${heading(harmless(name))} (${index})`
  const words = [own]
  if (peer) {
    words.push(faint('═══'), `(${peer.index}) ${heading(harmless(peer.interfaceName))}`)
    if (peer.bridge !== null) words.push(faint('───'), heading(harmless(peer.bridge)))
    if (overlay?.vxlan) words.push(faint('───'), heading(harmless(overlay.vxlan)))
  } else if (parent) words.push(faint('───'), `(${parent.index}) ${heading(harmless(parent.interfaceName))}`)
  else if (kind === 'veth') words.push(faint('═══'), warning('?'))
  const where = overlay
    ? `in the overlay's namespace ${harmless(overlay.netnsPath)}`
    : peer && peer.owner !== 'host'
      ? `other end in ${harmless(peer.owner)}`
      : kind === 'veth' && !peer
        ? 'other end not found'
        : parent
          ? `on parent ${harmless(parent.interfaceName)} of the host`
          : null
  return {
    lines: [
      words.join(' '),
      joinFacts([
        ...one.addresses.map(cidr),
        one.mac === null ? null : harmless(one.mac),
        one.mtu === null ? null : `MTU ${one.mtu}`,
        ...one.gateways.map((ip) => `via ${harmless(ip)}`),
        one.isUp ? null : 'down',
      ]),
      joinFacts([
        one.network === null ? null : `network ${harmless(one.network)}`,
        one.driver === null ? kind : one.driver === kind ? kind : `driver ${harmless(one.driver)}`,
        overlay?.vni ? `VXLAN ${overlay.vni}` : null,
        one.dnsNames.length > 0 ? `DNS ${one.dnsNames.map((dns) => harmless(dns)).join(', ')}` : null,
        where,
      ]),
    ].filter((line) => line !== ''),
  }
}

function portsLine(ports: readonly PublishedPort[]): string {
  const shown = ports.map(({ hostIp, hostPort, containerPort, protocol }) => {
    const host = hostIp.includes(':') ? `[${hostIp}]` : hostIp
    return `${host}:${hostPort} → ${containerPort}/${harmless(protocol)}`
  })
  return `published ${shown.join(', ')}`
}

function namespaceLines(namespaces: readonly Namespace[]): string[] {
  const own = namespaces.filter(
    ({ inode, isHost, sharedWith }) => inode !== null && !isHost && sharedWith.length === 0,
  )
  const ofHost = namespaces.filter(({ isHost }) => isHost)
  const shared = namespaces.filter(({ sharedWith }) => sharedWith.length > 0)
  const unknown = namespaces.filter(({ inode }) => inode === null)
  const list = (some: readonly Namespace[]) =>
    some.map(({ kind, inode }) => (inode === null ? kind : `${kind} ${inode}`)).join(', ')
  const lines = ['namespaces']
  if (own.length > 0) lines.push(`own: ${list(own)}`)
  if (ofHost.length > 0) lines.push(`shared with the host: ${list(ofHost)}`)
  for (const one of shared)
    lines.push(`shared with ${one.sharedWith.map((name) => harmless(name)).join(', ')}: ${list([one])}`)
  if (unknown.length > 0) lines.push(`not readable: ${list(unknown)}`)
  return lines
}

function stoppedBranches(stopped: readonly Container[]): Branch[] {
  if (stopped.length === 0) return []
  const shown = stopped.map(({ name, state, since }) => {
    const time = since === null ? '' : ` ${shortTime(since)}`
    return `${harmless(name)} (${state}${time})`
  })
  return [{ lines: [`not running: ${shown.join(', ')}`], isSetOff: true }]
}

/** Has a process: running or paused. */
function isRunning({ state, netnsPath, pid }: Container): boolean {
  return netnsPath !== null || pid !== null || state === 'running' || state === 'paused'
}

function joinFacts(facts: readonly (string | null)[]): string {
  return facts.filter((fact) => fact !== null).join(GAP)
}

function cidr({ ip, prefixLength }: { ip: string; prefixLength: number }): string {
  return `${ip}/${prefixLength}`
}

function onOff(value: boolean | null): string {
  return value === null ? 'unknown' : value ? 'on' : 'off'
}

/** `2026-11-22 02:26:00 UTC`; what is no time of that form is shown as it is. */
function shortTime(time: string): string {
  return harmless(time.replace(/^(\S{10})T(\d\d:\d\d:\d\d)(\.\d+)?Z$/, '$1 $2 UTC'), 40)
}
