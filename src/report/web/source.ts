/** Where the page has its data from: the file itself, or a running capture. */

import type { ReadonlySignal } from '@preact/signals'
import type { Report } from '../model.ts'
import type { PageAbout, PagePacket } from '../page-data.ts'

/** Packets of one flow, in the order of their numbers. */
export interface FlowPackets {
  /** Those that are here; more may follow. */
  readonly packets: readonly PagePacket[]
  /** `reading`: the page holds more and is unpacking them; `unreadable`: it can't. */
  readonly state: 'reading' | 'here' | 'unreadable'
}

export interface PageSource {
  readonly about: PageAbout
  readonly report: ReadonlySignal<Report>
  /** It grows while the page is open. */
  readonly isLive: boolean
  /**
   * The packets of a flow. The signal has null until some are there. Who asks soon again gets the same signal. One that
   * has told that none is left tells nothing more: then it has to be asked for anew.
   */
  packetsOf(flow: number): ReadonlySignal<FlowPackets | null>
}
