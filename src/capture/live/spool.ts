/** The spool: takes in what a pipe gives as soon as it comes, up to a limit, so that the writer need not wait for us. */

import type { ByteSource } from '../byte-source.ts'

/** As much room there has to be before the next read: reads of a few bytes would cost more than they bring. */
const READ_BYTES = 1 << 16

/**
 * A ring of bytes between a pipe and the parser. It reads ahead while there is room: when there is none, the pipe
 * fills up and the writer waits.
 */
export class Spool implements ByteSource {
  readonly sizeBytes: number | null = null
  readonly compression = null
  /** Called when it has come to be more than half full. */
  onPressed = () => {}
  /** Bytes that came in and were not read yet. */
  heldBytes = 0
  /** Nothing more comes in. */
  hasEnded = false
  readonly #source: ByteSource
  readonly #ring: Uint8Array
  /** Where the oldest byte lies. */
  #head = 0
  #failure: unknown = null
  #wakeReader: (() => void) | null = null
  #wakePump: (() => void) | null = null

  /** Reads at once; `capacityBytes` are the most it holds. */
  constructor(source: ByteSource, capacityBytes: number) {
    this.#source = source
    this.#ring = new Uint8Array(capacityBytes)
    void this.#pump()
  }

  get consumedBytes(): number {
    return this.#source.consumedBytes
  }

  /** More than half of the room is taken. */
  get isPressed(): boolean {
    return this.heldBytes > this.#ring.length / 2
  }

  /** Somebody waits for bytes and there are none: all that came in was read. */
  get isStarved(): boolean {
    return this.#wakeReader !== null
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    while (this.heldBytes === 0) {
      if (this.#failure !== null) throw this.#failure
      if (this.hasEnded) return 0
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
    }
    const inOnePiece = Math.min(this.heldBytes, this.#ring.length - this.#head)
    const count = Math.min(inOnePiece, into.length - offset)
    into.set(this.#ring.subarray(this.#head, this.#head + count), offset)
    this.#head = (this.#head + count) % this.#ring.length
    this.heldBytes -= count
    this.#wakePump?.()
    this.#wakePump = null
    return count
  }

  /** Takes no more from the pipe; what is held can still be read. */
  async endInput(): Promise<void> {
    await this.#source.close()
  }

  async close(): Promise<void> {
    this.heldBytes = 0
    this.#end()
    this.#wakePump?.()
    await this.#source.close()
  }

  async #pump(): Promise<void> {
    const { length } = this.#ring
    const enough = Math.min(READ_BYTES, Math.ceil(length / 4))
    try {
      while (!this.hasEnded) {
        if (length - this.heldBytes < enough) {
          await new Promise<void>((resolve) => {
            this.#wakePump = resolve
          })
          continue
        }
        const tail = (this.#head + this.heldBytes) % length
        const end = tail < this.#head ? this.#head : length
        const count = await this.#source.read(this.#ring.subarray(tail, end), 0)
        if (count === 0 || this.hasEnded) break
        const wasPressed = this.isPressed
        this.heldBytes += count
        this.#rouse()
        if (this.isPressed && !wasPressed) this.onPressed()
      }
    } catch (error) {
      this.#failure = error
    }
    this.#end()
  }

  #end(): void {
    this.hasEnded = true
    this.#rouse()
  }

  #rouse(): void {
    this.#wakeReader?.()
    this.#wakeReader = null
  }
}
