/** A frame's bytes as rows of hex and ASCII, with marks; and which of them are others than at the point before. */

import type { Frame } from '../../explain/layers.ts'
import type { ByteRange } from './field-bytes.ts'
import { keyedLayers } from './layer-keys.ts'

/** Bytes side by side that have the same marks. */
export interface Run {
  /** `45 00 00 3c`. */
  hex: string
  /** `E..<`. */
  text: string
  isChanged: boolean
  /** They belong to the field that is pointed at. */
  isMarked: boolean
}

export interface DumpRow {
  /** Of its first byte, four hex digits: `0010`. */
  offset: string
  runs: Run[]
  /** Bytes that its last row lacks. */
  missing: number
}

/** Rows of `perRow` bytes. */
export function dumpRows(
  bytes: Uint8Array,
  perRow: number,
  changed: Uint8Array | null,
  marked: ByteRange | null,
): DumpRow[] {
  const rows: DumpRow[] = []
  for (let at = 0; at < bytes.length; at += perRow) {
    const end = Math.min(at + perRow, bytes.length)
    const runs: Run[] = []
    for (let i = at; i < end; i++) {
      const isChanged = changed?.[i] === 1
      const isMarked = marked !== null && marked.start <= i && i < marked.end
      const last = runs.at(-1)
      const hex = bytes[i]!.toString(16).padStart(2, '0')
      const text = bytes[i]! >= 0x20 && bytes[i]! < 0x7f ? String.fromCharCode(bytes[i]!) : '.'
      if (last && last.isChanged === isChanged && last.isMarked === isMarked) {
        last.hex += ` ${hex}`
        last.text += text
      } else runs.push({ hex, text, isChanged, isMarked })
    }
    rows.push({ offset: at.toString(16).padStart(4, '0'), runs, missing: at + perRow - end })
  }
  return rows
}

interface Segment extends ByteRange {
  key: string
}

/**
 * For each byte 1 where it is another one than at the point before, or new. Headers are compared with the same header, and
 * what they carry with what was carried, wherever they stand. Where the other frame was cut, nothing is said.
 */
export function changedBytes(
  { frame, bytes }: { frame: Frame; bytes: Uint8Array },
  before: { frame: Frame; bytes: Uint8Array; lenBytes: number },
): Uint8Array {
  const changed = new Uint8Array(bytes.length)
  const old = new Map(segments(before.frame, before.bytes.length).map((one) => [one.key, one]))
  const isCut = before.bytes.length < before.lenBytes
  for (const { key, start, end } of segments(frame, bytes.length)) {
    const was = old.get(key)
    for (let i = start; i < end; i++) {
      const from = was ? was.start + i - start : -1
      const isThere = was !== undefined && from < was.end
      if (isThere ? bytes[i] !== before.bytes[from] : !(isCut && was?.end === before.bytes.length))
        changed[i] = 1
    }
  }
  return changed
}

/** The frame from end to end: headers, and behind the last one what it carries. */
function segments(frame: Frame, lenBytes: number): Segment[] {
  const found: Segment[] = []
  let at = 0
  for (const { key, layer } of keyedLayers(frame)) {
    if (layer.start < at || layer.kind === 'rest') continue
    if (layer.start > at) found.push({ key: `before ${key}`, start: at, end: layer.start })
    at = Math.min(lenBytes, Math.max(layer.start, layer.end))
    found.push({ key, start: layer.start, end: at })
  }
  found.push({ key: 'payload', start: at, end: lenBytes })
  return found
}
