/**
 * What came of the expectations as TAP, a test point each with the evidence as its YAML block. It is what versions 13
 * and 14 have in common (https://testanything.org/tap-version-14-specification.html), under the name of the older one:
 * `prove` of Perl 5.36 takes no newer one.
 */

import { harmless, harmlessJson } from '../harmless.ts'
import type { ExpectationReport } from '../model.ts'

const MAX_CHARACTERS = 10_000

/** Renders a whole document. */
export function renderTap(expectations: readonly ExpectationReport[]): string {
  const lines = ['TAP version 13', `1..${expectations.length}`]
  expectations.forEach(({ expression, holds, evidence, flows }, i) => {
    lines.push(`${holds ? 'ok' : 'not ok'} ${i + 1} - ${described(expression)}`)
    // A JSON text is a YAML one as well.
    lines.push('  ---', `  evidence: ${harmlessJson(JSON.stringify(evidence))}`)
    if (flows) lines.push(`  flows: [${flows.join(', ')}]`)
    lines.push('  ...')
  })
  return `${lines.join('\n')}\n`
}

/** `#` would begin a directive such as `# SKIP`. */
function described(expression: string): string {
  return harmless(expression, MAX_CHARACTERS).replace(/[\\#]/g, '\\$&')
}
