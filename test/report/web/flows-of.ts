/** Reports of the recorded captures, for tests of the page's models. */

import { join } from 'node:path'
import { analyze } from '../../../src/analysis.ts'
import { type Report, withArray } from '../../../src/report/model.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')

export async function analysisOf(name: string): Promise<Report> {
  return withArray((await analyze([join(CAPTURES, name)])).report)
}
