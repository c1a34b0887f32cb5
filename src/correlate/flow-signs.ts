/** Flow signs: what the segments of a TCP connection say beside what was lost, once all records are in. */

import type { Correlator } from './correlator.ts'
import { type DirectionIndex, Seen } from './flows.ts'
import { Protocol } from './identity.ts'
import type { DirectionName, FlowSigns } from './joined-flow.ts'

/** Bytes that were sent again so often, and still not acknowledged, did not get through. */
const MIN_TIMES_RESENT = 2
/** A server that has not answered for so long may be silent, in ns. */
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
      found.reset = {
        ...{ direction: name, point: points[reset.point]!.name, frame: reset.frame, ttl: reset.ttl },
        ...(isUsualReset(flows.seen[forward]!, flows.seen[forward ^ 1]!, name) && { isUsual: true }),
      }
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
      // What came before the capture may have been as large.
      (flows.seen[direction]! & (Seen.Syn | Seen.SynAck)) !== 0 &&
      (flows.seen[direction ^ 1]! & Seen.Ack) !== 0 &&
      !flows.isAcked(direction, resent.seq + 1) &&
      flows.signs.isFirstLarge(direction, resent)
    )
      found.stuck = { direction: name, lenBytes: resent.lenBytes, times: resent.times }
  }
  const silence = silenceOf(correlator, forward, endNs)
  if (silence) found.silence = silence
  return Object.keys(found).length > 0 ? found : null
}

/**
 * Programs close with a RST instead of a FIN where they don't want what still comes; and who only looks whether anybody
 * listens, as health checks do, says no more than that. `asked` and `answered` are what was seen of both directions.
 */
function isUsualReset(asked: number, answered: number, by: DirectionName): boolean {
  const isClosing = ((asked | answered) & Seen.Fin) !== 0 && (answered & Seen.Data) !== 0
  const isCheck = by === 'forward' && (asked & Seen.Syn) !== 0 && ((asked | answered) & Seen.Data) === 0
  return isClosing || isCheck
}

/**
 * The request has arrived, as the server's kernel acknowledged it, and the server has sent no byte since. Nothing of who
 * sends on and on and waits for no answer.
 */
function silenceOf({ flows }: Correlator, forward: DirectionIndex, endNs: number): FlowSigns['silence'] {
  const [asked, answered] = [flows.seen[forward]!, flows.seen[forward ^ 1]!]
  const isOpen = (asked & Seen.Syn) !== 0 && (answered & Seen.SynAck) !== 0
  const askedNs = flows.signs.dataNs(forward)
  const isSilent =
    isOpen &&
    (asked & Seen.Data) !== 0 &&
    (answered & (Seen.Data | Seen.Fin | Seen.Rst)) === 0 &&
    flows.isAcked(forward, flows.seqEnd[forward]! - (asked & Seen.Fin ? 1 : 0)) &&
    !flows.signs.hasPaused(forward) &&
    endNs - askedNs >= SILENCE_NS
  if (!isSilent) return undefined
  // A FIN right behind the request only ends the request.
  const hasGivenUp =
    (asked & (Seen.Fin | Seen.Rst)) !== 0 && flows.lastNs[forward >> 1]! - askedNs >= SILENCE_NS
  return { forNs: (hasGivenUp ? flows.lastNs[forward >> 1]! : endNs) - askedNs, hasGivenUp }
}
