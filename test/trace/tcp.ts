/** TCP conversations: sequence numbers, acknowledgements and time stamps as the two ends would write them. */

import type { TraceBuilder } from './builder.ts'
import { Conversation } from './conversation.ts'
import { ACK, type Content, FIN, type Protocol, PSH, RST, SYN, tcpOptions } from './frame.ts'
import type { ConversationOptions, PacketOptions, Side, TrueJourney } from './model.ts'
import type { Random } from './random.ts'

export class TcpConversation extends Conversation {
  readonly #ends: Record<Side, TcpEnd>
  readonly #timestamps: boolean

  constructor(trace: TraceBuilder, id: number, protocol: Protocol, options: ConversationOptions) {
    super(trace, id, protocol, options)
    this.#timestamps = options.timestamps ?? true
    const [client, server] = options.isn ?? [
      trace.random.integer(0, 2 ** 32 - 1),
      trace.random.integer(0, 2 ** 32 - 1),
    ]
    this.#ends = { client: new TcpEnd(client, trace.random), server: new TcpEnd(server, trace.random) }
  }

  /** The handshake: SYN, SYN-ACK, ACK. */
  open(): [TrueJourney, TrueJourney, TrueJourney] {
    return [this.syn(), this.synAck(), this.ack('client')]
  }

  syn(options?: PacketOptions): TrueJourney {
    return this.#segment('client', SYN, new Uint8Array(0), options)
  }

  synAck(options?: PacketOptions): TrueJourney {
    return this.#segment('server', SYN | ACK, new Uint8Array(0), { ipId: 0, ...options })
  }

  /** Payload bytes, or so many random letters. */
  send(from: Side, payload: Uint8Array | number, options?: PacketOptions): TrueJourney {
    const bytes = typeof payload === 'number' ? this.trace.random.text(payload) : payload
    return this.#segment(from, options?.more ? ACK : PSH | ACK, bytes, options)
  }

  /** A pure ACK of all that arrived; said twice, it gives two that differ in nothing but IP id and time stamp. */
  ack(from: Side, options?: PacketOptions): TrueJourney {
    return this.#segment(from, ACK, new Uint8Array(0), options)
  }

  fin(from: Side, options?: PacketOptions): TrueJourney {
    return this.#segment(from, FIN | ACK, new Uint8Array(0), options)
  }

  reset(from: Side, options?: PacketOptions): TrueJourney {
    return this.#segment(from, RST | ACK, new Uint8Array(0), { ipId: 0, ...options })
  }

  /** FIN from `first`, FIN from the other, last ACK. */
  close(first: Side = 'client'): void {
    this.fin(first)
    this.fin(first === 'client' ? 'server' : 'client')
    this.ack(first)
  }

  /** A probe of an idle connection: an ACK whose sequence number is one too low (RFC 9293, section 3.8.4). */
  keepAlive(from: Side, options?: PacketOptions): TrueJourney {
    return this.#segment(from, ACK, new Uint8Array(0), options, this.#ends[from].next - 1)
  }

  /** The same bytes once more, or some of them, with a new IP id and time stamp. */
  retransmit(
    original: TrueJourney,
    options?: PacketOptions,
    [first, end]: readonly [number, number] = [0, original.content.payload.length],
  ): TrueJourney {
    const from = original.direction === 'forward' ? 'client' : 'server'
    const { flags, payload, seq } = original.content
    const kept = end < payload.length ? flags & ~(PSH | FIN) : flags
    const again = this.#segment(from, kept, payload.subarray(first, end), options, seq + first)
    again.retransmissionOf = original
    return again
  }

  #segment(
    from: Side,
    flags: number,
    payload: Uint8Array,
    options?: PacketOptions,
    seq?: number,
  ): TrueJourney {
    const [end, peer] =
      from === 'client' ? [this.#ends.client, this.#ends.server] : [this.#ends.server, this.#ends.client]
    const length = payload.length + (flags & (SYN | FIN) ? 1 : 0)
    const first = seq ?? end.next
    if (seq === undefined) end.next += length
    const tsVal = end.clockMs + Math.floor(this.nowNs / 1e6)
    const parts: Partial<Content> = {
      ...{
        flags,
        payload,
        seq: first,
        ack: flags & ACK ? end.expected : 0,
        window: flags & SYN ? 64_240 : 502,
      },
      options:
        flags & RST || !this.#timestamps
          ? new Uint8Array(0)
          : tcpOptions((flags & SYN) > 0, tsVal, end.echoMs),
    }
    const journey = this.emit(from, parts, options)
    let arrived = 0
    for (const [lostFrom, lostTo] of journey.lostBytes) {
      if (lostFrom > arrived) peer.receive(first + arrived, lostFrom - arrived, false, tsVal)
      arrived = lostTo
    }
    const isWhole = journey.outcome !== 'lost'
    if (isWhole || (arrived > 0 && arrived < payload.length))
      peer.receive(first + arrived, length - arrived, (flags & SYN) > 0, tsVal)
    return journey
  }
}

/** One end of a TCP connection, as far as its numbers go. */
class TcpEnd {
  next: number
  /** The next byte that it expects of its peer. */
  expected = 0
  readonly clockMs: number
  echoMs = 0
  #early: [number, number][] = []

  constructor(isn: number, random: Random) {
    this.next = isn
    this.clockMs = random.integer(0, 2 ** 32 - 1)
  }

  receive(seq: number, length: number, syn: boolean, tsVal: number): void {
    this.echoMs = tsVal
    if (syn) this.expected = Math.max(this.expected, seq)
    this.#early.push([seq, length])
    let moved = true
    while (moved) {
      moved = false
      for (const [first, count] of this.#early) {
        if (first > this.expected || first + count <= this.expected) continue
        this.expected = first + count
        moved = true
      }
    }
    this.#early = this.#early.filter(([first, count]) => first + count > this.expected)
  }
}
