/** What can be counted over one flow or all of them: packets, losses, findings. */

import { SEVERITY } from '../../diagnose/finding.ts'
import type { FindingReport, FlowReport, Severity } from '../model.ts'
import { formatCount, formatCounted } from '../quantities.ts'
import { type Answer, type Comparison, compares, listed, type Seen, type SumCondition } from './condition.ts'
import { placesOf } from './flow-conditions.ts'

const MAX_PIECES = 5
const MAX_SUMMARIES = 3
const RANK: Record<Severity, number> = { info: 0, warning: 1, error: 2 }

/** Severities, the least first. */
export const SEVERITIES = Object.keys(RANK) as readonly Severity[]
/** Codes of findings that there can be. */
export const CODES: readonly string[] = Object.keys(SEVERITY)

interface Tally {
  /** What is counted, and what follows the noun. */
  noun: string
  what?: string
  count(flow: FlowReport): number
  /** Where the number comes from, in words. */
  detail?(flow: FlowReport): string
  /** It can only be seen by comparing points. */
  comparesPoints?: true
}

const FLOW_TALLIES: Record<string, Tally> = {
  packets: {
    noun: 'packet',
    count: ({ forward, reverse }) => forward.packets + reverse.packets,
    detail: ({ forward, reverse }) => bothWays(forward.packets, reverse.packets),
  },
  lost: {
    noun: 'packet',
    what: ' lost',
    count: ({ lost }) => sumOf(lost),
    detail: ({ lost }) =>
      lost
        .map(({ direction, between: [a, b], packets }) => `${packets} ${direction} from ${a} to ${b}`)
        .join(', '),
    comparesPoints: true,
  },
  unseen: {
    noun: 'packet',
    what: ' unseen',
    count: ({ unseen }) => sumOf(unseen),
    detail: ({ unseen }) =>
      unseen.map(({ direction, point, packets }) => `${packets} ${direction} at ${point}`).join(', '),
    comparesPoints: true,
  },
  retransmissions: {
    noun: 'packet',
    what: ' sent again',
    count: ({ retransmissions }) => retransmissions.forward + retransmissions.reverse,
    detail: ({ retransmissions: { forward, reverse } }) => bothWays(forward, reverse),
  },
  duplicates: {
    noun: 'frame',
    what: ' seen twice at one point',
    count: ({ duplicates }) => duplicates,
  },
  ambiguous: {
    noun: 'packet',
    what: ' not told apart',
    count: ({ ambiguous }) => ambiguous,
    comparesPoints: true,
  },
}

const FINDING_TALLIES: Record<string, Severity | null> = {
  findings: null,
  errors: 'error',
  warnings: 'warning',
}

/** Words for what can be counted. */
export const TALLY_WORDS: readonly string[] = [
  'flows',
  ...Object.keys(FLOW_TALLIES),
  ...Object.keys(FINDING_TALLIES),
]

/** The number of what `word`, one of `TALLY_WORDS`, stands for. */
export function tallied(word: string, comparison: Comparison): SumCondition {
  if (word === 'flows') return flowCount(comparison)
  const severity = FINDING_TALLIES[word]
  if (severity !== undefined)
    return findingCount(
      (finding) => severity === null || finding.severity === severity,
      word.slice(0, -1),
      comparison,
    )
  const tally = FLOW_TALLIES[word]!
  return {
    about: 'sum',
    standsWithoutFlows: false,
    ask({ flows }): Answer {
      const some = flows.filter((flow) => tally.count(flow) > 0)
      const total = some.reduce((sum, flow) => sum + tally.count(flow), 0)
      if (total === 0 && tally.comparesPoints && !flows.some(isComparable))
        return { holds: null, evidence: 'no flow was seen at two points, to be compared' }
      const details = some.map(
        (flow) => `flow ${flow.id}: ${tally.detail?.(flow) ?? formatCount(tally.count(flow))}`,
      )
      const count = formatCounted(total, tally.noun) + (tally.what ?? '')
      const told =
        total === 0 ? ` in ${formatCounted(flows.length, 'flow')}` : `: ${listed(details, MAX_PIECES, '; ')}`
      return {
        holds: compares(total, comparison),
        evidence: count + told + (tally.comparesPoints ? reservations(word, flows) : ''),
        flows: some.map(({ id }) => id),
      }
    },
  }
}

function flowCount(comparison: Comparison): SumCondition {
  return {
    about: 'sum',
    standsWithoutFlows: true,
    ask: ({ flows }) => ({
      holds: compares(flows.length, comparison),
      evidence: formatCounted(flows.length, 'flow'),
      flows: flows.map(({ id }) => id),
    }),
  }
}

/** There is a finding with this code, or there is none. */
export function hasCode(code: string, isNot: boolean): SumCondition {
  return findings((finding) => finding.code === code, isNot, `no ${code}`)
}

/** There is a finding at least so severe, or there is none. */
export function hasSeverity(severity: Severity, isNot: boolean): SumCondition {
  const noun =
    severity === 'info'
      ? 'no finding'
      : `no finding of severity ${severity}${severity === 'error' ? '' : ' or above'}`
  return findings((finding) => (RANK[finding.severity] ?? RANK.error) >= RANK[severity], isNot, noun)
}

function findings(isMeant: (finding: FindingReport) => boolean, isNot: boolean, none: string): SumCondition {
  return {
    about: 'sum',
    // What is there is there; what is not there says something only about flows that were seen.
    standsWithoutFlows: !isNot,
    ask(seen: Seen): Answer {
      const some = seen.findings.filter(isMeant)
      if (some.length > 0) return { holds: !isNot, ...toldFindings(some) }
      const codes = [...new Set(seen.findings.map(({ code }) => code))]
      const others = codes.length === 0 ? 'none at all' : `only ${listed(codes, MAX_PIECES)}`
      return { holds: isNot, evidence: `${none}: ${others}` }
    },
  }
}

function findingCount(
  isMeant: (finding: FindingReport) => boolean,
  noun: string,
  comparison: Comparison,
): SumCondition {
  return {
    about: 'sum',
    standsWithoutFlows: false,
    ask(seen): Answer {
      const some = seen.findings.filter(isMeant)
      const holds = compares(some.length, comparison)
      if (some.length === 0) return { holds, evidence: `no ${noun}` }
      const { evidence, flows } = toldFindings(some)
      return { holds, evidence: `${formatCounted(some.length, noun)}: ${evidence}`, flows }
    },
  }
}

function toldFindings(some: readonly FindingReport[]): { evidence: string; flows: number[] } {
  const texts = some.map(({ code, flow, summary }) => {
    const whose = flow === null ? '' : ` of flow ${flow}`
    return `${code}${whose} (${summary})`
  })
  return {
    evidence: listed(texts, MAX_SUMMARIES, '; '),
    flows: [...new Set(some.flatMap(({ flow }) => flow ?? []))],
  }
}

/** What a number does not count, as it could not be seen. */
function reservations(word: string, flows: readonly FlowReport[]): string {
  const alone = flows.filter((flow) => !isComparable(flow)).length
  const unseen = word === 'lost' ? flows.reduce((sum, flow) => sum + sumOf(flow.unseen), 0) : 0
  return [
    ...(alone > 0 ? [`; ${formatCounted(alone, 'flow')} seen at one point only`] : []),
    ...(unseen > 0 ? [`; ${formatCounted(unseen, 'packet')} unseen, for other reasons`] : []),
  ].join('')
}

function bothWays(forward: number, reverse: number): string {
  return `${formatCount(forward)} forward, ${formatCount(reverse)} reverse`
}

function isComparable(flow: FlowReport): boolean {
  return placesOf(flow).length > 1 || flow.reverse.path.length > 1
}

function sumOf(list: readonly { packets: number }[]): number {
  return list.reduce((sum, { packets }) => sum + packets, 0)
}
