/** The head of a pipe: what comes first is kept, so that it can be looked at before the pipe is read for good. */

import { type ByteSource, openRawSource } from './byte-source.ts'

/** Bytes that are asked for at a time. */
const CHUNK_BYTES = 1 << 16

/** A pipe that can be read only once, and its first bytes as often as one likes until then. */
export class PipeHead implements ByteSource {
  readonly sizeBytes = null
  readonly compression = null
  /** As much has come as is to be looked at; some more is taken in meanwhile, so that the writer need not wait. */
  isFull = false
  /** Resolves when it is full, or when the pipe has ended. */
  readonly settled: Promise<void>
  readonly #source: ByteSource
  readonly #chunks: Uint8Array[] = []
  /** Of the first chunk, so many bytes were given out for good, and of all. */
  #taken = 0
  #given = 0
  readonly #filling: Promise<void>
  #isWanted = true
  #failure: unknown = null

  /** Opens the pipe and begins to read: twice `enoughBytes` at the most. Rejects with the system's error. */
  static async open(path: string, enoughBytes: number): Promise<PipeHead> {
    return new PipeHead(await openRawSource(path), enoughBytes)
  }

  private constructor(source: ByteSource, enoughBytes: number) {
    this.#source = source
    let settle = () => {}
    this.settled = new Promise((resolve) => {
      settle = resolve
    })
    this.#filling = this.#fill(enoughBytes, settle).then(settle)
  }

  get consumedBytes(): number {
    return this.#given
  }

  /** What is there by now, from the beginning; it ends where that ends. */
  preview(): ByteSource {
    return new Preview([...this.#chunks])
  }

  /** From the first call on, the bytes go by, and nothing more is kept. */
  async read(into: Uint8Array, offset: number): Promise<number> {
    this.#isWanted = false
    if (this.#chunks.length === 0) await this.#filling
    const [chunk] = this.#chunks
    if (chunk === undefined) {
      if (this.#failure !== null) throw this.#failure
      const count = await this.#source.read(into, offset)
      this.#given += count
      return count
    }
    const count = Math.min(into.length - offset, chunk.length - this.#taken)
    into.set(chunk.subarray(this.#taken, this.#taken + count), offset)
    this.#taken += count
    this.#given += count
    if (this.#taken === chunk.length) {
      this.#chunks.shift()
      this.#taken = 0
    }
    return count
  }

  close(): Promise<void> {
    this.#isWanted = false
    return this.#source.close()
  }

  async #fill(enoughBytes: number, settle: () => void): Promise<void> {
    let lenBytes = 0
    try {
      while (this.#isWanted && lenBytes < 2 * enoughBytes) {
        const chunk = new Uint8Array(CHUNK_BYTES)
        const count = await this.#source.read(chunk, 0)
        if (count === 0) break
        // A quiet pipe gives a few bytes at a time.
        this.#chunks.push(count < CHUNK_BYTES / 2 ? chunk.slice(0, count) : chunk.subarray(0, count))
        lenBytes += count
        this.isFull = lenBytes >= enoughBytes
        if (this.isFull) settle()
      }
    } catch (error) {
      this.#failure = error
    }
  }
}

/** Bytes in pieces, from the first to the last. */
class Preview implements ByteSource {
  readonly sizeBytes = null
  readonly compression = null
  consumedBytes = 0
  readonly #chunks: Uint8Array[]
  #taken = 0

  constructor(chunks: Uint8Array[]) {
    this.#chunks = chunks
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const chunk = this.#chunks[0]
    if (chunk === undefined) return 0
    const count = Math.min(into.length - offset, chunk.length - this.#taken)
    into.set(chunk.subarray(this.#taken, this.#taken + count), offset)
    this.#taken += count
    this.consumedBytes += count
    if (this.#taken === chunk.length) {
      this.#chunks.shift()
      this.#taken = 0
    }
    return count
  }

  async close(): Promise<void> {}
}
