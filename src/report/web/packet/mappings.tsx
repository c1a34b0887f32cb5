/** What connection tracking remembers of the flow's translations. */

import type { Mapping } from '../../explain/model.ts'
import { harmless } from '../../harmless.ts'
import { pointName } from '../../path-line.ts'

export function Mappings({ mappings }: { mappings: readonly Mapping[] }) {
  if (mappings.length === 0) return null
  return (
    <section aria-labelledby="mappings-title">
      <div class="section-head">
        <h3 id="mappings-title">What connection tracking remembers</h3>
      </div>
      <ul class="mappings">
        {mappings.map(({ between: [from, to], entry, text, knownFrom }, i) => (
          <li key={i}>
            <h4>
              {from === to ? `before ${pointName(to)}` : `between ${pointName(from)} and ${pointName(to)}`}{' '}
              <span class="mapping-source">
                {knownFrom === 'receipts'
                  ? 'the kernel’s own entry, at the end of the capture'
                  : 'derived from the frames'}
              </span>
            </h4>
            <code>{harmless(entry, 1000)}</code>
            <p>{harmless(text, 1000)}</p>
          </li>
        ))}
      </ul>
    </section>
  )
}
