/** The record: one frame as a capture file or a live ring hands it over, and the point where it was seen. */

import type { ClockError } from './clock.ts'

/** Index into the list of points of one run. */
export type PointIndex = number

/** A time at which a point was not captured, in ns of the run; infinite where it had not begun, or has not ended. */
export interface Gap {
  fromNs: number
  toNs: number
}

/** A place where frames are seen (IPFIX: observation point). Counters grow while its records are read. */
export interface Point {
  readonly index: PointIndex
  readonly name: string
  /** The file (or `-`) that the records come from, as the user named it. */
  readonly source: string
  /** LINKTYPE_ value, see `link-types.ts`. */
  readonly linkType: number
  /** Name of the point at the next interface towards the way out, where whoever captured knew it, else null. */
  readonly next: string | null
  /** The error of its clock, which was taken off its records' times; null where they are as recorded. */
  clock: ClockError | null
  packets: number
  /** Sum of the original lengths on the wire, in bytes. */
  bytes: number
  /** Times relative to the run's epoch, in ns; NaN while no record was seen. */
  firstNs: number
  lastNs: number
  /** Frames that the capture itself lost, or null where the file does not say. */
  captureDrops: number | null
  /** Records whose time is before that of the record in front of them in the same file. */
  timeReversals: number
  /** The farthest that such a record goes back, in ns: µs are CPUs taking turns, seconds are a clock that was set. */
  largestReversalNs: number
  /** Records that hold less than the original frame (snaplen). */
  snapped: number
  /** When its capture had stopped while others of its source went on; in the order of time. */
  readonly gaps: Gap[]
  /** No further record will come from this point. */
  ended: boolean
}

/**
 * One captured frame. A reader owns one of these and refills it for every record: `bytes[start..end)` and all other
 * fields are valid until the reader's next `advance()`; whoever wants to keep something copies it.
 */
export class CaptureRecord {
  /** The reader's own buffer: never keep it. */
  bytes: Uint8Array = new Uint8Array(0)
  /** Offset of the frame's first captured byte in `bytes`. */
  start = 0
  /** Offset behind the frame's last captured byte in `bytes`. */
  end = 0
  /** Length of the frame on the wire, in bytes; at least the captured length in honest files, anything in others. */
  originalLenBytes = 0
  /** ns since the run's epoch (see `Epoch`): a float64 stays exact for 104 days around it. */
  timeNs = 0
  /** LINKTYPE_ value of the interface that saw the frame. */
  linkType = 0
  /** 1-based number of the record in its file, as Wireshark's `frame.number`. */
  frame = 0
  /** Interface number inside the file: 0 in pcap, counted over all sections in pcapng. */
  interfaceIndex = 0
  /** Offset of the record's header in the (uncompressed) file, in bytes. */
  fileOffset = 0
  /** `epb_flags`, or 0 where the file has none. */
  flags = 0
}

/**
 * The instant that all `timeNs` of a run count from: whole seconds since 1970, fixed by the first record that is read.
 * It keeps nanosecond times inside the 53 bits of a number.
 */
export class Epoch {
  /** Seconds since 1970-01-01 UTC, or NaN before the first record. */
  seconds = Number.NaN

  /** Nanoseconds since 1970 of a `timeNs` of this run. */
  toUnixNs(timeNs: number): bigint {
    return BigInt(this.seconds) * 1_000_000_000n + BigInt(Math.round(timeNs))
  }
}
