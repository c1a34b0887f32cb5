/** Tracing: packets are traced in those namespaces that have rules, for as long as a capture runs. */

import { readFileSync } from 'node:fs'
import { inNetworkNamespace } from '../capture/live/network-namespace.ts'
import { HoptraceError } from '../errors.ts'
import { runIn } from '../topology/programs.ts'
import type { TraceReceipt } from './model.ts'
import { RuleTracer, type TraceTask } from './rule-tracer.ts'
import { OWN_TABLE } from './trace-keeper.ts'

export type { TraceTask } from './rule-tracer.ts'

const WHAT = '--trace-rules'
const LEGACY = 'the rules are those of iptables-legacy, which nftables can’t trace'

const NO_RULES = 'there are no rules of nftables'

/** A namespace, and the path by which programs find it (null: the own one). */
interface Place {
  readonly name: string
  readonly path: string | null
}

export class Tracing {
  readonly #task: TraceTask
  readonly #note: (namespace: string, what: string, why: string) => void
  readonly #tracers = new Map<Place, RuleTracer>()
  #isClosed = false

  constructor(task: TraceTask, note: (namespace: string, what: string, why: string) => void) {
    this.#task = task
    this.#note = note
  }

  /** Never rejects: where it can't be done, that is noted. */
  async begin(places: readonly Place[]): Promise<void> {
    await Promise.all(
      places.map(async (place) => {
        const { name, path } = place
        const why = (await reasonAgainst(path)) ?? (await this.#beginIn(place))
        // Hardly any container has rules.
        if (why !== null && (why !== NO_RULES || path === null)) this.#note(name, WHAT, why)
      }),
    )
  }

  /** By path of the namespace; those without rules are not there. */
  async end(): Promise<Map<string | null, TraceReceipt[]>> {
    const ended = [...this.#tracers].map(async ([{ name, path }, tracer]) => {
      const { traces, why } = await tracer.end()
      if (why !== null) this.#note(name, WHAT, why)
      return [path, traces] as const
    })
    this.#tracers.clear()
    return new Map(await Promise.all(ended))
  }

  close(): void {
    this.#isClosed = true
    for (const tracer of this.#tracers.values()) tracer.close()
  }

  async #beginIn(place: Place): Promise<string | null> {
    const begun = await RuleTracer.begin(place.path, this.#task)
    if (typeof begun === 'string') return begun
    if (this.#isClosed) begun.close()
    else this.#tracers.set(place, begun)
    return null
  }
}

/** Why packets can't be traced in a namespace; null where they can. Where there are no rules, there is nothing to show. */
async function reasonAgainst(path: string | null): Promise<string | null> {
  const tables = await runIn(path, 'nft', 'list', 'tables')
  if (!tables.ok) return tables.missing ? 'nft is not installed (package nftables)' : tables.why
  const names = [...tables.stdout.matchAll(/^table \S+ (\S+)$/gm)].flatMap(([, name = '']) => name)
  if (names.some((name) => !OWN_TABLE.test(name))) return null
  return hasLegacyTables(path) ? LEGACY : NO_RULES
}

function hasLegacyTables(path: string | null): boolean {
  const read = (name: string) => {
    try {
      return readFileSync(`/proc/thread-self/net/${name}`, 'utf8')
    } catch {
      return ''
    }
  }
  try {
    return inNetworkNamespace(path, () => read('ip_tables_names') + read('ip6_tables_names')) !== ''
  } catch (error) {
    if (error instanceof HoptraceError) return false
    throw error
  }
}
