/**
 * The score of an analysis against the truth of its trace. A packet is what its sender sent, as the first point on its way
 * would see it; a frame belongs to all packets whose bytes it carries.
 *
 * - precision: journeys whose sightings all belong to one true packet / journeys told as not ambiguous
 * - recall: true packets told as exactly one journey with all its sightings, and not as ambiguous / true packets seen by
 *   any point. Frames that say again what another frame of that point said need not be told.
 * - ambiguous: true packets that are not recalled, but of which a sighting is told in an ambiguous journey
 * - missed: the other true packets that are not recalled
 * - translations: by conversation, kind, both endpoints and the nearest points that saw the conversation; those that a
 *   packet was seen on both sides of
 * - losses: packets by conversation, direction and hop; those that were seen by any point before
 */

import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import type { Endpoint } from '../trace/frame.ts'
import type { TrueFlow, TrueJourney, Truth } from '../trace/model.ts'

/** How many were told, how many there are, and how many of these are the same. */
export interface Share {
  told: number
  there: number
  right: number
}

export interface Score {
  /** True packets that any point saw. */
  packets: number
  /** Journeys told as not ambiguous, and those of them that mix packets. */
  journeys: number
  wrong: number
  recalled: number
  ambiguous: number
  missed: number
  translations: Share
  losses: Share
}

/** What is wrong or missing, one line each. */
export interface Faults {
  wrong: string[]
  ambiguous: string[]
  missed: string[]
  /** Both with a sign in front: + told and not true, - true and not told. */
  translations: string[]
  losses: string[]
}

export function emptyScore(): Score {
  const share = () => ({ told: 0, there: 0, right: 0 })
  const counts = { packets: 0, journeys: 0, wrong: 0, recalled: 0, ambiguous: 0, missed: 0 }
  return { ...counts, translations: share(), losses: share() }
}

/** Adds `other` to `sum`. */
export function addScore(sum: Score, other: Score): void {
  for (const name of ['packets', 'journeys', 'wrong', 'recalled', 'ambiguous', 'missed'] as const)
    sum[name] += other[name]
  for (const name of ['translations', 'losses'] as const)
    for (const part of ['told', 'there', 'right'] as const) sum[name][part] += other[name][part]
}

export function scoreOf(
  truth: Truth,
  report: Report,
  journeys: Iterable<JourneyReport>,
): { score: Score; faults: Faults } {
  const score = emptyScore()
  const faults: Faults = { wrong: [], ambiguous: [], missed: [], translations: [], losses: [] }
  scoreJourneys(truth, journeys, score, faults)
  scoreTranslations(truth, report, score, faults)
  scoreLosses(truth, report, score, faults)
  return { score, faults }
}

function scoreJourneys(truth: Truth, journeys: Iterable<JourneyReport>, score: Score, faults: Faults): void {
  const owners = new Owners(truth)
  /** The journeys told of each packet, by the records in them; and the packets that ambiguous ones tell of. */
  const told = new Map<TrueJourney, Set<string>[]>()
  const doubtful = new Set<TrueJourney>()
  for (const journey of journeys) {
    const records = recordsOf(journey.sightings)
    const [first, ...others] = records.map((record) => owners.of(record))
    const common = first.filter((packet) => others.every((list) => list.includes(packet)))
    if (journey.outcome === 'ambiguous') {
      for (const packet of common.length > 0 ? common : [first, ...others].flat()) doubtful.add(packet)
      continue
    }
    score.journeys++
    if (common.length === 0) {
      score.wrong++
      faults.wrong.push(`flow ${journey.flow} ${journey.summary}: ${records.join(' ')}`)
    }
    for (const packet of common) told.set(packet, [...(told.get(packet) ?? []), new Set(records)])
  }
  for (const packet of truth.journeys) {
    if (packet.sightings.length === 0) continue
    score.packets++
    const needed = packet.sightings.flatMap(({ point, frames, copies }) =>
      frames.filter((frame) => !copies.includes(frame)).map((frame) => `${point}:${frame}`),
    )
    const pieces = told.get(packet) ?? []
    const isWhole = pieces.length === 1 && needed.every((record) => pieces[0].has(record))
    if (isWhole && !doubtful.has(packet)) {
      score.recalled++
      continue
    }
    const isDoubtful = doubtful.has(packet)
    score[isDoubtful ? 'ambiguous' : 'missed']++
    const { protocol, seq, ack, flags, ipId, payload } = packet.content
    const what = `${protocol} id ${ipId} seq ${seq} ack ${ack} flags ${flags} len ${payload.length}`
    const found = pieces.map((records) => `{${[...records].join(' ')}}`).join(' ')
    const line = `flow ${packet.flow} ${packet.direction} ${what}: ${needed.join(' ')} told ${found || 'nowhere'}`
    faults[isDoubtful ? 'ambiguous' : 'missed'].push(line)
  }
}

/** Whose bytes each frame carries. */
class Owners {
  readonly #packets = new Map<string, TrueJourney[]>()

  constructor({ journeys }: Truth) {
    for (const packet of journeys)
      for (const record of recordsOf(packet.sightings)) {
        const list = this.#packets.get(record)
        if (list) list.push(packet)
        else this.#packets.set(record, [packet])
      }
  }

  of(record: string): TrueJourney[] {
    return this.#packets.get(record) ?? []
  }
}

function recordsOf(sightings: readonly { point: string; frames: readonly number[] }[]): string[] {
  return sightings.flatMap(({ point, frames }) => frames.map((frame) => `${point}:${frame}`))
}

const textOf = ({ ip, port }: Endpoint) => `${ip}:${port}`

function scoreTranslations(truth: Truth, report: Report, score: Score, faults: Faults): void {
  const journeysOf = new Map<number, TrueJourney[]>()
  for (const journey of truth.journeys) {
    const list = journeysOf.get(journey.flow)
    if (list) list.push(journey)
    else journeysOf.set(journey.flow, [journey])
  }
  const there = truth.flows.flatMap((flow) => visibleTranslations(flow, journeysOf.get(flow.id) ?? []))
  const told = report.flows.flatMap((flow) =>
    flow.translations.map(
      ({ kind, between, from, to }) =>
        `${flow.protocol} ${kind} ${between.join('>')} ${textOf(from)} ${textOf(to)}`,
    ),
  )
  compareCounts(counted(told), counted(there), score.translations, faults.translations)
}

/** Translations that a packet was seen on both sides of; two in one gap between points that saw the flow are one. */
function visibleTranslations(flow: TrueFlow, journeys: readonly TrueJourney[]): string[] {
  const { path } = flow.forward
  const seen = path.map((_, station) =>
    journeys.some(({ sightings }) => sightings.some((sighting) => sighting.station === station)),
  )
  const gaps = new Map<string, { kind: string; between: string[]; from: Endpoint; to: Endpoint }>()
  for (const { kind, between, from, to } of flow.translations) {
    const hop = path.findIndex(({ point }, at) => point === between[0] && path[at + 1]?.point === between[1])
    const isSeenAcross = journeys.some(({ sightings }) =>
      sightings.some((a) => a.station <= hop && sightings.some((b) => b.station > hop)),
    )
    if (!isSeenAcross) continue
    const before = seen.lastIndexOf(true, hop)
    const behind = seen.indexOf(true, hop + 1)
    const key = `${kind} ${before} ${behind}`
    const known = gaps.get(key)
    if (known) known.to = to
    else gaps.set(key, { kind, between: [path[before].point, path[behind].point], from, to })
  }
  return [...gaps.values()].map(
    ({ kind, between, from, to }) =>
      `${flow.protocol} ${kind} ${between.join('>')} ${textOf(from)} ${textOf(to)}`,
  )
}

function scoreLosses(truth: Truth, report: Report, score: Score, faults: Faults): void {
  const list = (flows: readonly Pick<TrueFlow, 'protocol' | 'client' | 'server' | 'lost'>[]) => {
    const counts = new Map<string, number>()
    for (const { protocol, client, server, lost } of flows)
      for (const { direction, between, packets } of lost) {
        const key = `${protocol} ${textOf(client)} ${textOf(server)} ${direction} ${between.join('>')}`
        counts.set(key, (counts.get(key) ?? 0) + packets)
      }
    return counts
  }
  compareCounts(list(report.flows as TrueFlow[]), list(truth.flows), score.losses, faults.losses)
}

function counted(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

function compareCounts(
  told: ReadonlyMap<string, number>,
  there: ReadonlyMap<string, number>,
  share: Share,
  faults: string[],
): void {
  for (const key of new Set([...told.keys(), ...there.keys()])) {
    const [a, b] = [told.get(key) ?? 0, there.get(key) ?? 0]
    share.told += a
    share.there += b
    share.right += Math.min(a, b)
    if (a !== b) faults.push(`${a > b ? '+' : '-'}${Math.abs(a - b)} ${key}`)
  }
}
