/** Journeys for people, for `--packets`: one line a packet, with the TTL and rewrites where they happen. */

import { stripVTControlCharacters } from 'node:util'
import { renderEndpoint, sameEndpoint } from './endpoint.ts'
import { harmless } from './harmless.ts'
import type { JourneyReport, SightingReport } from './journey-lines.ts'
import { type Palette, paletteFor } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatDurationNs, isNumeral } from './quantities.ts'
import { cutToWidth, displayWidth, padToWidth } from './width.ts'

const TIME_COLUMNS = 10
const SUMMARY_COLUMNS = 24

export interface PacketLineOptions {
  /** Width of the terminal; lines are shortened to it step by step. Infinity where the output is no terminal. */
  columns: number
  color: boolean
  /** Time of the flow's first packet, ns since 1970: times are told from there. */
  flowFirstNs: string
}

/** How much of the way is told: every point and address · every point · only the points at which something changes. */
type Detail = 'all' | 'points' | 'changes'

/** Renders one journey as a line without its newline. */
export function renderPacketLine(journey: JourneyReport, options: PacketLineOptions): string {
  const palette = paletteFor(options.color)
  const { sightings } = journey
  const first = sightings[0]
  const time = first === undefined ? '' : elapsed(options.flowFirstNs, first.timeNs)
  const arrow = journey.direction === 'forward' ? '→' : '←'
  const resent = journey.retransmission ? palette.warning('↻') : ' '
  const summary = padToWidth(cutToWidth(harmless(journey.summary), SUMMARY_COLUMNS), SUMMARY_COLUMNS)
  const head = `${palette.faint(time.padStart(TIME_COLUMNS))} ${arrow}${resent} ${summary}`
  const duration = sightings.length < 2 ? '' : elapsed(first.timeNs, sightings.at(-1)!.timeNs)
  const tail = [duration === '' ? '' : palette.faint(duration), outcomeText(journey, palette)].filter(
    (it) => it !== '',
  )
  let line = ''
  for (const detail of ['all', 'points', 'changes'] as const) {
    line = [head, wayText(journey, detail, palette), ...tail].join('  ')
    if (displayWidth(line) <= options.columns) return line
  }
  return cutToWidth(stripVTControlCharacters(line), options.columns)
}

function wayText(
  { sightings, protocol, direction }: JourneyReport,
  detail: Detail,
  palette: Palette,
): string {
  let way = ''
  let skipped = false
  sightings.forEach((sighting, i) => {
    const before = sightings[i - 1]
    const after = sightings[i + 1]
    const changes = before === undefined ? [] : rewritesOf(before, sighting, protocol, direction, detail)
    const ttlMoved = before === undefined || before.ttl !== sighting.ttl
    const changed = ttlMoved || changes.length > 0
    const changesNext =
      after === undefined ||
      after.ttl !== sighting.ttl ||
      rewritesOf(sighting, after, '', direction, detail).length > 0
    if (detail === 'changes' && !changed && !changesNext) {
      skipped = true
      return
    }
    const rail = changes.length === 0 ? palette.faint('──') : palette.change(`─${changes.join(' ')}─`)
    if (before !== undefined) way += skipped ? ' … ' : ` ${rail} `
    skipped = false
    way += pointName(sighting.point)
    if (ttlMoved) way += ` ${before === undefined ? sighting.ttl : palette.change(String(sighting.ttl))}`
  })
  return way
}

function rewritesOf(
  before: SightingReport,
  sighting: SightingReport,
  protocol: string,
  direction: string,
  detail: Detail,
): string[] {
  const rewrites: string[] = []
  const add = (kind: string, side: 'src' | 'dst'): void => {
    if (sameEndpoint(before[side], sighting[side])) return
    rewrites.push(detail === 'all' ? `${kind} ${harmless(renderEndpoint(sighting[side], protocol))}` : kind)
  }
  // The reply to a rewritten source has a rewritten destination, and the other way round.
  add(direction === 'forward' ? 'SNAT' : 'DNAT', 'src')
  add(direction === 'forward' ? 'DNAT' : 'SNAT', 'dst')
  return rewrites
}

function outcomeText({ outcome, lostBetween, answeredBy }: JourneyReport, palette: Palette): string {
  switch (outcome) {
    case 'delivered':
      return ''
    case 'lost':
      return palette.error(
        lostBetween === undefined ? '✗ lost' : `✗ lost before ${pointName(lostBetween[1])}`,
      )
    case 'answered':
      return palette.error(
        answeredBy === undefined
          ? '✗ answered by an ICMP error'
          : `✗ ${harmless(answeredBy.name)}, says ${harmless(answeredBy.from)}`,
      )
    default:
      return palette.warning(`? ${harmless(outcome)}`)
  }
}

function elapsed(fromNs: string, toNs: string): string {
  if (!isNumeral(fromNs) || !isNumeral(toNs)) return '?'
  return formatDurationNs(Number(BigInt(toNs) - BigInt(fromNs)))
}
