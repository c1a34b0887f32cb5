/** What the ends of generated conversations say to each other: downloads and uploads, queries, pings, and much of it twice. */

import type { EchoConversation, UdpConversation } from './conversation.ts'
import { dnsMessage } from './frame.ts'
import type { PacketOptions, Side, TrueJourney } from './model.ts'
import type { Random } from './random.ts'
import type { TcpConversation } from './tcp.ts'

/** Payload bytes of a full segment: an MTU of 1500 bytes, with time stamps. */
export const MSS_BYTES = 1448
const MAX_SUPER_BYTES = 44 * MSS_BYTES
const RTO_NS = 250e6

export interface TalkOptions {
  random: Random
  /** What happens to a packet on its way; `segments` is the number that it is cut into. */
  trouble: (segments: number) => PacketOptions
  /** The side whose packets may be longer than a segment, as its kernel leaves the cutting to the device. */
  offloads: (from: Side) => boolean
  /** Segments that arrived are sent again now and then. */
  spurious: number
}

export class Talk {
  readonly #random: Random
  readonly #options: TalkOptions

  constructor(options: TalkOptions) {
    this.#random = options.random
    this.#options = options
  }

  /** An exchange over TCP from SYN to FIN; with `repeats` there are packets that nothing tells from others. */
  web(web: TcpConversation, repeats: boolean): void {
    const random = this.#random
    if (!this.#open(web)) return
    for (let round = random.integer(1, 5); round > 0; round--) {
      this.#data(web, 'client', random.integer(1, 400))
      if (random.chance(0.3)) this.#data(web, 'client', random.spread(1000, 200_000))
      web.ack('server', this.#trouble())
      this.#data(web, 'server', random.spread(1, 60_000))
      web.ack('client', this.#trouble())
      if (repeats) this.#equalAcks(web, random.pick(['client', 'server']))
      if (random.chance(0.2)) web.wait(random.spread(1e6, 3e9))
    }
    if (repeats && random.chance(0.3)) this.#keepAlives(web)
    if (random.chance(0.2)) web.reset(random.pick(['client', 'server']), this.#trouble())
    else this.#close(web, random.pick(['client', 'server']))
  }

  /** A query and its answer; with `repeats` the query is sent two to four times. */
  dns(dns: UdpConversation, repeats: boolean): void {
    const random = this.#random
    const id = random.integer(0, 65_535)
    const query = dnsMessage(id, `${random.pick(['a', 'service', 'database', 'www'])}.example`)
    for (let tries = repeats ? random.integer(2, 4) : 1; tries > 0; tries--) {
      const { outcome } = dns.send('client', query, { ...this.#trouble(), ipId: 0 })
      if (outcome === 'lost' && tries === 1) return
      if (tries > 1) dns.wait(random.spread(1e6, 2e9))
    }
    dns.send('server', dnsMessage(id, 'service.example', '192.0.2.7'), this.#trouble())
  }

  /** Datagrams in both directions, each another one. A server does not speak before it was spoken to. */
  stream(udp: UdpConversation): void {
    const random = this.#random
    udp.send('client', random.longText(random.integer(8, 1400)), this.#trouble())
    for (let count = random.integer(5, 60); count > 0; count--) {
      const from = random.chance(0.7) ? 'client' : 'server'
      udp.send(from, random.longText(random.integer(8, 1400)), {
        ...this.#trouble(),
        burst: random.chance(0.5),
      })
    }
  }

  /** The same few bytes again and again. */
  heartbeats(udp: UdpConversation): void {
    const random = this.#random
    const beat = Buffer.from(random.pick(['ping', 'PING00000001', 'heartbeat of the service']))
    const everyNs = random.spread(100e3, 1e9)
    udp.send('client', beat, { ...this.#trouble(), ipId: 0 })
    for (let count = random.integer(5, 30); count > 0; count--) {
      const isAnswered = random.chance(0.5)
      udp.send('client', beat, { ...this.#trouble(), ipId: 0, burst: !isAnswered })
      if (isAnswered) udp.send('server', beat, { ...this.#trouble(), ipId: 0, burst: true })
      udp.wait(everyNs)
    }
  }

  /** Echo requests and replies; with `repeats` all of them with one sequence number. */
  pings(echo: EchoConversation, repeats: boolean): void {
    const random = this.#random
    const everyNs = random.spread(1e6, 1e9)
    for (let seq = 1; seq <= random.integer(3, 8); seq++) {
      const number = repeats ? 1 : seq
      // As `ping` of iputils: what is not sent again and again begins with the time.
      const payload = repeats ? undefined : Buffer.concat([random.text(16), Buffer.alloc(40)])
      const request = echo.request(number, payload, { ...this.#trouble(), ipId: 0 })
      if (request.outcome !== 'lost')
        echo.reply(number, payload, repeats ? { ...this.#trouble(), ipId: 0 } : this.#trouble())
      echo.wait(everyNs)
    }
  }

  /** The handshake, each step until it arrives; false where the client gave up. */
  #open(web: TcpConversation): boolean {
    const insist = (first: TrueJourney) => {
      let journey = first
      for (let tries = 0; journey.outcome === 'lost'; tries++) {
        if (tries === 4) return false
        web.wait(1e9)
        journey = web.retransmit(journey, this.#trouble())
      }
      return true
    }
    if (!insist(web.syn(this.#trouble())) || !insist(web.synAck(this.#trouble()))) return false
    web.ack('client', this.#trouble())
    return true
  }

  #close(web: TcpConversation, first: Side): void {
    for (const from of first === 'client'
      ? (['client', 'server'] as const)
      : (['server', 'client'] as const)) {
      let fin = web.fin(from, this.#trouble())
      while (fin.outcome === 'lost') {
        web.wait(RTO_NS)
        fin = web.retransmit(fin, this.#trouble())
      }
    }
    web.ack(first, this.#trouble())
  }

  /** Sends so many bytes in one go, and what of them was lost until it arrives. */
  #data(web: TcpConversation, from: Side, bytes: number): void {
    const random = this.#random
    const { offloads, spurious } = this.#options
    const missing: { journey: TrueJourney; range: readonly [number, number] }[] = []
    const note = (journey: TrueJourney) => {
      for (const [first, end] of journey.lostBytes)
        for (let at = first; at < end; at += MSS_BYTES)
          missing.push({ journey, range: [at, Math.min(end, at + MSS_BYTES)] })
    }
    const most = offloads(from) ? MSS_BYTES * random.integer(2, MAX_SUPER_BYTES / MSS_BYTES) : MSS_BYTES
    for (let left = bytes; left > 0; ) {
      const count = Math.min(left, most)
      left -= count
      const more = left > 0
      const segments = Math.ceil(count / MSS_BYTES)
      const journey = web.send(from, random.longText(count), {
        ...this.#trouble(segments),
        more,
        burst: more,
      })
      note(journey)
      if (journey.outcome === 'delivered' && random.chance(spurious))
        missing.push({ journey, range: [0, Math.min(count, MSS_BYTES)] })
    }
    // Fast retransmit first, and then one time-out after the other.
    if (missing.length > 0) web.wait(random.spread(300e3, 30e6))
    for (let resent = 0; missing.length > 0; resent++) {
      const { journey, range } = missing.shift()!
      if (resent >= 40) return
      if (resent > 0) web.wait(random.chance(0.5) ? RTO_NS : random.spread(300e3, 30e6))
      note(web.retransmit(journey, this.#trouble(), range))
    }
  }

  /** Acknowledgments that say the same within microseconds, from a stack that numbers no packets without data. */
  #equalAcks(web: TcpConversation, from: Side): void {
    for (let count = this.#random.integer(2, 5); count > 0; count--)
      web.ack(from, { ...this.#trouble(), ipId: 0, burst: count > 1 })
  }

  #keepAlives(web: TcpConversation): void {
    const everyNs = this.#random.spread(50e6, 10e9)
    for (let count = this.#random.integer(2, 5); count > 0; count--) {
      web.wait(everyNs)
      const probe = web.keepAlive('client', { ...this.#trouble(), ipId: 0 })
      if (probe.outcome !== 'lost') web.ack('server', { ...this.#trouble(), ipId: 0 })
    }
  }

  #trouble(segments = 1): PacketOptions {
    return this.#options.trouble(segments)
  }
}
