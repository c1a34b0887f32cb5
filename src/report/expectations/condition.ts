/** The condition: what one expectation asks of a flow or of several, and what it gets for an answer. */

import type { FindingReport, FlowReport, Report } from '../model.ts'

/** What was seen. */
export interface Answer {
  /** null where it cannot be told: nothing was seen that would show it. An expectation never holds by that. */
  holds: boolean | null
  /** In words, without a full stop; may have names out of captures in it. */
  evidence: string
  /** How near to the limit or how far beyond it the flow is, to show the worst first. */
  rank?: number
  /** Flows that the evidence is about. */
  flows?: readonly number[]
}

/** What there is to look at. */
export interface Seen {
  report: Report
  flows: readonly FlowReport[]
  /** Those about the flows; and those about none, where the flows are all of the run. */
  findings: readonly FindingReport[]
}

/** Asks each flow by itself. */
export interface FlowCondition {
  about: 'flow'
  ask(flow: FlowReport, report: Report): Answer
  /** Why no flow could meet it: it names what is not there. */
  obstacle?(report: Report): string | null
}

/** Asks about all flows at once: numbers are sums. */
export interface SumCondition {
  about: 'sum'
  ask(seen: Seen): Answer
  /** Whether it says something where no flow is selected; else it does not hold there. */
  standsWithoutFlows: boolean
}

export type Condition = FlowCondition | SumCondition

/** Compares what was seen with a limit. */
export interface Comparison {
  operator: Operator
  limit: number
}

export const OPERATORS = ['==', '!=', '<', '<=', '>', '>='] as const
export type Operator = (typeof OPERATORS)[number]

const TESTS: Record<Operator, (value: number, limit: number) => boolean> = {
  '==': (value, limit) => value === limit,
  '!=': (value, limit) => value !== limit,
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
}

export function compares(value: number, { operator, limit }: Comparison): boolean {
  return TESTS[operator](value, limit)
}

/** Pieces behind each other; those beyond `most` are counted. */
export function listed(pieces: readonly string[], most: number, gap = ', '): string {
  const shown = pieces.slice(0, most).join(gap)
  return pieces.length > most ? `${shown}${gap}… ${pieces.length - most} more` : shown
}

/** Why no expectation about these points can hold: one of them is not there. */
export function unknownPoint(names: readonly string[], { points }: Report): string | null {
  const unknown = names.find((name) => !points.some((point) => point.name === name))
  if (unknown === undefined) return null
  const known = listed(
    points.map(({ name }) => name),
    20,
  )
  return `there is no point ${unknown}: the points are ${known}`
}
