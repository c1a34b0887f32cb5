/** Places: what a point is and whose network namespace it is in, from the capture's own words, else from how it is called or looks. */

import { LinkType } from '../../capture/link-types.ts'
import type { Receipts } from '../../receipts/model.ts'
import { harmless } from '../harmless.ts'
import type { Whereabouts } from './model.ts'

export type PlaceKind =
  | 'container'
  | 'veth'
  | 'bridge'
  | 'uplink'
  | 'loopback'
  | 'router'
  | 'tunnel'
  | 'any'
  | 'unknown'

export interface Place {
  kind: PlaceKind
  where: Whereabouts
}

/** How the point looks on the way of the packet. */
export interface Look {
  isFirst: boolean
  isLast: boolean
  /** Addresses of this computer itself: `127.0.0.0/8`, `::1`. */
  isLoopback: boolean
  linkType: number
}

const KNOWN_FROM = { receipts: '', capture: '', name: ' (by its name)', look: ' (by its look)' }

/** The namespace, and where that is only a guess, what from: `the host (by its name)`. */
export function namespaceText({ namespace, knownFrom }: Whereabouts): string {
  return `${harmless(namespace)}${KNOWN_FROM[knownFrom] ?? ''}`
}

/** What hoptrace writes about an interface that it captures: `eth0 of container web`, `docker0, bridge`. */
const DESCRIBED: readonly (readonly [RegExp, PlaceKind, string])[] = [
  [/^\S+, other end of /, 'veth', 'the host'],
  [/^\S+, bridge of overlay network (.+)$/, 'bridge', 'overlay network $1'],
  [/^\S+, bridge\b/, 'bridge', 'the host'],
  [/^\S+, VXLAN(?: \d+)? of overlay network (.+)$/, 'tunnel', 'overlay network $1'],
  [/^\S+, uplink of (.+)$/, 'uplink', 'the host $1'],
  [/^\S+, parent of /, 'uplink', 'the host'],
  [/^lo of the host$/, 'loopback', 'the host'],
  [/^lo of (.+)$/, 'loopback', '$1'],
  [/^\S+ of (.+)$/, 'container', '$1'],
  [/^\S+ in (.+)$/, 'container', '$1'],
]

const NAMED: readonly (readonly [RegExp, PlaceKind, string])[] = [
  [/veth/i, 'veth', 'the host'],
  [/^(docker0|docker_gwbridge|br-|br\d|bridge|cni|virbr|podman)/i, 'bridge', 'the host'],
  [/^lo(\d|$|[:#])/, 'loopback', 'a single one (loopback)'],
  [/vxlan|geneve|flannel|^gre|^tun/i, 'tunnel', 'the host'],
  [/uplink|^(en[ops]|wl|bond)/i, 'uplink', 'the host'],
  [/^(lan|wan|router|gateway|gw)\b/i, 'router', 'a router'],
  [/^(container|client|server|pod)/i, 'container', 'the $&'],
]

/** The place of a point. `description` is what its file says about the interface, or null. */
export function placeOf(
  name: string,
  description: string | null,
  look: Look,
  receipts: readonly Receipts[],
): Place {
  const named = match(NAMED, name)
  const described = description === null ? null : match(DESCRIBED, description)
  // Of `--point NAME=NETNS:eth0` the capture says where it is; what it is, only its user's name for it says.
  const isOnlySomewhere = / in \S+$/.test(description ?? '') && described?.namespace !== name
  const said = isOnlySomewhere ? (named?.kind ?? described?.kind) : (described?.kind ?? named?.kind)
  const kind = look.linkType === LinkType.LinuxSll2 ? 'any' : (said ?? 'unknown')
  const known = receipts.flatMap(({ namespaces }) => namespaces).find(({ points }) => points.includes(name))
  if (known) {
    // Both know it; the file's words say as well what it is: `container web`.
    const words = described?.namespace.endsWith(known.name) ? described.namespace : known.name
    return place(kind, known.name === 'host' ? 'the host' : words, 'receipts')
  }
  if (described) return place(kind, described.namespace, 'capture')
  if (kind === 'any') return place(kind, 'the one where “any” was captured', 'look')
  if (named) return place(kind, named.namespace, 'name')
  if (look.isLoopback) return place('loopback', 'a single one (loopback)', 'look')
  if (look.isFirst) return place(kind, 'the sender’s, or next to it', 'look')
  if (look.isLast) return place(kind, 'the receiver’s, or next to it', 'look')
  return place(kind, 'one on the way', 'look')
}

function place(kind: PlaceKind, namespace: string, knownFrom: Whereabouts['knownFrom']): Place {
  return { kind, where: { namespace: harmless(namespace, 100), knownFrom } }
}

function match(
  table: readonly (readonly [RegExp, PlaceKind, string])[],
  text: string,
): { kind: PlaceKind; namespace: string } | null {
  for (const [pattern, kind, namespace] of table) {
    const found = pattern.exec(text)
    if (found) return { kind, namespace: namespace.replace(/\$([1&])/, (_, i) => found[i === '&' ? 0 : 1]!) }
  }
  return null
}
