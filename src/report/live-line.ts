/** One packet as a line for people who watch: time, flow, what it is, its ends with their names, its way and its fate. */

import { stripVTControlCharacters } from 'node:util'
import { renderEnds, sameEndpoint } from './endpoint.ts'
import { harmless } from './harmless.ts'
import type { JourneyReport } from './journey-lines.ts'
import type { Endpoint } from './model.ts'
import { type Detail, elapsed, outcomeText, wayText } from './packet-line.ts'
import { type Palette, paletteFor } from './palette.ts'
import { isNumeral } from './quantities.ts'
import { cutToWidth, displayWidth, padToWidth } from './width.ts'

const SUMMARY_COLUMNS = 22
const MAX_NAME_COLUMNS = 24
const MIN_HEAD_COLUMNS = 30

/** How much is told, from all of it down to what fits 80 columns: the ends of the packet, TTL and rewrites. */
const LEVELS: readonly { detail: Detail; isShort: boolean; timeDigits: number; hasPoints: boolean }[] = [
  { detail: 'addresses', isShort: false, timeDigits: 6, hasPoints: true },
  { detail: 'addresses', isShort: true, timeDigits: 6, hasPoints: true },
  { detail: 'points', isShort: true, timeDigits: 6, hasPoints: true },
  { detail: 'changes', isShort: true, timeDigits: 3, hasPoints: true },
  { detail: 'changes', isShort: true, timeDigits: 3, hasPoints: false },
]

export interface LiveLineOptions {
  /** Width of the terminal; Infinity where the output is none. */
  columns: number
  color: boolean
  /** Address → name of its container, network or host. */
  names: ReadonlyMap<string, string>
}

/** Renders one journey as a line without its newline. */
export function renderLiveLine(journey: JourneyReport, options: LiveLineOptions): string {
  const palette = paletteFor(options.color)
  const { sightings } = journey
  const [first] = sightings
  if (first === undefined) return ''
  const last = sightings.at(-1)!
  const arrow = journey.direction === 'forward' ? '→' : '←'
  const sign = journey.retransmission ? `${arrow}${palette.warning('↻')}` : arrow
  const duration = sightings.length < 2 ? '' : palette.faint(elapsed(first.timeNs, last.timeNs))
  const outcome = outcomeText(journey, palette)
  const lineOf = ({ detail, isShort, timeDigits, hasPoints }: (typeof LEVELS)[number]): string => {
    const time = palette.faint(clockTime(first.timeNs, timeDigits))
    const summary = padToWidth(harmless(journey.summary), hasPoints ? SUMMARY_COLUMNS : 0)
    // A reply is told from its server's side: the client's own address is what the last point saw.
    const ends = endsText(first.src, (journey.direction === 'forward' ? first : last).dst, journey.protocol, {
      names: options.names,
      isShort,
    })
    const way = hasPoints ? wayText(journey, detail, palette) : rewritesText(journey, palette)
    const took = hasPoints || outcome === '' ? duration : ''
    const told = [`${time} #${journey.flow} ${sign} ${summary}`, ends, way, took, outcome]
    return told.filter((it) => it !== '').join(hasPoints ? '  ' : ' ')
  }
  for (const level of LEVELS) {
    const line = lineOf(level)
    if (displayWidth(line) <= options.columns) return line
  }
  // What became of the packet counts for more than between whom it went.
  const line = stripVTControlCharacters(lineOf(LEVELS.at(-1)!))
  const tail = stripVTControlCharacters(outcome === '' ? duration : outcome)
  const room = options.columns - displayWidth(tail) - 1
  if (tail === '' || room < MIN_HEAD_COLUMNS) return cutToWidth(line, options.columns)
  return `${padToWidth(cutToWidth(line.slice(0, line.length - tail.length).trimEnd(), room), room)} ${tail}`
}

/** TTL and what was rewritten, without the points: `64 ─SNAT─ 63`. */
function rewritesText({ sightings, direction }: JourneyReport, palette: Palette): string {
  let text = String(sightings[0]!.ttl)
  for (let i = 1; i < sightings.length; i++) {
    const [before, here] = [sightings[i - 1]!, sightings[i]!]
    const changes = [
      sameEndpoint(before.src, here.src) ? '' : direction === 'forward' ? 'SNAT' : 'DNAT',
      sameEndpoint(before.dst, here.dst) ? '' : direction === 'forward' ? 'DNAT' : 'SNAT',
    ].filter((it) => it !== '')
    if (changes.length > 0) text += palette.change(` ${changes.join(' ')}`)
    if (before.ttl !== here.ttl) text += palette.change(` ${here.ttl}`)
  }
  return text
}

/** `web 172.17.0.2:45000 → 203.0.113.10:80`, or only the names where room is short. */
function endsText(
  src: Endpoint,
  dst: Endpoint,
  protocol: string,
  { names, isShort }: { names: ReadonlyMap<string, string>; isShort: boolean },
): string {
  const nameOf = ({ ip }: Endpoint) => {
    const name = names.get(ip)
    return name === undefined ? undefined : cutToWidth(harmless(name), MAX_NAME_COLUMNS)
  }
  const [srcName, dstName] = [nameOf(src), nameOf(dst)]
  if (isShort) {
    const named = (end: Endpoint, name: string | undefined) => ({ ...end, ip: name ?? end.ip })
    return renderEnds(named(src, srcName), named(dst, dstName), protocol)
      .map((end) => harmless(end))
      .join(' → ')
  }
  const [from, to] = renderEnds(src, dst, protocol).map((end) => harmless(end))
  return `${[srcName, from].filter(Boolean).join(' ')} → ${[dstName, to].filter(Boolean).join(' ')}`
}

/** `14:03:22.104512`, local time. */
function clockTime(timeNs: string, digits: number): string {
  if (!isNumeral(timeNs)) return '?'
  const ns = BigInt(timeNs)
  const date = new Date(Number(ns / 1_000_000n))
  const two = (value: number) => String(value).padStart(2, '0')
  const fraction = String(ns % 1_000_000_000n)
    .padStart(9, '0')
    .slice(0, digits)
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${fraction}`
}
