/** Segmentation and receive offload: one TCP packet seen as several frames, and several as one. */

import { type Content, CWR, FIN, PSH, RST, SYN } from './frame.ts'

/** Payload bytes of a joined packet: what still fits into an IPv4 packet with the longest TCP header. */
const MAX_JOINED_BYTES = 65_535 - 20 - 60

/** The packet as GSO and TSO cut it: IDs count on, CWR stays in the first segment, PSH and FIN in the last. */
export function cut(content: Content, mssBytes: number): Content[] {
  const { payload, flags, seq, ipId } = content
  if (content.protocol !== 'tcp' || payload.length <= mssBytes) return [content]
  const pieces: Content[] = []
  for (let from = 0; from < payload.length; from += mssBytes) {
    const isLast = from + mssBytes >= payload.length
    const dropped = (from > 0 ? CWR : 0) | (isLast ? 0 : PSH | FIN)
    pieces.push({
      ...content,
      payload: payload.subarray(from, from + mssBytes),
      seq: seq + from,
      flags: flags & ~dropped,
      ipId: (ipId + pieces.length) & 0xffff,
    })
  }
  return pieces
}

/**
 * Would GRO append `next` to what it holds? The rules are those of Linux (net/ipv4/tcp_offload.c): the next bytes of the
 * sequence space, nothing else different, all segments as long as the first; a shorter one, PSH or FIN ends it.
 */
export function canJoin(held: readonly Content[], next: Content): boolean {
  const [first, last] = [held[0], held.at(-1)!]
  const heldBytes = held.reduce((sum, { payload }) => sum + payload.length, 0)
  const ended = PSH | FIN | SYN | RST
  return (
    next.payload.length > 0 &&
    next.payload.length <= first.payload.length &&
    last.payload.length === first.payload.length &&
    (last.flags & ended) === 0 &&
    (next.flags & (SYN | RST | CWR)) === 0 &&
    heldBytes + next.payload.length <= MAX_JOINED_BYTES &&
    next.seq === first.seq + heldBytes &&
    next.ack === first.ack &&
    next.window === first.window &&
    Buffer.compare(next.options, first.options) === 0
  )
}

/** The one packet that GRO makes of these: headers of the first, PSH and FIN of the last. */
export function joined(held: readonly Content[]): Content {
  const [first, last] = [held[0], held.at(-1)!]
  if (held.length === 1) return first
  return {
    ...first,
    payload: Buffer.concat(held.map(({ payload }) => payload)),
    flags: first.flags | (last.flags & (PSH | FIN)),
  }
}
