/** What can be measured of one flow: how far the TTL falls, how long the round trip and each part of the way take. */

import type { FlowReport } from '../model.ts'
import { formatDurationNs } from '../quantities.ts'
import {
  type Answer,
  type Comparison,
  compares,
  type FlowCondition,
  listed,
  unknownPoint,
} from './condition.ts'

export const STATISTICS = { min: 'minNs', median: 'medianNs', p99: 'p99Ns' } as const
export type Statistic = keyof typeof STATISTICS
const MAX_PAIRS = 12
/** Nearer to the limit than one part in so many, three digits would not show on which side a value is. */
const CLOSE = 100

/** By how much the TTL falls from the first to the last point that saw the flow. */
export function ttlDrop(comparison: Comparison): FlowCondition {
  return {
    about: 'flow',
    ask({ forward, reverse }): Answer {
      const path = forward.path.length > 0 ? forward.path : reverse.path
      const [first, last] = [path[0], path.at(-1)]
      if (first === undefined || last === undefined || path.length < 2)
        return { holds: null, evidence: `seen only at ${first?.point ?? 'no point'}` }
      const drop = first.ttl - last.ttl
      return {
        holds: compares(drop, comparison),
        evidence: `TTL falls by ${drop}: ${first.ttl} at ${first.point}, ${last.ttl} at ${last.point}`,
      }
    },
  }
}

/** Round trip of the handshake or of request and reply. */
export function roundTrip(comparison: Comparison): FlowCondition {
  return {
    about: 'flow',
    ask({ rttNs }): Answer {
      if (rttNs === null) return { holds: null, evidence: 'no round trip was seen' }
      return {
        holds: compares(rttNs, comparison),
        evidence: exactly(rttNs, comparison),
        rank: rankOf(rttNs, comparison),
      }
    },
  }
}

/** A statistic of the time between two points; in both directions, unless one is wanted. */
export function latency(
  statistic: Statistic,
  points: readonly [string, string],
  direction: 'forward' | 'reverse' | null,
  comparison: Comparison,
): FlowCondition {
  const key = STATISTICS[statistic]
  const isBetween = ([near, far]: readonly string[]) =>
    (near === points[0] && far === points[1]) || (near === points[1] && far === points[0])
  return {
    about: 'flow',
    obstacle: (report) => unknownPoint(points, report),
    ask(flow): Answer {
      const measured = flow.latency.filter(
        (it) => isBetween(it.between) && (direction === null || it.direction === direction),
      )
      if (measured.length === 0)
        return { holds: null, evidence: notMeasured(flow, `${points[0]} and ${points[1]}`) }
      const texts = measured.map((it) => `${exactly(it[key], comparison)} ${it.direction}`)
      return {
        holds: measured.every((it) => compares(it[key], comparison)),
        evidence: `${statistic} ${listed(texts, 4)}`,
        rank: Math.max(...measured.map((it) => rankOf(it[key], comparison))),
      }
    },
  }
}

function notMeasured(flow: FlowReport, places: string): string {
  const pairs = new Set(flow.latency.map(({ between, direction }) => towardsServer(between, direction)))
  const those = pairs.size === 0 ? 'none was' : `there are ${listed([...pairs], MAX_PAIRS)}`
  return `no latency was measured between ${places}: ${those}`
}

function towardsServer([near, far]: readonly [string, string], direction: string): string {
  return direction === 'reverse' ? `(${far},${near})` : `(${near},${far})`
}

/** A duration, to the nanosecond where it is close to the limit. */
function exactly(ns: number, { limit }: Comparison): string {
  const text = formatDurationNs(ns)
  return ns !== limit && Math.abs(ns - limit) < limit / CLOSE ? `${text} (${ns} ns)` : text
}

function rankOf(value: number, { operator }: Comparison): number {
  return operator.startsWith('>') ? -value : value
}
