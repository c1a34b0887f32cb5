/** Names: what the addresses of the listed flows are called, a few to a line. */

import { harmless } from './harmless.ts'
import type { FlowReport, StreamedReport } from './model.ts'
import { packPieces } from './width.ts'

const MAX_NAMES = 40
const INDENT = '  '

/** Finds the first addresses of flows that have names. */
export class NameCollector {
  readonly #known: ReadonlyMap<string, string>
  readonly #pieces = new Map<string, string>()

  constructor({ names = {} }: StreamedReport) {
    this.#known = new Map(Object.entries(names))
  }

  add({ forward, reverse }: FlowReport): void {
    if (this.#pieces.size >= Math.min(MAX_NAMES, this.#known.size)) return
    for (const { src, dst } of [...forward.path, ...reverse.path])
      for (const { ip } of [src, dst]) {
        const name = this.#known.get(ip)
        if (name !== undefined && this.#pieces.size < MAX_NAMES)
          this.#pieces.set(ip, `${ip} ${harmless(name)}`)
      }
  }

  /** Lines such as `172.17.0.2 web · 192.168.78.100 host1`; none where no address has a name. */
  render(columns: number): string[] {
    const pieces = [...this.#pieces.values()]
    return packPieces(pieces, columns - INDENT.length, ' · ', '').map((line) => INDENT + line)
  }
}
