/** Clocks: points whose times were corrected, by how much, and how sure that is. */

import { groupBy } from './grouping.ts'
import type { ReportClock, StreamedReport } from './model.ts'
import { pointName } from './path-line.ts'
import { formatDurationNs } from './quantities.ts'
import { wrapText } from './width.ts'

/** Lines such as `far  3.20 s behind uplink, ±41.0 µs, 12 ppm fast`; none where all times are as recorded. */
export function renderClocks({ points }: StreamedReport, columns: number): string[] {
  const corrected = points.filter(({ clock }) => clock.offsetNs !== 0 || clock.skewPpm !== 0)
  // Points of one file, and files of one host, share a clock; their first packets came at different times.
  const groups = groupBy(
    corrected,
    ({ clock }) => `${clock.reference} ${clock.skewPpm} ${clock.uncertaintyNs}`,
  )
  return [...groups.values()].flatMap((same) => {
    const names = same.map(({ name }) => pointName(name)).join(', ')
    return wrapText(`  ${names}  ${clockText(same[0].clock)}`, columns, '    ')
  })
}

/** `3.20 s behind uplink, ±41.0 µs, 12 ppm fast`. */
export function clockText({ offsetNs, skewPpm, uncertaintyNs, reference }: ReportClock): string {
  const from =
    reference === undefined ? '' : ` ${offsetNs < 0 ? 'behind' : 'ahead of'} ${pointName(reference)}`
  const parts = [formatDurationNs(Math.abs(offsetNs)) + from, `±${formatDurationNs(uncertaintyNs)}`]
  if (skewPpm !== 0)
    parts.push(`${Number(Math.abs(skewPpm).toPrecision(3))} ppm ${skewPpm < 0 ? 'slow' : 'fast'}`)
  return parts.join(', ')
}
