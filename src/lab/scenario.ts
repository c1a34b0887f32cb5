/** A scenario: what travels, where it is captured, what to look for, and what has to come out, in the words of `--expect`. */

import type { Station } from './stations.ts'
import type { Step } from './traffic.ts'

/** A point beside those that a container brings along. */
export interface ScenarioPoint {
  readonly name: string
  readonly station: Station
  readonly interfaceName: string
}

export interface Scenario {
  readonly name: string
  readonly title: string
  /** One sentence each. */
  readonly lookFor: readonly string[]
  /** Captured with their other ends, their bridges and the uplink. */
  readonly containers: readonly Station[]
  readonly points: readonly ScenarioPoint[]
  readonly steps: readonly Step[]
  /** All steps at once. */
  readonly isTogether?: boolean
  /** What holds of the report where nothing is broken. */
  readonly expect: readonly string[]
  /** What is different where a real engine made the rules, as it does by default. */
  readonly withEngine?: Partial<Pick<Scenario, 'lookFor' | 'expect'>>
  /** What the kernel has to have. */
  readonly needs?: 'VXLAN' | 'macvlan'
}

/** What scenarios have in common: who is asked, and points outside of the host. */
export const PAGE = ['203.0.113.10', 80] as const
export const ECHO = ['203.0.113.10', 7] as const
export const PUBLISHED = ['192.168.78.100', 8080] as const
export const LAN: ScenarioPoint = { name: 'router-lan', station: 'router', interfaceName: 'lan0' }
export const WAN: ScenarioPoint = { name: 'router-wan', station: 'router', interfaceName: 'wan0' }
export const INTERNET: ScenarioPoint = { name: 'internet', station: 'internet', interfaceName: 'eth0' }
export const CLIENT: ScenarioPoint = { name: 'client', station: 'host2', interfaceName: 'eth0' }
