/**
 * Peers: the other end of a veth pair, the parent of a macvlan. Interface numbers repeat in every namespace, so both
 * ends have to name each other, and the kernel's ids of the namespaces have to agree where they can be asked for.
 */

import { basename } from 'node:path'
import { type NamespaceLinks, readLinks } from './links.ts'
import { type KnownNamespace, knownNamespaces, namespaceInode, namespacesIn } from './namespaces.ts'
import type { Link } from './topology.ts'

/** More namespaces than this are not searched for the other end of a cable. */
const MAX_SEARCHED = 512

/** A network namespace that has been looked into. */
export interface Scan extends NamespaceLinks {
  /** Null for the host's. */
  readonly path: string | null
  readonly inode: number | null
  /** `host`, `overlay`, or the name of a container or namespace. */
  readonly owner: string
}

export interface Found {
  readonly scan: Scan
  readonly link: Link
}

/** Finds other ends; looks into further namespaces only where the host and the given ones do not have them. */
export class PeerFinder {
  readonly #host: Scan
  readonly #given: readonly Scan[]
  readonly #folders: readonly string[]
  readonly #ids = new Map<Scan, Promise<KnownNamespace[] | null>>()
  #others: Promise<Scan[]> | null = null

  /** `folders` hold named namespaces, such as /run/netns and Docker's own. */
  constructor(host: Scan, given: readonly Scan[], folders: readonly string[]) {
    this.#host = host
    // One namespace with two owners would be two places where the same end is found.
    const inodes = new Set([host.inode])
    this.#given = given.filter(({ inode }) => inode === null || (!inodes.has(inode) && inodes.add(inode)))
    this.#folders = folders
  }

  /** The other end of a veth: null where it cannot be found, or not for certain. */
  async peerOf(link: Link, scan: Scan): Promise<Found | null> {
    if (link.linkIndex === null) return null
    const isOtherEnd = (other: Link) =>
      other.kind === 'veth' && other.index === link.linkIndex && other.linkIndex === link.index
    return this.#find(link, scan, isOtherEnd)
  }

  /** The interface below a macvlan, ipvlan or VLAN. */
  async parentOf(link: Link, scan: Scan): Promise<Found | null> {
    if (link.linkIndex === null) return null
    return this.#find(link, scan, (other) => other.index === link.linkIndex, true)
  }

  async #find(
    link: Link,
    scan: Scan,
    matches: (other: Link) => boolean,
    needsId = false,
  ): Promise<Found | null> {
    if (link.linkNetnsId === null) {
      const other = scan.links.find((candidate) => candidate !== link && matches(candidate))
      return other ? { scan, link: other } : null
    }
    for (const scans of [async () => [this.#host, ...this.#given], () => this.#searched()]) {
      const found: Found[] = []
      for (const other of await scans()) {
        if (other === scan || (other.inode !== null && other.inode === scan.inode)) continue
        const end = other.links.find(matches)
        if (end && (await this.#agrees(link, scan, end, other, needsId)))
          found.push({ scan: other, link: end })
      }
      if (found.length === 1) return found[0]!
      if (found.length > 1) return null
    }
    return null
  }

  /** Whether each namespace's id for the other one fits; what no id is known for fits as well, unless `needsId`. */
  async #agrees(link: Link, scan: Scan, end: Link, other: Scan, needsId: boolean): Promise<boolean> {
    if (!needsId && end.linkNetnsId !== null) {
      const fits = await this.#fits(other, end.linkNetnsId, scan)
      if (fits !== null) return fits
    }
    return (await this.#fits(scan, link.linkNetnsId!, other)) ?? !needsId
  }

  /** Whether `from` counts `to` as `id`; null where the kernel's list does not say. */
  async #fits(from: Scan, id: number, to: Scan): Promise<boolean | null> {
    let asked = this.#ids.get(from)
    if (!asked) {
      asked = knownNamespaces(from.path)
      this.#ids.set(from, asked)
    }
    const known = await asked
    if (known === null || to.inode === null) return null
    const entry = known.find(({ inode }) => inode === to.inode)
    if (entry) return entry.netnsId === id
    return known.some(({ netnsId }) => netnsId === id) ? false : null
  }

  #searched(): Promise<Scan[]> {
    this.#others ??= this.#search()
    return this.#others
  }

  /** Namespaces with a name, then those that a process is in. */
  async #search(): Promise<Scan[]> {
    const seen = new Set([this.#host, ...this.#given].map(({ inode }) => inode))
    const places: { path: string; owner: string; inode: number }[] = []
    const add = (path: string, owner: string, inode: number | null) => {
      if (inode === null || seen.has(inode) || places.length >= MAX_SEARCHED) return
      seen.add(inode)
      places.push({ path, owner, inode })
    }
    for (const folder of new Set(['/run/netns', ...this.#folders]))
      for (const path of await namespacesIn(folder)) {
        const name = basename(path)
        // Docker names an overlay network's namespace after the network: 1-jc2y3bxqpj.
        add(
          path,
          folder !== '/run/netns' && /^\d+-/.test(name) ? 'overlay' : name,
          await namespaceInode(path),
        )
      }
    for (const { pid, inode } of (await knownNamespaces(null)) ?? [])
      if (pid !== null) add(`/proc/${pid}/ns/net`, `pid-${pid}`, inode)
    const scans = await Promise.all(
      places.map(async (place) => {
        const links = await readLinks(place.path)
        return typeof links === 'string' ? [] : { ...place, ...links }
      }),
    )
    return scans.flat()
  }
}
