/** The result: reads the correlator's tables, once all records are in, as flows that people and programs can read. */

import type { Epoch, PointIndex } from '../capture/record.ts'
import type { AddressIndex } from './addresses.ts'
import { Cables } from './cables.ts'
import type { Correlator } from './correlator.ts'
import { FlowReader, type Ways } from './flow-reader.ts'
import type { DirectionIndex, FlowIndex } from './flows.ts'
import type { DirectionName, JoinedFlow, SpliceSummary, Station } from './joined-flow.ts'
import type { LegIndex } from './legs.ts'
import { findLinks, type Links } from './links.ts'
import { NextHops } from './next-hops.ts'
import { asInTheRun, asStated, legsAlongTheWays, orderPoints } from './order.ts'
import type { PatternOutcome } from './outcomes.ts'
import { findSplices, type Splice } from './splices.ts'

export interface JoinOptions {
  /** The order of points as the user states it (`--path`), client side first; empty: worked out. */
  statedPath?: readonly PointIndex[]
  /** Only these flows, where not all are wanted: what is told of one still comes from all of these. */
  only?: Iterable<FlowIndex>
  /** How late it is, in ns of the run; else as late as the last record says. */
  nowNs?: number
  /** Number of a flow; else they are counted from 1 in the order of their first packets. */
  idOf?: (flow: FlowIndex) => number
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
  /** The tunnels that packets are inside of on a leg. */
  encapsulation(leg: LegIndex): Pick<Station, 'encapsulation'>
  /** What lies between neighbouring points; worked out when called. */
  links(): Links
  /** Number (`id`) of the flow and name of the direction that a direction belongs to. */
  locate(direction: DirectionIndex): { flow: number; direction: DirectionName } | null
}

/** Reads the finished correlator. Times become nanoseconds since 1970 by `epoch`. */
export function joinedFlows(correlator: Correlator, epoch: Epoch, options: JoinOptions = {}): JoinedFlows {
  const { flows, legs } = correlator
  const stated = options.statedPath ?? []
  const cables = new Cables(correlator.points)
  const all: Ways[] = []
  for (const flow of options.only ?? eachFlow(flows.count)) {
    if (flows.isMerged(flow)) continue
    const forward = flows.forwardOf(flow)
    const way = legsAlongTheWays(correlator, forward, cables)
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
        ways.way = ways.way.map((way) =>
          cables.inOrder(legs, asInTheRun(correlator, way, order.points)),
        ) as Ways['way']
  const nextHops = new NextHops(correlator, order, stated.length > 0, cables)
  for (const { way } of all) nextHops.note(way)
  const reader = new FlowReader(correlator, epoch, nextHops, options.nowNs)
  const numbers = new Map<FlowIndex, number>()
  const joined = all.map((ways, i) => {
    const id = options.idOf?.(ways.flow) ?? i + 1
    numbers.set(ways.flow, id)
    return reader.read(ways, id)
  })
  const splices = findSplices(correlator, all)
  if (splices.length > 0) {
    const byFlow = new Map(all.map(({ flow }, i) => [flow, joined[i]!]))
    for (const splice of splices) tellSplice(splice, byFlow)
  }
  // What is not on the way stands behind it.
  const places = new Uint8Array(legs.count).fill(255)
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
    encapsulation: (leg) => reader.encapsulation(leg),
    links: () => findLinks(correlator, reader, all, joined, order.points),
    locate(direction) {
      const root = flows.find(direction)
      const id = numbers.get(root >> 1)
      if (id === undefined) return null
      return { flow: id, direction: root === flows.forwardOf(root >> 1) ? 'forward' : 'reverse' }
    },
  }
}

function* eachFlow(count: number): Generator<FlowIndex> {
  for (let flow = 0; flow < count; flow++) yield flow
}

function tellSplice(
  { client, server, bytes, betweenSynsNs }: Splice,
  flows: ReadonlyMap<FlowIndex, JoinedFlow>,
): void {
  const [asked, opened] = [flows.get(client)!, flows.get(server)!]
  const matchedBytes = { forward: bytes[0], reverse: bytes[1] }
  const tell = (flow: JoinedFlow, summary: SpliceSummary) => {
    flow.spliced = [...(flow.spliced ?? []), summary]
  }
  const [listens, dials] = [asked.forward.path.at(-1)!.dst, opened.forward.path[0]!.src]
  tell(asked, { side: 'client', flow: opened.id, proxy: listens, matchedBytes, betweenSynsNs })
  tell(opened, { side: 'server', flow: asked.id, proxy: dials, matchedBytes, betweenSynsNs })
}
