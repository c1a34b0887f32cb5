/** The flow reader: turns one flow of the tables into plain data, with names and addresses as text. */

import type { Epoch, PointIndex } from '../capture/record.ts'
import { formatIpv4, formatIpv6, icmpErrorName, protocolName } from '../decode/display.ts'
import type { AddressIndex } from './addresses.ts'
import type { Correlator } from './correlator.ts'
import { flowSigns } from './flow-signs.ts'
import { type DirectionIndex, type FlowIndex, Seen } from './flows.ts'
import { Protocol } from './identity.ts'
import type {
  DirectionName,
  FlowState,
  IcmpErrorSummary,
  JoinedFlow,
  Latency,
  Loss,
  MssChange,
  Station,
} from './joined-flow.ts'
import type { LegIndex } from './legs.ts'
import type { NextHops } from './next-hops.ts'
import { coOccurrence, Outcomes, outcomesOf } from './outcomes.ts'
import { EVIDENCE_FRAMES } from './patterns.ts'
import { passedTwice, translations } from './translations.ts'

/** A capture that ends so soon behind a request proves no silence, in ns. */
export const PATIENCE_NS = 1e9

/** A flow with its two ways, requests first; `forward` is the direction of the requests. */
export interface Ways {
  flow: FlowIndex
  forward: DirectionIndex
  way: [LegIndex[], LegIndex[]]
}

export class FlowReader {
  /** Of the flows that have been read. */
  readonly outcomes = new Outcomes()
  readonly #correlator: Correlator
  readonly #epoch: Epoch
  readonly #nextHops: NextHops
  readonly #scratch = new Uint8Array(16)
  readonly #texts: string[] = []
  /** Time of the last record of all, or later. */
  readonly #endNs: number

  constructor(correlator: Correlator, epoch: Epoch, nextHops: NextHops, nowNs = Number.NEGATIVE_INFINITY) {
    this.#correlator = correlator
    this.#epoch = epoch
    this.#nextHops = nextHops
    this.#endNs = Math.max(
      nowNs,
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
      const beyond = isUnanswered
        ? this.#nextHops.beyond(way)
        : this.#nextHops.wayBack(way, ways.way[1 - side]!)
      const outcomes = outcomesOf(this.#correlator, direction, way, {
        together,
        beyond,
        isSilenceProof: isUnanswered && beyond >= 0 && this.#correlator.points[beyond]!.firstNs <= firstNs,
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
    const signs = flowSigns(this.#correlator, forward, this.#endNs)
    const mssChanges = [
      ...this.#mssChanges(ways.way[0], 'forward'),
      ...this.#mssChanges(ways.way[1], 'reverse'),
    ]
    return {
      id,
      protocol: protocolName(protocol),
      state: this.#state(flow, forward, ways, icmpErrors),
      client: first?.src ?? lastBack!.dst,
      server: first?.dst ?? lastBack!.src,
      firstNs: this.#epoch.toUnixNs(firstNs).toString(),
      lastNs: this.#epoch.toUnixNs(flows.lastNs[flow]!).toString(),
      forward: forwardReport,
      reverse: reverseReport,
      translations: translations(forwardReport.path, reverseReport.path, forwardTogether, isEcho(protocol)),
      lost,
      unseen,
      latency: [
        ...this.#latencies(forward, ways.way[0], 'forward'),
        ...this.#latencies(reverse, ways.way[1], 'reverse'),
      ],
      retransmissions: {
        forward: flows.retransmissions.get(forward),
        reverse: flows.retransmissions.get(reverse),
      },
      rttNs: Number.isNaN(rtt) ? null : rtt,
      icmpErrors,
      segmentationDiffers: (flows.recut[forward]! | flows.recut[reverse]!) !== 0,
      ambiguous,
      dnsNames: this.#names(forward),
      passedTwice: passedTwice(forwardReport.path, forwardTogether),
      duplicates: [...ways.way[0], ...ways.way[1]].reduce(
        (sum, leg) => sum + this.#correlator.legs.duplicates.get(leg),
        0,
      ),
      ...(mssChanges.length > 0 && { mssChanges }),
      ...(signs ? { signs } : {}),
    }
  }

  #addLoss(lost: Loss[], direction: DirectionName, row: number, between: [PointIndex, PointIndex]): void {
    const { patterns } = this.#correlator
    const names: [string, string] = [this.#pointName(between[0]), this.#pointName(between[1])]
    const packets = patterns.packets[row]!
    const frames = patterns.evidence(row)
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
      ...this.encapsulation(leg),
      ...this.ends(leg),
      ttl: legs.ttl[leg]!,
      packets: legs.packets(leg),
    }
  }

  /** Addresses and ports of packets as a leg shows them. */
  ends(leg: LegIndex): Pick<Station, 'src' | 'dst'> {
    const { legs } = this.#correlator
    return {
      src: { ip: this.address(legs.source[leg]!), port: legs.sourcePort(leg) },
      dst: { ip: this.address(legs.destination[leg]!), port: legs.destinationPort(leg) },
    }
  }

  #latencies(index: DirectionIndex, way: LegIndex[], direction: DirectionName): Latency[] {
    const { latency, legs } = this.#correlator
    const list: Latency[] = []
    for (let i = 1; i < way.length; i++) {
      const [a, b] = [way[i - 1]!, way[i]!]
      const summary = latency.between(index, a, b)
      if (!summary) continue
      const between: [string, string] = [this.#pointName(legs.point[a]!), this.#pointName(legs.point[b]!)]
      list.push({ direction, between, ...summary })
    }
    return list
  }

  #mssChanges(way: LegIndex[], direction: DirectionName): MssChange[] {
    const { legs } = this.#correlator
    const offering = way.filter((leg) => legs.mss[leg]! > 0)
    return offering.slice(1).flatMap((leg, i) => {
      const before = offering[i]!
      const [from, to] = [legs.mss[before]!, legs.mss[leg]!]
      if (from === to) return []
      const between: [string, string] = [
        this.#pointName(legs.point[before]!),
        this.#pointName(legs.point[leg]!),
      ]
      return [{ direction, between, from, to }]
    })
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
    const refusedByIcmp = icmpErrors.some(isRefusal)
    const isAnswered = ways.way[1].length > 0
    if (flows.protocol[flow] !== Protocol.Tcp) return !isAnswered && refusedByIcmp ? 'refused' : 'stateless'
    const there = flows.seen[forward]!
    const back = flows.seen[forward ^ 1]!
    // An acknowledgment answers something, even where only one direction was captured.
    const isOpen = (back & (Seen.SynAck | Seen.Data)) !== 0 || !(there & Seen.Syn) || (there & Seen.Ack) !== 0
    // A SYN-ACK that nobody asked for, as far as was seen.
    if (there === 0 && (back & ~Seen.Any & ~Seen.Ack) === Seen.SynAck) return 'syn-only'
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

  /** The tunnels of a leg as a station and a sighting have them. */
  encapsulation(leg: LegIndex): Pick<Station, 'encapsulation'> {
    const { legs, encapsulations } = this.#correlator
    const index = legs.encapsulation(leg)
    if (index === 0) return {}
    return {
      encapsulation: encapsulations.nest(index).map(({ kind, id, source, destination }) => ({
        kind,
        id,
        src: this.address(source),
        dst: this.address(destination),
      })),
    }
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
function isEcho(protocol: number): boolean {
  return protocol === Protocol.Icmp || protocol === Protocol.Icmpv6
}

/** Does an ICMP error say that the client will not be served? */
export function isRefusal({ direction, name }: IcmpErrorSummary): boolean {
  return direction === 'forward' && /unreachable|prohibited|no route|reject/.test(name)
}
