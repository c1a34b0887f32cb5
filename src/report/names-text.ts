/** Names: what the addresses of the listed flows are called, a few to a line. */

import { harmless } from './harmless.ts'
import type { Report } from './model.ts'
import { packPieces } from './width.ts'

const MAX_NAMES = 40
const INDENT = '  '

/** Lines such as `172.17.0.2 web · 192.168.78.100 host1`; none where no address has a name. */
export function renderNames({ names, flows }: Report, columns: number): string[] {
  if (names === undefined) return []
  const known = new Map(Object.entries(names))
  const pieces = new Map<string, string>()
  for (const { forward, reverse } of flows)
    for (const { src, dst } of [...forward.path, ...reverse.path])
      for (const { ip } of [src, dst]) {
        const name = known.get(ip)
        if (name !== undefined && pieces.size < MAX_NAMES) pieces.set(ip, `${ip} ${harmless(name)}`)
      }
  return packPieces([...pieces.values()], columns - INDENT.length, ' · ', '').map((line) => INDENT + line)
}
