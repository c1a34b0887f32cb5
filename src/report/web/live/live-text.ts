/** The words of the live bar. */

import { formatCount } from '../../quantities.ts'

/** Which packets the page does not have, and why; null where it has all. */
export function notHereText(
  { earlier, missed, forgotten }: { earlier: number; missed: number; forgotten: number },
  untold: number,
): string | null {
  const parts = [
    earlier > 0 ? `${formatCount(earlier)} came before this page was opened` : '',
    missed > 0 ? `${formatCount(missed)} were not sent, as this browser is too slow` : '',
    untold > 0 ? `${formatCount(untold)} were not sent, as there were too many at once` : '',
    forgotten > 0 ? `${formatCount(forgotten)} were forgotten for newer ones` : '',
  ].filter((part) => part !== '')
  return parts.length === 0 ? null : `Packets that are not shown one by one: ${parts.join('; ')}`
}

/** `1:02:03` or `02:03`. */
export function timeText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return `${hours > 0 ? `${hours}:` : ''}${two(minutes)}:${two(seconds % 60)}`
}

/** `12 kB`, `3.4 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}
