/**
 * The event stream: what one page is sent, as server-sent events (HTML, section 9.2). It holds no queue: it remembers how
 * far the page is, and goes on from there whenever the page has taken in what was sent before.
 */

import type { ServerResponse } from 'node:http'
import type { LiveEvents, LiveHello } from '../report/page-live.ts'
import type { PacketFeed } from './packet-feed.ts'
import type { ReportFeed } from './report-feed.ts'

/** One event is about so long at the most: so much more than the socket takes waits in memory. */
const PIECE_CHARACTERS = 65_536
/** A page that takes in nothing for so long is closed; it asks again when it lives. */
const PATIENCE_MS = 30_000
/** After a connection has broken, browsers wait so long. */
const RETRY_MS = 2000

export interface Feeds {
  readonly report: ReportFeed
  readonly packets: PacketFeed
  hello(): LiveHello
}

export class EventStream {
  readonly #response: ServerResponse
  readonly #feeds: Feeds
  /** The next packet. */
  #packet: number
  /** Version of the report that the page has. */
  #version = 0
  #telling: ReturnType<ReportFeed['since']> | null = null
  #stuckSinceMs: number | null = null
  #isEnding = false
  #hasSaidAll = false

  /** `lastPacket` is the last one that the page has from an earlier connection, or null. */
  constructor(response: ServerResponse, feeds: Feeds, lastPacket: number | null) {
    this.#response = response
    this.#feeds = feeds
    const { packets } = feeds
    this.#packet = lastPacket === null ? packets.first : Math.min(lastPacket + 1, packets.end)
    response.on('drain', () => this.pump())
    response.write(`retry: ${RETRY_MS}\n`)
    this.#send('hello', JSON.stringify(feeds.hello()))
  }

  /** Sends what is new, as far as the page takes it in at the moment. */
  pump(): void {
    const response = this.#response
    while (!response.destroyed && !response.writableNeedDrain && this.#sendNext());
    if (!response.writableNeedDrain) this.#stuckSinceMs = null
    else {
      const nowMs = performance.now()
      this.#stuckSinceMs ??= nowMs
      if (nowMs - this.#stuckSinceMs > PATIENCE_MS) response.destroy()
    }
  }

  /** Nothing new will come: says so once the page has all. */
  end(): void {
    this.#isEnding = true
    this.pump()
  }

  /** One piece; false where there is none. */
  #sendNext(): boolean {
    const { report, packets } = this.#feeds
    if (this.#telling === null && report.version > this.#version)
      this.#telling = report.since(this.#version, PIECE_CHARACTERS)
    const told = this.#telling?.next()
    if (told && !told.done) {
      this.#version = told.value.version
      this.#send(told.value.event, told.value.json)
      return true
    }
    this.#telling = null
    if (told) return true
    if (this.#version === 0) return false
    const missed = packets.first - this.#packet
    if (missed > 0) {
      this.#packet = packets.first
      this.#send('missed', String(missed))
      return true
    }
    if (this.#packet < packets.end) {
      const { json, next } = packets.piece(this.#packet, PIECE_CHARACTERS)
      this.#packet = next
      this.#send('packets', json, next - 1)
      return true
    }
    if (!this.#isEnding || this.#hasSaidAll) return false
    this.#hasSaidAll = true
    this.#send('end', 'null')
    this.#response.end()
    return false
  }

  /** `id` comes back from a browser that connects again. */
  #send(event: keyof LiveEvents, json: string, id?: number): void {
    this.#response.write(`event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${json}\n\n`)
  }
}
