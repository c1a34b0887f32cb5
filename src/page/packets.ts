/** The packets that a page shows: which of them it takes, and the bytes of their frames, read from the files once more. */

import type { CaptureInput } from '../capture/inputs.ts'
import { grown, SparseCounts } from '../correlate/columns.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { harmlessCopy } from '../report/harmless.ts'
import type { JourneyReport } from '../report/journey-lines.ts'
import type { FindingReport, Report } from '../report/model.ts'
import type { PagePacket } from '../report/page-data.ts'
import { WantedFrames } from '../wanted-frames.ts'
import type { PageFlows } from './flows.ts'
import { PageFrames } from './frames.ts'
import { Slab, type SlabPlace } from './slab.ts'

/** A piece is unpacked when one of its flows is looked at: this many packets take some ms. */
const BLOCK_PACKETS = 1000
/** More packets than a page gets: flow and place in it are ordered as one number. */
const ORDER = 2 ** 24

export interface PagePacketsOptions {
  maxPackets: number
  /** Bytes of payload that are kept of each frame. */
  payloadBytes: number
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
}

/**
 * Takes the first packets of each flow, at most `maxPackets` of all together, and half as many again of those that did
 * not simply arrive, and of those that a finding names. Kept as bytes, about 1 kB a packet.
 */
export class PagePackets {
  /** All packets of these flows. */
  total = 0
  #count = 0
  readonly #seen = new SparseCounts()
  readonly #odd = new SparseCounts()
  readonly #pageFlows: PageFlows
  readonly #each: number
  readonly #eachOdd: number
  readonly #evidence: Evidence
  #evidenceLeft: number
  #flows = new Uint32Array(1024)
  #places = new Float64Array(1024)
  readonly #journeys = new Slab()
  readonly #frames: PageFrames
  readonly #wanted: WantedFrames<SlabPlace>
  readonly #tunnelPorts: PagePacketsOptions['tunnelPorts']

  constructor(
    report: Pick<Report, 'points' | 'findings'>,
    flows: PageFlows,
    { maxPackets, payloadBytes, tunnelPorts }: PagePacketsOptions,
  ) {
    this.#pageFlows = flows
    this.#each = shareOfEach(flows.packets, maxPackets)
    this.#eachOdd = shareOfEach(flows.oddPackets, maxPackets / 2)
    this.#evidenceLeft = maxPackets / 2
    this.#evidence = new Evidence(report.findings)
    this.#frames = new PageFrames(payloadBytes)
    this.#wanted = new WantedFrames(report, (record, headers) => this.#frames.add(record, headers))
    this.#tunnelPorts = tunnelPorts
  }

  /** Those that the page gets. */
  get count(): number {
    return this.#count
  }

  get blockCount(): number {
    return Math.ceil(this.#count / BLOCK_PACKETS)
  }

  /** Keeps the packet, or not. All packets have to be told in their order, as each one's number is counted here. */
  take(journey: JourneyReport): void {
    const { flow, sightings } = journey
    if (!this.#pageFlows.has(flow)) return
    this.total++
    const number = this.#seen.get(flow) + 1
    this.#seen.set(flow, number)
    if (number > this.#each && !this.#takesOdd(journey) && !this.#takesEvidence(journey)) return
    if (this.#count === this.#flows.length) {
      this.#flows = grown(this.#flows, 2 * this.#count)
      this.#places = grown(this.#places, 2 * this.#count)
    }
    this.#flows[this.#count] = flow
    this.#places[this.#count++] = this.#journeys.addText(JSON.stringify({ ...journey, number }))
    this.#wanted.addSightings(sightings)
  }

  /** Reads their frames; resolves to what the files say about the interfaces of points. */
  async read(inputs: readonly CaptureInput[]): Promise<Map<string, string>> {
    return await this.#wanted.read(inputs, this.#tunnelPorts)
  }

  /** Flow by flow, in pieces that are unpacked together: which flows are in them, and how many packets. */
  blocks(): { flows: [number, number]; packets: number; read(): PagePacket[] }[] {
    const order = new Float64Array(this.#count)
    for (let i = 0; i < order.length; i++) order[i] = this.#flows[i]! * ORDER + i
    order.sort()
    const indexes = Uint32Array.from(order, (key) => key % ORDER)
    return Array.from({ length: this.blockCount }, (_, n) => {
      const part = indexes.subarray(n * BLOCK_PACKETS, (n + 1) * BLOCK_PACKETS)
      return {
        flows: [this.#flows[part[0]!]!, this.#flows[part.at(-1)!]!],
        packets: part.length,
        read: () => Array.from(part, (index) => this.#packet(this.#places[index]!)),
      }
    })
  }

  #packet(place: SlabPlace): PagePacket {
    const journey = JSON.parse(this.#journeys.textAt(place)) as JourneyReport & { number: number }
    const bytes = this.#wanted
      .framesOf(journey)
      .frames.map((places) => places.map((at) => this.#frames.at(at)))
    return { ...harmlessCopy(journey), bytes }
  }

  #takesOdd({ flow, outcome, retransmission }: JourneyReport): boolean {
    if (outcome === 'delivered' && !retransmission) return false
    const odd = this.#odd.get(flow) + 1
    this.#odd.set(flow, odd)
    return odd <= this.#eachOdd
  }

  #takesEvidence({ sightings }: JourneyReport): boolean {
    return (
      sightings.some(({ point, frames }) => this.#evidence.has(point, frames)) && this.#evidenceLeft-- > 0
    )
  }
}

/** How many packets of each flow fit if all may have at most `max`: the same for all flows that have more than that. */
export function shareOfEach(counts: Float64Array, max: number): number {
  const sorted = counts.slice().sort()
  let left = max
  for (const [i, count] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - i))
    if (count > share) return share
    left -= count
  }
  return Number.POSITIVE_INFINITY
}

/** The frames that findings name. */
class Evidence {
  readonly #frames = new Map<string, Set<number>>()

  constructor(findings: readonly FindingReport[]) {
    for (const { evidence } of findings)
      for (const [point, frames] of Object.entries(evidence.frames ?? {})) {
        const known = this.#frames.get(point) ?? new Set()
        this.#frames.set(point, known)
        for (const frame of frames) known.add(frame)
      }
  }

  has(point: string, frames: readonly number[]): boolean {
    const known = this.#frames.get(point)
    return known !== undefined && frames.some((frame) => known.has(frame))
  }
}
