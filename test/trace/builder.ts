/**
 * TraceBuilder: conversations in, one capture per point and the truth about them out. Everything comes from a seed.
 *
 *   const trace = new TraceBuilder({ seed: 1, points: ['container', 'veth', 'bridge', 'uplink'],
 *     routed: [['bridge', 'uplink']] })
 *   const web = trace.tcp({ client: { ip: '172.17.0.2', port: 40000 }, server: { ip: '203.0.113.9', port: 80 },
 *     nat: [{ kind: 'snat', between: ['bridge', 'uplink'], to: { ip: '192.168.7.2', port: 1025 } }] })
 *   web.open()
 *   const first = web.send('client', 200, { lostBetween: ['bridge', 'uplink'] })
 *   web.wait(250e6)
 *   web.retransmit(first)
 *   web.close()
 *   const { files, truth } = trace.build() // or trace.write(folder)
 *
 * A station is a place in a conversation's path, counted from the client's side; a point may be two stations
 * (hairpin). A hop lies between a station and the next. The truth is physical: what happened to each packet, whether
 * or not the captures suffice to prove it.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Conversation, EchoConversation, UdpConversation } from './conversation.ts'
import { buildPcap } from './frame.ts'
import type { ConversationOptions, Hop, PointOptions, Sighting, TraceOptions, Truth } from './model.ts'
import { Random } from './random.ts'
import { TcpConversation } from './tcp.ts'

export class TraceBuilder {
  readonly points: readonly PointOptions[]
  readonly routed: readonly Hop[]
  readonly random: Random
  readonly hopDelayNs: readonly [number, number]
  readonly #startSeconds: number
  readonly #conversations: Conversation[] = []
  readonly #sightings: Sighting[] = []

  constructor(options: TraceOptions) {
    this.random = new Random(options.seed)
    this.points = options.points.map((point) => (typeof point === 'string' ? { name: point } : point))
    this.routed = options.routed ?? []
    this.hopDelayNs = options.hopDelayNs ?? [5_000, 40_000]
    this.#startSeconds = options.startSeconds ?? 1_800_000_000
  }

  tcp(options: ConversationOptions): TcpConversation {
    return this.#add(new TcpConversation(this, this.#conversations.length + 1, 'tcp', options))
  }

  udp(options: ConversationOptions): UdpConversation {
    return this.#add(new UdpConversation(this, this.#conversations.length + 1, 'udp', options))
  }

  echo(options: ConversationOptions): EchoConversation {
    return this.#add(new EchoConversation(this, this.#conversations.length + 1, 'icmp', options))
  }

  /** When all that was said so far has ended, in ns since the trace began. */
  get nowNs(): number {
    return Math.max(0, ...this.#conversations.map((conversation) => conversation.nowNs))
  }

  /** Called by conversations: a point sees a frame. */
  see(sighting: Sighting): void {
    const { fromNs = 0, untilNs = Number.POSITIVE_INFINITY } = this.points[sighting.point]
    if (sighting.timeNs >= fromNs && sighting.timeNs <= untilNs) this.#sightings.push(sighting)
  }

  /** The pcap file of every point, by name, and the truth. To be called once, at the end. */
  build(): { files: Map<string, Uint8Array>; truth: Truth } {
    const files = new Map<string, Uint8Array>()
    for (const conversation of this.#conversations) conversation.settle()
    for (const [index, point] of this.points.entries()) {
      const { name, clockOffsetNs = 0, clockSkewPpm = 0, snapLen = 262_144 } = point
      const shown = (timeNs: number) => timeNs + clockOffsetNs + Math.round(timeNs * clockSkewPpm * 1e-6)
      const seen = this.#sightings.filter(({ point }) => point === index).sort((a, b) => a.timeNs - b.timeNs)
      for (const [record, { journeys, station, timeNs, isCopy = false }] of seen.entries())
        for (const journey of journeys) {
          let here = journey.sightings.find(
            (sighting) => sighting.point === name && sighting.station === station,
          )
          if (!here) {
            here = { point: name, station, frames: [], copies: [], timeNs: shown(timeNs) }
            journey.sightings.push(here)
          }
          here.frames.push(record + 1)
          if (isCopy) here.copies.push(record + 1)
        }
      const frames = seen.map(({ timeNs, bytes }) => ({ timeNs: shown(timeNs), bytes }))
      files.set(name, buildPcap(frames, this.#startSeconds, snapLen))
    }
    const flows = this.#conversations.map((conversation) => conversation.truth())
    const journeys = this.#conversations.flatMap(({ passages }) => passages.map(({ journey }) => journey))
    return { files, truth: { points: this.points.map(({ name }) => name), flows, journeys } }
  }

  /** Writes `NAME.pcap` for every point into `folder`, which is made if need be, and returns the truth. */
  write(folder: string): Truth {
    const { files, truth } = this.build()
    mkdirSync(folder, { recursive: true })
    for (const [name, bytes] of files) writeFileSync(join(folder, `${name}.pcap`), bytes)
    return truth
  }

  #add<C extends Conversation>(conversation: C): C {
    this.#conversations.push(conversation)
    return conversation
  }
}
