/** The live source: a running capture at one point, read without waiting. */

import type { CaptureInterface } from '../reader.ts'
import type { CaptureRecord } from '../record.ts'

export interface LiveSource {
  /** Descriptor that `poll(2)` reports as readable when frames are there; -1 where `onReady` is called instead. */
  readonly fd: number
  /** Set by whoever waits; a source without a descriptor calls it when frames have come in, or when it has ended. */
  onReady: () => void
  /** Refilled by `advance()`; it and its bytes are valid until the next `advance()` or `close()`. */
  readonly record: CaptureRecord
  /** LINKTYPE_ value. */
  readonly linkType: number
  /** Bytes kept of a frame at most, 0 for all. */
  readonly snapLenBytes: number
  /** True: `record` is the next frame. False: there is none at the moment. Never throws, never waits. */
  advance(): boolean
  /**
   * The time up to which every frame has been given out once `advance()` has said false, in ns of the run, when the
   * wall clock says `nowNs`. Frames that are older may still come, but late.
   */
  horizonNs(nowNs: number): number
  /** An eighth of the buffer or more waits: it is time to look more often. */
  readonly isFilling: boolean
  /** What is buffered nears its limit: frames have to be taken now, whatever the other points do. */
  readonly isPressed: boolean
  /** Frames that the capture has lost so far, or null where it does not say. May ask the kernel. */
  drops(): number | null
  /** No further frame will come, once `advance()` says false. */
  readonly ended: boolean
  /** Why it ended before it was told to, as one line for the user; null where all is well. */
  readonly problem: string | null
  /** Ends the capture: what is buffered can still be had with `advance()`, until `close()`. */
  stop(): void
  /** Frees everything. */
  close(): void
}

/** The clock by which a source's frames have their times, where it is not this machine's. */
export interface SourceClock {
  /** False: times can't be compared with this machine's yet. */
  readonly isKnown: boolean
  /** What this machine's clock showed when that one showed `ownNs`. */
  correctedNs(ownNs: number): number
}

/** A program's output may describe several interfaces, and describes them as it goes. */
export type LaneSource = LiveSource & {
  readonly interfaces?: readonly CaptureInterface[] | undefined
  /** Its records keep the times of their own clock; `horizonNs` is by this machine's. */
  clock?: SourceClock | null
  /** `poll(2)` has reported an error of the descriptor. */
  noteError?(): void
}
