/** Measures one trace: generated, written, analysed by the real thing, and held against its truth. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { analyze } from '../../src/analysis.ts'
import { type TrafficOptions, trafficTrace } from '../trace/traffic.ts'
import { type Faults, type Score, scoreOf } from './score.ts'

/** `folder`, where it is given, keeps the captures. */
export async function measureTrace(
  seed: number,
  options: TrafficOptions,
  folder?: string,
): Promise<{ score: Score; faults: Faults }> {
  const place = folder ?? mkdtempSync(join(tmpdir(), 'hoptrace-accuracy-'))
  try {
    const truth = trafficTrace(seed, options).write(place)
    const analysis = await analyze([place], { journeys: true })
    return scoreOf(truth, analysis.report, analysis.journeys())
  } finally {
    if (folder === undefined) rmSync(place, { recursive: true })
  }
}
