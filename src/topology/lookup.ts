/** Looking containers up by name, id or the beginning of either; who is not found is answered with near names. */

import { displayText } from '../capture/display-text.ts'
import { HoptraceError } from '../errors.ts'
import type { ListedContainer } from './docker-objects.ts'

/** Near or running containers that a message names at most. */
const MAX_NAMED = 5

/** Throws a `HoptraceError` in one line where none, or more than one, is meant. */
export function findContainer(all: readonly ListedContainer[], wanted: string): ListedContainer {
  const name = wanted.replace(/^\//, '')
  const exact = all.find((one) => one.name === name) ?? all.find((one) => one.id === name)
  if (exact) return exact
  const matches = name === '' ? [] : all.filter((one) => one.id.startsWith(name) || one.name.startsWith(name))
  if (matches.length === 1) return matches[0]!
  const shown = displayText(wanted)
  if (matches.length > 1)
    throw new HoptraceError(
      `container ${shown} is not unique: it begins ${listNames(matches.map((one) => one.name))}: give more of the name`,
    )
  throw new HoptraceError(`no container is called ${shown}: ${advice(all, name)}`)
}

function advice(all: readonly ListedContainer[], wanted: string): string {
  const near = nearNames(
    wanted,
    all.map((one) => one.name),
  )
  if (near.length > 0) return `did you mean ${listNames(near, 'or')}?`
  const running = all.filter((one) => one.state === 'running').map((one) => one.name)
  if (running.length > 0) return `these run: ${listNames(running.sort())}`
  return 'none runs at the moment'
}

/** The names that are most like `wanted`, best first. */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const lower = wanted.toLowerCase()
  const limit = Math.max(1, Math.floor(wanted.length / 3))
  return names
    .map((name) => ({ name, distance: distanceBetween(lower, name.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, MAX_NAMED)
    .map(({ name }) => name)
}

/** `a, b or c`, fit for a terminal, with the number of those that are left out. */
export function listNames(names: readonly string[], last = 'and'): string {
  const shown = names.slice(0, MAX_NAMED).map((name) => displayText(name, 64))
  const more = names.length - shown.length
  if (more > 0) return `${shown.join(', ')} and ${more} more`
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} ${last} ${shown.at(-1)}`
}

/** Edits between two names, a swap of neighbours being one; 1 where one is a part of the other, and long enough to mean something. */
function distanceBetween(a: string, b: string): number {
  if (a.length > 2 && b.length > 2 && (a.includes(b) || b.includes(a))) return 1
  if (Math.abs(a.length - b.length) > 20 || a.length > 100) return Number.POSITIVE_INFINITY
  const rows = [Array.from({ length: b.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= a.length; i++) {
    const above = rows[i - 1]
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      let edits = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwapped) edits = Math.min(edits, rows[i - 2][j - 2] + 1)
      row.push(edits)
    }
    rows.push(row)
  }
  return rows[a.length][b.length]
}
