/** The points of a live capture as the head of its table: rate, drops and what is the matter with each. */

import { harmless } from './harmless.ts'
import type { Palette } from './palette.ts'
import { pointName } from './path-line.ts'
import { formatCounted } from './quantities.ts'
import { formatRate, formatTotal } from './watch-cells.ts'
import { cutToWidth, packPieces } from './width.ts'

export interface WatchPoint {
  name: string
  packets: number
  packetsPerSecond: number
  /** null where the point cannot tell. */
  drops: number | null
  /** What is the matter with it: `gone`, `down`, … */
  note: string | null
}

/** The way with the rate at each point, in as much detail as `maxLines` lines can hold. */
export function pointLines(
  points: readonly WatchPoint[],
  columns: number,
  maxLines: number,
  palette: Palette,
): string[] {
  for (const detailed of [true, false]) {
    const pieces = points.map((point, i) => pointPiece(point, i > 0, detailed, columns - 2))
    const lines = packPieces(pieces, columns, ' ', '  ')
    if (lines.length <= maxLines) return lines.map((line) => paintTrouble(line, palette))
    if (detailed) continue
    // From the last line on, pieces give way to a word about those that do not fit.
    const kept = lines.slice(0, maxLines)
    const fitting = pieces.slice(0, packedPieces(pieces, kept, columns))
    for (; fitting.length > 0; fitting.pop()) {
      const hidden = points.slice(fitting.length)
      const troubled = hidden.filter(({ drops, note }) => note !== null || (drops ?? 0) > 0).length
      const more = `… ${formatCounted(hidden.length, 'more point')}${troubled > 0 ? `, ✗ ${troubled} in trouble` : ''}`
      const short = packPieces([...fitting, more], columns, ' ', '  ')
      if (short.length <= maxLines) return short.map((line) => paintTrouble(line, palette))
    }
    return kept.map((line) => paintTrouble(line, palette))
  }
  return []
}

function packedPieces(pieces: string[], lines: string[], columns: number): number {
  let count = pieces.length
  while (count > 0 && packPieces(pieces.slice(0, count), columns, ' ', '  ').length > lines.length) count--
  return count
}

function pointPiece(point: WatchPoint, follows: boolean, detailed: boolean, width: number): string {
  const rate = `${formatRate(point.packetsPerSecond)}/s`
  const total = detailed ? `${formatTotal(point.packets)} ` : ''
  const drops =
    point.drops === null
      ? detailed
        ? ' drops ?'
        : ''
      : point.drops > 0
        ? ` ✗ ${formatTotal(point.drops)} dropped`
        : ''
  const note = point.note === null ? '' : ` ✗ ${cutToWidth(harmless(point.note), 20)}`
  const text = `${pointName(point.name)} ${total}${total === '' ? '' : '· '}${rate}${drops}${note}`
  return (follows ? '── ' : '') + cutToWidth(text, width - 3)
}

function paintTrouble(line: string, palette: Palette): string {
  return line.replace(/✗[^─…]*(?= |$)/g, (text) => palette.error(text)).replaceAll('──', palette.faint('──'))
}
