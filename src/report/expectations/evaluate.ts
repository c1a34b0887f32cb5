/** Holding a report to expectations. What cannot be told, or is said of no flow at all, does not hold. */

import { renderEnds } from '../endpoint.ts'
import { groupBy } from '../grouping.ts'
import type { ExpectationReport, FlowReport, Report } from '../model.ts'
import { formatCount, formatCounted } from '../quantities.ts'
import { type Answer, type Condition, type FlowCondition, listed, type Seen } from './condition.ts'
import type { Expectation } from './parse.ts'

/** Flows of which the evidence is told, where it is not the same for all. */
const MAX_GROUPS = 3
const MAX_IDS = 5
/** Flows whose numbers a report lists for an expectation. */
const MAX_FLOWS = 100
const MAX_EVIDENCE = 2000

/** The report with what these expectations come to in it. */
export function withExpectations(report: Report, expectations: readonly Expectation[]): Report {
  return { ...report, expectations: expectations.map((it) => evaluate(it, report)) }
}

/** Whether all expectations of a report hold. */
export function allHold({ expectations = [] }: Report): boolean {
  return expectations.every(({ holds }) => holds)
}

/** Of no flow nothing can be told. */
const NOTHING: Answer = { holds: null, evidence: 'there is no flow' }

/** Holds a report to one expectation. */
export function evaluate({ text, selection, condition }: Expectation, report: Report): ExpectationReport {
  const { matches, quantifier } = selection
  const flows = matches === null ? report.flows : report.flows.filter(matches)
  const answer =
    condition.about === 'flow' || quantifier !== null
      ? quantified(perFlow(condition), quantifier, flows, report)
      : flows.length > 0 || condition.standsWithoutFlows
        ? condition.ask(seenOf(flows, report, matches === null))
        : NOTHING
  const { holds, flows: ids = [] } = answer
  const isNone = flows.length === 0 && !holds && (selection.text !== '' || answer === NOTHING)
  const evidence = isNone ? noFlow(selection.text, report) : answer.evidence
  return {
    expression: text,
    holds: holds === true,
    evidence: evidence.length > MAX_EVIDENCE ? `${evidence.slice(0, MAX_EVIDENCE)}…` : evidence,
    ...(ids.length > 0 ? { flows: ids.slice(0, MAX_FLOWS) } : {}),
  }
}

function perFlow(condition: Condition): FlowCondition {
  if (condition.about === 'flow') return condition
  return { about: 'flow', ask: (flow, report) => condition.ask(seenOf([flow], report, false)) }
}

function seenOf(flows: readonly FlowReport[], report: Report, isAll: boolean): Seen {
  const ids = new Set(flows.map(({ id }) => id))
  const findings = report.findings.filter(({ flow }) => (flow === null ? isAll : ids.has(flow)))
  return { report, flows, findings }
}

function noFlow(selected: string, { flows }: Report): string {
  if (flows.length === 0) return 'there is no flow'
  return `no flow matches ${selected}, out of ${formatCount(flows.length)}`
}

/** Asks every flow; the evidence is that of those which decide. */
function quantified(
  condition: FlowCondition,
  quantifier: 'every' | 'any' | null,
  flows: readonly FlowReport[],
  report: Report,
): Answer {
  if (flows.length === 0) return NOTHING
  const obstacle = condition.obstacle?.(report) ?? null
  if (obstacle !== null) return { holds: false, evidence: obstacle }
  const answers = flows.map((flow) => ({ flow, ...condition.ask(flow, report) }))
  const meeting = answers.filter(({ holds }) => holds === true)
  const holds = quantifier === 'any' ? meeting.length > 0 : meeting.length === flows.length
  const deciding = holds ? meeting : answers.filter((answer) => answer.holds !== true)
  deciding.sort((a, b) => (b.rank ?? 0) - (a.rank ?? 0))
  const groups = [...groupBy(deciding, ({ evidence }) => evidence)]
  const told = groups.slice(0, MAX_GROUPS).map(([evidence, some]) => {
    const those = some.map(({ flow }) => flow)
    return those.length === flows.length && those.length > 1
      ? evidence
      : `${flowNames(those, !holds)}: ${evidence}`
  })
  const rest = groups.slice(MAX_GROUPS).reduce((sum, [, some]) => sum + some.length, 0)
  if (rest > 0) told.push(`… ${formatCounted(rest, 'more flow')}`)
  const share = `${formatCount(meeting.length)} of ${formatCounted(flows.length, 'flow')}`
  const isOfAll = holds || groups[0]![1].length === flows.length
  const count = flows.length === 1 ? '' : `${share}${holds ? '' : ' do'}${isOfAll ? ': ' : ', not '}`
  return {
    holds,
    evidence: count + told.join('; '),
    flows: deciding.map(({ flow }) => flow.id).sort((a, b) => a - b),
  }
}

/** `flow 2 (tcp 172.17.0.3:51306 → 203.0.113.238:80)`, or only the numbers, of several at least. */
function flowNames(flows: readonly FlowReport[], withEnds: boolean): string {
  const ids = flows.map(({ id }) => String(id))
  if (ids.length > 1) return `flows ${listed(ids, MAX_IDS)}`
  const { protocol, client, server } = flows[0]!
  return `flow ${ids[0]}${withEnds ? ` (${protocol} ${renderEnds(client, server, protocol).join(' → ')})` : ''}`
}
