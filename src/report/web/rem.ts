/** The page's own unit, for what is not placed by its style. */

/** The root's font size that the sizes of drawings are meant for. */
export const USUAL_REM_PX = 15

/** Pixels of one rem at the moment: it grows with the window, and with what the reader asks of the browser. */
export function remPx(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || USUAL_REM_PX
}
