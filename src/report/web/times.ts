/** Times of the report: ns since 1970 as decimal strings, of which each has more digits than a number holds. */

import { isNumeral } from '../quantities.ts'

/** From one time to another in ns, exact where the two are less than 100 days apart; null where one is no number. */
export function nsBetween(from: string, to: string): number | null {
  if (!isNumeral(from) || !isNumeral(to)) return null
  // Seconds and the rest on their own: a BigInt for each packet would take several times as long.
  const seconds = Number(to.slice(0, -9)) - Number(from.slice(0, -9))
  return seconds * 1e9 + (Number(to.slice(-9)) - Number(from.slice(-9)))
}
