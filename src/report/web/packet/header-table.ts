/** The headers of one packet at all its points, side by side: what the table shows, without how it looks. */

import type { Frame } from '../../explain/layers.ts'
import type { ExplainedField, ExplainedStation } from '../../explain/model.ts'
import { harmless } from '../../harmless.ts'
import type { DirectionName } from '../../model.ts'
import type { PagePacket } from '../../page-data.ts'
import { formatCounted } from '../../quantities.ts'
import { type ChangeTone, changeTone } from '../change-tone.ts'
import { nsBetween } from '../times.ts'
import { type ByteRange, fieldBytes } from './field-bytes.ts'
import { type KeyedLayer, keyedLayers } from './layer-keys.ts'

/** `gone`: the point before had it. `joined`: not read from the frame, but known from joining the packet. */
export type CellState = 'same' | 'changed' | 'new' | 'gone' | 'joined'

export interface HeaderCell {
  value: string
  state: CellState
  /** What it was at the point before; where it changed. */
  before?: string
  note?: string
  /** Where it stands in the frame. */
  bytes: ByteRange | null
}

export interface HeaderRow {
  /** Layer and field, and which of several of that name. */
  key: string
  name: string
  tone: ChangeTone
  /** By column; null where the point's packet has no such field, and the one before had none either. */
  cells: (HeaderCell | null)[]
  isChanged: boolean
}

export interface HeaderGroup {
  key: string
  /** `IPv4`, `outer IPv4`, `quoted TCP`. */
  title: string
  rows: HeaderRow[]
}

/** One point that saw the packet. */
export interface PointColumn {
  point: string
  frames: number[]
  /** After the first sighting, in ns. */
  afterNs: number | null
  /** null where no frame could be read again. */
  station: ExplainedStation | null
  frame: Frame | null
}

export interface HeaderTable {
  columns: PointColumn[]
  groups: HeaderGroup[]
}

/** Builds the table. `stations` are those of the packet's explanation, `frames` by sighting. */
export function headerTable(
  packet: PagePacket,
  stations: readonly ExplainedStation[],
  frames: readonly (readonly Frame[])[],
): HeaderTable {
  let next = 0
  const columns = packet.sightings.map(({ point, frames: numbers, timeNs }, i): PointColumn => {
    const frame = frames[i]?.[0] ?? null
    const afterNs = nsBetween(packet.sightings[0]!.timeNs, timeNs)
    return { point, frames: numbers, afterNs, frame, station: frame ? (stations[next++] ?? null) : null }
  })
  const builder = new TableBuilder(columns.length, packet.direction)
  columns.forEach(({ frame, station }, i) => {
    if (frame && station) builder.addFrame(i, frame, station)
    else builder.addSighting(i, packet)
  })
  return { columns, groups: builder.groups() }
}

/** Rows are put where the point that has them has them: behind the one before. */
class TableBuilder {
  readonly #groups: HeaderGroup[] = []
  readonly #columns: number
  readonly #direction: DirectionName
  /** Of the last frame that could be read. */
  #before = new Set<string>()

  constructor(columns: number, direction: DirectionName) {
    this.#columns = columns
    this.#direction = direction
  }

  groups(): HeaderGroup[] {
    return this.#groups
  }

  addFrame(column: number, frame: Frame, station: ExplainedStation): void {
    const seen = new Set<string>()
    let at = -1
    keyedLayers(frame).forEach((keyed, i) => {
      const { fields, isNew } = station.layers[i]!
      at = this.#groupAfter(at, keyed, frame.envelopes.length > 1)
      const names = new Map<string, number>()
      let rowAt = -1
      for (const field of fields) {
        const nth = names.get(field.name) ?? 0
        names.set(field.name, nth + 1)
        rowAt = this.#rowAfter(at, rowAt, field.name, nth)
        const row = this.#groups[at]!.rows[rowAt]!
        seen.add(row.key)
        row.cells[column] = {
          ...cellOf(field, isNew),
          bytes: fieldBytes(keyed.layer, field.name, nth, frame.linkType),
        }
        row.isChanged ||= field.isChanged || isNew
      }
    })
    this.#markGone(column, seen)
  }

  /** Of a frame that could not be read again only what joining kept is known. */
  addSighting(column: number, { sightings, protocol }: PagePacket): void {
    const { src, dst, ttl } = sightings[column]!
    const ip = src.ip.includes(':') ? 'IPv6' : 'IPv4'
    const known: [string, string, string][] = [
      [ip, 'source', src.ip],
      [ip, 'destination', dst.ip],
      [ip, ip === 'IPv4' ? 'TTL' : 'hop limit', String(ttl)],
    ]
    if (protocol === 'tcp' || protocol === 'udp')
      for (const [name, { port }] of [
        ['source port', src],
        ['destination port', dst],
      ] as const)
        known.push([protocol.toUpperCase(), name, String(port)])
    let at = -1
    let rowAt = -1
    for (const [kind, name, value] of known) {
      const to = this.#groupAfter(at, { key: `0 ${kind}`, depth: 0, layer: { kind } }, false)
      rowAt = this.#rowAfter(to, to === at ? rowAt : -1, name, 0)
      at = to
      this.#groups[at]!.rows[rowAt]!.cells[column] = { value: harmless(value), state: 'joined', bytes: null }
    }
  }

  #markGone(column: number, seen: Set<string>): void {
    for (const { rows } of this.#groups)
      for (const row of rows) {
        if (seen.has(row.key) || !this.#before.has(row.key)) continue
        row.cells[column] = { value: '', state: 'gone', bytes: null }
        row.isChanged = true
      }
    this.#before = seen
  }

  #groupAfter(
    at: number,
    { key, layer: { kind }, depth }: Omit<KeyedLayer, 'layer'> & { layer: { kind: string } },
    isTunnelled: boolean,
  ): number {
    let found = this.#groups.findIndex((group) => group.key === key)
    if (found < 0) {
      found = at + 1
      this.#groups.splice(found, 0, { key, title: kind, rows: [] })
    }
    if (isTunnelled || depth < 0) this.#groups[found]!.title = `${roleOf(kind, depth)}${kind}`
    return found
  }

  #rowAfter(group: number, at: number, name: string, nth: number): number {
    const { rows, key: layer } = this.#groups[group]!
    const key = `${layer}|${name}|${nth}`
    const found = rows.findIndex((row) => row.key === key)
    if (found >= 0) return found
    const cells = new Array<HeaderCell | null>(this.#columns).fill(null)
    const tone = changeTone(name, this.#direction, /^0 (IPv[46]|TCP|UDP)$/.test(layer))
    rows.splice(at + 1, 0, { key, name, tone, cells, isChanged: false })
    return at + 1
  }
}

function cellOf(field: ExplainedField, isNew: boolean): Omit<HeaderCell, 'bytes'> {
  const { value, isChanged, before, note } = field
  return {
    value: harmless(value),
    state: isChanged ? 'changed' : isNew ? 'new' : 'same',
    ...(before === undefined ? {} : { before: harmless(before) }),
    ...(note === undefined ? {} : { note: harmless(note) }),
  }
}

function roleOf(kind: string, depth: number): string {
  if (!/^(Ethernet|Linux cooked|IPv[46]|TCP|UDP|ICMP|ICMPv6)$/.test(kind)) return ''
  return depth < 0 ? 'quoted ' : depth === 0 ? 'inner ' : 'outer '
}

/** `3 of 21 fields change on the way`. */
export function changeCount({ columns, groups }: HeaderTable): string {
  if (columns.length === 1) return 'only one point saw it: nothing to compare with'
  const rows = groups.flatMap((group) => group.rows)
  const changed = rows.filter(({ isChanged }) => isChanged).length
  return changed === 0
    ? `none of ${formatCounted(rows.length, 'field')} changes on the way`
    : `${changed} of ${formatCounted(rows.length, 'field')} change on the way`
}
