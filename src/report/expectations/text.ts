/** What came of the expectations, for a terminal: a sign and words, the expression, and the evidence under it. */

import { harmless } from '../harmless.ts'
import type { ExpectationReport, Report } from '../model.ts'
import { type Palette, paletteFor } from '../palette.ts'
import { formatCount } from '../quantities.ts'
import { wrapText } from '../width.ts'

const MAX_EXPRESSION = 400
const MAX_EVIDENCE = 2000

/** `1 of 2 hold`; empty where there are none. */
export function renderExpectationCounts(expectations: readonly ExpectationReport[]): string {
  const held = expectations.filter(({ holds }) => holds).length
  const all = expectations.length
  if (all === 0) return ''
  if (all === 1) return held === 1 ? '1 holds' : '1 does not hold'
  return held === all ? `all ${formatCount(all)} hold` : `${formatCount(held)} of ${formatCount(all)} hold`
}

/** A sign, whether it holds, the expression, and what was seen. Makes harmless what it shows. */
export function renderExpectations(
  expectations: readonly ExpectationReport[],
  columns: number,
  palette: Palette,
): string[] {
  return expectations.flatMap(({ expression, holds, evidence }) => {
    const head = holds ? '  ✓ holds' : '  ✗ does not hold'
    const [first, ...rest] = wrapText(`${head}: ${harmless(expression, MAX_EXPRESSION)}`, columns, '    ')
    const paint = holds ? palette.info : palette.error
    return [
      paint(head) + first.slice(head.length),
      ...rest,
      ...wrapText(`    ${harmless(evidence, MAX_EVIDENCE)}`, columns, '    ').map(palette.faint),
    ]
  })
}

/** The section by itself, where the report is not shown. */
export function renderExpectationSection(
  { expectations = [] }: Pick<Report, 'expectations'>,
  { columns, color }: { columns: number; color: boolean },
): string {
  const palette = paletteFor(color)
  const lines = renderExpectations(expectations, columns, palette)
  const counts = palette.faint(`  ${renderExpectationCounts(expectations)}`)
  return `${palette.heading('Expectations')}${counts}\n${lines.join('\n')}\n`
}
