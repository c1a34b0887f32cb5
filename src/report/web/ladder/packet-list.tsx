/** The packets of the ladder as a list, of which only what is in sight is built: for reading, and for who can't see the drawing. */

import { useEffect, useRef } from 'preact/hooks'
import { arrow } from '../../path-line.ts'
import { TOWARDS } from '../directions.ts'
import { hasModifier } from '../keys.ts'
import { isPrinting } from '../printing.ts'
import { useVirtualRows } from '../virtual-rows.ts'
import type { Row } from './ladder-model.ts'
import { rowsIn } from './ladder-scale.ts'
import {
  hovered,
  ladder,
  openRow,
  plotHeight,
  range,
  scale,
  selectedRow,
  selectRow,
  viewport,
  walk,
} from './ladder-state.ts'
import { marksOf, timeOf, tookOf } from './packet-words.ts'

const LINE_PX = 26
/** On paper the list has so many lines at most, from the first one on that the ladder shows. */
const MOST_PRINTED = 150

export function PacketList() {
  const scroller = useRef<HTMLDivElement>(null)
  const { flow, model, count } = ladder.value!
  const line = LINE_PX * viewport.value.zoom
  const rows = useVirtualRows({ count, rowPx: line, scroller })
  const selected = selectedRow.value
  useEffect(() => {
    if (selected < 0) return
    const isNear = rows.getVirtualItems().some(({ index }) => index === selected)
    rows.scrollToIndex(selected, { align: isNear ? 'auto' : 'center' })
  }, [selected, flow])
  const printed = isPrinting.value
  const items = printed
    ? printedRows(count).map((index, i) => ({ index, start: i * line }))
    : rows.getVirtualItems()
  const onKeyDown = (event: KeyboardEvent) => {
    if (hasModifier(event)) return
    const page = Math.max(1, Math.floor((scroller.current!.clientHeight / line) * 0.9))
    if (walk(event.key, page)) event.preventDefault()
  }
  const isBuilt = selected >= 0 && items.some(({ index }) => index === selected)
  return (
    <div class="ladder-packets">
      <div class="line heads" aria-hidden="true">
        <span class="number">No.</span>
        <span class="time">Time</span>
        <span />
        <span>Packet</span>
        <span class="took">Took</span>
      </div>
      <div
        class="scroller"
        ref={scroller}
        role="listbox"
        tabIndex={0}
        aria-label={`Packets of flow ${flow}`}
        aria-activedescendant={isBuilt ? `packet-line-${selected}` : undefined}
        style={{ height: `${printed ? items.length * line : plotHeight.value}px` }}
        onKeyDown={onKeyDown}
        onPointerLeave={() => {
          hovered.value = -1
        }}
      >
        <div
          class="all"
          role="none"
          style={{ height: `${printed ? items.length * line : rows.getTotalSize()}px` }}
        >
          {items.map(({ index, start }) => (
            <Line
              key={index}
              row={index}
              start={start}
              height={line}
              originNs={model.originNs}
              isSelected={index === selected}
              count={count}
            />
          ))}
        </div>
      </div>
    </div>
  )
}

interface LineProps {
  row: Row
  start: number
  height: number
  originNs: string
  isSelected: boolean
  count: number
}

function Line({ row, start, height, originNs, isSelected, count }: LineProps) {
  const packet = ladder.value!.model.packets[row]
  if (!packet) return null
  const { number, direction, summary } = packet
  return (
    // Keys are the list's, which keeps the focus.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    // biome-ignore lint/a11y/useFocusableInteractive: see above
    <div
      class="line"
      id={`packet-line-${row}`}
      role="option"
      aria-selected={isSelected}
      aria-posinset={row + 1}
      aria-setsize={count}
      style={{ transform: `translateY(${start}px)`, height: `${height}px` }}
      onClick={() => selectRow(row)}
      onDblClick={() => openRow(row)}
      onPointerEnter={() => {
        hovered.value = row
      }}
    >
      <span class="number">{number}</span>
      <span class="time">{timeOf(packet, originNs)}</span>
      <span class={`arrow ${direction}`}>
        <span aria-hidden="true">{arrow(direction)}</span>
        <span class="only-read">{TOWARDS[direction]}</span>
      </span>
      <span class="what">
        <span class="mono">{summary}</span>
        {marksOf(packet).map(({ sign, short, long, tone }) => (
          <span key={sign} class={`mark ${tone}`} title={long}>
            <span aria-hidden="true">{sign} </span>
            {short}
          </span>
        ))}
      </span>
      <span class="took">{tookOf(packet)}</span>
    </div>
  )
}

function printedRows(count: number): Row[] {
  const { model } = ladder.peek()!
  const first = Math.min(rowsIn(model, range.peek(), scale.peek())[0], Math.max(0, count - MOST_PRINTED))
  return Array.from({ length: Math.min(count - first, MOST_PRINTED) }, (_, i) => first + i)
}
