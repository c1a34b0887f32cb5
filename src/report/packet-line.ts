/** Journeys for people, for `--packets`: one line a packet, with the TTL and rewrites where they happen. */

import { stripVTControlCharacters } from 'node:util'
import { tunnelTexts } from './encapsulation.ts'
import { renderEndpoint, sameEndpoint } from './endpoint.ts'
import { harmless } from './harmless.ts'
import type { JourneyReport, SightingReport } from './journey-lines.ts'
import { type Palette, paletteFor } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatDurationNs, isNumeral } from './quantities.ts'
import { cutToWidth, displayWidth, padToWidth } from './width.ts'

const TIME_COLUMNS = 8
const SUMMARY_COLUMNS = 28
const MIN_SUMMARY_COLUMNS = 8

export interface PacketLineOptions {
  /** Width of the terminal; lines are shortened to it step by step. Infinity where the output is no terminal. */
  columns: number
  color: boolean
  /** Time of the flow's first packet, ns since 1970: times are told from there. */
  flowFirstNs: string
}

/** How much of the way is told, from every point and address down to its two ends. */
const DETAILS = ['addresses', 'points', 'changes', 'ends'] as const
export type Detail = (typeof DETAILS)[number]

/** Renders one journey as a line without its newline. */
export function renderPacketLine(journey: JourneyReport, options: PacketLineOptions): string {
  const palette = paletteFor(options.color)
  const { sightings } = journey
  const first = sightings[0]
  const time = first === undefined ? '' : elapsed(options.flowFirstNs, first.timeNs)
  const arrow = journey.direction === 'forward' ? '→' : '←'
  const sign = `${arrow}${journey.retransmission ? palette.warning('↻') : ' '}`
  const head = `${palette.faint(time.padStart(TIME_COLUMNS))} ${sign}`
  const duration = sightings.length < 2 ? '' : elapsed(first.timeNs, sightings.at(-1)!.timeNs)
  const tail = [palette.faint(duration), outcomeText(journey, palette)]
  const summary = harmless(journey.summary)
  const lineOf = (detail: Detail, summaryColumns: number): string => {
    const what = padToWidth(cutToWidth(summary, summaryColumns), summaryColumns)
    return [`${head} ${what}`, wayText(journey, detail, palette), ...tail]
      .filter((it) => it !== '')
      .join('  ')
  }
  for (const detail of DETAILS) {
    const line = lineOf(detail, SUMMARY_COLUMNS)
    if (displayWidth(line) <= options.columns) return line
  }
  // What became of the packet counts for more than its numbers.
  const excess = displayWidth(lineOf('ends', SUMMARY_COLUMNS)) - options.columns
  const line = lineOf('ends', Math.max(MIN_SUMMARY_COLUMNS, SUMMARY_COLUMNS - excess))
  if (displayWidth(line) <= options.columns) return line
  return cutToWidth(stripVTControlCharacters(line), options.columns)
}

/** The points that saw the packet, with TTL and rewrites where they happen. */
export function wayText(journey: JourneyReport, detail: Detail, palette: Palette): string {
  const stations = journey.sightings
  const shown = stations.filter((_, i) => isShown(journey, i, detail))
  let way = ''
  shown.forEach((sighting, i) => {
    const before = shown[i - 1]
    if (before === undefined) {
      way = `${pointName(sighting.point)} ${sighting.ttl}`
      return
    }
    const rewrites = rewritesOf(before, sighting, journey, detail)
    const skipped = stations.indexOf(sighting) - stations.indexOf(before) > 1
    const rail =
      rewrites.length === 0 ? palette.faint(skipped ? '…' : '──') : palette.change(`─${rewrites.join(' ')}─`)
    const ttl = before.ttl === sighting.ttl ? '' : ` ${palette.change(String(sighting.ttl))}`
    way += ` ${rail} ${pointName(sighting.point)}${ttl}`
  })
  return way
}

/** The two ends of a way are always shown; at detail `changes` also both sides of each change. */
function isShown(journey: JourneyReport, index: number, detail: Detail): boolean {
  const { sightings } = journey
  if (index === 0 || index === sightings.length - 1) return true
  if (detail !== 'changes') return detail !== 'ends'
  const changes = (from: number): boolean =>
    sightings[from].ttl !== sightings[from + 1].ttl ||
    rewritesOf(sightings[from], sightings[from + 1], journey, detail).length > 0
  return changes(index - 1) || changes(index)
}

function rewritesOf(
  before: SightingReport,
  sighting: SightingReport,
  { protocol, direction }: JourneyReport,
  detail: Detail,
): string[] {
  const rewrites: string[] = []
  const add = (kind: string, side: 'src' | 'dst'): void => {
    if (sameEndpoint(before[side], sighting[side])) return
    const address = detail === 'addresses' ? ` ${harmless(renderEndpoint(sighting[side], protocol))}` : ''
    rewrites.push(kind + address)
  }
  // The reply to a rewritten source has a rewritten destination, and the other way round.
  add(direction === 'forward' ? 'SNAT' : 'DNAT', 'src')
  add(direction === 'forward' ? 'DNAT' : 'SNAT', 'dst')
  rewrites.push(...tunnelTexts(before, sighting).map((text) => harmless(text)))
  return rewrites
}

/** What became of the packet, nothing where it arrived. */
export function outcomeText({ outcome, lostBetween, answeredBy }: JourneyReport, palette: Palette): string {
  switch (outcome) {
    case 'delivered':
      return ''
    case 'lost':
      return palette.error(
        lostBetween === undefined ? '✗ lost' : `✗ lost before ${pointName(lostBetween[1])}`,
      )
    case 'answered': {
      if (answeredBy === undefined) return palette.error('✗ answered by an ICMP error')
      return palette.error(`✗ ${harmless(answeredBy.name)}, says ${harmless(answeredBy.from)}`)
    }
    default:
      return palette.warning(`? ${harmless(outcome)}`)
  }
}

/** Time between two times, as text. */
export function elapsed(fromNs: string, toNs: string): string {
  if (!isNumeral(fromNs) || !isNumeral(toNs)) return '?'
  return formatDurationNs(Number(BigInt(toNs) - BigInt(fromNs)))
}
