/** The rows of the flows table: filtered and sorted, anew whenever the report, the filter or the order changes. */

import { computed, signal } from '@preact/signals'
import { isNumeral } from '../../quantities.ts'
import { flowFilter, report, selection } from '../state.ts'
import { addressWidths, type FlowContext, findingsByFlow, usedColumns } from './flow-columns.ts'
import { BY_ID, type Order, sortFlows } from './flow-order.ts'
import { type FlowTest, flowSearch, searchTexts } from './flow-search.ts'

export const order = signal<Order>(BY_ID)
/** The row that the keyboard is at, by its flow; it need not be among the rows. */
export const current = signal<number | null>(null)

export const allFlows = computed(() => report.value?.flows ?? [])

export const context = computed<FlowContext>(() => {
  const { names = {}, findings = [], points = [] } = report.value ?? {}
  const firsts = points.flatMap(({ firstNs }) =>
    firstNs !== null && isNumeral(firstNs) ? [BigInt(firstNs)] : [],
  )
  const beginNs = firsts.reduce((least, timeNs) => (timeNs < least ? timeNs : least), firsts[0] ?? 0n)
  return { names, findings: findingsByFlow(findings), beginNs }
})

const texts = computed(() => searchTexts(report.value?.names ?? {}, report.value?.findings ?? []))
export const search = computed(() => flowSearch(flowFilter.value, texts.value))

let lastThatMadeSense: FlowTest = () => true
/** While an expression is written it makes no sense most of the time: until then the rows stay as they are. */
const test = computed(() => {
  lastThatMadeSense = search.value.matches ?? lastThatMadeSense
  return lastThatMadeSense
})

export const rows = computed(() => {
  const { value: matches } = test
  return sortFlows(
    allFlows.value.filter((flow) => matches(flow)),
    order.value,
    context.value,
  )
})

/** Flow → its row, from 0. */
export const rowOfFlow = computed(() => new Map(rows.value.map(({ id }, row) => [id, row])))

/** The row that takes the focus: where the keyboard is, else the selected flow's, else the first. */
export const currentRow = computed(() => {
  const rowOf = (id: number | null) => (id === null ? undefined : rowOfFlow.value.get(id))
  return rowOf(current.value) ?? rowOf(selection.value.flow) ?? 0
})

/** Whether some row has a second line to show: a name, or a second translation. */
export const needsTwoLines = computed(
  () =>
    Object.keys(context.value.names).length > 0 ||
    allFlows.value.some(({ translations }) => translations.length > 1),
)

export const widths = computed(() => addressWidths(allFlows.value))
/** Columns that have something to tell. */
export const used = computed(() => usedColumns(allFlows.value, context.value))
