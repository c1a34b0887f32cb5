/** JSON for pages: text in it is harmless, which most text is without being copied. */

import { harmlessCopy } from '../report/harmless.ts'

/** Printable ASCII and no escape: then nothing else stands in any string. */
const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/
/** `harmless` leaves no longer string. */
const MAX_CHARACTERS = 400

/** The value as one line of JSON, every string and key in it as `harmless` makes it. */
export function harmlessLine(value: unknown): string {
  const json = JSON.stringify(value)
  return PLAIN.test(json) && !hasLongString(json) ? json : JSON.stringify(harmlessCopy(value))
}

/** What stands between two quotes is a string, or less than one. */
function hasLongString(json: string): boolean {
  for (let at = 0; ; ) {
    const next = json.indexOf('"', at)
    if (next < 0) return false
    if (next - at > MAX_CHARACTERS) return true
    at = next + 1
  }
}
