/** Tick clocks: the 64-bit timestamps of pcapng, in any resolution, as exact ns of the run. */

const TWO_32 = 4294967296
/** 10^9 = 2^9 · 5^9: the part that is left when a power of two is divided by. */
const FIVE_TO_9 = 1953125

/**
 * Turns an interface's ticks into ns since the epoch, always rounding down as Wireshark does. A tick count passes
 * 2^53, so the epoch's own count is subtracted first, in halves. Resolution and offset are `if_tsresol` and
 * `if_tsoffset` of draft-ietf-opsawg-pcapng.
 */
export class TickClock {
  /** The epoch that `toNs` counts from; NaN before `rebase`. */
  epochSeconds = Number.NaN
  /** ns a tick where that is whole; 0 where a tick is finer than a ns or a power of two. */
  readonly nsPerTick: number
  /** The epoch in ticks, in halves. */
  baseHigh = 0
  baseLow = 0
  private readonly binary: boolean
  private readonly exponent: number
  private readonly ticksPerSecond: bigint
  private readonly offsetSeconds: bigint

  /** `tsresol`: the option's byte, 6 where it is missing; `offsetSeconds`: what to add to each time. */
  constructor(tsresol: number, offsetSeconds: bigint) {
    this.binary = (tsresol & 0x80) !== 0
    this.exponent = tsresol & 0x7f
    this.ticksPerSecond = (this.binary ? 2n : 10n) ** BigInt(this.exponent)
    this.offsetSeconds = offsetSeconds
    this.nsPerTick = !this.binary && this.exponent <= 9 ? 10 ** (9 - this.exponent) : 0
  }

  /** Whole seconds since 1970 of a tick count, as a number. */
  secondsOf(high: number, low: number): number {
    const ticks = (BigInt(high) << 32n) | BigInt(low)
    return Number(ticks / this.ticksPerSecond + this.offsetSeconds)
  }

  /** Counts from `epochSeconds` from now on. */
  rebase(epochSeconds: number): void {
    this.epochSeconds = epochSeconds
    const base = (BigInt(epochSeconds) - this.offsetSeconds) * this.ticksPerSecond
    this.baseHigh = Number(base >> 32n)
    this.baseLow = Number(base & 0xffffffffn)
  }

  /** ns since the epoch of a tick count; exact within 104 days of the epoch. */
  toNs(high: number, low: number): number {
    if (this.nsPerTick !== 0) {
      return ((high - this.baseHigh) * TWO_32 + (low - this.baseLow)) * this.nsPerTick
    }
    if (this.binary && this.exponent < 64) return this.binaryToNs(high, low)
    if (!this.binary && this.exponent <= 15) return this.fineToNs(high, low)
    const ticks = (BigInt(high) << 32n) | BigInt(low)
    const sinceEpoch = (this.offsetSeconds - BigInt(this.epochSeconds)) * 1_000_000_000n
    return Number((ticks * 1_000_000_000n) / this.ticksPerSecond + sinceEpoch)
  }

  /** Decimal ticks finer than a ns, down to 10^-15 s: a long division, so that no remainder passes 2^53. */
  private fineToNs(high: number, low: number): number {
    const ticksPerNs = 10 ** (this.exponent - 9)
    const difference = low - this.baseLow
    const borrow = difference < 0 ? 1 : 0
    const upper = high - this.baseHigh - borrow
    const quotient = Math.floor(upper / ticksPerNs)
    const remainder = upper - quotient * ticksPerNs
    return quotient * TWO_32 + Math.floor((remainder * TWO_32 + difference + borrow * TWO_32) / ticksPerNs)
  }

  /** Ticks of 2^-n s, n < 64: the seconds are a shift, and the rest is scaled in two parts below 2^53. */
  private binaryToNs(high: number, low: number): number {
    const n = this.exponent
    const sinceEpoch = Number(this.offsetSeconds) - this.epochSeconds
    if (n <= 32) {
      const unit = 2 ** n
      const seconds = high * (TWO_32 / unit) + Math.floor(low / unit)
      return (seconds + sinceEpoch) * 1e9 + Math.floor(((low % unit) * FIVE_TO_9) / 2 ** (n - 9))
    }
    const unit = 2 ** (n - 32)
    const seconds = Math.floor(high / unit)
    const upper = (high % unit) * (TWO_32 / unit) + Math.floor(low / unit)
    const lower = Math.floor(((low % unit) * FIVE_TO_9) / unit)
    return (seconds + sinceEpoch) * 1e9 + Math.floor((upper * FIVE_TO_9 + lower) / 2 ** 23)
  }
}
