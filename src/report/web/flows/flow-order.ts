/** The order of the table's rows. */

import type { FlowReport } from '../../model.ts'
import { COLUMNS, type ColumnKey, type FlowContext, type SortValue } from './flow-columns.ts'

export interface Order {
  column: ColumnKey
  isDescending: boolean
}

export const BY_ID: Order = { column: 'id', isDescending: false }

/** What a press on a column's title makes of the order: its own first way, then the other one. */
export function nextOrder({ column, isDescending }: Order, pressed: ColumnKey): Order {
  if (pressed === column) return { column, isDescending: !isDescending }
  return { column: pressed, isDescending: COLUMNS[pressed].startsDescending === true }
}

/** The flows in this order, as a new array. Equal ones are ordered by their ids, so that rows do not move without reason. */
export function sortFlows(
  flows: readonly FlowReport[],
  { column, isDescending }: Order,
  context: FlowContext,
): FlowReport[] {
  const { sortValue } = COLUMNS[column]
  const values = flows.map((flow) => sortValue(flow, context))
  const sign = isDescending ? -1 : 1
  const order = flows.map((_, i) => i)
  order.sort((a, b) => compare(values[a]!, values[b]!, sign) || flows[a]!.id - flows[b]!.id)
  return order.map((i) => flows[i]!)
}

function compare(a: SortValue, b: SortValue, sign: number): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  return a < b ? -sign : sign
}
