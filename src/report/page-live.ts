/** What the server of a live capture tells its pages, each as a server-sent event with a line of JSON. */

import type { FlowReport, Report } from './model.ts'
import type { PageAbout, PagePacket } from './page-data.ts'

/** Where the server has what. */
export const LivePath = {
  page: '/',
  events: '/events',
  capture: '/capture.pcapng',
  report: '/report.html',
  stop: '/stop',
} as const

/** Names of the events, and what each holds. */
export interface LiveEvents {
  /** First of all. */
  hello: LiveHello
  /** Flows that are new or have changed: pieces of the report whose head follows. */
  flows: FlowReport[]
  head: LiveHead
  /** In the order in which they arrived. */
  packets: PagePacket[]
  /** So many packets this page does not get: it was too slow for them. */
  missed: number
  /** The capture has ended, and what came before was all. */
  end: null
}

export interface LiveHello {
  about: PageAbout
  /** Packets that came before those that are still in memory. */
  earlierPackets: number
}

export interface LiveHead {
  report: Omit<Report, 'flows'>
  /** Flows that turned out to be part of others. */
  gone: number[]
  status: LiveStatus
}

export interface LiveStatus {
  /** Since the capture began. */
  elapsedMs: number
  /** Each counted once for all points. */
  packets: number
  packetsPerSecond: number
  /** All flows, also those that no page was told of. */
  flows: number
  /** Packets that no page gets: there were more than anybody could look at. */
  untold: number
  /** Frames that the capture lost, as far as its points know. */
  drops: number
  /** What can be saved. */
  kept: LiveKept
}

export interface LiveKept {
  bytes: number
  /** Why frames are not kept any more; null while they are. */
  problem: string | null
}
