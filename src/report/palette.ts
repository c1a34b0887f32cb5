/** Colours by what they mean. Without colour every paint returns its text as it is. */

import { styleText } from 'node:util'

type Paint = (text: string) => string
type Format = Parameters<typeof styleText>[0]

/** One paint for each meaning; renderers name meanings, never colours. */
export interface Palette {
  heading: Paint
  /** Rails, borders, places, units: there, but behind the rest. */
  faint: Paint
  /** A rewritten address or TTL. */
  change: Paint
  error: Paint
  warning: Paint
  info: Paint
}

/** The paints for a terminal with or without colour. */
export function paletteFor(color: boolean): Palette {
  const paint = (format: Format): Paint =>
    color ? (text) => (text === '' ? '' : styleText(format, text, { validateStream: false })) : (text) => text
  return {
    heading: paint('bold'),
    faint: paint('dim'),
    change: paint('cyan'),
    error: paint('red'),
    warning: paint('yellow'),
    info: paint('blue'),
  }
}
