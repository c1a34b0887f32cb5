/** The style's colours and type, for a canvas. */

import { remPx, USUAL_REM_PX } from '../rem.ts'
import { tokenColor } from '../theme.ts'

const TOKENS = [
  'ink',
  'ink-soft',
  'line',
  'line-strong',
  'paper',
  'soft',
  'accent',
  'accent-soft',
  'forward',
  'reverse',
  'loss',
  'warn',
  'snat-soft',
  'dnat-soft',
] as const

export type Inks = Readonly<Record<(typeof TOKENS)[number], string>> & { mono: string; sans: string }

/** As they are right now; for paper those of the light theme. */
export function inksNow(isPrinting = false): Inks {
  const root = document.documentElement
  const style = getComputedStyle(root)
  const before = root.style.colorScheme
  if (isPrinting) root.style.colorScheme = 'light'
  try {
    return inksOf(style)
  } finally {
    root.style.colorScheme = before
  }
}

function inksOf(style: CSSStyleDeclaration): Inks {
  return {
    ...(Object.fromEntries(TOKENS.map((name) => [name, tokenColor(`--${name}`)])) as Record<
      (typeof TOKENS)[number],
      string
    >),
    mono: style.getPropertyValue('--mono'),
    sans: style.getPropertyValue('--sans'),
  }
}

/** Size of the type against that at a root font of 15 px. */
export function typeZoom(): number {
  return remPx() / USUAL_REM_PX
}
