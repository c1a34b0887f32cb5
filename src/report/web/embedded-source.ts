/** The data that the page itself holds, unpacked when they are needed. */

import { type ReadonlySignal, type Signal, signal } from '@preact/signals'
import type { Report } from '../model.ts'
import { type PageAbout, PageElement, type PagePacket } from '../page-data.ts'
import type { FlowPackets, PageSource } from './source.ts'

/** Pieces that are kept unpacked: whoever walks through flows comes back to the last ones. */
const BLOCKS_KEPT = 8
/** Flows whose packets are kept. */
const FLOWS_KEPT = 64
/** What grows is drawn anew so often, in ms. */
const TELL_EVERY_MS = 200

export class EmbeddedSource implements PageSource {
  readonly isLive = false
  readonly about: PageAbout
  readonly report: ReadonlySignal<Report>
  readonly #document: Document
  readonly #blocks = new Map<number, Promise<PagePacket[]>>()
  readonly #flows = new Map<number, ReadonlySignal<FlowPackets | null>>()

  static async open(document: Document): Promise<EmbeddedSource> {
    if (!document.getElementById(PageElement.end)) throw new Error('the file was cut off: copy it once more')
    const [about, report] = await Promise.all([
      unpacked<PageAbout>(document, PageElement.about),
      unpacked<Report>(document, PageElement.report),
    ])
    return new EmbeddedSource(document, about, report)
  }

  private constructor(document: Document, about: PageAbout, report: Report) {
    this.#document = document
    this.about = about
    this.report = signal(report)
  }

  packetsOf(flow: number): ReadonlySignal<FlowPackets | null> {
    const known = this.#flows.get(flow)
    if (known) return known
    if (this.#flows.size >= FLOWS_KEPT) this.#flows.delete(this.#flows.keys().next().value!)
    const made = signal<FlowPackets | null>(null)
    this.#flows.set(flow, made)
    this.#read(flow, made)
    return made
  }

  /** Block after block: of a very long flow the first packets can be looked at while the others are unpacked. */
  async #read(flow: number, into: Signal<FlowPackets | null>): Promise<void> {
    const packets: PagePacket[] = []
    let toldMs = 0
    const tell = (state: FlowPackets['state']) => {
      into.value = { packets: packets.slice(), state }
      toldMs = performance.now()
    }
    try {
      for (const [i, { flows }] of this.about.blocks.entries()) {
        if (flow < flows[0] || flow > flows[1]) continue
        for (const packet of await this.#block(i)) if (packet.flow === flow) packets.push(packet)
        if (packets.length > 0 && performance.now() - toldMs > TELL_EVERY_MS) tell('reading')
      }
      tell('here')
    } catch {
      tell('unreadable')
    }
  }

  #block(index: number): Promise<PagePacket[]> {
    const known = this.#blocks.get(index)
    if (known) return known
    if (this.#blocks.size >= BLOCKS_KEPT) this.#blocks.delete(this.#blocks.keys().next().value!)
    const made = unpacked<PagePacket[]>(this.#document, PageElement.block(index))
    this.#blocks.set(index, made)
    return made
  }
}

/** Base64 of gzip of JSON. */
async function unpacked<T>(document: Document, id: string): Promise<T> {
  const text = document.getElementById(id)?.textContent
  if (!text) throw new Error(`it has no ${id}: was the file cut off?`)
  const packed = Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))
  return await new Response(stream).json()
}
