/** TCP signs: what of a direction's segments says that something is wrong, beside what was lost (RFC 9293). */

import type { PointIndex } from '../capture/record.ts'
import { type Headers, TcpFlag } from '../decode/headers.ts'
import { SparseCounts, SparseTimes } from './columns.ts'
import type { DirectionIndex } from './flows.ts'

/** The first RST of a direction, where it was seen first. */
export interface FirstReset {
  point: PointIndex
  frame: number
  ttl: number
}

/** Segments with a window of zero: the receiver's buffer was full. */
export interface ZeroWindows {
  packets: number
  point: PointIndex
  /** First few record numbers at that point. */
  frames: number[]
}

/** Bytes that were sent again and again. */
export interface Resent {
  seq: number
  times: number
  /** IP length of the largest packet that carried them again. */
  lenBytes: number
}

const EVIDENCE_FRAMES = 4
/** Hardly a link takes less than this (RFC 1191, section 7.1: the plateau below those of Ethernets). */
const SMALL_BYTES = 1006
/** Who says more after such a pause, though nobody has answered, does not wait for an answer, in ns. */
const PAUSE_NS = 2e9

export class TcpSigns {
  /** The first sequence number that came in a packet which is not small, and whether there is one. */
  readonly #largeSeq = new SparseCounts()
  readonly #hasLarge = new SparseCounts()
  /** When payload was seen last, and whether some came after a pause. */
  readonly #dataNs = new SparseTimes()
  readonly #hasPaused = new SparseCounts()
  readonly #resets = new Map<DirectionIndex, FirstReset>()
  readonly #zeroWindows = new Map<DirectionIndex, ZeroWindows>()
  readonly #resent = new Map<DirectionIndex, Resent>()

  /** Notes a packet of the direction, at the point that sees it first. */
  note(direction: DirectionIndex, headers: Headers, point: PointIndex, frame: number, timeNs: number): void {
    const { tcpFlags } = headers
    if (headers.payloadLenBytes > 0) {
      if (timeNs - this.#dataNs.get(direction) > PAUSE_NS) this.#hasPaused.set(direction, 1)
      this.#dataNs.set(direction, timeNs)
      if (headers.ipTotalLenBytes > SMALL_BYTES) this.#noteLarge(direction, headers.tcpSeq)
    }
    if (tcpFlags & TcpFlag.Rst) {
      if (!this.#resets.has(direction)) this.#resets.set(direction, { point, frame, ttl: headers.ttl })
    } else if (headers.tcpWindow === 0 && (tcpFlags & (TcpFlag.Syn | TcpFlag.Fin)) === 0)
      this.#noteZeroWindow(direction, point, frame)
  }

  /** Notes that bytes were sent again. `isAcked`: those that were noted last have arrived meanwhile. */
  noteResent(direction: DirectionIndex, headers: Headers, isAcked: (seqEnd: number) => boolean): void {
    const seq = headers.tcpSeq >>> 0
    const known = this.#resent.get(direction)
    if (known?.seq === seq) {
      known.times++
      known.lenBytes = Math.max(known.lenBytes, headers.ipTotalLenBytes)
    } else if (!known || ((seq - known.seq) | 0) < 0 || isAcked(known.seq + 1))
      this.#resent.set(direction, { seq, times: 1, lenBytes: headers.ipTotalLenBytes })
  }

  reset(direction: DirectionIndex): FirstReset | null {
    return this.#resets.get(direction) ?? null
  }

  zeroWindows(direction: DirectionIndex): ZeroWindows | null {
    return this.#zeroWindows.get(direction) ?? null
  }

  /** The earliest bytes that were sent again and not known to have arrived when they were. */
  resent(direction: DirectionIndex): Resent | null {
    return this.#resent.get(direction) ?? null
  }

  /** Is there a packet that is not small, and none of them before this sequence number? */
  isFirstLarge(direction: DirectionIndex, { seq, lenBytes }: Resent): boolean {
    if (lenBytes <= SMALL_BYTES || this.#hasLarge.get(direction) === 0) return false
    return ((this.#largeSeq.get(direction) - seq) | 0) >= 0
  }

  /** When payload was seen last in ns of the run, NaN for never. */
  dataNs(direction: DirectionIndex): number {
    return this.#dataNs.get(direction)
  }

  /** Did it send more after a pause? */
  hasPaused(direction: DirectionIndex): boolean {
    return this.#hasPaused.get(direction) === 1
  }

  /** `from` turned out to be the same direction as `into`. */
  merge(into: DirectionIndex, from: DirectionIndex): void {
    if (this.#hasLarge.get(from) === 1) this.#noteLarge(into, this.#largeSeq.get(from))
    const fromNs = this.#dataNs.get(from)
    if (!Number.isNaN(fromNs) && !(this.#dataNs.get(into) >= fromNs)) this.#dataNs.set(into, fromNs)
    if (this.#hasPaused.get(from) === 1) this.#hasPaused.set(into, 1)
    for (const map of [this.#resets, this.#zeroWindows, this.#resent] as Map<DirectionIndex, unknown>[]) {
      if (map.has(from) && !map.has(into)) map.set(into, map.get(from))
      map.delete(from)
    }
  }

  #noteLarge(direction: DirectionIndex, seq: number): void {
    if (this.#hasLarge.get(direction) === 1 && ((seq - this.#largeSeq.get(direction)) | 0) >= 0) return
    this.#hasLarge.set(direction, 1)
    this.#largeSeq.set(direction, seq)
  }

  #noteZeroWindow(direction: DirectionIndex, point: PointIndex, frame: number): void {
    const known = this.#zeroWindows.get(direction)
    if (!known) {
      this.#zeroWindows.set(direction, { packets: 1, point, frames: [frame] })
      return
    }
    known.packets++
    if (known.point === point && known.frames.length < EVIDENCE_FRAMES) known.frames.push(frame)
  }
}
