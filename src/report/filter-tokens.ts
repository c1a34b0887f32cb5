/** The words of a filter expression with their places, and the messages that point at one of them. */

import { HoptraceError } from '../errors.ts'
import { PROPERTY_WORDS, PROTOCOL_WORDS, VALUE_WORDS } from './filter-conditions.ts'
import { harmless } from './harmless.ts'

export interface Token {
  /** As written, without quotes. */
  text: string
  /** In small letters; empty for what stands in quotes, which is never a word of ours. */
  word: string
  /** Counts from 1, in characters. */
  at: number
}

const MAX_SHOWN = 40
const TOKEN = /\s+|[()!]|&&|\|\||"[^"]*"|[^\s()!&|"]+|./gsu

/** Of a flow the client is the source: the packets that it sends show it as such. */
export const SIDES = new Map<string, 'src' | 'dst'>([
  ['src', 'src'],
  ['dst', 'dst'],
  ['client', 'src'],
  ['server', 'dst'],
])
export const OPERATORS = new Map<string, 'and' | 'or' | 'not'>([
  ['and', 'and'],
  ['&&', 'and'],
  ['or', 'or'],
  ['||', 'or'],
  ['not', 'not'],
  ['!', 'not'],
])
const WORDS = [
  ...VALUE_WORDS.keys(),
  ...SIDES.keys(),
  ...PROTOCOL_WORDS.keys(),
  ...PROPERTY_WORDS.keys(),
  ...OPERATORS.keys(),
  '(',
  ')',
]
/** Whether a word is one of the language. */
export const IS_WORD: ReadonlySet<string> = new Set(WORDS)

/** Kinds whose values look like words. */
export const TEXT_KINDS: ReadonlySet<string> = new Set(['at', 'state', 'proto'])

/** Whether a token can only be meant as a value. */
export function looksLikeValue({ text, word }: Token): boolean {
  return word === '' || /^\d|[:.]/.test(text)
}

/** An expression that makes no sense. `what` is the message without the name of the option that it was given to. */
export class ExpressionError extends HoptraceError {
  readonly what: string

  constructor(what: string) {
    super(`--filter: ${what}`)
    this.what = what
  }
}

/** Cuts an expression into words, operators and parentheses; what belongs to none of them is a token of its own. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  let at = 1
  for (const [piece] of text.matchAll(TOKEN)) {
    const isQuoted = piece.length > 1 && piece.startsWith('"')
    if (isQuoted) tokens.push({ text: piece.slice(1, -1), word: '', at })
    else if (piece.trim() !== '') tokens.push({ text: piece, word: piece.toLowerCase(), at })
    at += [...piece].length
  }
  return tokens
}

/** An error that points at a token. */
export function wrong({ text, at }: Token, what: string): ExpressionError {
  return new ExpressionError(`'${shown(text)}' at character ${at} ${what}`)
}

/** An error for an expression of which this is the last token, though more should follow. */
export function endsEarly({ text, at }: Token, what: string): ExpressionError {
  return new ExpressionError(`ends with '${shown(text)}' at character ${at}, ${what}`)
}

/** An error for a token that is no word of the language, with the one that it is nearly. */
export function unknownWord(token: Token): ExpressionError {
  const near = nearestWord(token.word, WORDS)
  const hint =
    near === null
      ? ': host, net, port, tcp, and, or, not, lost and nat are some'
      : `: did you mean '${near}'?`
  return wrong(token, `is no word that it knows${hint}`)
}

/** Which of `words` is nearly `word`, or null. */
export function nearestWord(word: string, words: readonly string[]): string | null {
  const near = words
    .map((other) => ({ other, edits: editDistance(word.slice(0, MAX_SHOWN), other) }))
    .filter(({ other, edits }) => edits <= other.length / 3 + 0.5 && other.length > 1)
    .sort((a, b) => a.edits - b.edits)[0]
  return near?.other ?? null
}

/** What the user wrote, fit for a line of a message. */
export function shown(text: string): string {
  return harmless(text, MAX_SHOWN)
}

/** Characters to insert, drop, replace or swap with the next, to get from one word to the other. */
function editDistance(a: string, b: string): number {
  let older: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], older[j - 2] + 1)
    }
    older = above
    above = row
  }
  return above[b.length]
}
