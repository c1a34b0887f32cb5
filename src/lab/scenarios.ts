/** All scenarios, in the order in which they are taught. */

import { HoptraceError } from '../errors.ts'
import { FURTHER_SCENARIOS } from './further-scenarios.ts'
import { NAT_SCENARIOS } from './nat-scenarios.ts'
import type { Scenario } from './scenario.ts'
import { hasEngine, type LabNames } from './stations.ts'

export const SCENARIOS: readonly Scenario[] = [...NAT_SCENARIOS, ...FURTHER_SCENARIOS]

/** A scenario as it comes out in this lab. */
export function scenarioIn(names: LabNames, scenario: Scenario): Scenario {
  return hasEngine(names) ? { ...scenario, ...scenario.withEngine } : scenario
}

/** Throws a `HoptraceError` that says where they are listed, where `text` is none of them. */
export function scenarioNamed(text: string): Scenario {
  const scenario = SCENARIOS.find(({ name }) => name === text)
  if (scenario === undefined)
    throw new HoptraceError(
      `there is no scenario of that name: choose one of ${SCENARIOS.map(({ name }) => name).join(', ')}`,
    )
  return scenario
}
