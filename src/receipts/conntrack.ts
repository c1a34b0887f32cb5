/** conntrack: reads what `conntrack -L` and `conntrack -E` print, and keeps what is worth it. */

import { isIP } from 'node:net'
import type { ConntrackEntry, Tuple } from './model.ts'

export const MAX_ENTRIES = 4096
/** Where containers are captured, connections without an address of theirs are hardly what it is about. */
const MAX_OTHERS = 256

/** `key=value` of an entry; tuples come twice, in both directions. */
const FIELD = /\b(src|dst|sport|dport|id|packets|zone|mark)=(\S+)/g

/** The entry in a line of `conntrack -L -o extended` or `conntrack -E -o timestamp`, or null where there is none. */
export function parseConntrackLine(line: string, isThere: boolean): ConntrackEntry | null {
  // `[1790…] [NEW] ipv4 2 tcp 6 120 SYN_SENT src=… dst=… sport=… dport=… [UNREPLIED] src=… … [ASSURED] mark=0 zone=1`
  const head =
    /^\s*(?:\[(\d+)(?:\.(\d+))?\]\s*)?(?:\[(\w+)\]\s+)?(?:ipv[46]\s+\d+\s+)?([a-z][\w-]*)\s+(\d+)\s+(.*)$/.exec(
      line,
    )
  if (head === null) return null
  const [, seconds, micros = '', , name = '', number = '', rest = ''] = head
  const tuples: Record<string, string>[] = []
  let zone: number | null = null
  let mark: number | null = null
  for (const [, key = '', value = ''] of rest.matchAll(FIELD)) {
    if (key === 'zone') zone = Number(value)
    else if (key === 'mark') mark = Number(value)
    else if (key === 'src') tuples.push({ src: value })
    else tuples.at(-1)![key] ??= value
  }
  const [original, reply] = tuples.map(tupleOf)
  if (!original || !reply) return null
  return {
    protocol: name === 'unknown' ? number : name,
    state: /^(?:\d+ )?\s*([A-Z][A-Z_0-9]+) /.exec(rest)?.[1] ?? null,
    original,
    reply,
    isReplied: !rest.includes('[UNREPLIED]'),
    isAssured: rest.includes('[ASSURED]') || rest.includes('OFFLOAD]'),
    zone,
    mark: mark === 0 ? null : mark,
    sinceNs: seconds === undefined ? null : `${seconds}${micros.padEnd(9, '0').slice(0, 9)}`,
    isThere,
  }
}

/** Entries of a connection have this in common, in the table as in events. */
export function entryKey({ protocol, original: { src, dst, sport, dport }, zone }: ConntrackEntry): string {
  return `${protocol} ${src} ${dst} ${sport} ${dport} ${zone}`
}

/** Keeps so many entries, first those that have one of these addresses. */
export class EntryKeeper {
  readonly entries: ConntrackEntry[] = []
  omitted = 0
  readonly #addresses: readonly string[]
  readonly #others: ConntrackEntry[] = []

  constructor(addresses: readonly string[]) {
    this.#addresses = addresses.map((address) => `=${address} `)
  }

  /** Takes in a line, whatever it is; most are looked at no further than their addresses. */
  take(line: string, isThere: boolean): void {
    const isOwn = this.#addresses.some((text) => line.includes(text))
    const list = isOwn ? this.entries : this.#others
    const max = isOwn || this.#addresses.length === 0 ? MAX_ENTRIES : MAX_OTHERS
    if (list.length >= max) {
      if (line.includes('src=')) this.omitted++
      return
    }
    const entry = parseConntrackLine(line, isThere)
    if (entry !== null) list.push(entry)
  }

  /** What is kept in the end. */
  finish(): { entries: ConntrackEntry[]; omitted: number } {
    const all = [...this.entries, ...this.#others]
    return {
      entries: all.slice(0, MAX_ENTRIES),
      omitted: this.omitted + Math.max(0, all.length - MAX_ENTRIES),
    }
  }
}

/** The entries of the table at the end, with what events say of when they began; then those that came and went. */
export function joinEntries(
  table: readonly ConntrackEntry[],
  begun: readonly ConntrackEntry[],
): ConntrackEntry[] {
  const since = new Map(begun.map((entry) => [entryKey(entry), entry]))
  const there = table.map((entry) => {
    const event = since.get(entryKey(entry))
    since.delete(entryKey(entry))
    return event ? { ...entry, sinceNs: event.sinceNs } : entry
  })
  return [...there, ...since.values()]
}

function tupleOf(fields: Record<string, string>): Tuple | undefined {
  const { src = '', dst = '', id, packets } = fields
  if (isIP(src) === 0 || isIP(dst) === 0) return undefined
  return {
    src,
    dst,
    sport: numberOf(fields.sport ?? id),
    dport: numberOf(fields.dport ?? id),
    packets: numberOf(packets),
  }
}

function numberOf(text: string | undefined): number | null {
  const value = Number(text)
  return text !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : null
}
