/** How wide text is on a terminal, and cutting and wrapping by that width. Works on `harmless` text, styled or not. */

/** What a `Palette` puts around text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what styling begins with
const STYLING = /\x1b\[[\d;]*m/g
const PLAIN = /^[\x20-\x7e]*$/
/** East Asian wide and fullwidth blocks, and the emoji that terminals draw over two cells. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f000}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
/** A line may be broken at a space, but not behind an arrow or a rail: these lead the next line. */
const BREAKS = /(?<![→─]) /
const COMBINING = /\p{Mn}|\p{Me}/u

/** Number of terminal cells that one line of text takes; styling takes none. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length
  let width = 0
  for (const char of text.replace(STYLING, '')) width += charWidth(char)
  return width
}

/** Cuts unstyled text to at most `width` cells; what is cut is shown as `…`. */
export function cutToWidth(text: string, width: number): string {
  if (displayWidth(text) <= width) return text
  return `${headOfWidth(text, width - 1)}…`
}

/** Pads text with spaces behind it to `width` cells. */
export function padToWidth(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)))
}

/**
 * Breaks text at spaces into lines of at most `width` cells; lines after the first begin with `indent`. A word that is
 * longer than a line is cut into pieces, after a colon where it has one (IPv6); styled words must be shorter.
 */
export function wrapText(text: string, width: number, indent = ''): string[] {
  if (displayWidth(text) <= width) return [text]
  const lines: string[] = []
  let line = ''
  let empty = true
  for (const whole of text.split(BREAKS)) {
    let word = whole
    if (!empty && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line)
      line = indent
      empty = true
    }
    while (empty && displayWidth(line) + displayWidth(word) > width) {
      const head = breakWord(word, width - displayWidth(line))
      if (head === '' || head === word) break
      lines.push(line + head)
      line = indent
      word = word.slice(head.length)
    }
    line += empty ? word : ` ${word}`
    empty = false
  }
  lines.push(line)
  return lines
}

/** Puts pieces behind each other, with `gap` between them, on as few lines of `width` cells as needed. */
export function packPieces(pieces: string[], width: number, gap: string, indent: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const piece of pieces) {
    if (line === '') line = piece
    else if (displayWidth(line + gap + piece) <= width) line += gap + piece
    else {
      lines.push(line)
      line = indent + piece
    }
  }
  if (line !== '') lines.push(line)
  return lines
}

function breakWord(word: string, width: number): string {
  const head = headOfWidth(word, width)
  const colon = head.lastIndexOf(':') + 1
  return colon > head.length / 2 ? head.slice(0, colon) : head
}

function headOfWidth(text: string, width: number): string {
  let head = ''
  let used = 0
  for (const char of text) {
    used += charWidth(char)
    if (used > width) break
    head += char
  }
  return head
}

const widths = new Map<string, number>()

function charWidth(char: string): number {
  if (char <= '~') return 1
  let width = widths.get(char)
  if (width === undefined) {
    width = COMBINING.test(char) ? 0 : WIDE.test(char) ? 2 : 1
    widths.set(char, width)
  }
  return width
}
