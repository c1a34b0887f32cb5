/** Block buffer: pcapng blocks and options put together, little-endian and padded, in a buffer that is reused. */

const INITIAL_BYTES = 1 << 18
/** The largest option value whose padding still fits its 16-bit length. */
const MAX_OPTION_BYTES = 65_532

const utf8 = new TextEncoder()

/** Blocks one behind the other. Everything between `begin` and `end` is inside one block. */
export class BlockBuffer {
  /** Bytes in the buffer. */
  length = 0
  private bytes = new Uint8Array(INITIAL_BYTES)
  private view = new DataView(this.bytes.buffer)
  private blockStart = 0

  /** Whether it is time to hand the blocks on. */
  get full(): boolean {
    return this.length >= INITIAL_BYTES / 2
  }

  /** What is in the buffer; valid until the next change. */
  get contents(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  clear(): void {
    this.length = 0
  }

  begin(type: number): void {
    this.blockStart = this.length
    this.reserve(12)
    this.u32(type)
    this.u32(0)
  }

  end(): void {
    this.reserve(4)
    const blockBytes = this.length + 4 - this.blockStart
    this.view.setUint32(this.blockStart + 4, blockBytes, true)
    this.u32(blockBytes)
  }

  /** Two 16-bit fields. Like `u32`, asks for room to be reserved. */
  u16Pair(first: number, second: number): void {
    this.view.setUint16(this.length, first, true)
    this.view.setUint16(this.length + 2, second, true)
    this.length += 4
  }

  u32(value: number): void {
    this.view.setUint32(this.length, value, true)
    this.length += 4
  }

  /** Bytes and their padding to a multiple of four. */
  padded(source: Uint8Array, start = 0, end: number = source.length): void {
    const size = end - start
    this.reserve(size + 4)
    const { bytes, length } = this
    const next = length + ((size + 3) & ~3)
    // A view and a call cost less than a loop over even a small frame.
    bytes.set(source.subarray(start, end), length)
    for (let to = length + size; to < next; to++) bytes[to] = 0
    this.length = next
  }

  option(code: number, value: Uint8Array): void {
    const fitting = value.subarray(0, MAX_OPTION_BYTES)
    this.reserve(4)
    this.u16Pair(code, fitting.length)
    this.padded(fitting)
  }

  /** A UTF-8 option; nothing where there is no text. */
  textOption(code: number, text: string | undefined): void {
    if (text !== undefined) this.option(code, utf8.encode(text))
  }

  u32Option(code: number, value: number): void {
    this.reserve(8)
    this.u16Pair(code, 4)
    this.u32(value)
  }

  /** `value` is a whole number below 2^53. */
  u64Option(code: number, value: number): void {
    this.reserve(12)
    this.u16Pair(code, 8)
    const high = Math.floor(value / 4294967296)
    this.u32(value - high * 4294967296)
    this.u32(high)
  }

  /** opt_endofopt, which is also nrb_record_end. */
  endOptions(): void {
    this.reserve(4)
    this.u32(0)
  }

  /** Makes room; doubles the buffer where there is none. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.bytes.length) return
    const larger = new Uint8Array(Math.max(needed, 2 * this.bytes.length))
    larger.set(this.contents)
    this.bytes = larger
    this.view = new DataView(larger.buffer)
  }
}
