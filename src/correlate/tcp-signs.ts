/** TCP signs: what of a direction's segments says that something is wrong, beside what was lost (RFC 9293). */

import type { PointIndex } from '../capture/record.ts'
import { type Headers, TcpFlag } from '../decode/headers.ts'
import { SparseCounts } from './columns.ts'
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

export class TcpSigns {
  /** IP length of the largest packet with payload, and the first sequence number that came in one so large. */
  readonly #largestLenBytes = new SparseCounts()
  readonly #largestSeq = new SparseCounts()
  readonly #resets = new Map<DirectionIndex, FirstReset>()
  readonly #zeroWindows = new Map<DirectionIndex, ZeroWindows>()
  readonly #resent = new Map<DirectionIndex, Resent>()

  /** Notes a packet of the direction, at the point that sees it first. */
  note(direction: DirectionIndex, headers: Headers, point: PointIndex, frame: number): void {
    const { tcpFlags } = headers
    if (headers.payloadLenBytes > 0 && headers.ipTotalLenBytes > this.#largestLenBytes.get(direction)) {
      this.#largestLenBytes.set(direction, headers.ipTotalLenBytes)
      this.#largestSeq.set(direction, headers.tcpSeq)
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

  /** Was no packet as large as the largest one sent before this sequence number? RFC 9293 sequence arithmetic. */
  isLargestFrom(direction: DirectionIndex, seq: number): boolean {
    return this.#largestLenBytes.get(direction) > 0 && ((this.#largestSeq.get(direction) - seq) | 0) >= 0
  }

  /** `from` turned out to be the same direction as `into`. */
  merge(into: DirectionIndex, from: DirectionIndex): void {
    if (this.#largestLenBytes.get(from) > this.#largestLenBytes.get(into)) {
      this.#largestLenBytes.set(into, this.#largestLenBytes.get(from))
      this.#largestSeq.set(into, this.#largestSeq.get(from))
    }
    for (const map of [this.#resets, this.#zeroWindows, this.#resent] as Map<DirectionIndex, unknown>[]) {
      if (map.has(from) && !map.has(into)) map.set(into, map.get(from))
      map.delete(from)
    }
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
