/** What the ladder shows at the moment, and what keys, wheel and brush do with it. */

import { batch, computed, signal } from '@preact/signals'
import { select, selectedFlow, selectedPackets, selection } from '../state.ts'
import { columnsKey, columnsOf, type RewriteMark, rewriteMarks } from './ladder-columns.ts'
import { ROW_PX } from './ladder-layout.ts'
import { LadderModel, type Row } from './ladder-model.ts'
import {
  boundsOf,
  converted,
  type Extent,
  kept,
  limited,
  moved,
  type Range,
  type Scale,
  shown,
  zoomed,
} from './ladder-scale.ts'
import { isDense } from './ladder-scene.ts'

const ZOOM_STEP = 1.5

/** Stays from flow to flow. Even rows come first: hops of µs are never to be seen beside a flow's seconds. */
export const scale = signal<Scale>('even')
export const range = signal<Range>({ from: 0, to: 1 })
export const hovered = signal<Row>(-1)
/** Of the window, in CSS pixels, and of its type against that at a root font of 15 px. */
export const viewport = signal({ height: 800, zoom: 1 })

export interface Ladder {
  flow: number
  model: LadderModel
  rewrites: readonly RewriteMark[]
  /** Of the model when this was made: it grows. */
  count: number
}

let lastModel: LadderModel | null = null
let lastFlow = -1

/** Made anew for another flow; only added to while packets of the same one come in. */
export const ladder = computed<Ladder | null>(() => {
  const flow = selectedFlow.value
  const found = selectedPackets.value
  if (!flow || !found) return null
  const columns = columnsOf(flow)
  const isSame =
    lastModel !== null &&
    lastFlow === flow.id &&
    lastModel.isBeginningOf(found.packets) &&
    columnsKey(lastModel.columns) === columnsKey(columns)
  const model = isSame ? lastModel! : new LadderModel(columns, flow.firstNs)
  model.append(found.packets)
  lastModel = model
  lastFlow = flow.id
  return { flow: flow.id, model, rewrites: rewriteMarks(flow, columns), count: model.count }
})

export const selectedRow = computed<Row>(() => {
  const { packet } = selection.value
  return packet === null ? -1 : (ladder.value?.model.rowOf(packet) ?? -1)
})

export const bounds = computed<Range>(() =>
  ladder.value ? boundsOf(ladder.value.model, scale.value) : { from: 0, to: 1 },
)

/** Height of the plot: as many rows as there are, as far as they leave the window room for more. */
export const plotHeight = computed(() => {
  const { height, zoom } = viewport.value
  const most = Math.max(280, Math.min(1000, height * 0.62))
  if (scale.value === 'time') return Math.round(most)
  return Math.round(Math.max(90, Math.min(most, (ladder.value?.count ?? 0) * ROW_PX * zoom)))
})

let fitted: (Extent & { flow: number }) | null = null

/** Shows the beginning of another flow, and follows the end of one that grows while its end is shown. */
export function keepRange(): void {
  const now = ladder.value
  if (now === null || now.count === 0) return
  const kind = scale.peek()
  const after = { bounds: bounds.value, first: now.model.packets[0]!.number, flow: now.flow }
  const rows = plotHeight.value / (ROW_PX * viewport.value.zoom)
  if (fitted?.flow !== now.flow)
    range.value = kind === 'time' ? after.bounds : limited({ from: 0, to: rows }, after.bounds, kind)
  else if (hasChanged(fitted, after)) range.value = kept(range.peek(), fitted, after, kind, rows)
  fitted = after
}

function hasChanged(before: Extent, after: Extent): boolean {
  const [was, is] = [before.bounds, after.bounds]
  return was.from !== is.from || was.to !== is.to || before.first !== after.first
}

export function setScale(to: Scale): void {
  const now = ladder.peek()
  if (now === null || to === scale.peek()) return
  batch(() => {
    range.value = converted(now.model, range.peek(), to)
    scale.value = to
    fitted = { flow: now.flow, bounds: bounds.value, first: now.model.packets[0]?.number ?? 1 }
  })
}

export function setRange(wanted: Range): void {
  range.value = limited(wanted, bounds.peek(), scale.peek())
}

/** Closer with a factor below 1; `at` is a part of the height, from the top, that stays where it is. */
export function zoom(factor: number, at = 0.5): void {
  range.value = zoomed(range.peek(), factor, at, bounds.peek(), scale.peek())
}

/** By a part of what is shown. False where there is no more on that side. */
export function move(part: number): boolean {
  const before = range.peek()
  range.value = moved(before, part * (before.to - before.from), bounds.peek(), scale.peek())
  return range.peek().from !== before.from
}

export function showAll(): void {
  range.value = bounds.peek()
}

/** Whether there are too many packets in what is shown to draw each. */
export const isFar = computed(
  () => ladder.value !== null && isDense(ladder.value.model, range.value, scale.value, plotHeight.value),
)

/** Whether all of the flow is shown. */
export const isWhole = computed(
  () => range.value.from <= bounds.value.from && range.value.to >= bounds.value.to,
)

export function selectRow(row: Row): void {
  const packet = ladder.peek()?.model.packets[row]
  if (packet) select({ packet: packet.number })
}

export function openRow(row: Row): void {
  const packet = ladder.peek()?.model.packets[row]
  if (packet) select({ packet: packet.number, view: 'packet' })
}

/** Keeps the selected packet in sight. */
export function showSelected(): void {
  const row = selectedRow.value
  const now = ladder.peek()
  if (row >= 0 && now) range.value = shown(now.model, row, range.peek(), bounds.peek(), scale.peek())
}

/** Keys that the ladder and its list have in common; `page` is how many packets a page has. True where it was one. */
export function walk(key: string, page: number): boolean {
  const count = ladder.peek()?.count ?? 0
  const now = selectedRow.peek()
  if (count === 0) return false
  if (key === 'Enter') {
    if (now < 0) return false
    openRow(now)
    return true
  }
  const to: Record<string, Row> = {
    ArrowDown: now + 1,
    ArrowUp: now < 0 ? 0 : now - 1,
    PageDown: now + page,
    PageUp: now - page,
    Home: 0,
    End: count - 1,
  }
  const row = to[key]
  if (row === undefined) return false
  selectRow(Math.max(0, Math.min(count - 1, row)))
  return true
}

/** Keys of the ladder alone. */
export function zoomKey(key: string): boolean {
  if (key === '+' || key === '=') zoom(1 / ZOOM_STEP, selectedPart())
  else if (key === '-') zoom(ZOOM_STEP, selectedPart())
  else if (key === '0') showAll()
  else return false
  return true
}

/** Where the selected packet stands in what is shown, from 0 to 1; the middle where it is not there. */
function selectedPart(): number {
  const row = selectedRow.peek()
  const now = ladder.peek()
  if (row < 0 || !now) return 0.5
  const { from, to } = range.peek()
  const at = scale.peek() === 'even' ? row + 0.5 : now.model.startNs[row]!
  const part = (at - from) / (to - from)
  return part >= 0 && part <= 1 ? part : 0.5
}
