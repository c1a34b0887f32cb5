/** Seeded random numbers for generated traces: the same seed gives the same trace on every machine. */

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A float in [0, 1) (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]
  }

  /** An integer from `low` to `high`, each order of magnitude as likely as the next. */
  spread(low: number, high: number): number {
    return Math.round(low * (high / low) ** this.next())
  }

  /** Lower-case letters: bytes that no dissector takes for a protocol of its own. */
  text(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at++) bytes[at] = this.integer(97, 122)
    return bytes
  }

  /** The same for many bytes, which cost less here: a stretch of one long text. */
  longText(length: number): Uint8Array {
    LONG_TEXT ??= new Random(1).text(2 ** 18)
    return LONG_TEXT.subarray(this.integer(0, LONG_TEXT.length - length)).subarray(0, length)
  }
}

let LONG_TEXT: Uint8Array | undefined
