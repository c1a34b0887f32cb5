/** The report as pages are told of it: what has changed since they were told last, and all of it for a new page. */

import { harmlessCopy } from '../report/harmless.ts'
import type { StreamedReport } from '../report/model.ts'
import type { LiveHead, LiveStatus } from '../report/page-live.ts'
import { harmlessLine } from './harmless-line.ts'

/** Flows that a new page gets: those that changed last. */
const MAX_FLOWS = 5000
/** Flows that became part of others, and are remembered for pages that know them. */
const MAX_GONE = 10_000
const MAX_FINDINGS = 1000

interface TellableFlow {
  json: string
  /** In which version of the report it became so. */
  version: number
}

export class ReportFeed {
  /** Counts the updates. */
  version = 0
  #head: Omit<LiveHead, 'gone'> | null = null
  /** Those that changed last stand at the end. */
  readonly #flows = new Map<number, TellableFlow>()
  readonly #gone = new Map<number, number>()

  /** `gone` are numbers of flows that became part of others, old ones as well. */
  update(report: StreamedReport, gone: Iterable<number>, status: LiveStatus, maxFlows = MAX_FLOWS): void {
    const version = ++this.version
    const { flows, ...head } = report
    this.#head = { report: harmlessCopy({ ...head, findings: head.findings.slice(0, MAX_FINDINGS) }), status }
    for (const flow of flows) {
      const json = harmlessLine(flow)
      if (this.#flows.get(flow.id)?.json === json) continue
      this.#flows.delete(flow.id)
      this.#flows.set(flow.id, { json, version })
    }
    for (const id of gone) if (this.#flows.delete(id)) this.#gone.set(id, version)
    shorten(this.#flows, maxFlows)
    shorten(this.#gone, MAX_GONE)
  }

  /** What a page that knows this version (0: none) has to be told, as events with their data, the head at the end. */
  *since(
    known: number,
    characters: number,
  ): Generator<{ event: 'flows' | 'head'; json: string; version: number }> {
    const { version } = this
    let flows: string[] = []
    let size = 0
    for (const flow of this.#flows.values()) {
      // What changed while this goes on follows with the next version.
      if (flow.version <= known || flow.version > version) continue
      flows.push(flow.json)
      size += flow.json.length
      if (size < characters) continue
      yield { event: 'flows', json: `[${flows.join(',')}]`, version: known }
      flows = []
      size = 0
    }
    if (flows.length > 0) yield { event: 'flows', json: `[${flows.join(',')}]`, version: known }
    // A page that connects again begins anew, and may know flows that are gone since.
    const gone = [...this.#gone].flatMap(([id, at]) => (at > known ? id : []))
    yield { event: 'head', json: JSON.stringify({ ...this.#head, gone }), version }
  }
}

/** Leaves the newest entries. */
function shorten(map: Map<number, unknown>, max: number): void {
  for (const id of map.keys()) {
    if (map.size <= max) return
    map.delete(id)
  }
}
