/** The slab: very many small pieces of bytes in a few large arrays, as an object for each would cost more than it holds. */

const CHUNK_BYTES = 1 << 22
const LENGTH_BYTES = 4

/** Where a piece lies. */
export type SlabPlace = number

/** Pieces of bytes, each found again by its place. */
export class Slab {
  readonly #chunks: DataView<ArrayBuffer>[] = []
  #usedBytes = CHUNK_BYTES

  /** Room for a piece, to be filled through `piece`. */
  reserve(lenBytes: number): SlabPlace {
    const size = LENGTH_BYTES + lenBytes
    if (this.#usedBytes + size > CHUNK_BYTES) {
      // What is larger than a chunk gets one of its own.
      this.#chunks.push(new DataView(new ArrayBuffer(Math.max(CHUNK_BYTES, size))))
      this.#usedBytes = 0
    }
    const place = (this.#chunks.length - 1) * CHUNK_BYTES + this.#usedBytes
    this.#chunks.at(-1)!.setUint32(this.#usedBytes, lenBytes)
    this.#usedBytes += size
    return place
  }

  /** The piece itself, no copy. */
  piece(place: SlabPlace): Buffer<ArrayBuffer> {
    const view = this.#chunks[Math.floor(place / CHUNK_BYTES)]!
    const at = place % CHUNK_BYTES
    return Buffer.from(view.buffer, at + LENGTH_BYTES, view.getUint32(at))
  }

  addText(text: string): SlabPlace {
    const place = this.reserve(Buffer.byteLength(text))
    this.piece(place).write(text)
    return place
  }

  textAt(place: SlabPlace): string {
    return this.piece(place).toString()
  }
}
