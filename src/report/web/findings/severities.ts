/** Severities, the worst first, with the signs and words that the terminal has for them. */

import type { Severity } from '../../model.ts'

export { NOUNS as SEVERITY_NOUNS, SEVERITIES, SIGNS as SEVERITY_SIGNS } from '../../findings-text.ts'
export type { Severity }
