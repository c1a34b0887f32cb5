/** Text from outside (file names, interface names, host names) made fit for a terminal: one line, no hidden signs. */

/** Control, format (bidi, zero width), surrogate, private, unassigned, line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu

/** Characters that a displayed text keeps at most. */
const MAX_CHARACTERS = 100

/**
 * `text` with every control, bidi or invisible character written out as `\xNN` or `\u{N}`, cut to `maxCharacters`
 * and then ended with `…`.
 */
export function displayText(text: string, maxCharacters: number = MAX_CHARACTERS): string {
  const safe = text.slice(0, 2 * maxCharacters).replace(UNSAFE, (character) => {
    const code = character.codePointAt(0)!
    const hex = code.toString(16).toUpperCase()
    return code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`
  })
  const characters = [...safe]
  return characters.length <= maxCharacters ? safe : `${characters.slice(0, maxCharacters - 1).join('')}…`
}

/** The first bytes of a file as printable ASCII, everything else as a dot; ends with `…` where there are more. */
export function displayBytes(bytes: Uint8Array, maxBytes = 9): string {
  let text = ''
  for (const byte of bytes.subarray(0, maxBytes)) {
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'
  }
  return bytes.length > maxBytes ? `${text}…` : text
}
