/** The packets that pages are told of: the newest ones in memory, each as a line of JSON that all pages share. */

import { CaptureRecord } from '../capture/record.ts'
import { decodeFrame } from '../decode/frame.ts'
import { Headers } from '../decode/headers.ts'
import type { UdpTunnel } from '../decode/udp-tunnels.ts'
import { PAYLOAD_BYTES, pageFrameOf } from '../page/frames.ts'
import type { JourneyReport } from '../report/journey-lines.ts'
import type { PageFrame, PagePacket } from '../report/page-data.ts'
import { MAX_FRAMES, MAX_SIGHTINGS } from '../wanted-frames.ts'
import type { FrameRing } from './frame-ring.ts'
import { harmlessLine } from './harmless-line.ts'

/** Whoever opens a page later, or reloads it, gets so many. */
const MAX_PACKETS = 20_000
const MAX_CHARACTERS = 40 << 20
/** Flows of which it is known how many packets they have had. */
const MAX_COUNTED_FLOWS = 100_000

/** Packets count from 0 in the order in which they were told; those from `first` up to `end` are there. */
export class PacketFeed {
  first = 0
  end = 0
  readonly #lines: string[] = new Array(MAX_PACKETS)
  #characters = 0
  readonly #frames: FrameRing
  readonly #record = new CaptureRecord()
  readonly #headers = new Headers()
  readonly #counts = new Map<number, number>()

  constructor(frames: FrameRing, tunnelPorts?: ReadonlyMap<number, UdpTunnel>) {
    this.#frames = frames
    if (tunnelPorts) this.#headers.tunnelPorts = tunnelPorts
  }

  add(journey: JourneyReport): void {
    const bytes = journey.sightings
      .slice(0, MAX_SIGHTINGS)
      .map(({ frames }) => frames.slice(0, MAX_FRAMES).flatMap((frame) => this.#frameOf(frame)))
    const more: Omit<PagePacket, keyof JourneyReport> = { number: this.#numberIn(journey.flow), bytes }
    const line = `${harmlessLine(journey).slice(0, -1)},${JSON.stringify(more).slice(1)}`
    if (this.end - this.first === MAX_PACKETS) this.#forgetOldest()
    this.#lines[this.end++ % MAX_PACKETS] = line
    this.#characters += line.length
    while (this.#characters > MAX_CHARACTERS) this.#forgetOldest()
  }

  /** As many packets from this one on as make about so many characters, as a JSON array; and the one behind them. */
  piece(from: number, characters: number): { json: string; next: number } {
    const lines: string[] = []
    let next = from
    for (let size = 0; next < this.end && size < characters; next++) {
      const line = this.#lines[next % MAX_PACKETS]!
      lines.push(line)
      size += line.length
    }
    return { json: `[${lines.join(',')}]`, next }
  }

  #forgetOldest(): void {
    const place = this.first++ % MAX_PACKETS
    this.#characters -= this.#lines[place]!.length
    this.#lines[place] = ''
  }

  /** Packets of a flow count in the order in which they are told; flows that were silent for longest are forgotten. */
  #numberIn(flow: number): number {
    const counts = this.#counts
    const number = (counts.get(flow) ?? 0) + 1
    counts.delete(flow)
    counts.set(flow, number)
    if (counts.size > MAX_COUNTED_FLOWS) counts.delete(counts.keys().next().value!)
    return number
  }

  #frameOf(frame: number): PageFrame | [] {
    const record = this.#record
    if (!this.#frames.find(frame, record)) return []
    decodeFrame(
      record.bytes,
      record.start,
      record.end,
      record.linkType,
      record.originalLenBytes,
      this.#headers,
    )
    return pageFrameOf(record, this.#headers, PAYLOAD_BYTES)
  }
}
