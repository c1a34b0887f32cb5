/** What lies between two points, counted; and the conclusion from the counts. */

import type { Encapsulation, Latency } from './joined-flow.ts'

/**
 * `same-place`: both captured the same interface · `same-wire`: two ends of one cable, or two ports of one layer-2
 * segment · `unrouted`: no router that lowers the TTL, more can't be told · `routed` · `nat`: addresses are rewritten,
 * routed or not · `tunnel`: packets enter or leave one · `proxy`: one connection ends and another begins · `unclear`
 */
export type LinkRelation =
  | 'same-place'
  | 'same-wire'
  | 'unrouted'
  | 'routed'
  | 'nat'
  | 'tunnel'
  | 'proxy'
  | 'unclear'

/** What the packets show that were seen at both points and went in one direction; all figures but `flows` are packets. */
export interface LinkDirection {
  packets: number
  flows: number
  /** By how much the TTL changed, most packets first. Packets of a flow whose TTL varies at one point are in none. */
  ttl: { step: number; packets: number }[]
  /** MAC addresses, as the first packet of each flow had them; `partly`: one of the two. Unknown ones are in none. */
  macs: { kept: number; replaced: number; partly: number }
  /** VLAN ids (outer one first) where they differ. */
  vlans: { from: number[]; to: number[]; packets: number }[]
  /** Address or port of that end was rewritten. */
  rewritten: { source: number; destination: number }
  /** Tunnels around the packets, outermost first, where they differ. */
  tunnels: { from: Encapsulation[]; to: Encapsulation[]; packets: number }[]
  /** The least delay of all, and the median of the flows' medians; negative where taps or clocks err. */
  delay: { minNs: number; medianNs: number } | null
}

export interface Link {
  /** Client side of the run first; the same point twice where packets pass it twice. */
  between: [string, string]
  relation: LinkRelation
  evidence: {
    /** From the first of the two points to the second, whoever the client is. */
    forward: LinkDirection
    reverse: LinkDirection
    /** Flows that are translated here, of their forward packets. */
    translations: { snat: number; dnat: number }
    /** Exchanges that go on as another connection here, and the payload bytes that both have in common. */
    proxied?: { exchanges: number; bytes: number }
  }
  /** Points between the two by which most of the traffic comes: a part of it was not seen there. */
  spans?: string[]
}

/** Delays of flows that go into a median. */
const MAX_DELAYS = 10_000
/** Different TTL steps, VLAN changes or tunnels that are told apart at one link. */
const MAX_KINDS = 16
/** So many packets with equal times at both points are no accident; where clocks tell whole µs only, it takes more. */
const LEAST_EQUAL_TIMES = 8
const LEAST_EQUAL_MICROSECONDS = 64

export class DirectionCount implements Omit<LinkDirection, 'delay' | 'vlans' | 'tunnels' | 'ttl'> {
  packets = 0
  flows = 0
  readonly ttl = new Map<number, number>()
  readonly macs = { kept: 0, replaced: 0, partly: 0, unknown: 0 }
  readonly vlans = new Map<string, LinkDirection['vlans'][number]>()
  readonly rewritten = { source: 0, destination: 0 }
  readonly tunnels = new Map<string, LinkDirection['tunnels'][number]>()
  readonly mediansNs: number[] = []
  /** Bit 0: packets to a server are among these; bit 1: packets to a client. */
  sides = 0
  minNs = Number.POSITIVE_INFINITY
  maxNs = Number.NEGATIVE_INFINITY

  noteDelay(delay: Latency | null): void {
    if (delay === null) return
    if (this.mediansNs.length < MAX_DELAYS) this.mediansNs.push(delay.medianNs)
    this.minNs = Math.min(this.minNs, delay.minNs)
    this.maxNs = Math.max(this.maxNs, delay.p99Ns)
  }

  finished(): LinkDirection {
    const { kept, replaced, partly } = this.macs
    const sorted = this.mediansNs.sort((a, b) => a - b)
    return {
      packets: this.packets,
      flows: this.flows,
      ttl: [...this.ttl]
        .map(([step, packets]) => ({ step, packets }))
        .sort((a, b) => b.packets - a.packets || b.step - a.step),
      macs: { kept, replaced, partly },
      vlans: [...this.vlans.values()],
      rewritten: this.rewritten,
      tunnels: [...this.tunnels.values()],
      delay: sorted.length === 0 ? null : { minNs: this.minNs, medianNs: sorted[(sorted.length - 1) >>> 1]! },
    }
  }
}

export class LinkCount {
  readonly forward = new DirectionCount()
  readonly reverse = new DirectionCount()
  readonly translations = { snat: 0, dnat: 0 }
  exchanges = 0
  proxiedBytes = 0

  /** Is there anything between the two? */
  get isLink(): boolean {
    const { forward, reverse, translations, exchanges } = this
    return forward.packets + reverse.packets + translations.snat + translations.dnat + exchanges > 0
  }

  evidence(): Link['evidence'] {
    const { forward, reverse, translations, exchanges, proxiedBytes } = this
    return {
      forward: forward.finished(),
      reverse: reverse.finished(),
      translations,
      ...(exchanges > 0 ? { proxied: { exchanges, bytes: proxiedBytes } } : {}),
    }
  }

  /** What the counts say, once complete. `hasNanoseconds`: clocks tell more than whole µs. */
  relation(hasNanoseconds: boolean): LinkRelation {
    const both = [this.forward, this.reverse]
    if (both.every(({ packets }) => packets === 0)) return this.exchanges > 0 ? 'proxy' : 'nat'
    const { snat, dnat } = this.translations
    if (snat + dnat > 0 || both.some(({ rewritten: { source, destination } }) => source + destination > 0))
      return 'nat'
    if (both.some(({ tunnels }) => tunnels.size > 0)) return 'tunnel'
    const steps = new Map<number, number>()
    const macs = { kept: 0, other: 0 }
    for (const { ttl, macs: fate } of both) {
      for (const [step, packets] of ttl) addTo(steps, step, packets)
      macs.kept += fate.kept
      macs.other += fate.replaced + fate.partly
    }
    const [step] = [...steps].sort((a, b) => b[1] - a[1])[0] ?? []
    if (step !== undefined && step !== 0) return 'routed'
    if (macs.other === 0 && step === 0 && isSamePlace(both, hasNanoseconds)) return 'same-place'
    if (macs.kept > macs.other) return 'same-wire'
    return step === 0 ? 'unrouted' : 'unclear'
  }
}

/**
 * One frame has one time for all who capture at its interface; on its way it takes at least some ns. The tap of a bridge has the
 * time of the port that a packet came in by, too, but not that of the port that the answer goes out by.
 */
function isSamePlace(both: readonly DirectionCount[], hasNanoseconds: boolean): boolean {
  const packets = both.reduce((sum, one) => sum + one.packets, 0)
  return (
    both.reduce((sides, one) => sides | one.sides, 0) === 3 &&
    packets >= (hasNanoseconds ? LEAST_EQUAL_TIMES : LEAST_EQUAL_MICROSECONDS) &&
    both.every((one) => one.packets === 0 || (one.minNs === 0 && one.maxNs === 0))
  )
}

export function addTo<K>(counts: Map<K, number>, key: K, packets: number): void {
  if (counts.has(key) || counts.size < MAX_KINDS) counts.set(key, (counts.get(key) ?? 0) + packets)
}

export function addKind<T extends { packets: number }>(kinds: Map<string, T>, key: string, kind: T): void {
  const known = kinds.get(key)
  if (known) known.packets += kind.packets
  else if (kinds.size < MAX_KINDS) kinds.set(key, kind)
}
