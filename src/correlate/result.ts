/** The result: reads the correlator's tables, once all records are in, as flows that people and programs can read. */

import type { Epoch, PointIndex } from '../capture/record.ts'
import { formatIpv4, formatIpv6, icmpErrorName, protocolName } from '../decode/display.ts'
import type { AddressIndex } from './addresses.ts'
import type { Correlator } from './correlator.ts'
import { type DirectionIndex, type FlowIndex, Seen } from './flows.ts'
import { Protocol } from './identity.ts'
import type {
  DirectionName,
  Endpoint,
  FlowState,
  IcmpErrorSummary,
  JoinedFlow,
  Latency,
  Loss,
  Station,
  Translation,
} from './joined-flow.ts'
import type { LegIndex } from './legs.ts'
import { NextHops } from './next-hops.ts'
import { asInTheRun, asStated, legsAlongTheWay, orderPoints } from './order.ts'
import { coOccurrence, outcomesOf, type PatternOutcome } from './outcomes.ts'
import { EVIDENCE_FRAMES } from './patterns.ts'

/** A capture that ends so soon behind a request proves no silence, in ns. */
export const PATIENCE_NS = 1e9

export interface JoinOptions {
  /** The order of points as the user states it (`--path`), client side first; empty: worked out. */
  statedPath?: readonly PointIndex[]
}

/** All flows of a run in the order of their first packets, and what is needed to tell a single journey's outcome. */
export interface JoinedFlows {
  flows: JoinedFlow[]
  /** All points, client side first. */
  path: PointIndex[]
  /** Outcome by pattern row. */
  outcomes: Map<number, PatternOutcome>
  /** Place of a leg on its way, from 0; by leg. */
  places: Uint8Array
  /** An address as text. */
  address(address: AddressIndex): string
  /** Number (`id`) of the flow and name of the direction that a direction belongs to. */
  locate(direction: DirectionIndex): { flow: number; direction: DirectionName } | null
}

interface Ways {
  flow: FlowIndex
  forward: DirectionIndex
  way: [LegIndex[], LegIndex[]]
}

/** Reads the finished correlator. Times become nanoseconds since 1970 by `epoch`. */
export function joinedFlows(correlator: Correlator, epoch: Epoch, options: JoinOptions = {}): JoinedFlows {
  const { flows, legs } = correlator
  const stated = options.statedPath ?? []
  const all: Ways[] = []
  for (let flow = 0; flow < flows.count; flow++) {
    if (flows.isMerged(flow)) continue
    const forward = flows.forwardOf(flow)
    const way: [LegIndex[], LegIndex[]] = [
      legsAlongTheWay(correlator, forward),
      legsAlongTheWay(correlator, forward ^ 1),
    ]
    if (way[0].length + way[1].length > 0) all.push({ flow, forward, way })
  }
  const beginOf = ({ forward }: Ways) => Math.min(flows.firstNs[forward]!, flows.firstNs[forward ^ 1]!)
  all.sort((a, b) => beginOf(a) - beginOf(b))
  const isOneWay = ({ way: [there, back] }: Ways) => there.length === 0 || back.length === 0
  if (stated.length > 0)
    for (const ways of all)
      ways.way = ways.way.map((legs) => asStated(correlator, legs, stated)) as Ways['way']
  const pointsOf = (way: LegIndex[]) => way.map((leg) => legs.point[leg]!)
  const pointWays = (which: Ways[]) =>
    which.flatMap(({ way: [there, back] }) => {
      const points = there.length >= back.length ? pointsOf(there) : pointsOf(back).reverse()
      return new Set(points).size > 1 ? [points] : []
    })
  const order = orderPoints(
    correlator.points.length,
    pointWays(all.filter((ways) => !isOneWay(ways))),
    pointWays(all.filter(isOneWay)),
    stated,
  )
  if (stated.length === 0)
    for (const ways of all)
      if (isOneWay(ways))
        ways.way = ways.way.map((legs) => asInTheRun(correlator, legs, order.points)) as Ways['way']
  const nextHops = new NextHops(correlator, order, stated.length > 0)
  for (const { way } of all) nextHops.note(way)
  const reader = new FlowReader(correlator, epoch, nextHops)
  const numbers = new Map<FlowIndex, number>()
  const joined = all.map((ways, i) => {
    numbers.set(ways.flow, i + 1)
    return reader.read(ways, i + 1)
  })
  const places = new Uint8Array(legs.count)
  for (const { way } of all)
    for (const side of way)
      side.forEach((leg, place) => {
        places[leg] = place
      })
  return {
    flows: joined,
    places,
    path: order.points,
    outcomes: reader.outcomes,
    address: (address) => reader.address(address),
    locate(direction) {
      const root = flows.find(direction)
      const id = numbers.get(root >> 1)
      if (id === undefined) return null
      return { flow: id, direction: root === flows.forwardOf(root >> 1) ? 'forward' : 'reverse' }
    },
  }
}

class FlowReader {
  readonly outcomes = new Map<number, PatternOutcome>()
  readonly #correlator: Correlator
  readonly #epoch: Epoch
  readonly #nextHops: NextHops
  readonly #scratch = new Uint8Array(16)
  readonly #texts: string[] = []
  /** Time of the last record of all. */
  readonly #endNs: number

  constructor(correlator: Correlator, epoch: Epoch, nextHops: NextHops) {
    this.#correlator = correlator
    this.#epoch = epoch
    this.#nextHops = nextHops
    this.#endNs = Math.max(
      ...correlator.points.map((point) => (Number.isNaN(point.lastNs) ? 0 : point.lastNs)),
    )
  }

  read(ways: Ways, id: number): JoinedFlow {
    const { flows, patterns } = this.#correlator
    const { flow, forward } = ways
    const reverse = forward ^ 1
    const protocol = flows.protocol[flow]!
    const icmpErrors = [...this.#icmpErrors(forward, 'forward'), ...this.#icmpErrors(reverse, 'reverse')]
    const firstNs = Math.min(flows.firstNs[forward]!, flows.firstNs[reverse]!)
    const lost: Loss[] = []
    const unseen: JoinedFlow['unseen'] = []
    let ambiguous = 0
    let forwardTogether: Set<number>[] = []
    const totals = [0, 1].map((side) => {
      const direction = forward ^ side
      const name: DirectionName = side === 0 ? 'forward' : 'reverse'
      const isUnanswered =
        ways.way[1 - side]!.length === 0 && icmpErrors.length === 0 && this.#endNs - firstNs >= PATIENCE_NS
      const way = ways.way[side]!
      const together = coOccurrence(this.#correlator, direction, way)
      if (side === 0) forwardTogether = together
      const outcomes = outcomesOf(this.#correlator, direction, way, {
        together,
        beyond: isUnanswered ? this.#nextHops.beyond(way) : this.#nextHops.wayBack(way, ways.way[1 - side]!),
      })
      let packets = 0
      let bytes = 0
      for (const [row, outcome] of outcomes) {
        this.outcomes.set(row, outcome)
        packets += patterns.packets[row]!
        bytes += patterns.bytes[row]!
        if (outcome.kind === 'ambiguous') ambiguous += patterns.packets[row]!
        if (outcome.between) this.#addLoss(lost, name, row, outcome.between)
        for (const point of outcome.unseenAt) {
          const pointName = this.#pointName(point)
          const known = unseen.find((u) => u.direction === name && u.point === pointName)
          if (known) known.packets += patterns.packets[row]!
          else unseen.push({ direction: name, point: pointName, packets: patterns.packets[row]! })
        }
      }
      return { packets, bytes, path: ways.way[side]!.map((leg) => this.#station(leg)) }
    })
    const [forwardReport, reverseReport] = totals as [JoinedFlow['forward'], JoinedFlow['reverse']]
    const first = forwardReport.path[0]
    const lastBack = reverseReport.path.at(-1)
    const rtt = flows.rttNs[flow]!
    const lastNs = Math.max(flows.lastNs[forward]!, flows.lastNs[reverse]!)
    return {
      id,
      protocol: protocolName(protocol),
      state: this.#state(flow, forward, ways, icmpErrors),
      client: first?.src ?? lastBack!.dst,
      server: first?.dst ?? lastBack!.src,
      firstNs: this.#epoch.toUnixNs(firstNs).toString(),
      lastNs: this.#epoch.toUnixNs(lastNs).toString(),
      forward: forwardReport,
      reverse: reverseReport,
      translations: translations(forwardReport.path, reverseReport.path, forwardTogether, isEcho(protocol)),
      lost,
      unseen,
      latency: [...this.#latencies(ways.way[0], 'forward'), ...this.#latencies(ways.way[1], 'reverse')],
      retransmissions: { forward: flows.retransmissions[forward]!, reverse: flows.retransmissions[reverse]! },
      rttNs: Number.isNaN(rtt) ? null : rtt,
      icmpErrors,
      segmentationDiffers: (flows.recut[forward]! | flows.recut[reverse]!) !== 0,
      ambiguous,
      dnsNames: this.#names(forward),
      passedTwice: passedTwice(forwardReport.path, forwardTogether),
      duplicates: [...ways.way[0], ...ways.way[1]].reduce(
        (sum, leg) => sum + this.#correlator.legs.duplicates[leg]!,
        0,
      ),
    }
  }

  #addLoss(lost: Loss[], direction: DirectionName, row: number, between: [PointIndex, PointIndex]): void {
    const { patterns } = this.#correlator
    const names: [string, string] = [this.#pointName(between[0]), this.#pointName(between[1])]
    const packets = patterns.packets[row]!
    const at = row * EVIDENCE_FRAMES
    const frames = [...patterns.frames.subarray(at, at + Math.min(packets, EVIDENCE_FRAMES))]
    const known = lost.find(
      (l) => l.direction === direction && l.between[0] === names[0] && l.between[1] === names[1],
    )
    if (known) {
      known.packets += packets
      known.frames.frames = [...known.frames.frames, ...frames]
        .sort((a, b) => a - b)
        .slice(0, EVIDENCE_FRAMES)
    } else lost.push({ direction, between: names, packets, frames: { point: names[0], frames } })
  }

  #station(leg: LegIndex): Station {
    const { legs } = this.#correlator
    return {
      point: this.#pointName(legs.point[leg]!),
      src: { ip: this.address(legs.source[leg]!), port: legs.sourcePort(leg) },
      dst: { ip: this.address(legs.destination[leg]!), port: legs.destinationPort(leg) },
      ttl: legs.ttl[leg]!,
      packets: legs.packets[leg]!,
    }
  }

  #latencies(way: LegIndex[], direction: DirectionName): Latency[] {
    const { latency, legs } = this.#correlator
    const list: Latency[] = []
    for (let i = 1; i < way.length; i++) {
      const [a, b] = [way[i - 1]!, way[i]!]
      let row = latency.find(a, b)
      const turned = row < 0
      if (turned) row = latency.find(b, a)
      if (row < 0) continue
      const between: [string, string] = [this.#pointName(legs.point[a]!), this.#pointName(legs.point[b]!)]
      list.push({ direction, between, ...latency.summary(row, turned) })
    }
    return list
  }

  #icmpErrors(direction: DirectionIndex, name: DirectionName): IcmpErrorSummary[] {
    return this.#correlator.icmpErrors.of(direction).map((group) => ({
      direction: name,
      from: this.address(group.from),
      type: group.type,
      code: group.code,
      name: icmpErrorName(group.ipVersion, group.type, group.code),
      mtu: group.mtu,
      packets: Math.max(...[...group.points.values()].map((seen) => seen.packets)),
      frames: Object.fromEntries(
        [...group.points].map(([point, seen]) => [this.#pointName(point), seen.frames]),
      ),
    }))
  }

  #state(flow: FlowIndex, forward: DirectionIndex, ways: Ways, icmpErrors: IcmpErrorSummary[]): FlowState {
    const { flows } = this.#correlator
    const refusedByIcmp = icmpErrors.some(
      (e) => e.direction === 'forward' && /unreachable|prohibited/.test(e.name),
    )
    const isAnswered = ways.way[1].length > 0
    if (flows.protocol[flow] !== Protocol.Tcp) return !isAnswered && refusedByIcmp ? 'refused' : 'stateless'
    const there = flows.seen[forward]!
    const back = flows.seen[forward ^ 1]!
    // An acknowledgment answers something, even where only one direction was captured.
    const isOpen = (back & (Seen.SynAck | Seen.Data)) !== 0 || !(there & Seen.Syn) || (there & Seen.Ack) !== 0
    if (!isOpen) {
      if (back & Seen.Rst || refusedByIcmp) return 'refused'
      return there & Seen.Rst ? 'reset' : 'syn-only'
    }
    if (there & back & Seen.Fin) return 'closed'
    return (there | back) & Seen.Rst ? 'reset' : 'established'
  }

  #names(forward: DirectionIndex): string[] {
    const { names, flows } = this.#correlator
    if (names.size === 0) return []
    if (!this.#namesByFlow) {
      this.#namesByFlow = new Map()
      for (const [direction, list] of names) {
        const flow = flows.find(direction) >> 1
        this.#namesByFlow.set(flow, [...(this.#namesByFlow.get(flow) ?? []), ...list])
      }
    }
    return [...new Set(this.#namesByFlow.get(forward >> 1))]
  }

  #namesByFlow: Map<FlowIndex, string[]> | null = null

  #pointName(point: PointIndex): string {
    return this.#correlator.points[point]!.name
  }

  address(address: AddressIndex): string {
    let text = this.#texts[address]
    if (text === undefined) {
      const length = this.#correlator.addresses.write(address, this.#scratch)
      text = length === 4 ? formatIpv4(this.#scratch, 0) : formatIpv6(this.#scratch, 0)
      this.#texts[address] = text
    }
    return text
  }
}

/**
 * Rewrites of the forward packet from station to station, and one in front of the first that only the replies show.
 * An echo's identifier counts as the source's: it stands at both ends.
 */
function translations(
  forward: readonly Station[],
  reverse: readonly Station[],
  together: readonly ReadonlySet<number>[],
  hasOneId: boolean,
): Translation[] {
  const list: Translation[] = []
  const add = (kind: 'snat' | 'dnat', a: Station, b: Station, from: Endpoint, to: Endpoint) => {
    const samePort = from.port === to.port || (hasOneId && kind === 'dnat')
    if (from.ip !== to.ip || !samePort) list.push({ kind, between: [a.point, b.point], from, to })
  }
  const first = forward[0]
  const answered = reverse.at(-1)
  if (first && answered && first.point === answered.point) add('dnat', first, first, answered.src, first.dst)
  for (let i = 1; i < forward.length; i++) {
    // Not simply the station in front of it: a mapping that was renewed makes two stations that no packet passed both.
    let before = i - 1
    while (before >= 0 && !together[i]!.has(before)) before--
    if (before < 0) continue
    const [a, b] = [forward[before]!, forward[i]!]
    add('snat', a, b, a.src, b.src)
    add('dnat', a, b, a.dst, b.dst)
  }
  return list
}

/** Points of two stations that some packet passed both. */
function passedTwice(path: readonly Station[], together: readonly ReadonlySet<number>[]): string[] {
  const twice = path.filter(({ point }, i) =>
    path.some((other, j) => j < i && other.point === point && together[i]!.has(j)),
  )
  return [...new Set(twice.map(({ point }) => point))]
}

function isEcho(protocol: number): boolean {
  return protocol === Protocol.Icmp || protocol === Protocol.Icmpv6
}
