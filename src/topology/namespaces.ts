/** Namespaces: which ones a process is in, whether others share them, and how the kernel counts network namespaces. */

import { readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fieldsOf, integerOf, listOf } from './foreign.ts'
import { runIn } from './programs.ts'
import type { NamespaceKind } from './topology.ts'

export const NAMESPACE_KINDS: readonly NamespaceKind[] = ['net', 'pid', 'mnt', 'uts', 'ipc', 'user', 'cgroup']

/** Inodes by kind; null where they may not be read. */
export type Inodes = Readonly<Record<NamespaceKind, number | null>>

/** The namespaces of a process. */
export async function namespacesOf(pid: number | 'self'): Promise<Inodes> {
  const inodes = await Promise.all(NAMESPACE_KINDS.map((kind) => linkedInode(`/proc/${pid}/ns/${kind}`)))
  return Object.fromEntries(NAMESPACE_KINDS.map((kind, i) => [kind, inodes[i]!])) as Inodes
}

/** Inode of the namespace at a path such as `/proc/1/ns/net` or `/run/netns/blue`; null where there is none to read. */
export async function namespaceInode(path: string): Promise<number | null> {
  try {
    return (await stat(path)).ino
  } catch {
    return null
  }
}

/** The entries of a folder such as /run/netns, as paths; none where it cannot be read. */
export async function namespacesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort().map((name) => join(folder, name))
  } catch {
    return []
  }
}

export interface KnownNamespace {
  readonly inode: number
  /** A process inside. */
  readonly pid: number | null
  /** Its id as the namespace counts it in which `lsns` ran; null where it has none there. */
  readonly netnsId: number | null
}

/**
 * The network namespaces that hold processes or have a name in /run/netns, as seen from the one at `netnsPath`; null where
 * that cannot be told.
 */
export async function knownNamespaces(netnsPath: string | null): Promise<KnownNamespace[] | null> {
  const [withProcesses, named] = await Promise.all([
    runIn(netnsPath, 'lsns', '-J', '-t', 'net', '-o', 'NS,PID,NETNSID'),
    runIn(netnsPath, 'ip', '-j', 'netns', 'list-id'),
  ])
  const known = withProcesses.ok ? parseNamespaces(withProcesses.stdout) : null
  const listed = named.ok ? parseNamespaceIds(named.stdout) : []
  if (known === null && listed.length === 0) return null
  const inodes = new Set(known?.map(({ inode }) => inode))
  const others = await Promise.all(
    listed.map(async ({ name, netnsId }) => {
      const inode = await namespaceInode(`/run/netns/${name}`)
      return inode === null || inodes.has(inode) ? [] : { inode, pid: null, netnsId }
    }),
  )
  return [...(known ?? []), ...others.flat()]
}

/** What `ip -j netns list-id` printed: the named namespaces that have an id. */
export function parseNamespaceIds(json: string): { name: string; netnsId: number }[] {
  try {
    return listOf(JSON.parse(json)).flatMap((entry) => {
      const { name, nsid } = fieldsOf(entry)
      const netnsId = integerOf(nsid)
      // The name becomes part of a path.
      return typeof name === 'string' && !name.includes('/') && name !== '..' && netnsId !== null
        ? { name, netnsId }
        : []
    })
  } catch {
    return []
  }
}

/** What `lsns -J` printed: numbers, or texts in older versions. */
export function parseNamespaces(json: string): KnownNamespace[] | null {
  try {
    return listOf(fieldsOf(JSON.parse(json)).namespaces).flatMap((entry) => {
      const fields = fieldsOf(entry)
      const inode = integerOf(fields.ns)
      return inode ? { inode, pid: integerOf(fields.pid), netnsId: integerOf(fields.netnsid) } : []
    })
  } catch {
    return null
  }
}

async function linkedInode(path: string): Promise<number | null> {
  try {
    return integerOf(/^\w+:\[(\d+)\]$/.exec(await readlink(path))?.[1])
  } catch {
    return null
  }
}
