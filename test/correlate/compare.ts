/** Holds an analysis against the truth of a generated trace: journey by journey, and flow by flow. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { analyze } from '../../src/analysis.ts'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import type { TraceBuilder } from '../trace/builder.ts'
import type { TrueJourney, Truth } from '../trace/model.ts'

export interface Compared {
  truth: Truth
  report: Report
  journeys: JourneyReport[]
  /** True journeys that came out with exactly their sightings. */
  right: number
  /** Journeys that join what does not belong together: the worst that can happen. */
  wrong: string[]
  /** True journeys that came out in pieces or not at all. */
  missed: string[]
  /** True journeys inside of those that were called ambiguous. */
  ambiguous: number
}

/** Writes the trace into a temporary folder, analyses it, and compares. */
export async function analyzeTrace(trace: TraceBuilder, path?: string[]): Promise<Compared> {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-trace-'))
  try {
    const truth = trace.write(folder)
    const analysis = await analyze([folder], { journeys: true, ...(path ? { path } : {}) })
    const journeys = [...analysis.journeys()]
    return { truth, report: analysis.report, journeys, ...compareJourneys(truth, journeys) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** `point:frame` of each record, without copies that a point made of a packet (they are counted, not told). */
function recordsOf(sightings: readonly { point: string; frames: number[] }[], all: boolean): string[] {
  return sightings.flatMap(({ point, frames }) =>
    (all ? frames : frames.slice(0, 1)).map((frame) => `${point}:${frame}`),
  )
}

function compareJourneys(truth: Truth, journeys: JourneyReport[]) {
  const owner = new Map<string, TrueJourney>()
  for (const journey of truth.journeys)
    for (const record of recordsOf(journey.sightings, true)) owner.set(record, journey)
  const wrong: string[] = []
  let ambiguous = 0
  const found = new Map<TrueJourney, Set<string>[]>()
  for (const journey of journeys) {
    const records = recordsOf(journey.sightings, true)
    const owners = new Set(records.map((record) => owner.get(record)))
    if (owners.size > 1 && journey.outcome === 'ambiguous') ambiguous += owners.size
    else if (owners.size > 1) wrong.push(`${journey.summary}: ${records.join(' ')}`)
    else for (const one of owners) found.set(one!, [...(found.get(one!) ?? []), new Set(records)])
  }
  let right = 0
  const missed: string[] = []
  for (const journey of truth.journeys) {
    if (journey.sightings.length === 0) continue
    const pieces = found.get(journey) ?? []
    const records = recordsOf(journey.sightings, false)
    if (pieces.length === 1 && records.every((record) => pieces[0]!.has(record))) right++
    else
      missed.push(
        `${JSON.stringify(journey.content).slice(0, 100)}: ${records.join(' ')} (${pieces.length} pieces)`,
      )
  }
  return { right, wrong, missed, ambiguous }
}

/** Both lists without what they have in common, as text: empty where they are the same. */
export function difference(
  found: readonly unknown[],
  expected: readonly unknown[],
): { extra: string[]; lacking: string[] } {
  const a = found.map((item) => JSON.stringify(item)).sort()
  const b = expected.map((item) => JSON.stringify(item)).sort()
  const without = (list: string[], other: string[]) => {
    const rest = [...other]
    return list.filter((item) => {
      const at = rest.indexOf(item)
      if (at >= 0) rest.splice(at, 1)
      return at < 0
    })
  }
  return { extra: without(a, b), lacking: without(b, a) }
}
