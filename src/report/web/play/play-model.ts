/** The play: the moments of a packet's journey, one after the other, and what its header says at each. No DOM. */

import { renderEnds } from '../../endpoint.ts'
import type { ExplainedLayer, ExplainedStation, Explanation, Mapping, Step } from '../../explain/model.ts'
import type { SightingReport } from '../../journey-lines.ts'
import type { DirectionName } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'
import { pointName } from '../../path-line.ts'
import { formatDurationNs } from '../../quantities.ts'
import type { PathModel } from '../path/path-model.ts'

/** One field on the card. */
export interface CardField {
  name: string
  value: string
  /** What it was at the station before; only while it changes. */
  before?: string
  note?: string
  /** What kind of change it is. */
  tone: 'snat' | 'dnat' | 'ttl' | 'other'
}

export interface CardLayer {
  name: string
  /** `new`: a tunnel put it on; `gone`: it was taken off. */
  fate: 'kept' | 'new' | 'gone'
  fields: CardField[]
}

export interface Moment {
  kind: 'station' | 'between' | 'end'
  /** Where on the path: a station's number, or halfway between two. */
  at: number
  /** `Station 3 of 7`. */
  progress: string
  title: string
  steps: Step[]
  card: CardLayer[]
  /** What conntrack remembers; at the end only. */
  mappings: Mapping[]
  isDead: boolean
  /** How long it is shown at speed 1: as long as it takes to read. */
  showMs: number
}

/** What is on the card even where it stays as it is. */
const ALWAYS =
  /^(source|destination|source port|destination port|TTL|hop limit|checksum|identifier|type|VLAN|interface|VNI|key|TEID)$/
const STATION_MS = 1600
const MS_PER_CHAR = 32

/** The whole journey; empty where the packet was seen nowhere. */
export function momentsOf(packet: PagePacket, explanation: Explanation, path: PathModel): Moment[] {
  const { sightings, direction } = packet
  const explained = explanation.packets[0]
  // Stations of which no bytes could be read again are not explained.
  const known = sightings.flatMap((_, i) => (packet.bytes[i]?.length ? [i] : []))
  const stations = sightings.map((_, i) => explained?.stations[known.indexOf(i)])
  const moments: Moment[] = []
  const add = (moment: Omit<Moment, 'showMs'>) => {
    const chars = moment.steps.reduce((sum, { text }) => sum + text.length, 0)
    moments.push({ ...moment, showMs: STATION_MS + Math.min(chars, 600) * MS_PER_CHAR })
  }
  const count = path.count
  sightings.forEach((sighting, i) => {
    const [station, before] = [stations[i], sightings[i - 1]]
    if (before)
      add({
        kind: 'between',
        at: i - 0.5,
        progress: `Between stations ${i} and ${i + 1} of ${count}`,
        title: `From ${pointName(before.point)} to ${pointName(sighting.point)}`,
        steps: station?.steps ?? changesAsSteps(before, sighting, packet),
        card: cardOf(station, sighting, packet, direction, stations[i - 1], before),
        mappings: [],
        isDead: false,
      })
    add({
      kind: 'station',
      at: i,
      progress: `Station ${i + 1} of ${count}`,
      title: `At ${pointName(sighting.point)}`,
      steps: [...(i === 0 ? (station?.steps ?? []) : []), ...seenStep(sighting, station)],
      card: settled(cardOf(station, sighting, packet, direction)),
      mappings: [],
      isDead: false,
    })
  })
  const last = moments.at(-1)
  if (last)
    add({
      kind: 'end',
      ...endOf(packet, path, last.at),
      steps: explained?.ending ?? [],
      card: last.card,
      mappings: explanation.mappings,
    })
  return moments
}

/** Where the packet is at its end, and what that is in words. */
function endOf(
  { outcome, lostBetween, answeredBy, sightings }: PagePacket,
  { parts }: PathModel,
  last: number,
): Pick<Moment, 'at' | 'progress' | 'title' | 'isDead'> {
  const hasGap = parts
    .flatMap((part) => (part.type === 'group' ? part.items : [part]))
    .some(({ at }) => at === last + 0.5)
  const progress = 'The end'
  const behind = hasGap ? last + 0.5 : last
  if (outcome === 'lost')
    return {
      at: behind,
      progress,
      title: lostBetween ? `Lost between ${lostBetween.map(pointName).join(' and ')}` : 'Lost',
      isDead: true,
    }
  if (outcome === 'answered')
    return {
      at: behind,
      progress,
      title: answeredBy ? `Answered by ${answeredBy.from}: ${answeredBy.name}` : 'Answered by an ICMP error',
      isDead: true,
    }
  if (outcome === 'unseen') return { at: last, progress, title: 'Not seen any further', isDead: false }
  if (outcome === 'ambiguous')
    return { at: last, progress, title: 'Not to be told from others', isDead: false }
  return { at: last, progress, title: `Arrived at ${pointName(sightings.at(-1)!.point)}`, isDead: false }
}

function seenStep({ frames }: SightingReport, station: ExplainedStation | undefined): Step[] {
  const which =
    frames.length === 1
      ? `Frame ${frames[0]}`
      : `Frames ${frames.slice(0, 8).join(', ')}${frames.length > 8 ? ', …' : ''}`
  const after = station?.afterNs ? `, ${formatDurationNs(station.afterNs)} after it was first seen` : ''
  const where = station ? `, in the namespace of ${withoutArticle(station.where.namespace)}` : ''
  const isGuess = station?.where.knownFrom === 'look'
  return [{ actor: 'unknown', text: `${which} of this point${isGuess ? '' : where}${after}.` }]
}

function withoutArticle(namespace: string): string {
  return namespace.startsWith('a single one') ? 'the loopback interface' : namespace
}

/** Where no bytes are there to explain a change, the addresses still tell it. */
function changesAsSteps(before: SightingReport, now: SightingReport, { protocol }: PagePacket): Step[] {
  const text = ({ src, dst }: SightingReport) => renderEnds(src, dst, protocol).join(' → ')
  const changes = [
    ...(text(before) === text(now) ? [] : [`${text(before)} becomes ${text(now)}`]),
    ...(before.ttl === now.ttl ? [] : [`TTL ${before.ttl} becomes ${now.ttl}`]),
  ]
  return [
    { actor: 'unknown', text: changes.length === 0 ? 'Addresses and TTL stay.' : `${changes.join('; ')}.` },
  ]
}

/** The card at a station, as it changes on the way there from the one before. */
function cardOf(
  station: ExplainedStation | undefined,
  sighting: SightingReport,
  { protocol }: PagePacket,
  direction: DirectionName,
  before?: ExplainedStation,
  sightingBefore?: SightingReport,
): CardLayer[] {
  if (!station) return [plainLayer(sighting, protocol, direction, sightingBefore)]
  const layers = station.layers
    .map((layer) => layerOf(layer, direction))
    .filter(({ fields }) => fields.length > 0)
  const gone = (before?.layers ?? [])
    .filter(({ name }) => /^outer /.test(name) && !station.layers.some((layer) => layer.name === name))
    .map((layer): CardLayer => ({ ...layerOf(layer, direction), fate: 'gone' }))
  return [...gone, ...layers]
}

function layerOf({ name, isNew, fields }: ExplainedLayer, direction: DirectionName): CardLayer {
  return {
    name,
    fate: isNew ? 'new' : 'kept',
    fields: fields
      .filter((field) => field.isChanged || ALWAYS.test(field.name))
      .filter((field) => field.isChanged || field.name !== 'type' || name.includes('ICMP'))
      .map(({ name: field, value, before, isChanged, note }) => ({
        name: field,
        value,
        ...(isChanged ? { before: before ?? 'nothing' } : {}),
        ...(note === undefined ? {} : { note }),
        tone: toneOf(name, field, direction),
      })),
  }
}

function plainLayer(
  { src, dst, ttl }: SightingReport,
  protocol: string,
  direction: DirectionName,
  before?: SightingReport,
): CardLayer {
  const [source, destination] = renderEnds(src, dst, protocol)
  const [oldSource, oldDestination] = before
    ? renderEnds(before.src, before.dst, protocol)
    : [source, destination]
  const field = (name: string, value: string, old: string): CardField => ({
    name,
    value,
    ...(old === value ? {} : { before: old }),
    tone: toneOf('IPv4', name, direction),
  })
  return {
    name: 'IP',
    fate: 'kept',
    fields: [
      field('source', source, oldSource),
      field('destination', destination, oldDestination),
      field('TTL', `${ttl}`, `${before?.ttl ?? ttl}`),
    ],
  }
}

/** The reply to a rewritten source has a rewritten destination, and the other way round. */
function toneOf(layer: string, field: string, direction: DirectionName): CardField['tone'] {
  if (field === 'TTL' || field === 'hop limit') return 'ttl'
  if (!/^(inner )?(IPv4|IPv6|TCP|UDP)$/.test(layer)) return 'other'
  const isForward = direction === 'forward'
  if (field.startsWith('source')) return isForward ? 'snat' : 'dnat'
  if (field.startsWith('destination')) return isForward ? 'dnat' : 'snat'
  return 'other'
}

/** The same card when the change is over. */
function settled(card: readonly CardLayer[]): CardLayer[] {
  return card.map((layer) => ({
    ...layer,
    fate: 'kept',
    fields: layer.fields.map(({ before: _, ...field }) => field),
  }))
}
