/** The path as it is drawn: namespaces as boxes, stations in them, and between stations what happens there. No DOM. */

import { LinkType } from '../../../capture/link-types.ts'
import { renderEndpoint, sameEndpoint } from '../../endpoint.ts'
import { type Place, type PlaceKind, placeOf } from '../../explain/places.ts'
import type { DirectionName, LinkRelation, Report } from '../../model.ts'
import { descriptionOf } from '../../page-data.ts'
import { pointName } from '../../path-line.ts'
import { addEnds } from './path-ends.ts'
import { changesBetween, type Stamp } from './stamps.ts'
import type { Way, WayStation } from './way.ts'

/** What a box or a glyph is of: a point's kind, or an end of the way that no point is at. */
export type NodeKind = PlaceKind | 'end' | 'proxy'

export interface PathStation {
  type: 'station'
  /** On the way, from 0; -1 for the sender in front of the first point, and the number of points for the receiver. */
  at: number
  kind: NodeKind
  name: string
  /** What stands below the name: what it is, or the address of an end. */
  detail: string
  /** Null where no packet was seen, and at the ends. */
  ttl: number | null
  src: string | null
  dst: string | null
  /** They are other ones than at the station before. */
  hasNewEnds: boolean
  packets: number | null
  /** Packets that passed here without being seen. */
  unseen: number
  /** Lost packets, or all, never came here. */
  isReached: boolean
}

/** What is between the stations `at − ½` and `at + ½`. */
export interface PathGap {
  type: 'gap'
  at: number
  cable: 'veth' | 'wire' | 'inside' | 'turn'
  /** What joins the two, in words; empty where that is not known. */
  words: string
  stamps: Stamp[]
  medianNs: number | null
  isLossy: boolean
  /** Nothing came through here. */
  isDead: boolean
}

/** A namespace, with walls; or what is in none that is known. */
export interface PathGroup {
  type: 'group'
  label: string
  hasWalls: boolean
  items: (PathStation | PathGap)[]
}

export interface PathModel {
  direction: DirectionName
  /** In the direction of travel. Gaps in it cross walls. */
  parts: (PathGroup | PathGap)[]
  /** Stations with a point, those included that nothing reached. */
  count: number
  /** What has no place of its own in the drawing, a sentence each. */
  notes: string[]
  /** Namespaces are told from the points' names only. */
  isGuessed: boolean
  /** How wide it gets, about, if it is drawn from left to right; in rem. */
  widthRem: number
}

/** What the model takes from the report, besides the way. */
export type Surroundings = Pick<Report, 'points' | 'links' | 'receipts' | 'names'> & {
  descriptions: Readonly<Record<string, string>>
}

const KIND_WORDS: Readonly<Record<NodeKind, string>> = {
  container: 'interface',
  veth: 'veth',
  bridge: 'bridge',
  uplink: 'uplink',
  loopback: 'loopback',
  router: 'router',
  tunnel: 'tunnel',
  any: 'one of all interfaces',
  unknown: 'point',
  end: 'not captured',
  proxy: 'proxy',
}
const RELATION_WORDS: Readonly<Partial<Record<LinkRelation, string>>> = {
  'same-place': 'the same interface',
  'same-wire': 'same wire',
  proxy: 'proxy',
}

/** Draws a way. Text of the report is harmless already. */
export function pathModel(way: Way, around: Surroundings): PathModel {
  const points = [...way.stations.map(({ point }) => point), ...way.unreached]
  const places = placesOf(way, points, around)
  const losses = new Set(way.losses)
  const stations = points.map((point, i) => stationOf(way, points, i, places[i]!, point))
  const gaps = stations.slice(1).map((_, i) => gapOf(way, points, i, places, around, losses))
  const parts: PathModel['parts'] = []
  stations.forEach((station, i) => {
    const last = parts.at(-1)
    const { where } = places[i]!
    const hasWalls = where.knownFrom !== 'look' || ['loopback', 'any'].includes(places[i]!.kind)
    const label = hasWalls ? wallLabel(places[i]!) : ''
    if (last?.type === 'group' && last.hasWalls === hasWalls && last.label === label)
      last.items.push(gaps[i - 1]!, station)
    else {
      if (i > 0) parts.push(gaps[i - 1]!)
      parts.push({ type: 'group', label, hasWalls, items: [station] })
    }
  })
  if (points.length > 0) addEnds(parts, way, places, around)
  const notes = [...losses].map(
    ({ between, packets }) => `${packets} lost between ${pointName(between[0])} and ${pointName(between[1])}`,
  )
  return {
    direction: way.direction,
    parts,
    count: points.length,
    notes,
    isGuessed: places.some(({ where }) => where.knownFrom === 'name'),
    widthRem: parts.reduce((sum, part) => sum + widthOf(part), 0),
  }
}

function placesOf(way: Way, points: readonly string[], around: Surroundings): Place[] {
  const linkTypes = new Map(around.points.map(({ name, linkType }) => [name, linkType]))
  return points.map((point, i) => {
    const ends = way.stations[i] ? [way.stations[i].src.ip, way.stations[i].dst.ip] : []
    return placeOf(
      point,
      descriptionOf(around.descriptions, point),
      {
        isFirst: i === 0,
        isLast: i === points.length - 1,
        isLoopback: ends.length > 0 && ends.every((ip) => ip.startsWith('127.') || ip === '::1'),
        linkType: linkTypes.get(point) === 'LINUX_SLL2' ? LinkType.LinuxSll2 : LinkType.Ethernet,
      },
      around.receipts ?? [],
    )
  })
}

function stationOf(
  way: Way,
  points: readonly string[],
  at: number,
  place: Place,
  point: string,
): PathStation {
  const seen: WayStation | undefined = way.stations[at]
  const nth = points.slice(0, at + 1).filter((name) => name === point).length
  const name = pointName(point) + (nth === 1 ? '' : nth === 2 ? ' (2nd time)' : ` (${nth}th time)`)
  const before = way.stations[at - 1]
  const words = KIND_WORDS[place.kind]
  const detail = words === name ? '' : words
  return {
    type: 'station',
    at,
    kind: place.kind,
    name,
    detail: seen ? detail : 'never reached',
    ttl: seen?.ttl ?? null,
    src: seen ? renderEndpoint(seen.src, way.protocol) : null,
    dst: seen ? renderEndpoint(seen.dst, way.protocol) : null,
    hasNewEnds:
      seen !== undefined &&
      (!before || !sameEndpoint(before.src, seen.src) || !sameEndpoint(before.dst, seen.dst)),
    packets: seen?.packets ?? null,
    unseen: nth === 1 ? (way.unseen.find((one) => one.point === point)?.packets ?? 0) : 0,
    isReached: seen !== undefined,
  }
}

function gapOf(
  way: Way,
  points: readonly string[],
  i: number,
  places: readonly Place[],
  around: Surroundings,
  losses: Set<Way['losses'][number]>,
): PathGap {
  const [from, to] = [points[i]!, points[i + 1]!]
  const isHere = ({ between }: { between: [string, string] }) => between[0] === from && between[1] === to
  const [a, b] = [way.stations[i], way.stations[i + 1]]
  const lost = [...losses].filter(isHere)
  for (const loss of lost) losses.delete(loss)
  const mss = way.mss.filter(isHere)
  const link = around.links?.find(
    ({ between: [one, other] }) => (one === from && other === to) || (one === to && other === from),
  )
  const kinds = [places[i]!.kind, places[i + 1]!.kind]
  return {
    type: 'gap',
    at: i + 0.5,
    cable: from === to ? 'turn' : isVeth(kinds) ? 'veth' : link?.relation === 'same-wire' ? 'wire' : 'inside',
    words: wordsOf(from === to, kinds, link?.relation),
    stamps: [
      ...(a && b ? changesBetween(a, b, way) : []),
      ...mss.map((one): Stamp => ({ kind: 'mss', word: 'MSS', from: `${one.from}`, to: `${one.to}` })),
      ...lost.map(({ packets }): Stamp => ({ kind: 'loss', word: way.isOne ? 'lost' : `${packets} lost` })),
    ],
    medianNs: a && b ? (way.latency.find(isHere)?.medianNs ?? null) : null,
    isLossy: lost.length > 0,
    isDead: a === undefined,
  }
}

function isVeth(kinds: readonly PlaceKind[]): boolean {
  return kinds.includes('veth') && kinds.includes('container')
}

function wordsOf(isTurn: boolean, kinds: readonly PlaceKind[], relation: LinkRelation | undefined): string {
  if (isTurn) return 'comes past again'
  if (isVeth(kinds)) return 'veth cable'
  if (relation === 'same-wire' && kinds.includes('bridge')) return 'bridge port'
  return relation === undefined ? '' : (RELATION_WORDS[relation] ?? '')
}

/** `the host` → `Host`. */
function wallLabel({ kind, where: { namespace, knownFrom } }: Place): string {
  if (kind === 'any') return 'Namespace of “any”'
  if (kind === 'loopback' && (knownFrom === 'look' || knownFrom === 'name')) return 'Loopback'
  const name = namespace.replace(/^(the|a) /, '')
  return name.charAt(0).toUpperCase() + name.slice(1)
}

const CHAR_REM = 0.52
const STAMP_CHAR_REM = 0.5
/** Longer texts of stamps are wrapped. */
const MAX_STAMP_CHARS = 24

function widthOf(part: PathGroup | PathGap | PathStation): number {
  if (part.type === 'group') {
    const inside = part.items.reduce((sum, item) => sum + widthOf(item), 0)
    return Math.max(inside, part.label.length * CHAR_REM) + (part.hasWalls ? 1.6 : 0)
  }
  if (part.type === 'station') {
    const texts = [part.name, part.detail.length > 16 ? '' : part.detail]
    return Math.max(5.2, ...texts.map((text) => text.length * CHAR_REM + 0.6))
  }
  const texts = part.stamps.flatMap(({ word, from = '', to = '', text = '' }) => [
    word,
    from,
    `→ ${to}`,
    text.slice(0, MAX_STAMP_CHARS),
  ])
  return Math.max(2.6, ...texts.map((text) => text.length * STAMP_CHAR_REM + 1.8))
}
