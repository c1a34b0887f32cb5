/** The host: the network namespace that the program runs in, its links, uplinks and whether it forwards packets. */

import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { readLinks } from './links.ts'
import { namespacesOf } from './namespaces.ts'
import type { Scan } from './peers.ts'
import type { Host } from './topology.ts'

/** Reads it; what cannot be read is missing in it, and told in `notes`. */
export async function readHost(notes: string[]): Promise<{ host: Host; scan: Scan }> {
  const [inodes, links, ipv4, ipv6] = await Promise.all([
    namespacesOf('self'),
    readLinks(null),
    readSwitch('/proc/sys/net/ipv4/ip_forward'),
    readSwitch('/proc/sys/net/ipv6/conf/all/forwarding'),
  ])
  if (typeof links === 'string') notes.push(`the host's interfaces could not be read: ${links}`)
  const read = typeof links === 'string' ? { links: [], uplinks: [] } : links
  const host = { hostname: hostname(), netns: inodes.net, forwarding: { ipv4, ipv6 }, ...read }
  return { host, scan: { ...read, path: null, inode: inodes.net, owner: 'host' } }
}

/** /proc/sys/net is that of the network namespace that the reader is in. */
async function readSwitch(path: string): Promise<boolean | null> {
  try {
    return (await readFile(path, 'utf8')).trim() !== '0'
  } catch {
    return null
  }
}
