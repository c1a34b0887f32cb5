/** Explicit points: `NAME=[netns:]IFACE`, for whoever knows the place already, with or without an engine. */

import { basename } from 'node:path'
import { displayText } from '../capture/display-text.ts'
import type { CapturePlace } from '../capture/live/place.ts'
import { HoptraceError } from '../errors.ts'

/** What a point may be called on the command line. */
export const POINT_NAME = /^[\w.:-]{1,60}$/
const INTERFACE = /^[^\s/:]{1,15}$/

/** Throws a `HoptraceError` that shows the form, where `text` does not have it. Does not look whether the place exists. */
export function parsePoint(text: string): CapturePlace {
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(0, equals))
  const place = text.slice(equals + 1)
  const colon = place.lastIndexOf(':')
  const interfaceName = place.slice(colon + 1)
  const namespace = colon < 0 ? null : place.slice(0, colon)
  const wrong = (what: string) =>
    new HoptraceError(
      `--point ${displayText(text)}: ${what}: give NAME=INTERFACE or NAME=NETNS:INTERFACE, with NETNS a name of ip netns, a path or a process number`,
    )
  if (!POINT_NAME.test(name)) throw wrong('a point needs a name of letters, digits, dots and dashes')
  if (!INTERFACE.test(interfaceName) || interfaceName === '.' || interfaceName === '..')
    throw wrong('there is no name of an interface')
  if (namespace !== null && (namespace === '' || namespace.includes('\0')))
    throw wrong('there is no network namespace in front of the colon')
  const netns = namespace === null ? null : namespacePath(namespace)
  return {
    name,
    netns,
    interfaceName,
    description: netns === null ? interfaceName : `${interfaceName} in ${namespaceTitle(netns)}`,
  }
}

/** Path of a network namespace: a name of `ip netns`, a path (has a slash), or a process number. */
export function namespacePath(text: string): string {
  if (text.includes('/')) return text
  return /^\d+$/.test(text) ? `/proc/${text}/ns/net` : `/run/netns/${text}`
}

/** What people call the namespace at a path. */
export function namespaceTitle(path: string): string {
  const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1]
  return pid ? `pid-${pid}` : basename(path)
}
