/** What a live page has been told, in bounded memory: the flows as they stand, and the newest packets. */

import type { FlowReport } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'

/** Packets that a page keeps: some kB each. */
const MAX_PACKETS = 50_000
/** So many go at once. */
const FORGET_PACKETS = 5000
const MAX_FLOWS = 20_000

export class LiveStore {
  /** Packets that were here and are not any more. */
  forgotten = 0
  /** Flow of the newest packet, and its number there. */
  newest: { flow: number; packet: number } | null = null
  readonly #flows = new Map<number, FlowReport>()
  readonly #packets = new Map<number, PagePacket[]>()
  /** Flows of the packets, in the order in which those came. */
  #order: number[] = []
  readonly #maxPackets: number

  constructor(maxPackets = MAX_PACKETS) {
    this.#maxPackets = maxPackets
  }

  addFlows(flows: readonly FlowReport[]): void {
    for (const flow of flows) this.#flows.set(flow.id, flow)
  }

  removeFlows(ids: readonly number[]): void {
    for (const id of ids) this.#flows.delete(id)
  }

  /** In the order of their numbers; the newest ones, where there are too many. */
  flows(): FlowReport[] {
    const flows = [...this.#flows.values()].sort((a, b) => a.id - b.id)
    for (const { id } of flows.splice(0, flows.length - MAX_FLOWS)) this.#flows.delete(id)
    return flows
  }

  /** The flows whose packets have changed. */
  addPackets(packets: readonly PagePacket[]): Set<number> {
    const changed = new Set<number>()
    for (const packet of packets) {
      const { flow, number } = packet
      const known = this.#packets.get(flow)
      if (known) known.push(packet)
      else this.#packets.set(flow, [packet])
      this.#order.push(flow)
      changed.add(flow)
      this.newest = { flow, packet: number }
    }
    if (this.#order.length > this.#maxPackets)
      this.#forget(this.#order.length - this.#maxPackets + FORGET_PACKETS, changed)
    return changed
  }

  /** A copy: the list goes on. */
  packetsOf(flow: number): PagePacket[] {
    return this.#packets.get(flow)?.slice() ?? []
  }

  get packetCount(): number {
    return this.#order.length
  }

  #forget(count: number, changed: Set<number>): void {
    const byFlow = new Map<number, number>()
    for (const flow of this.#order.slice(0, count)) byFlow.set(flow, (byFlow.get(flow) ?? 0) + 1)
    this.#order = this.#order.slice(count)
    this.forgotten += count
    for (const [flow, packets] of byFlow) {
      changed.add(flow)
      const left = this.#packets.get(flow)!.slice(packets)
      if (left.length > 0) this.#packets.set(flow, left)
      else this.#packets.delete(flow)
    }
  }
}
