/** The titles of the columns: a press sorts. One stop for the tab key; left and right go from one to the next. */
// biome-ignore-all lint/a11y/useSemanticElements: rows that are placed one by one are none of a <table>

import { useRef } from 'preact/hooks'
import { stopAfter } from '../keys.ts'
import { COLUMN_KEYS, COLUMNS, type ColumnKey } from './flow-columns.ts'
import { nextOrder } from './flow-order.ts'
import { order } from './flow-rows.ts'

export function FlowHead({ keys, template }: { keys: readonly ColumnKey[]; template: string | null }) {
  const row = useRef<HTMLDivElement>(null)
  const { column: sorted, isDescending } = order.value
  const stop = keys.includes(sorted) ? sorted : keys[0]
  const move = (event: KeyboardEvent) => {
    const buttons = [...row.current!.querySelectorAll('button')]
    const at = buttons.indexOf(event.target as HTMLButtonElement)
    const to = stopAfter(event, at, buttons.length, 'across')
    if (at < 0 || to === null || buttons[to] === undefined) return
    event.preventDefault()
    buttons[to].focus()
  }
  return (
    <div role="rowgroup" class="grid-head">
      {/* biome-ignore lint/a11y/useFocusableInteractive: its buttons take the focus */}
      <div
        role="row"
        aria-rowindex={1}
        class="grid-row"
        ref={row}
        style={{ gridTemplateColumns: template ?? undefined }}
        onKeyDown={move}
      >
        {keys.map((key) => {
          const { title, spoken, isNumber } = COLUMNS[key]
          const isSorted = key === sorted
          return (
            // biome-ignore lint/a11y/useFocusableInteractive: its button takes the focus
            <div
              key={key}
              role="columnheader"
              class={`cell cell-${key}${isNumber ? ' is-number' : ''}`}
              aria-colindex={COLUMN_KEYS.indexOf(key) + 1}
              aria-sort={isSorted ? (isDescending ? 'descending' : 'ascending') : undefined}
            >
              <button
                type="button"
                tabIndex={key === stop ? 0 : -1}
                onClick={() => {
                  order.value = nextOrder(order.value, key)
                }}
              >
                <span aria-hidden={spoken !== undefined}>{title}</span>
                {spoken === undefined ? null : <span class="only-read">{spoken}</span>}
                <span class="way" aria-hidden="true">
                  {isSorted ? (isDescending ? '▼' : '▲') : ''}
                </span>
              </button>
            </div>
          )
        })}
      </div>
    </div>
  )
}
