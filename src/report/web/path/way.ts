/** A way: the stations of a flow's direction, or of one packet, and what happened on it; what the path is drawn of. */

import type { DirectionName, Encapsulation, Endpoint, FlowReport } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'
import { nsBetween } from '../times.ts'

/** A point on a way, and how packets look there. A point may stand twice. */
export interface WayStation {
  point: string
  src: Endpoint
  dst: Endpoint
  ttl: number
  encapsulation?: Encapsulation[]
  /** Of a flow. */
  packets?: number
}

/** Everything between two points, the points in the direction of travel. */
interface Between {
  between: [string, string]
}

export interface Way {
  protocol: string
  direction: DirectionName
  /** It is the way of one packet: nothing on it needs to be counted. */
  isOne: boolean
  stations: readonly WayStation[]
  /** Points behind the last station that no packet reached. */
  unreached: readonly string[]
  losses: readonly (Between & { packets: number })[]
  /** DNAT and SNAT that were done before the first station could see the packet. */
  earlier: FlowReport['translations']
  latency: readonly (Between & { medianNs: number })[]
  /** Changes of the MSS that a SYN asks for. */
  mss: readonly (Between & { from: number; to: number })[]
  unseen: readonly { point: string; packets: number }[]
  /** ICMP errors that came back for packets of this way. */
  errors: readonly { from: string; name: string; packets: number }[]
  /** Which end of the way is a proxy on a computer of the path, which ends one connection and opens another. */
  proxy: 'sender' | 'receiver' | null
}

/** The way of all packets of one direction of a flow. */
export function wayOf(flow: FlowReport, direction: DirectionName): Way {
  const own = <T extends { direction: DirectionName }>(list: readonly T[] | undefined): T[] =>
    (list ?? []).filter((one) => one.direction === direction)
  const stations = flow[direction].path
  const losses = own(flow.lost)
  return {
    protocol: flow.protocol,
    direction,
    isOne: false,
    stations,
    unreached: beyond(stations, losses),
    losses,
    earlier: earlierOf(flow, direction),
    latency: own(flow.latency),
    mss: own(flow.mssChanges),
    unseen: own(flow.unseen),
    errors: own(flow.icmpErrors),
    proxy: proxyEnd(flow, direction),
  }
}

/** The way of one packet: where it was seen, and if it died, where it should have come next. */
export function wayOfPacket(flow: FlowReport, packet: PagePacket): Way {
  const { direction, sightings, lostBetween, answeredBy } = packet
  const losses = lostBetween ? [{ between: lostBetween, packets: 1 }] : []
  return {
    protocol: flow.protocol,
    direction,
    isOne: true,
    stations: sightings,
    unreached: beyond(sightings, losses),
    losses,
    earlier: earlierOf(flow, direction),
    latency: sightings.slice(1).flatMap(({ point, timeNs }, i) => {
      const before = sightings[i]!
      const medianNs = nsBetween(before.timeNs, timeNs)
      return medianNs === null ? [] : [{ between: [before.point, point] as [string, string], medianNs }]
    }),
    mss: [],
    unseen: [],
    errors: answeredBy ? [{ ...answeredBy, packets: 1 }] : [],
    proxy: proxyEnd(flow, direction),
  }
}

/** Where lost packets should have come next, if nothing of this way was seen there. */
function beyond(stations: readonly WayStation[], losses: Way['losses']): string[] {
  const last = stations.at(-1)?.point
  const next = losses.find(({ between: [from, to] }) => from === last && to !== last)?.between[1]
  return next === undefined || stations.some(({ point }) => point === next) ? [] : [next]
}

/** Rewrites of which only the result was seen: no two stations are there to show them. */
function earlierOf(flow: FlowReport, direction: DirectionName): FlowReport['translations'] {
  if (direction === 'reverse') return []
  const { path } = flow.forward
  return flow.translations.filter(
    ({ between: [near, far] }) => near === far && path.filter(({ point }) => point === near).length < 2,
  )
}

function proxyEnd({ spliced }: FlowReport, direction: DirectionName): Way['proxy'] {
  const side = spliced?.[0]?.side
  if (side === undefined) return null
  return (side === 'client') === (direction === 'forward') ? 'receiver' : 'sender'
}
