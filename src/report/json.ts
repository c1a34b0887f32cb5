/** The report as one JSON document, in pieces: a line for each point, flow and finding, so that two runs can be compared. */

import { LazyFlows } from '../correlate/flow-list.ts'
import { harmlessJson } from './harmless.ts'
import type { StreamedReport } from './model.ts'

/** Pieces are about this long, so that writing them costs few calls and no piece is large. */
const PIECE_CHARS = 65_536

/** Renders the document as a whole. */
export function renderJson(report: StreamedReport): string {
  return [...renderJsonChunks(report)].join('')
}

/** Renders the document piece by piece, without ever holding all of it. */
export function* renderJsonChunks(report: StreamedReport): Generator<string> {
  let piece = ''
  let opening = '{'
  for (const [key, value] of Object.entries(report)) {
    piece += `${opening}\n${JSON.stringify(key)}: `
    opening = ','
    if (!isListOfObjects(value)) {
      piece += toJson(value)
      continue
    }
    let before = '['
    for (const element of value) {
      piece += `${before}\n  ${toJson(element)}`
      before = ','
      if (piece.length >= PIECE_CHARS) {
        yield piece
        piece = ''
      }
    }
    piece += '\n]'
  }
  yield `${piece}\n}\n`
}

function isListOfObjects(value: unknown): value is Iterable<object> {
  if (value instanceof LazyFlows) return value.length > 0
  return Array.isArray(value) && value.length > 0 && typeof value[0] === 'object'
}

function toJson(value: unknown): string {
  return harmlessJson(JSON.stringify(value))
}
