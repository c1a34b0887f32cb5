/** Makes text from captures and file names safe to print: nothing invisible, no control of the terminal, no endless line. */

/** Controls, format and bidi characters, line separators, zero-width fillers, private, unassigned and lone surrogates. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
const PLAIN = /^[\x20-\x7e]*$/
const LIMIT = 400

/**
 * Returns `text` with every character that is invisible or controls a terminal written as an escape (`\x1b`,
 * `\u202e`), and cut with `…` after `limit` UTF-16 units.
 */
export function harmless(text: string, limit = LIMIT): string {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text
  return PLAIN.test(short) ? short : short.replace(UNSAFE, visibleEscape)
}

/** Returns a copy of a report, or any part of one, in which every string and every key is `harmless`. */
export function harmlessCopy<T>(value: T): T {
  return copy(value) as T
}

/** Escapes the same characters inside of a JSON text, where `\uXXXX` means the character itself: nothing is lost. */
export function harmlessJson(json: string): string {
  return PLAIN.test(json) ? json : json.replace(UNSAFE, jsonEscape)
}

function copy(value: unknown): unknown {
  if (typeof value === 'string') return harmless(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(copy)
  const out: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const copied = copy((value as Record<string, unknown>)[key])
    // A point may be called so: an assignment would change the prototype, and lose it.
    if (key === '__proto__')
      Object.defineProperty(out, key, { value: copied, enumerable: true, writable: true, configurable: true })
    else out[harmless(key)] = copied
  }
  return out
}

function visibleEscape(char: string): string {
  const code = char.codePointAt(0)!
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`
}

function jsonEscape(char: string): string {
  let out = ''
  for (let i = 0; i < char.length; i++) out += `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`
  return out
}
