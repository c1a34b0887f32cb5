/** The table of headers: a row a field, a column a point. Pointing at a field marks its bytes. */

import { type Signal, useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import type { Step } from '../../explain/model.ts'
import { namespaceText } from '../../explain/places.ts'
import { harmless } from '../../harmless.ts'
import { pointName } from '../../path-line.ts'
import { formatDurationNs } from '../../quantities.ts'
import { stopAfter } from '../keys.ts'
import {
  changeCount,
  type HeaderCell,
  type HeaderGroup,
  type HeaderRow,
  type HeaderTable,
  type PointColumn,
} from './header-table.ts'

interface Props {
  table: HeaderTable
  pointedAt: Signal<string | null>
}

/** Stays as it is from packet to packet. */
const MAX_FRAMES_NAMED = 3

export function HeadersTable({ table, pointedAt }: Props) {
  const isChangedOnly = useSignal(false)
  const focused = useSignal<string | null>(null)
  const body = useRef<HTMLTableElement>(null)
  const groups = isChangedOnly.value ? changedGroups(table.groups) : table.groups
  const rows = groups.flatMap((group) => group.rows)
  const stop = rows.some(({ key }) => key === focused.value) ? focused.value : rows[0]?.key
  const move = (event: KeyboardEvent) => {
    const buttons = [...body.current!.querySelectorAll<HTMLElement>('.field-name')]
    const at = buttons.indexOf(event.target as HTMLElement)
    const to = stopAfter(event, at, buttons.length, 'down')
    if (at < 0 || to === null) return
    event.preventDefault()
    buttons[to]?.focus()
  }
  return (
    <section aria-labelledby="headers-title">
      <div class="section-head">
        <h3 id="headers-title">Headers at each point</h3>
        <span class="quiet">{changeCount(table)}</span>
        <label class="only-changed no-print">
          <input
            type="checkbox"
            checked={isChangedOnly.value}
            onChange={(event) => {
              isChangedOnly.value = event.currentTarget.checked
            }}
          />{' '}
          Only what changed
        </label>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
      <section class="headers-scroll" aria-label="Headers, scrolls sideways" tabIndex={0}>
        <table class="headers" ref={body} onKeyDown={move}>
          <thead>
            <tr>
              <th scope="col">Field</th>
              {table.columns.map((column, i) => (
                <PointHead key={i} column={column} index={i} />
              ))}
            </tr>
            <tr class="done-row">
              <th scope="row">What was done</th>
              {table.columns.map(({ station }, i) => (
                <td key={i}>{station ? <Actors steps={station.steps} /> : null}</td>
              ))}
            </tr>
          </thead>
          {groups.map((group) => (
            <tbody key={group.key} onMouseLeave={() => point(pointedAt, null)}>
              <tr class="layer-row">
                <th scope="rowgroup" colSpan={table.columns.length + 1}>
                  <span>{group.title === 'rest' ? 'Not decoded' : group.title}</span>
                </th>
              </tr>
              {group.rows.map((row) => (
                <tr
                  key={row.key}
                  class={pointedAt.value === row.key ? 'pointed' : undefined}
                  onMouseEnter={() => point(pointedAt, row.key)}
                >
                  <th scope="row">
                    <button
                      type="button"
                      class="field-name"
                      tabIndex={row.key === stop ? 0 : -1}
                      aria-describedby="bytes-hint"
                      onFocus={() => {
                        focused.value = row.key
                        point(pointedAt, row.key)
                      }}
                      onBlur={() => point(pointedAt, null)}
                    >
                      {row.name}
                    </button>
                  </th>
                  {row.cells.map((cell, i) => (
                    <Cell key={i} cell={cell} row={row} isFirst={i === 0} />
                  ))}
                </tr>
              ))}
            </tbody>
          ))}
        </table>
      </section>
      {rows.length === 0 ? <p class="quiet">Every field is the same at each point.</p> : null}
    </section>
  )
}

function point(pointedAt: Signal<string | null>, key: string | null): void {
  pointedAt.value = key
}

function changedGroups(groups: readonly HeaderGroup[]): HeaderGroup[] {
  return groups
    .map((group) => ({ ...group, rows: group.rows.filter(({ isChanged }) => isChanged) }))
    .filter(({ rows }) => rows.length > 0)
}

function PointHead({ column, index }: { column: PointColumn; index: number }) {
  const { point, frames, afterNs, station } = column
  const few = frames.slice(0, MAX_FRAMES_NAMED).join(' ')
  const more = frames.length > MAX_FRAMES_NAMED ? ` … (${frames.length})` : ''
  return (
    <th scope="col">
      <span class="point-name" title={point}>
        {pointName(point)}
      </span>
      <span class="point-fact">
        frame{frames.length === 1 ? '' : 's'} {few}
        {more}
        {index === 0 ? ' · first seen here' : null}
        {index > 0 && afterNs !== null ? ` · ${afterNs < 0 ? '' : '+'}${formatDurationNs(afterNs)}` : null}
      </span>
      <span class="point-fact">
        {station ? `in ${namespaceText(station.where)}` : 'could not be read again: what joining kept'}
      </span>
    </th>
  )
}

/** Who did something to the packet on its way to this point; the sentences stand below. */
function Actors({ steps }: { steps: readonly Step[] }) {
  const actors = [...new Set(steps.map(({ actor }) => actor))]
  return actors.length === 0 ? (
    <span class="quiet">nothing</span>
  ) : (
    actors.map((actor) => (
      <span key={actor} class={`actor actor-${actor}`}>
        {actor}
      </span>
    ))
  )
}

function Cell({ cell, row, isFirst }: { cell: HeaderCell | null; row: HeaderRow; isFirst: boolean }) {
  if (cell === null)
    return (
      <td class="none">
        <span aria-hidden="true">·</span>
        <span class="only-read">none</span>
      </td>
    )
  const { state, value, note, before } = cell
  if (state === 'gone')
    return (
      <td class="gone">
        <span aria-hidden="true">− </span>
        <span class="cell-word">taken off</span>
      </td>
    )
  const isMarked = state === 'changed' || state === 'new'
  const was = state === 'new' || before === undefined ? 'not there before' : `was ${harmless(before)}`
  return (
    <td
      class={isMarked ? `changed tone-${row.tone}` : isFirst ? 'first' : state}
      title={isMarked ? was : undefined}
    >
      {isMarked ? (
        <span class="cell-sign" aria-hidden="true">
          {state === 'new' ? '+' : '≠'}
        </span>
      ) : null}
      <span class="cell-value">{value}</span>
      {isMarked ? <span class="only-read">, {was}</span> : null}
      {note ? <span class="cell-note">{note}</span> : null}
    </td>
  )
}
