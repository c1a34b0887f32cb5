/** The result: reads the correlator's tables, once all records are in, as flows that people and programs can read. */

import type { Epoch, PointIndex } from '../capture/record.ts'
import type { AddressIndex } from './addresses.ts'
import { Cables } from './cables.ts'
import { grown } from './columns.ts'
import type { Correlator } from './correlator.ts'
import { type FlowList, LazyFlows } from './flow-list.ts'
import { FlowReader, type Ways } from './flow-reader.ts'
import type { DirectionIndex, FlowIndex } from './flows.ts'
import type { DirectionName, JoinedFlow, SpliceSummary, Station } from './joined-flow.ts'
import type { LegIndex } from './legs.ts'
import { LinkSurvey } from './links.ts'
import { NextHops } from './next-hops.ts'
import { asInTheRun, asStated, legsAlongTheWays, orderPoints, WayCounts } from './order.ts'
import type { Outcomes } from './outcomes.ts'
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
  flows: FlowList
  /** All points, client side first. */
  path: PointIndex[]
  /** Outcome by pattern row, of the flows that have been read. */
  outcomes: Outcomes
  /** Place of a leg on its way, from 0; by leg. */
  places: Uint8Array
  /** An address as text. */
  address(address: AddressIndex): string
  /** The tunnels that packets are inside of on a leg. */
  encapsulation(leg: LegIndex): Pick<Station, 'encapsulation'>
  /** Wants each flow of `flows` once, in their order; then it knows what lies between neighbouring points. */
  surveyLinks(): LinkSurvey
  /** Number (`id`) of the flow and name of the direction that a direction belongs to. */
  locate(direction: DirectionIndex): { flow: number; direction: DirectionName } | null
}

/**
 * Reads the finished correlator. Times become nanoseconds since 1970 by `epoch`. Flows are read from its tables when they
 * are gone through: until then they must stay as they are.
 */
export function joinedFlows(correlator: Correlator, epoch: Epoch, options: JoinOptions = {}): JoinedFlows {
  const { flows } = correlator
  const stated = options.statedPath ?? []
  const cables = new Cables(correlator.points)
  const order = inOrderOfTime(correlator, options.only ?? eachFlow(flows.count))
  const ways = new WayTable(correlator)
  const [answered, unanswered] = [new WayCounts(), new WayCounts()]
  for (const flow of order) {
    const forward = flows.forwardOf(flow)
    let way = legsAlongTheWays(correlator, forward, cables)
    if (stated.length > 0) way = way.map((legs) => asStated(correlator, legs, stated)) as Ways['way']
    ways.set(way)
    const [there, back] = way
    const points = ways.pointsOf(there.length >= back.length ? there : back.toReversed())
    if (new Set(points).size > 1) (isOneWay(way) ? unanswered : answered).add(points)
  }
  const pointOrder = orderPoints(correlator.points.length, answered, unanswered, stated)
  const nextHops = new NextHops(correlator, pointOrder, stated.length > 0, cables)
  for (const flow of order) {
    let { way } = ways.of(flow)
    if (stated.length === 0 && isOneWay(way)) {
      way = way.map((legs) =>
        cables.inOrder(correlator.legs, asInTheRun(correlator, legs, pointOrder.points)),
      ) as Ways['way']
      ways.set(way)
    }
    nextHops.note(way)
  }
  const reader = new FlowReader(correlator, epoch, nextHops, options.nowNs)
  const numbers = new Uint32Array(flows.count)
  order.forEach((flow, i) => {
    numbers[flow] = options.idOf?.(flow) ?? i + 1
  })
  const splices = findSplices(correlator, order, (flow) => ways.of(flow))
  const told = tellSplices(splices, (flow) => ways.of(flow), reader, numbers)
  const read = (flow: FlowIndex): JoinedFlow => {
    const joined = reader.read(ways.of(flow), numbers[flow]!)
    const spliced = told.get(flow)
    return spliced ? { ...joined, spliced } : joined
  }
  return {
    flows: new LazyFlows(order.length, function* () {
      for (const flow of order) yield read(flow)
    }),
    places: ways.places,
    path: pointOrder.points,
    outcomes: reader.outcomes,
    address: (address) => reader.address(address),
    encapsulation: (leg) => reader.encapsulation(leg),
    surveyLinks() {
      const survey = new LinkSurvey(correlator, reader, pointOrder.points, (i) => ways.of(order[i]!))
      for (const { client, server, bytes } of splices)
        survey.noteProxy(ways.of(client), ways.of(server), bytes[0] + bytes[1])
      return survey
    },
    locate(direction) {
      const root = flows.find(direction)
      const id = numbers[root >> 1]!
      if (id === 0) return null
      return { flow: id, direction: root === flows.forwardOf(root >> 1) ? 'forward' : 'reverse' }
    },
  }
}

/** Flows that have a way to show, by their first packets. */
function inOrderOfTime({ flows }: Correlator, which: Iterable<FlowIndex>): Uint32Array {
  const beginOf = (flow: FlowIndex) => Math.min(flows.firstNs[2 * flow]!, flows.firstNs[2 * flow + 1]!)
  let order = new Uint32Array(1024)
  let count = 0
  let isSorted = true
  for (const flow of which) {
    if (flows.isMerged(flow) || flows.stations[2 * flow]! + flows.stations[2 * flow + 1]! === 0) continue
    if (count === order.length) order = grown(order, 2 * count)
    if (count > 0 && beginOf(order[count - 1]!) > beginOf(flow)) isSorted = false
    order[count++] = flow
  }
  const found = order.slice(0, count)
  return isSorted ? found : found.sort((a, b) => beginOf(a) - beginOf(b))
}

function isOneWay([there, back]: Ways['way']): boolean {
  return there.length === 0 || back.length === 0
}

/** Instead of a leg's place. */
const NOT_ON_THE_WAY = 255

/** The ways of all flows as they turned out: a byte for each leg. */
class WayTable {
  /** Place of a leg on its way, from 0; what is not on the way stands behind it. */
  readonly places: Uint8Array
  readonly #correlator: Correlator

  constructor(correlator: Correlator) {
    this.#correlator = correlator
    this.places = new Uint8Array(correlator.legs.count).fill(NOT_ON_THE_WAY)
  }

  set(way: Ways['way']): void {
    for (const side of way)
      side.forEach((leg, place) => {
        this.places[leg] = place
      })
  }

  of(flow: FlowIndex): Ways {
    const forward = this.#correlator.flows.forwardOf(flow)
    return { flow, forward, way: [this.#side(forward), this.#side(forward ^ 1)] }
  }

  pointsOf(way: readonly LegIndex[]): PointIndex[] {
    return way.map((leg) => this.#correlator.legs.point[leg]!)
  }

  #side(direction: DirectionIndex): LegIndex[] {
    const { flows, legs } = this.#correlator
    const side: LegIndex[] = []
    for (let leg = flows.firstLeg[direction]!; leg >= 0; leg = legs.sibling[leg]!)
      if (this.places[leg] !== NOT_ON_THE_WAY) side[this.places[leg]!] = leg
    return side
  }
}

function* eachFlow(count: number): Generator<FlowIndex> {
  for (let flow = 0; flow < count; flow++) yield flow
}

/** What each half of a proxied exchange says of the other one, by flow. */
function tellSplices(
  splices: readonly Splice[],
  waysOf: (flow: FlowIndex) => Ways,
  reader: FlowReader,
  numbers: Uint32Array,
): Map<FlowIndex, SpliceSummary[]> {
  const told = new Map<FlowIndex, SpliceSummary[]>()
  const tell = (flow: FlowIndex, summary: SpliceSummary) =>
    told.set(flow, [...(told.get(flow) ?? []), summary])
  for (const { client, server, bytes, betweenSynsNs } of splices) {
    const matchedBytes = { forward: bytes[0], reverse: bytes[1] }
    const listens = reader.ends(waysOf(client).way[0].at(-1)!).dst
    const dials = reader.ends(waysOf(server).way[0][0]!).src
    tell(client, { side: 'client', flow: numbers[server]!, proxy: listens, matchedBytes, betweenSynsNs })
    tell(server, { side: 'server', flow: numbers[client]!, proxy: dials, matchedBytes, betweenSynsNs })
  }
  return told
}
