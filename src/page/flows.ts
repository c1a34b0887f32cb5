/** The flows that a page shows, where there are more than anybody looks through. */

import { SparseCounts } from '../correlate/columns.ts'
import type { FlowReport, StreamedReport } from '../report/model.ts'

/** Added to the packets of a flow that has something to tell. */
const TELLING = 2 ** 40

/** At most `max` of the report's flows: first of all those with findings or losses, then the largest. */
export class PageFlows {
  readonly length: number
  /** Packets of each of them, and how many of these did not simply arrive: at most, as one may be counted twice. */
  readonly packets: Float64Array
  readonly oddPackets: Float64Array
  readonly #all: StreamedReport['flows']
  readonly #isChosen = new SparseCounts()

  /** Goes through all flows once, which may take a while. */
  constructor({ flows, findings }: Pick<StreamedReport, 'flows' | 'findings'>, max: number) {
    this.#all = flows
    this.length = Math.min(flows.length, max)
    const isFound = new SparseCounts()
    for (const { flow } of findings) if (flow !== null) isFound.set(flow, 1)
    const all = new FlowColumns(flows, (id) => isFound.get(id) > 0)
    const chosen = all.largest(this.length)
    for (const i of chosen) this.#isChosen.set(all.ids[i]!, 1)
    this.packets = Float64Array.from(chosen, (i) => all.packets[i]!)
    this.oddPackets = Float64Array.from(chosen, (i) => all.oddPackets[i]!)
  }

  has(id: number): boolean {
    return this.#isChosen.get(id) > 0
  }

  /** In the order of the report. */
  *[Symbol.iterator](): Generator<FlowReport> {
    for (const flow of this.#all) if (this.has(flow.id)) yield flow
  }
}

class FlowColumns {
  readonly ids: Uint32Array
  readonly packets: Float64Array
  readonly oddPackets: Float64Array
  readonly #ranks: Float64Array

  constructor(flows: StreamedReport['flows'], isFound: (id: number) => boolean) {
    this.ids = new Uint32Array(flows.length)
    this.packets = new Float64Array(flows.length)
    this.oddPackets = new Float64Array(flows.length)
    this.#ranks = new Float64Array(flows.length)
    let i = 0
    for (const flow of flows) {
      this.ids[i] = flow.id
      this.packets[i] = flow.forward.packets + flow.reverse.packets
      this.oddPackets[i] = oddPacketsOf(flow)
      this.#ranks[i] = this.packets[i]! + (isFound(flow.id) || this.oddPackets[i]! > 0 ? TELLING : 0)
      i++
    }
  }

  /** The indexes of `count` flows with the highest ranks; among equals the first. */
  largest(count: number): Uint32Array {
    const indexes = Uint32Array.from(this.ids, (_, i) => i)
    if (count === indexes.length) return indexes
    return indexes.sort((a, b) => this.#ranks[b]! - this.#ranks[a]! || a - b).slice(0, count)
  }
}

function oddPacketsOf({ lost, unseen, icmpErrors, retransmissions, ambiguous }: FlowReport): number {
  const sum = (list: readonly { packets: number }[]) =>
    list.reduce((total, { packets }) => total + packets, 0)
  return (
    sum(lost) + sum(unseen) + sum(icmpErrors) + retransmissions.forward + retransmissions.reverse + ambiguous
  )
}
