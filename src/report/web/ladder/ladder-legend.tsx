/** What the ladder's signs mean, as far as a flow has them, and what of it is not to be seen. */

import { formatCounted } from '../../quantities.ts'
import { TOWARDS } from '../directions.ts'
import { packetsHereText } from '../flow-counts.ts'
import { selectedFlow, selectedPackets } from '../state.ts'
import type { LadderModel } from './ladder-model.ts'
import { isFar, ladder } from './ladder-state.ts'
import { type Mark, marksOf } from './packet-words.ts'

export function Legend() {
  const { model } = ladder.value!
  const flow = selectedFlow.value!
  const { duplicates } = flow
  const here = packetsHereText(flow, selectedPackets.value!)
  return (
    <p class="ladder-legend">
      <span class="arrow forward">→ {TOWARDS.forward}</span>
      <span class="arrow reverse">← {TOWARDS.reverse}</span>
      {signsOf(model).map(({ sign, short, tone }) => (
        <span key={sign} class={`mark ${tone}`}>
          {sign} {short}
        </span>
      ))}
      {duplicates > 0 ? (
        <span>{formatCounted(duplicates, 'frame')} seen twice at one point, counted once</span>
      ) : null}
      {here === null ? null : <span>{here}</span>}
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
