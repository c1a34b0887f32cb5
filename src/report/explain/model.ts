/** The explanation: one packet and its answer, station by station, as plain data; what `explain --json` prints. */

import type { DirectionName, Endpoint, FindingReport } from '../model.ts'

export type { DirectionName, Endpoint } from '../model.ts'

/** One field of a header as a frame has it. */
export interface ExplainedField {
  /** `source`, `TTL`, `checksum`, … */
  name: string
  value: string
  /** It is another one than at the station before. */
  isChanged: boolean
  /** What it was there; only where it changed, and was there. */
  before?: string
  /** What should be known about it: for a checksum, whether it is right, or what it should be. */
  note?: string
}

export interface ExplainedLayer {
  /** `Ethernet`, `IPv4`, `TCP`, …, with `outer`, `inner` or `quoted` in front where there are several. */
  name: string
  /** It was not there at the station before: a tunnel put it on. */
  isNew: boolean
  fields: ExplainedField[]
}

/** Who does something to a packet. */
export type Actor =
  | 'sender'
  | 'cable'
  | 'bridge'
  | 'router'
  | 'netfilter'
  | 'conntrack'
  | 'tunnel'
  | 'offload'
  | 'receiver'
  | 'lost'
  | 'unknown'

/** One thing that happens to the packet: who did it, why, and what it means for the reply. */
export interface Step {
  actor: Actor
  text: string
}

/** The network namespace that a point is in, and where that is known from. */
export interface Whereabouts {
  namespace: string
  /** `receipts`: the capture's own account; `capture`: what it says about its interface; else a guess. */
  knownFrom: 'receipts' | 'capture' | 'name' | 'look'
}

export interface ExplainedStation {
  point: string
  where: Whereabouts
  /** 1-based record numbers in the point's file; several where the packet was cut into more frames here. */
  frames: number[]
  /** After the packet's first sighting, in ns; null for an ICMP error, of which no way was joined. */
  afterNs: number | null
  /** What happened between the station before and this one; at the first: how the packet was made. */
  steps: Step[]
  /** Of the first frame. */
  layers: ExplainedLayer[]
  /** The further frames of the packet, a line each. */
  moreFrames: string[]
  /** Source and destination of the innermost packet. */
  src: Endpoint
  dst: Endpoint
}

export interface ExplainedPacket {
  /** Its number in the flow, both directions counted, from 1; 0 for an ICMP error that is no packet of the flow. */
  number: number
  direction: DirectionName
  /** `[S] seq 0 len 0`. */
  summary: string
  /** What it is for, in a sentence. */
  purpose: string
  stations: ExplainedStation[]
  outcome: string
  /** How it ended: where it arrived, or where it died and why that may be so. */
  ending: Step[]
}

/** One entry in a connection tracking table. */
export interface Mapping {
  /** Where: the points between which the kernel that keeps it is. Both are the same where only its result was seen. */
  between: [string, string]
  /** As `conntrack -L` prints it, without the seconds that are left. */
  entry: string
  /** What it means. */
  text: string
  /** `receipts`: the kernel's own account; `frames`: derived from what was seen. */
  knownFrom: 'receipts' | 'frames'
}

export interface Explanation {
  schema: 'hoptrace.explain/1'
  flow: {
    id: number
    protocol: string
    client: Endpoint
    server: Endpoint
    /** Packets of the flow, both directions. */
    packets: number
    /** Names of the containers and hosts that have these addresses. */
    names: Record<string, string>
  }
  packets: ExplainedPacket[]
  mappings: Mapping[]
  /** Findings about the flow. */
  findings: FindingReport[]
}
