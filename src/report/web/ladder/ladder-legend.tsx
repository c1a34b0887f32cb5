/** What the ladder's signs mean, as far as a flow has them, and what of it is not to be seen. */

import { formatCount, formatCounted } from '../../quantities.ts'
import { selectedFlow, selectedPackets } from '../state.ts'
import type { LadderModel } from './ladder-model.ts'
import { isFar, ladder } from './ladder-state.ts'
import { type Mark, marksOf } from './packet-words.ts'

export function Legend() {
  const { model, count } = ladder.value!
  const { forward, reverse, duplicates } = selectedFlow.value!
  const all = forward.packets + reverse.packets
  return (
    <p class="ladder-legend">
      <span class="arrow forward">→ to the server</span>
      <span class="arrow reverse">← to the client</span>
      {signsOf(model).map(({ sign, short, tone }) => (
        <span key={sign} class={`mark ${tone}`}>
          {sign} {short}
        </span>
      ))}
      {duplicates > 0 ? (
        <span>{formatCounted(duplicates, 'frame')} seen twice at one point, counted once</span>
      ) : null}
      {count < all ? (
        <span>
          {formatCount(count)} of {formatCounted(all, 'packet')}{' '}
          {selectedPackets.value?.state === 'reading' ? 'are unpacked so far' : 'are in this page'}
        </span>
      ) : null}
      {isFar.value ? <span>Too many for arrows: bars tell how many. Zoom in for each.</span> : null}
    </p>
  )
}

const known = new WeakMap<LadderModel, { rows: number; signs: Mark[] }>()

/** Signs that stand at packets of the flow; those that came since are looked through once. */
function signsOf(model: LadderModel): Mark[] {
  const before = known.get(model) ?? { rows: 0, signs: [] }
  known.set(model, before)
  for (; before.rows < model.remarkable.length; before.rows++)
    for (const mark of marksOf(model.packets[model.remarkable[before.rows]!]!))
      if (!before.signs.some(({ sign }) => sign === mark.sign))
        before.signs.push(mark.sign === '↩' ? { ...mark, short: 'answered by an ICMP error' } : mark)
  return before.signs
}
