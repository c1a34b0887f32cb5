/** Flow signs: what the segments of a TCP connection say beside what was lost, once all records are in. */

import type { Correlator } from './correlator.ts'
import { type DirectionIndex, Seen } from './flows.ts'
import { Protocol } from './identity.ts'
import type { DirectionName, FlowSigns } from './joined-flow.ts'

/** Bytes that were sent again so often, and still not acknowledged, did not get through. */
const MIN_TIMES_RESENT = 2
/** Every link takes packets as large as this (RFC 791). */
const SMALL_BYTES = 576
/** A server that has not answered for so long is silent, in ns. */
const SILENCE_NS = 1e9

/** `endNs` is the time of the last record of all. Nothing where there is no sign. */
export function flowSigns(correlator: Correlator, forward: DirectionIndex, endNs: number): FlowSigns | null {
  const { flows, points } = correlator
  if (flows.protocol[forward >> 1] !== Protocol.Tcp) return null
  const found: FlowSigns = {}
  const sides: [DirectionIndex, DirectionName][] = [
    [forward, 'forward'],
    [forward ^ 1, 'reverse'],
  ]
  for (const [direction, name] of sides) {
    const reset = flows.signs.reset(direction)
    if (reset && !found.reset)
      found.reset = { direction: name, point: points[reset.point]!.name, frame: reset.frame, ttl: reset.ttl }
    const zero = flows.signs.zeroWindows(direction)
    if (zero)
      found.zeroWindows = [
        ...(found.zeroWindows ?? []),
        { direction: name, packets: zero.packets, point: points[zero.point]!.name, frames: zero.frames },
      ]
    const resent = flows.signs.resent(direction)
    if (
      resent &&
      resent.times >= MIN_TIMES_RESENT &&
      resent.lenBytes > SMALL_BYTES &&
      (flows.seen[direction ^ 1]! & Seen.Ack) !== 0 &&
      !flows.isAcked(direction, resent.seq + 1) &&
      flows.signs.isLargestFrom(direction, resent.seq)
    )
      found.stuck = { direction: name, lenBytes: resent.lenBytes, times: resent.times }
  }
  if (isSilent(correlator, forward, endNs)) found.isServerSilent = true
  return Object.keys(found).length > 0 ? found : null
}

/** The request has arrived, as the server's kernel acknowledged it, and the server has sent no byte since. */
function isSilent({ flows }: Correlator, forward: DirectionIndex, endNs: number): boolean {
  const [asked, answered] = [flows.seen[forward]!, flows.seen[forward ^ 1]!]
  const isOpen = (asked & Seen.Syn) !== 0 && (answered & Seen.SynAck) !== 0
  return (
    isOpen &&
    (asked & Seen.Data) !== 0 &&
    (answered & (Seen.Data | Seen.Fin | Seen.Rst)) === 0 &&
    flows.isAcked(forward, flows.seqEnd[forward]! - (asked & Seen.Fin ? 1 : 0)) &&
    endNs - flows.firstNs[forward]! >= SILENCE_NS
  )
}
