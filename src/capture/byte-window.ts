/** The byte window: a reused buffer over a byte source in which a record always lies in one piece. */

import type { ByteSource } from './byte-source.ts'
import { DamagedDataError } from './decompression.ts'
import { displayText } from './display-text.ts'

/** Room in front of every chunk for the beginning of a record whose end comes with that chunk. */
const HEADROOM_BYTES = 1 << 17

/** A buffer and its view, which are swapped together. */
class Pane {
  readonly bytes: Uint8Array
  readonly view: DataView

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }
}

/**
 * Two buffers in turn: one is read by the parser while the next chunk is on its way into the other, behind some
 * headroom into which the unfinished record moves. Nothing is allocated per chunk; a record larger than the
 * headroom gets one buffer of its own size. `bytes[pos..limit)` is what is there; offsets die with the next `fill`.
 */
export class ByteWindow {
  bytes: Uint8Array
  view: DataView
  pos = HEADROOM_BYTES
  limit = HEADROOM_BYTES
  /** Offset of `bytes[0]` in the (uncompressed) file, in bytes; may be negative. */
  base = -HEADROOM_BYTES
  /** The source has no more bytes than the window holds. */
  ended = false
  /** Why the source ended before its end, or null: the middle of a sentence. */
  problem: string | null = null
  private readonly source: ByteSource
  private readonly panes: [Pane, Pane]
  private next: 0 | 1 = 0
  private large: Pane | null = null
  private coming: Promise<number> | null = null
  private toSkip = 0
  private closing: Promise<void> | null = null

  /** `chunkBytes`: how much is read at a time. */
  constructor(source: ByteSource, chunkBytes: number) {
    this.source = source
    this.panes = [new Pane(HEADROOM_BYTES + chunkBytes), new Pane(HEADROOM_BYTES + chunkBytes)]
    this.bytes = this.panes[1].bytes
    this.view = this.panes[1].view
  }

  /** Whether the bytes went through a decompressor. */
  get compressed(): boolean {
    return this.source.compression !== null
  }

  get consumedBytes(): number {
    return this.source.consumedBytes
  }

  get sizeBytes(): number | null {
    return this.source.sizeBytes
  }

  /** Steps over `count` bytes, also over more than the window holds. False where `fill` has to do the rest. */
  skip(count: number): boolean {
    const here = Math.min(count, this.limit - this.pos)
    this.pos += here
    this.toSkip = count - here
    return this.toSkip === 0
  }

  /** Whether a `skip` has not come to its end. */
  get skipping(): boolean {
    return this.toSkip > 0
  }

  /** Reads until `wanted` bytes lie in one piece at `pos`, or the source has ended. Never rejects: see `problem`. */
  async fill(wanted: number): Promise<void> {
    while (this.toSkip > 0 && !this.ended) {
      await this.turn()
      this.skip(this.toSkip)
    }
    while (this.limit - this.pos < wanted && !this.ended) {
      if (wanted > HEADROOM_BYTES) await this.enlarge(wanted)
      else await this.turn()
    }
  }

  /** May be called again: a descriptor closed twice could be another file's by then. */
  close(): Promise<void> {
    this.closing ??= this.source.close()
    return this.closing
  }

  private async read(into: Uint8Array, offset: number): Promise<number> {
    try {
      return await this.source.read(into, offset)
    } catch (error) {
      this.problem =
        error instanceof DamagedDataError ? error.message : `reading failed (${displayText(String(error))})`
      return 0
    }
  }

  private async turn(): Promise<void> {
    const pane = this.panes[this.next]
    const count = await (this.coming ?? this.read(pane.bytes, HEADROOM_BYTES))
    const left = this.limit - this.pos
    pane.bytes.set(this.bytes.subarray(this.pos, this.limit), HEADROOM_BYTES - left)
    this.show(pane, HEADROOM_BYTES - left, HEADROOM_BYTES + count)
    this.next = this.next === 0 ? 1 : 0
    this.ended = count === 0
    this.coming = this.ended ? null : this.read(this.panes[this.next].bytes, HEADROOM_BYTES)
  }

  private async enlarge(wanted: number): Promise<void> {
    const count = this.coming === null ? 0 : await this.coming
    this.ended = this.coming !== null && count === 0
    this.coming = null
    const left = this.limit - this.pos
    let pane = this.large
    if (pane === null || pane.bytes.length < Math.max(wanted, left + count)) {
      pane = new Pane(2 ** Math.ceil(Math.log2(Math.max(wanted, left + count))))
    }
    this.large = pane
    pane.bytes.set(this.bytes.subarray(this.pos, this.limit))
    pane.bytes.set(this.panes[this.next].bytes.subarray(HEADROOM_BYTES, HEADROOM_BYTES + count), left)
    this.show(pane, 0, left + count)
    while (this.limit < wanted && !this.ended) {
      const more = await this.read(pane.bytes, this.limit)
      this.limit += more
      this.ended = more === 0
    }
  }

  private show(pane: Pane, pos: number, limit: number): void {
    this.base += this.pos - pos
    this.bytes = pane.bytes
    this.view = pane.view
    this.pos = pos
    this.limit = limit
  }
}
