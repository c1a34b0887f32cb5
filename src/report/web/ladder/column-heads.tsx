/** The points' names above the columns, upright where they have no room, and the rewrites between them. */

import type { Layout } from './ladder-layout.ts'
import { ladder } from './ladder-state.ts'

/** Less than this between two columns, and names stand upright. */
const UPRIGHT_BELOW_PX = 68

export function ColumnHeads({ layout }: { layout: Layout }) {
  const { model, rewrites } = ladder.value!
  const { x, gap, zoom } = layout
  const isUpright = gap < UPRIGHT_BELOW_PX * zoom && model.columns.length > 1
  return (
    <div
      class={`ladder-heads${isUpright ? ' upright' : ''}`}
      style={{ width: `${layout.width}px` }}
      aria-hidden="true"
    >
      {model.columns.map(({ point }, i) => {
        // Centred on its column, and inside of the frame.
        const room = 2 * Math.min(x[i]!, layout.width - x[i]!)
        const wide = isUpright ? gap : Math.min(gap - 6, room, 240 * zoom)
        const left = x[i]! - wide / 2
        return (
          <span key={i} class="point" title={point} style={{ left: `${left}px`, width: `${wide}px` }}>
            <span>{point}</span>
          </span>
        )
      })}
      {rewrites.map(({ kind, between: [near, far] }, i) => (
        <span key={i} class={`rewrite ${kind}`} style={{ left: `${(x[near]! + x[far]!) / 2}px` }}>
          {kind.toUpperCase()}
        </span>
      ))}
    </div>
  )
}
