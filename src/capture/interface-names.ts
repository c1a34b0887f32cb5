/** Interface names: what the user calls interfaces that a capture knows by number only. */

import { displayText } from './display-text.ts'

/** Interfaces that a warning lists. */
const MAX_LISTED = 12

/** `--ifname`: by the index alone, or by `FILE:INDEX`, which is what the point would be called without a name. */
export class InterfaceNames {
  readonly #names: ReadonlyMap<string, string>
  /** By key: the interfaces that got its name, as they would be called without. */
  readonly #used = new Map<string, Set<string>>()
  /** All that were asked for. */
  readonly #there = new Set<string>()

  constructor(names: ReadonlyMap<string, string> = new Map()) {
    this.#names = names
  }

  /** The name of the interface that would be called `usual`, and has this number in its file; else null. */
  nameOf(index: number, usual: string): string | null {
    if (this.#names.size === 0) return null
    if (this.#there.size <= MAX_LISTED) this.#there.add(usual)
    const key = [usual, String(index)].find((name) => this.#names.has(name))
    if (key === undefined) return null
    this.#used.set(key, (this.#used.get(key) ?? new Set()).add(usual))
    return this.#names.get(key)!
  }

  /** Names that fit no interface, or more than one; once all records are read. */
  warnings(): string[] {
    const list = (some: Iterable<string>) => {
      const inOrder = [...some].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
      const shown = inOrder.slice(0, MAX_LISTED).map((name) => displayText(name))
      return shown.join(', ')
    }
    return [...this.#names].flatMap(([key, name]) => {
      const used = [...(this.#used.get(key) ?? [])]
      const option = `--ifname ${displayText(`${key}=${name}`)}`
      if (used.length > 1)
        return [`${option} fits ${list(used)}: say which, as in ${list(used.slice(0, 1))}=${name}`]
      if (used.length === 1) return []
      if (this.#there.size === 0)
        return [`${option}: no capture here has interfaces by number, as those of \`tcpdump -i any\` do`]
      return [
        `${option}: there is no such interface: those here are ${list(this.#there)}${this.#there.size > MAX_LISTED ? ', …' : ''}`,
      ]
    })
  }
}
