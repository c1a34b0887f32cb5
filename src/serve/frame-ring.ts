/** The bytes of the frames that were captured last, for packets that are told soon after. */

import type { CaptureRecord, PointIndex } from '../capture/record.ts'
import type { RecordWriter } from '../joining.ts'

/** Of each frame so much: what a usual link carries whole, so that its checksum can be verified. */
const MAX_FRAME_BYTES = 1600
const RING_BYTES = 48 << 20
/** Frames that are found again; a power of two. */
const RING_FRAMES = 1 << 19

/** A frame in the ring; `bytes[start..end)` is valid until the next frame is added. */
export type KeptFrame = Pick<CaptureRecord, 'bytes' | 'start' | 'end' | 'originalLenBytes' | 'linkType'>

/** Keeps the newest frames in memory that is taken once. Frames are found by their number in the run. */
export class FrameRing implements RecordWriter {
  readonly #bytes: Uint8Array
  readonly #frame = new Uint32Array(RING_FRAMES)
  /** Where a frame begins, counted from the first byte that was ever written. */
  readonly #begin = new Float64Array(RING_FRAMES)
  readonly #keptBytes = new Uint16Array(RING_FRAMES)
  readonly #lenBytes = new Uint32Array(RING_FRAMES)
  readonly #linkType = new Uint16Array(RING_FRAMES)
  /** How many bytes were ever written. */
  #head = 0

  constructor(ringBytes = RING_BYTES) {
    this.#bytes = new Uint8Array(Math.max(ringBytes, MAX_FRAME_BYTES))
  }

  add(_point: PointIndex, { bytes, start, end, frame, originalLenBytes, linkType }: CaptureRecord): void {
    const ring = this.#bytes
    const size = Math.min(end - start, MAX_FRAME_BYTES)
    let at = this.#head % ring.length
    if (at + size > ring.length) {
      this.#head += ring.length - at
      at = 0
    }
    ring.set(bytes.subarray(start, start + size), at)
    const i = frame % RING_FRAMES
    this.#frame[i] = frame
    this.#begin[i] = this.#head
    this.#keptBytes[i] = size
    this.#lenBytes[i] = originalLenBytes
    this.#linkType[i] = linkType
    this.#head += size
  }

  /** Fills `out` with a frame; false where it is not there any more. */
  find(frame: number, out: KeptFrame): boolean {
    const i = frame % RING_FRAMES
    const begin = this.#begin[i]!
    if (this.#frame[i] !== frame || frame === 0 || this.#head - begin > this.#bytes.length) return false
    out.bytes = this.#bytes
    out.start = begin % this.#bytes.length
    out.end = out.start + this.#keptBytes[i]!
    out.originalLenBytes = this.#lenBytes[i]!
    out.linkType = this.#linkType[i]!
    return true
  }
}
