/** Live output: what `capture` shows while it runs, as lines for people, lines of JSON, or a full screen. */

import type { LiveListener } from '../live-analysis.ts'
import type { FlowFilter } from '../report/filter.ts'
import { renderJourneyLine } from '../report/journey-lines.ts'
import { renderLiveLine } from '../report/live-line.ts'
import { formatCount } from '../report/quantities.ts'
import { complain, type Output } from './output.ts'

/** Nobody reads more lines than these at a time; 20 times a second. */
const LINES_AT_ONCE = 25

export interface LineOptions {
  filter: FlowFilter['expression'] | undefined
  names: ReadonlyMap<string, string>
  /** Ends the capture; called after so many packets were shown. */
  count: number
  onCount: () => void
}

/** A line a packet. Where there are more than anybody could read from a terminal, their number stands instead. */
export function textListener(stdout: Output, options: LineOptions): LiveListener {
  let shown = 0
  const isComplete = !stdout.isTerminal || options.count < Number.POSITIVE_INFINITY
  const maxLines = isComplete ? Number.POSITIVE_INFINITY : LINES_AT_ONCE
  return {
    maxJourneysAtOnce: options.filter === undefined ? maxLines : Number.POSITIVE_INFINITY,
    async journeys(reports, skipped, flowOf) {
      let text = ''
      let left = skipped
      let lines = 0
      for (const journey of reports) {
        if (options.filter && !options.filter.matches(flowOf(journey.flow))) continue
        if (lines >= maxLines) {
          left++
          continue
        }
        if (shown >= options.count) break
        lines++
        shown++
        text += `${renderLiveLine(journey, { ...width(stdout), names: options.names })}\n`
      }
      if (left > 0)
        text += `… ${formatCount(left)} more packets: --watch shows flows, a pipe or file every packet\n`
      await stdout.write(text)
      await stdout.flush()
      if (shown >= options.count || stdout.closed) options.onCount()
    },
  }
}

/** A line of JSON a packet, as `analyze --journeys` writes them. */
export function jsonListener(output: Output, options: LineOptions): LiveListener {
  let shown = 0
  return {
    async journeys(reports, skipped, flowOf) {
      let text = ''
      if (skipped > 0) complain(`${skipped} packets are not told: the reader takes too long`)
      for (const journey of reports) {
        if (options.filter && !options.filter.matches(flowOf(journey.flow))) continue
        if (shown >= options.count) break
        shown++
        text += `${renderJourneyLine(journey)}\n`
      }
      await output.write(text)
      await output.flush()
      if (shown >= options.count || output.closed) options.onCount()
    },
  }
}

function width(output: Output): { columns: number; color: boolean } {
  return { columns: output.isTerminal ? output.columns : Number.POSITIVE_INFINITY, color: output.color }
}
