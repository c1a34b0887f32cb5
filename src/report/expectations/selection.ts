/** Which flows an expectation is about: `flow(port=8080):`, `any flow:`; all of them where it does not say. */

import { type FlowPredicate, parseFilterTokens } from '../filter-expression.ts'
import { type Token, wrong } from '../filter-tokens.ts'
import { choiceTokens, lengthOf } from './tokens.ts'

export interface Selection {
  /** As written, to be named where no flow matches; empty where it does not stand there. */
  text: string
  /** null: every flow, but numbers are sums over all of them. */
  quantifier: 'every' | 'any' | null
  /** null: all flows of the report. */
  matches: FlowPredicate | null
}

const BEGINNING = /^\s*(?:(every|any)\s+)?flow(?=[\s(:]|$)\s*/i

/**
 * Takes the selection off the beginning of an expectation; `rest` is what follows, `at` its first character's place.
 * Throws an `ExpressionError`.
 */
export function cutSelection(text: string): { selection: Selection; rest: string; at: number } {
  const [beginning, word] = BEGINNING.exec(text) ?? []
  if (beginning === undefined)
    return { selection: { text: '', quantifier: null, matches: null }, rest: text, at: 1 }
  const quantifier = (word?.toLowerCase() ?? null) as Selection['quantifier']
  let end = beginning.length
  let matches: FlowPredicate | null = null
  if (text[end] === '(') {
    const open = { text: '(', word: '(', at: lengthOf(beginning) + 1 }
    const close = closingOf(text, end)
    if (close < 0) throw wrong(open, 'is never closed')
    matches = chosen(text.slice(end + 1, close), open)
    end = close + 1
  }
  const selected = text.slice(0, end)
  const gap = /^\s*/.exec(text.slice(end))![0]
  end += gap.length
  if (text[end] !== ':') {
    const at = lengthOf(text.slice(0, end)) + 1
    const found = text.slice(end).split(/\s/, 1)[0]
    const what = `stands where ':' should, behind '${selected.trim().slice(0, 40)}'`
    if (found === '') throw wrong(lastOf(selected), "should have ':' and a condition behind it")
    throw wrong({ text: found, word: '', at }, what)
  }
  return {
    selection: { text: selected.trim(), quantifier, matches },
    rest: text.slice(end + 1),
    at: lengthOf(text.slice(0, end + 1)) + 1,
  }
}

/** Index of the parenthesis that closes the one at `open`, or -1. What stands in quotes does not count. */
function closingOf(text: string, open: number): number {
  let depth = 0
  for (let i = open; i < text.length; i++) {
    if (text[i] === '"') {
      const end = text.indexOf('"', i + 1)
      if (end > 0) i = end
    } else if (text[i] === '(') depth++
    else if (text[i] === ')' && --depth === 0) return i
  }
  return -1
}

function chosen(text: string, open: Token): FlowPredicate {
  const tokens = choiceTokens(text, open.at + 1)
  if (tokens.length === 0) throw wrong(open, "has nothing in it: say which, such as 'flow(port=8080)'")
  return parseFilterTokens(tokens)
}

/** The last word of what was read so far, to point at. */
function lastOf(text: string): Token {
  const read = text.trimEnd()
  const begin = Math.max(...[' ', '\t', '\n'].map((space) => read.lastIndexOf(space))) + 1
  return { text: read.slice(begin), word: '', at: lengthOf(read.slice(0, begin)) + 1 }
}
