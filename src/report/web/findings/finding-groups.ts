/** Findings by severity, the worst first; each with a key that stays its own while a live report grows. */

import { groupBy } from '../../grouping.ts'
import type { FindingReport, Severity } from '../../model.ts'
import { SEVERITIES } from './severities.ts'

export interface ListedFinding {
  /** Code, flow, and which of these it is. */
  key: string
  finding: FindingReport
}

export interface FindingGroup {
  severity: Severity
  findings: ListedFinding[]
}

/** Groups that have none are left out. */
export function findingGroups(findings: readonly FindingReport[]): FindingGroup[] {
  const seen = new Map<string, number>()
  const listed = findings.map((finding): ListedFinding => {
    const name = `${finding.code} ${finding.flow ?? '-'}`
    const nth = (seen.get(name) ?? 0) + 1
    seen.set(name, nth)
    return { key: `${name} ${nth}`, finding }
  })
  const groups = groupBy(listed, ({ finding }) => finding.severity)
  return SEVERITIES.flatMap((severity) => {
    const some = groups.get(severity)
    return some === undefined ? [] : [{ severity, findings: some }]
  })
}
