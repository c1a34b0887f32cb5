/** Routes: the ways that flows take through the points, with what happens in each gap added up over their flows. */

import { tunnelTexts } from './encapsulation.ts'
import type { DirectionName, FlowReport, Station } from './model.ts'

/** What happens between two neighbouring points, over all flows of a route. TTL changes are in the direction of travel. */
export interface Gap {
  flows: number
  snat: number
  dnat: number
  /** Tunnels that packets to the server enter or leave here, in words. */
  tunnels: Set<string>
  ttlForward: Set<number>
  ttlReverse: Set<number>
  lostForward: number
  lostReverse: number
}

export interface Route {
  /** Client side first; a point may stand twice (hairpin). */
  points: string[]
  /** `gaps[i]` lies between `points[i]` and `points[i + 1]`. */
  gaps: Gap[]
  /** Rewrites that were done before the first point could see the packet. */
  before: Gap
  flows: number
}

/** Losses of no gap of their flow's route (asymmetric ways), which must not be hidden. */
export interface LossElsewhere {
  direction: DirectionName
  between: [string, string]
  packets: number
}

/** Losses of no gap that are kept. */
const MAX_ELSEWHERE = 100
/** Beyond this many different routes, further ones are counted but not compared with each other. */
const MAX_COMPARED = 64

/** The points that a flow passes, client side first, including the point that its lost packets should have reached. */
export function routeOf(flow: FlowReport): string[] {
  const { forward, reverse } = flow
  const points = forward.path.length > 0 ? names(forward.path) : names(reverse.path).reverse()
  for (const loss of flow.lost) {
    const [near, far] = towardsServer(loss)
    if (gapIndex(points, near, far) >= 0 || gapIndex(points, far, near) >= 0) continue
    if (points.at(-1) === near && !points.includes(far)) points.push(far)
    else if (points[0] === far && !points.includes(near)) points.unshift(near)
  }
  return points
}

/** Names a route: two routes with the same key go through the same points. */
export function routeKey(points: readonly string[]): string {
  return points.join('\0')
}

/** Routes and losses of the flows that were added. */
export class RouteCollector {
  readonly #byPoints = new Map<string, Route>()
  readonly #elsewhere: LossElsewhere[] = []

  add(flow: FlowReport): void {
    const points = routeOf(flow)
    if (points.length === 0) return
    const key = routeKey(points)
    let route = this.#byPoints.get(key)
    if (route === undefined) {
      route = { points, gaps: points.slice(1).map(emptyGap), before: emptyGap(), flows: 0 }
      this.#byPoints.set(key, route)
    }
    addFlow(route, flow, this.#elsewhere)
  }

  /** All different routes; one that is only a part of a longer one is added to that. Most used first. To be called once. */
  routes(): { routes: Route[]; elsewhere: LossElsewhere[] } {
    const kept: Route[] = []
    for (const route of [...this.#byPoints.values()].sort((a, b) => b.points.length - a.points.length)) {
      const whole = kept.length < MAX_COMPARED && kept.some((longer) => absorb(longer, route))
      if (!whole) kept.push(route)
    }
    return { routes: kept.sort((a, b) => b.flows - a.flows), elsewhere: this.#elsewhere }
  }
}

function addFlow(route: Route, flow: FlowReport, elsewhere: LossElsewhere[]): void {
  route.flows++
  const crossed = new Set<Gap>()
  const at = (near: string, far: string): Gap | undefined => {
    const gap = route.gaps[gapIndex(route.points, near, far)]
    if (gap !== undefined) crossed.add(gap)
    return gap
  }
  forEachStep(flow.forward.path, (from, to) => at(from.point, to.point)?.ttlForward.add(to.ttl - from.ttl))
  forEachStep(flow.reverse.path, (from, to) => at(to.point, from.point)?.ttlReverse.add(to.ttl - from.ttl))
  forEachStep(flow.forward.path, (from, to) => noteTunnels(at(from.point, to.point), from, to))
  if (flow.forward.path.length === 0)
    forEachStep(flow.reverse.path, (from, to) => noteTunnels(at(to.point, from.point), to, from))
  for (const { kind, between } of flow.translations) {
    const gap = at(between[0], between[1])
    if (gap !== undefined) gap[kind]++
    else if (between[0] === between[1] && between[0] === route.points[0]) route.before[kind]++
  }
  for (const loss of flow.lost) {
    const [near, far] = towardsServer(loss)
    const gap = at(near, far) ?? at(far, near)
    if (gap === undefined) {
      if (elsewhere.length < MAX_ELSEWHERE) elsewhere.push(loss)
    } else if (loss.direction === 'forward') gap.lostForward += loss.packets
    else gap.lostReverse += loss.packets
  }
  for (const gap of crossed) gap.flows++
  route.before.flows++
}

/** Adds `part` to `whole` if it goes the same way, with some points not seen; false where that would hide something. */
function absorb(whole: Route, part: Route): boolean {
  const places: number[] = []
  for (const point of part.points) {
    const place = whole.points.indexOf(point, places.length > 0 ? places.at(-1)! + 1 : 0)
    if (place < 0) return false
    places.push(place)
  }
  const spans = part.gaps.map((_, i) => whole.gaps.slice(places[i], places[i + 1]))
  if (!part.gaps.every((gap, i) => spans[i].length === 1 || explains(spans[i], gap))) return false
  if ((part.before.snat > 0 || part.before.dnat > 0) && places[0] !== 0) return false
  part.gaps.forEach((gap, i) => {
    for (const target of spans[i]) {
      target.flows += gap.flows
      if (spans[i].length === 1) addGap(target, gap)
      else if (target.snat > 0 && gap.snat > 0) target.snat += gap.snat
      else if (target.dnat > 0 && gap.dnat > 0) target.dnat += gap.dnat
    }
  })
  whole.before.flows += part.before.flows
  addGap(whole.before, part.before)
  whole.flows += part.flows
  return true
}

/** Whether what happened somewhere in a wider gap is already shown in one of the gaps that it spans. */
function explains(span: Gap[], wide: Gap): boolean {
  const moves = (gap: Gap) => [...gap.ttlForward, ...gap.ttlReverse].some((change) => change !== 0)
  if (wide.lostForward > 0 || wide.lostReverse > 0) return false
  if (wide.snat > 0 && span.filter((gap) => gap.snat > 0).length !== 1) return false
  if (wide.dnat > 0 && span.filter((gap) => gap.dnat > 0).length !== 1) return false
  const told = new Set(span.flatMap((gap) => [...gap.tunnels]))
  return moves(wide) === span.some(moves) && [...wide.tunnels].every((tunnel) => told.has(tunnel))
}

function noteTunnels(gap: Gap | undefined, from: Station, to: Station): void {
  for (const text of tunnelTexts(from, to)) gap?.tunnels.add(text)
}

function addGap(target: Gap, gap: Gap): void {
  for (const tunnel of gap.tunnels) target.tunnels.add(tunnel)
  target.snat += gap.snat
  target.dnat += gap.dnat
  for (const change of gap.ttlForward) target.ttlForward.add(change)
  for (const change of gap.ttlReverse) target.ttlReverse.add(change)
  target.lostForward += gap.lostForward
  target.lostReverse += gap.lostReverse
}

function emptyGap(): Gap {
  return {
    flows: 0,
    snat: 0,
    dnat: 0,
    tunnels: new Set(),
    ttlForward: new Set(),
    ttlReverse: new Set(),
    lostForward: 0,
    lostReverse: 0,
  }
}

function gapIndex(points: string[], near: string, far: string): number {
  return points.findIndex((point, i) => point === near && points[i + 1] === far)
}

/** The two points of a loss, client side first: `between` is in the direction of travel. */
function towardsServer(loss: { direction: DirectionName; between: [string, string] }): [string, string] {
  const [from, to] = loss.between
  return loss.direction === 'forward' ? [from, to] : [to, from]
}

function forEachStep(path: readonly Station[], visit: (from: Station, to: Station) => void): void {
  for (let i = 1; i < path.length; i++) visit(path[i - 1], path[i])
}

function names(path: readonly Station[]): string[] {
  return path.map((station) => station.point)
}
