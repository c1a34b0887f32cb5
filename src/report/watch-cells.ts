/** What the live table says about one flow: its cells, and which of them stand in columns at which width. */

import { renderEndpoint, renderEnds } from './endpoint.ts'
import { harmless, harmlessCopy } from './harmless.ts'
import type { Endpoint, FlowReport } from './model.ts'
import type { Palette } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatBytes, formatCount, formatDurationNs } from './quantities.ts'
import { cutToWidth, displayWidth } from './width.ts'

/** A flow as it is now. */
export interface WatchFlow {
  flow: FlowReport
  packetsPerSecond: number
  bytesPerSecond: number
  /** In a word or two, such as `SYN` or `3 lost`. */
  lastEvent: string
  /** Time since its last packet. */
  idleNs: number
}

/** One of the columns beside protocol and ends; where there is no room for it, its words stand below the flow. */
export interface WatchColumn {
  head: string
  width: number
  alignsRight: boolean
  paint: (palette: Palette) => (text: string) => string
  /** Empty where there is nothing to tell. */
  cell(flow: WatchFlow): string
  /** The same below the flow, where no head says what it is. */
  words(flow: WatchFlow): string
}

const MAX_NAME_COLUMNS = 24
/** An event is not news for longer than that. */
const RECENT_NS = 2e9
const plain = () => (text: string) => text

const RATE: WatchColumn = {
  head: 'pkt/s',
  width: 7,
  alignsRight: true,
  paint: plain,
  cell: ({ packetsPerSecond }) => formatRate(packetsPerSecond),
  words: ({ packetsPerSecond }) => `${formatRate(packetsPerSecond)} pkt/s`,
}
const LOST: WatchColumn = {
  head: 'lost',
  width: 7,
  alignsRight: true,
  paint: (palette) => palette.error,
  cell: ({ flow }) => signed('✗', lostPackets(flow)),
  words: ({ flow }) => {
    const losses = flow.lost.map(({ packets, between: [near, far] }) => {
      return `✗ ${formatCount(packets)} lost ${pointName(near)} ── ${pointName(far)}`
    })
    return losses.join(' ')
  },
}
const PACKETS: WatchColumn = {
  head: 'packets',
  width: 9,
  alignsRight: true,
  paint: plain,
  cell: ({ flow }) => formatTotal(flow.forward.packets + flow.reverse.packets),
  words: ({ flow }) => `→ ${formatTotal(flow.forward.packets)} ← ${formatTotal(flow.reverse.packets)}`,
}
const TRANSLATION: WatchColumn = {
  head: 'translation',
  width: 28,
  alignsRight: false,
  paint: (palette) => palette.change,
  cell: ({ flow }) => translations(flow).join(' '),
  words: ({ flow }) => translations(flow).join(' '),
}
const TTL: WatchColumn = {
  head: 'TTL',
  width: 8,
  alignsRight: false,
  paint: plain,
  cell: ({ flow }) => ttls(flow),
  words: ({ flow }) => (ttls(flow) === '' ? '' : `TTL ${ttls(flow)}`),
}
const EVENT: WatchColumn = {
  head: 'last event',
  width: 22,
  alignsRight: false,
  paint: plain,
  cell: eventText,
  words: eventText,
}
const RESENT: WatchColumn = {
  head: 'resent',
  width: 6,
  alignsRight: true,
  paint: (palette) => palette.warning,
  cell: ({ flow }) => signed('↻', resentPackets(flow)),
  words: ({ flow }) => (resentPackets(flow) === 0 ? '' : `↻ ${formatTotal(resentPackets(flow))} resent`),
}
const BYTES: WatchColumn = {
  head: 'bytes/s',
  width: 9,
  alignsRight: true,
  paint: plain,
  cell: ({ bytesPerSecond }) => (bytesPerSecond > 0 ? `${formatBytes(bytesPerSecond)}/s` : ''),
  words: ({ bytesPerSecond }) => (bytesPerSecond > 0 ? `${formatBytes(bytesPerSecond)}/s` : ''),
}

/** As they stand from left to right, and which of them gets room first. */
const LEFT_TO_RIGHT = [TRANSLATION, TTL, RATE, BYTES, PACKETS, LOST, RESENT, EVENT]
const FIRST_SERVED = [RATE, LOST, PACKETS, TRANSLATION, TTL, EVENT, RESENT, BYTES]
/** Below the flow the most telling goes first: the end may be cut. */
const BELOW = [LOST, TRANSLATION, TTL, RATE, RESENT, EVENT, PACKETS, BYTES]

/** Shares `room` between the two ends of a flow, which get at least `forEnds`, and as many columns as fit beside them. */
export function shareRoom(
  room: number,
  forEnds: number,
  maxForEnds: number,
): { columns: WatchColumn[]; below: WatchColumn[]; ends: number } {
  let rest = room
  const taken = new Map<WatchColumn, number>()
  for (const column of FIRST_SERVED) {
    if (rest - column.width - 1 < forEnds) continue
    rest -= column.width + 1
    taken.set(column, column.width)
  }
  const spare = Math.max(0, rest - maxForEnds)
  if (taken.has(TRANSLATION)) taken.set(TRANSLATION, TRANSLATION.width + spare)
  const columns = LEFT_TO_RIGHT.filter((column) => taken.has(column))
  return {
    columns: columns.map((column) => ({ ...column, width: taken.get(column)! })),
    below: BELOW.filter((column) => !taken.has(column)),
    ends: taken.has(TRANSLATION) ? rest - spare : rest,
  }
}

/** A copy of the flow whose texts may be printed. */
export function harmlessFlow(watched: WatchFlow): WatchFlow {
  return harmlessCopy(watched)
}

/** One end of a flow, at full length and as short as it can be. */
export interface EndText {
  full: string
  short: string
}

/** Client and server with the names of their addresses; where room is short, the name is all that is left of both. */
export function endTexts(flow: FlowReport, names: ReadonlyMap<string, string>): [EndText, EndText] {
  const [client, server] = renderEnds(flow.client, flow.server, flow.protocol)
  const named = (end: Endpoint, text: string): EndText => {
    const name = cutToWidth(harmless(names.get(end.ip) ?? ''), MAX_NAME_COLUMNS)
    if (name === '') return { full: text, short: text }
    const hasPort = end.port !== 0 && !flow.protocol.startsWith('icmp')
    return { full: `${name} ${text}`, short: hasPort ? `${name}:${end.port}` : name }
  }
  return [named(flow.client, client), named(flow.server, server)]
}

/** The longest form of an end that fits; else the short one without its middle. */
export function fitEnd({ full, short }: EndText, width: number): string {
  return displayWidth(full) <= width ? full : cutMiddle(short, width)
}

/** Cuts out of the middle: the last group of an address and the port tell more than what is in front of them. */
function cutMiddle(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  const tail = text.slice(-Math.floor((width - 1) / 2))
  // A wide character or half of one at the cut: rare enough to be cut at the end instead.
  if (/[^\x20-\x7e]/.test(text) || width < 3) return cutToWidth(text, width)
  return `${text.slice(0, width - 1 - tail.length)}…${tail}`
}

/** `812`, `0.4`, `12.3k`, `1.20M`: at most five characters wide. */
export function formatRate(perSecond: number): string {
  if (!(perSecond > 0 && perSecond < 1e12)) return '0'
  if (perSecond < 0.95) return perSecond < 0.05 ? '<0.1' : perSecond.toFixed(1)
  if (perSecond < 9999.5) return formatCount(Math.round(perSecond))
  const [divisor, unit] = perSecond < 999_500 ? [1e3, 'k'] : perSecond < 999.5e6 ? [1e6, 'M'] : [1e9, 'G']
  return (perSecond / (divisor as number)).toPrecision(3) + unit
}

/** A count of at most nine characters. */
export function formatTotal(count: number): string {
  return count < 10_000_000 ? formatCount(count) : formatRate(count)
}

function signed(sign: string, packets: number): string {
  return packets === 0 ? '' : `${sign} ${packets < 10_000 ? formatCount(packets) : formatRate(packets)}`
}

function lostPackets(flow: FlowReport): number {
  return flow.lost.reduce((sum, { packets }) => sum + packets, 0)
}

function resentPackets({ retransmissions }: FlowReport): number {
  return retransmissions.forward + retransmissions.reverse
}

function translations(flow: FlowReport): string[] {
  return flow.translations.map(
    ({ kind, to }) => `${kind.toUpperCase()} → ${renderEndpoint(to, flow.protocol)}`,
  )
}

/** `64→63`; the client's packets where there are any. */
function ttls({ forward, reverse }: FlowReport): string {
  const path = forward.path.length > 0 ? forward.path : reverse.path
  return path
    .map(({ ttl }) => ttl)
    .filter((ttl, i, all) => ttl !== all[i - 1])
    .join('→')
}

function eventText({ lastEvent, idleNs }: WatchFlow): string {
  if (!(idleNs >= RECENT_NS)) return lastEvent
  // Whole seconds: tenths would flicker.
  const ago = `${formatDurationNs(Math.floor(idleNs / 1e9) * 1e9).replace(/\.\d+/, '')} ago`
  return lastEvent === '' ? ago : `${lastEvent} ${ago}`
}
