/** Journeys as lines of JSON, for `--journeys`: one packet and all its sightings a line. */

import { harmlessJson } from './harmless.ts'
import type { DirectionName, Encapsulation, Endpoint } from './model.ts'

/** One packet at one point. */
export interface SightingReport {
  point: string
  /** 1-based record numbers in the point's file; several where the point saw the bytes cut into more frames. */
  frames: number[]
  /** ns since 1970 as a decimal string. */
  timeNs: string
  ttl: number
  src: Endpoint
  dst: Endpoint
  /** The tunnels that the packet is inside of, outermost first; nothing where it is in none. */
  encapsulation?: Encapsulation[]
}

export type JourneyOutcome = 'delivered' | 'lost' | 'answered' | 'unseen' | 'ambiguous'

/** One packet and all its sightings, the sender's side first. */
export interface JourneyReport {
  flow: number
  protocol: string
  direction: DirectionName
  sightings: SightingReport[]
  outcome: JourneyOutcome
  /** The last point that saw a lost packet, and the next on its way. */
  lostBetween?: [string, string]
  /** The ICMP error that answered the packet. */
  answeredBy?: { from: string; type: number; code: number; name: string }
  /** What the packet is: `[S] seq 0 len 0`. */
  summary: string
  /** Payload of the transport. */
  lenBytes: number
  retransmission: boolean
}

/** Renders one journey as a line of JSON without its newline. */
export function renderJourneyLine(journey: JourneyReport): string {
  return harmlessJson(JSON.stringify(journey))
}
