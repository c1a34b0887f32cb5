/** The findings, the worst first, and the way from each to its packets. */

import './findings.css'
import { useState } from 'preact/hooks'
import { renderFindingCounts } from '../../findings-text.ts'
import { formatCount, formatCounted } from '../../quantities.ts'
import { report } from '../state.ts'
import { type FindingGroup, findingGroups } from './finding-groups.ts'
import { FindingItem } from './finding-item.tsx'
import { SEVERITY_NOUNS } from './severities.ts'

const FIRST = 20
const MORE = 100

export function FindingList() {
  const { findings } = report.value!
  const groups = findingGroups(findings)
  return (
    <section class="panel findings" aria-labelledby="findings-title">
      <header>
        <h2 id="findings-title">Findings</h2>
        {findings.length === 0 ? null : <p class="quiet">{renderFindingCounts(findings)}</p>}
      </header>
      {findings.length === 0 ? <p class="quiet">Nothing is wrong, and nothing is odd.</p> : null}
      <div class="finding-groups">
        {groups.map((group) => (
          <Group key={group.severity} group={group} isAlone={groups.length === 1} />
        ))}
      </div>
    </section>
  )
}

/** `isAlone`: the count above the groups says its name already. */
function Group({ group: { severity, findings }, isAlone }: { group: FindingGroup; isAlone: boolean }) {
  const [limit, set] = useState(FIRST)
  const left = findings.length - limit
  const noun = SEVERITY_NOUNS[severity]
  return (
    <div class="finding-group">
      <h3 class={isAlone ? 'only-read' : `finding-title is-${severity}`}>
        {noun[0]!.toUpperCase() + noun.slice(1)}
        {findings.length === 1 ? '' : 's'}
      </h3>
      <ul class="finding-list">
        {findings.slice(0, limit).map((listed) => (
          <FindingItem key={listed.key} listed={listed} />
        ))}
      </ul>
      {left <= 0 ? null : (
        <p class="quiet more">
          <button type="button" class="no-print" onClick={() => set(limit + MORE)}>
            Show {formatCount(Math.min(MORE, left))} more
          </button>{' '}
          {formatCounted(left, `more ${noun}`)}
        </p>
      )}
    </div>
  )
}
