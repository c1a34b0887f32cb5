/** The flows as a table: sorted by any column, filtered, walked through by keyboard; only the rows in sight are drawn. */
// biome-ignore-all lint/a11y/useSemanticElements: rows that are placed one by one are none of a <table>

import './flows.css'
import { useLayoutEffect, useReducer, useRef } from 'preact/hooks'
import { formatCounted } from '../../quantities.ts'
import { hasModifier } from '../keys.ts'
import { isPrinting } from '../printing.ts'
import { flowFilter, select, selection, source } from '../state.ts'
import { useVirtualRows } from '../virtual-rows.ts'
import { COLUMN_KEYS, columnsThatFit, gridTemplate } from './flow-columns.ts'
import { FlowFilter, matchCount } from './flow-filter.tsx'
import { FlowHead } from './flow-head.tsx'
import { FlowRow } from './flow-row.tsx'
import {
  allFlows,
  context,
  current,
  currentRow,
  needsTwoLines,
  order,
  rowOfFlow,
  rows,
  used,
  widths,
} from './flow-rows.ts'
import { useMeasure } from './measure.ts'

const NARROW_KEYS = ['id', 'protocol', 'client', 'server', 'forward', 'state'] as const
const ROW_REM = { one: 1.9, two: 2.9, narrow: 3.1 }
/** A printed page shows the first rows only. */
const PRINTED_ROWS = 40
/** Of a sheet of A4: nobody measures a page again when it is printed. */
const PRINTED_REM = 52

export function FlowTable() {
  const scroller = useRef<HTMLDivElement>(null)
  const [box, size] = useMeasure<HTMLDivElement>()
  const isPrinted = isPrinting.value
  const fitting = columnsThatFit(isPrinted ? PRINTED_REM : size.widthRem, used.value, widths.value)
  const keys = fitting ?? NARROW_KEYS
  const template = fitting && gridTemplate(fitting, widths.value)
  const isTwoLines = needsTwoLines.value
  const rowPx = Math.round(ROW_REM[fitting === null ? 'narrow' : isTwoLines ? 'two' : 'one'] * size.remPx)
  const shown = rows.value
  const here = currentRow.value
  const virtual = useVirtualRows({ count: shown.length, rowPx, scroller, pinned: here })
  const wantsFocus = useRef(false)
  const [, redraw] = useReducer((n: number, _: null) => n + 1, 0)

  const goTo = (row: number) => {
    const flow = shown[Math.max(0, Math.min(shown.length - 1, row))]
    if (flow === undefined) return
    current.value = flow.id
    wantsFocus.current = true
    redraw(null)
    virtual.scrollToIndex(rowOfFlow.value.get(flow.id)!, { align: 'auto' })
  }
  useLayoutEffect(() => {
    if (!wantsFocus.current) return
    wantsFocus.current = false
    scroller.current?.querySelector<HTMLElement>('[role=row][tabindex="0"]')?.focus({ preventScroll: true })
  })
  useSelectedInSight(virtual)
  useSteadyRows(scroller, rowPx)

  const press = (event: KeyboardEvent) => {
    if (hasModifier(event)) return
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / rowPx) - 1)
    const to = {
      ArrowDown: here + 1,
      ArrowUp: here - 1,
      PageDown: here + page,
      PageUp: here - page,
      Home: 0,
      End: shown.length - 1,
    }[event.key]
    if (to !== undefined) goTo(to)
    else if (event.key === 'Enter' || event.key === ' ') choose(shown[here]!.id)
    else return
    event.preventDefault()
  }

  const { flowsLeftOut = 0 } = source.value!.about
  const items = isPrinted
    ? shown.slice(0, PRINTED_ROWS).map((_, index) => ({ index, start: 0 }))
    : virtual.getVirtualItems()
  return (
    <section class="panel flows" aria-labelledby="flows-title">
      <header class="flows-top">
        <h2 id="flows-title">Flows</h2>
        <p class="quiet flows-count">{matchCount()}</p>
        {allFlows.value.length === 0 ? null : <FlowFilter onLeave={() => goTo(here)} />}
      </header>
      <div ref={box} class={fitting === null ? 'grid-box is-narrow' : 'grid-box'}>
        {shown.length === 0 ? (
          <Nothing />
        ) : (
          <div
            role="grid"
            class="grid"
            aria-labelledby="flows-title"
            aria-describedby="flows-keys"
            aria-rowcount={shown.length + 1}
            aria-colcount={COLUMN_KEYS.length}
          >
            <FlowHead keys={keys} template={template} />
            <div role="rowgroup" class="grid-body" ref={scroller} onKeyDown={press}>
              <div class="grid-all" style={{ height: isPrinted ? 'auto' : `${shown.length * rowPx}px` }}>
                {items.map(({ index, start }) => (
                  <FlowRow
                    key={shown[index]!.id}
                    flow={shown[index]!}
                    context={context.value}
                    index={index}
                    keys={keys}
                    template={template}
                    topPx={start}
                    heightPx={rowPx}
                    isCurrent={index === here}
                    isSelected={shown[index]!.id === selection.value.flow}
                    onChoose={(flow) => {
                      choose(flow)
                      // There it stands far below.
                      if (fitting === null) document.getElementById('flow-title')?.scrollIntoView()
                    }}
                  />
                ))}
              </div>
            </div>
          </div>
        )}
      </div>
      <p id="flows-keys" class="only-read">
        Arrow keys go from row to row, Enter shows the flow, Enter once more goes to it.
      </p>
      {isPrinted && shown.length > PRINTED_ROWS ? (
        <p class="quiet">… {formatCounted(shown.length - PRINTED_ROWS, 'more flow')}</p>
      ) : null}
      {flowsLeftOut > 0 ? (
        <p class="quiet">… {formatCounted(flowsLeftOut, 'more flow')} that the page leaves out</p>
      ) : null}
    </section>
  )
}

/** Shows a flow; one that is shown already is gone to. */
function choose(flow: number): void {
  current.value = flow
  if (selection.peek().flow !== flow) select({ flow })
  else document.querySelector<HTMLElement>('.flow [role=tab][aria-selected=true]')?.focus()
}

function Nothing() {
  if (allFlows.value.length === 0) return <p class="empty quiet">No flow was seen.</p>
  return (
    <p class="empty">
      No flow matches.{' '}
      <button
        type="button"
        onClick={() => {
          flowFilter.value = ''
          document.getElementById('flow-filter')?.focus()
        }}
      >
        Show all
      </button>
    </p>
  )
}

/** Brings the row of a flow into sight that was selected elsewhere: by a finding, or by the page's address. */
function useSelectedInSight(virtual: ReturnType<typeof useVirtualRows>): void {
  const { flow } = selection.value
  useLayoutEffect(() => {
    const row = flow === null ? undefined : rowOfFlow.peek().get(flow)
    if (row === undefined || flow === current.peek()) return
    current.value = flow
    virtual.scrollToIndex(row, { align: 'auto' })
  }, [flow, virtual])
}

/** Keeps the rows in sight where they are when flows come in above them; another order or filter begins at the top. */
function useSteadyRows(scroller: preact.RefObject<HTMLElement | null>, rowPx: number): void {
  const before = useRef({ rows: rows.peek(), reason: '' })
  const reason = `${flowFilter.value}\n${order.value.column} ${order.value.isDescending}`
  const shown = rows.value
  useLayoutEffect(() => {
    const element = scroller.current
    const last = before.current
    before.current = { rows: shown, reason }
    if (element === null || last.rows === shown) return
    if (last.reason !== reason) {
      element.scrollTop = 0
      return
    }
    const first = Math.floor(element.scrollTop / rowPx)
    const anchor = first === 0 ? undefined : last.rows[first]
    const now = anchor === undefined ? undefined : rowOfFlow.peek().get(anchor.id)
    if (now !== undefined && now !== first) element.scrollTop += (now - first) * rowPx
  }, [shown, reason, rowPx, scroller])
}
