/** Command lines: a program and its arguments out of one text, quoted as in a shell, and without a shell. */

import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'

const BLANKS = ' \t\n'
/** What a backslash takes the meaning from inside double quotes; in front of anything else it stands for itself. */
const ESCAPED_IN_DOUBLE_QUOTES = '$`"\\'

/**
 * Splits a command line into program and arguments: quotes and backslashes as in sh (POSIX.1, 2.2 Quoting). Nothing is
 * expanded and no character is an operator: `$HOME`, `*`, `|` and `;` are passed on as they are. Throws a
 * `HoptraceError` with the character, counted from 1, of a quote that isn't closed.
 */
export function splitCommandLine(text: string): string[] {
  const words: string[] = []
  // Null between words: '' is a word too.
  let word: string | null = null
  let at = 0
  while (at < text.length) {
    const character = text[at]
    if (BLANKS.includes(character)) {
      if (word !== null) words.push(word)
      word = null
      at++
    } else if (character === "'" || character === '"') {
      const { inside, next } = readQuoted(text, at)
      word = (word ?? '') + inside
      at = next
    } else if (character === '\\' && text[at + 1] === '\n') {
      at += 2
    } else if (character === '\\' && at + 1 < text.length) {
      word = (word ?? '') + text[at + 1]
      at += 2
    } else {
      word = (word ?? '') + character
      at++
    }
  }
  if (word !== null) words.push(word)
  return words
}

/** What stands between the quote at `start` and the one that closes it, and where the text goes on. */
function readQuoted(text: string, start: number): { inside: string; next: number } {
  const quote = text[start]
  let inside = ''
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]
    if (character === quote) return { inside, next: at + 1 }
    const following = text[at + 1]
    if (quote === '"' && character === '\\' && following !== undefined) {
      if (following === '\n') {
        at++
        continue
      }
      if (ESCAPED_IN_DOUBLE_QUOTES.includes(following)) {
        inside += following
        at++
        continue
      }
    }
    inside += character
  }
  throw new HoptraceError(
    `${displayText(text, 200)}: the ${quote} at character ${start + 1} is not closed: close it, or write \\${quote}`,
  )
}
