/** Columns: growable typed arrays, so that what must be kept of a packet costs bytes and not objects. */

/** A typed array that serves as one. */
export type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array

const PAGE_BITS = 10
const PAGE_MASK = (1 << PAGE_BITS) - 1

/** A copy of `column` with room for `capacity` elements; the new ones are 0, or `fill`. */
export function grown<T extends Column>(column: T, capacity: number, fill = 0): T {
  const bigger = new (column.constructor as new (length: number) => T)(capacity)
  bigger.set(column)
  if (fill !== 0) bigger.fill(fill, column.length)
  return bigger
}

/** Numbers up to 2^32 of which most stay at 0: memory is taken for the neighbourhood of those that do not. */
export class SparseCounts {
  readonly #pages: (Uint32Array | undefined)[] = []

  get(index: number): number {
    return this.#pages[index >>> PAGE_BITS]?.[index & PAGE_MASK] ?? 0
  }

  add(index: number, count: number): void {
    if (count !== 0) this.set(index, this.get(index) + count)
  }

  set(index: number, count: number): void {
    let page = this.#pages[index >>> PAGE_BITS]
    if (page === undefined) this.#pages[index >>> PAGE_BITS] = page = new Uint32Array(PAGE_MASK + 1)
    page[index & PAGE_MASK] = count
  }
}

/** Times of which most are never set: NaN until then. */
export class SparseTimes {
  readonly #pages: (Float64Array | undefined)[] = []

  get(index: number): number {
    return this.#pages[index >>> PAGE_BITS]?.[index & PAGE_MASK] ?? Number.NaN
  }

  set(index: number, value: number): void {
    let page = this.#pages[index >>> PAGE_BITS]
    if (page === undefined)
      this.#pages[index >>> PAGE_BITS] = page = new Float64Array(PAGE_MASK + 1).fill(Number.NaN)
    page[index & PAGE_MASK] = value
  }
}

/** Mixes one 32-bit word into a running 32-bit hash (the step of MurmurHash3, public domain). */
export function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  const h = hash ^ Math.imul(k, 0x1b873593)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

/** Spreads the bits of a finished hash, so that its low bits may name a bucket. */
export function finish(hash: number): number {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
