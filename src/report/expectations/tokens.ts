/** The words of an expectation with their places. */

import { type Token, tokensOf } from '../filter-tokens.ts'

const TOKEN = /\s+|[=!<>]=|[()!,=<>]|"[^"]*"|[^\s()!,=<>"]+|./gsu
/** What a flow is chosen by: as in a filter, but for `port=80,tcp`, which says the same as `port 80 and tcp`. */
const CHOICE = /"[^"]*"|[=,]|[^=,"]+|"/gsu

/** Cuts a condition into words, names, numbers and signs. `at` is the place of the first character. */
export function conditionTokens(text: string, at: number): Token[] {
  const tokens: Token[] = []
  for (const [piece] of text.matchAll(TOKEN)) {
    const isQuoted = piece.length > 1 && piece.startsWith('"')
    if (isQuoted) tokens.push({ text: piece.slice(1, -1), word: '', at })
    else if (piece.trim() !== '') tokens.push({ text: piece, word: piece.toLowerCase(), at })
    at += lengthOf(piece)
  }
  return tokens
}

/** Cuts what stands in the parentheses of `flow(…)`, into what the parser of filters understands. */
export function choiceTokens(text: string, at: number): Token[] {
  const tokens: Token[] = []
  let isValue = false
  for (const [piece] of text.matchAll(CHOICE)) {
    const some = tokensOf(piece).map((token) => ({ ...token, at: token.at + at - 1 }))
    // What stands behind `=` is a value, though it may be a word elsewhere: `proto=icmp`.
    if (isValue && some[0] && some[0].text !== '(') some[0].word = ''
    isValue = piece === '='
    if (piece === ',') tokens.push({ text: ',', word: 'and', at })
    else if (!isValue) tokens.push(...some)
    at += lengthOf(piece)
  }
  return tokens
}

/** In characters, as people count them. */
export function lengthOf(text: string): number {
  return [...text].length
}
