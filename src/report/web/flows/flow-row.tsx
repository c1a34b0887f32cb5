/** One row of the flows table. */
// biome-ignore-all lint/a11y/useSemanticElements: rows that are placed one by one are none of a <table>

import type { FlowReport } from '../../model.ts'
import { CELLS } from './flow-cells.tsx'
import { COLUMN_KEYS, COLUMNS, type ColumnKey, type FlowContext } from './flow-columns.ts'

export interface FlowRowProps {
  flow: FlowReport
  context: FlowContext
  /** From 0. */
  index: number
  keys: readonly ColumnKey[]
  /** null where the screen is narrow. */
  template: string | null
  topPx: number
  heightPx: number
  /** Takes the focus. */
  isCurrent: boolean
  isSelected: boolean
  onChoose(flow: number): void
}

export function FlowRow(props: FlowRowProps) {
  const { flow, context, index, keys, template, topPx, heightPx, isCurrent, isSelected, onChoose } = props
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the table listens to keys for all of its rows
    <div
      role="row"
      class="grid-row"
      aria-rowindex={index + 2}
      aria-selected={isSelected}
      tabIndex={isCurrent ? 0 : -1}
      style={{ top: `${topPx}px`, height: `${heightPx}px`, gridTemplateColumns: template ?? undefined }}
      onClick={() => onChoose(flow.id)}
    >
      {keys.map((key) => (
        // biome-ignore lint/a11y/useFocusableInteractive: the row takes the focus
        <div
          key={key}
          role="gridcell"
          class={`cell cell-${key}${COLUMNS[key].isNumber ? ' is-number' : ''}`}
          aria-colindex={COLUMN_KEYS.indexOf(key) + 1}
        >
          {CELLS[key]({ flow, context, isNarrow: template === null })}
        </div>
      ))}
    </div>
  )
}
