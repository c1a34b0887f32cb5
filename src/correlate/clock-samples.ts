/** Clock samples: when each file saw the packets that others saw as well, for comparing their clocks. */

import type { Headers } from '../decode/headers.ts'
import { finish, grown, mix } from './columns.ts'
import { Identity, Protocol } from './identity.ts'

/** The same packet at the same place within this time is a copy; later it is another packet that looks alike. */
const COPY_NS = 100e6
/** Packets of one hash chain that are looked at, and sightings of one packet that are compared. */
const MAX_STEPS = 32
const MAX_SIGHTINGS = 16
/** A packet that was seen twice at one place, and so is no evidence. */
const DEAD = 1
/** Nothing but its contents tells the packet from others: no TCP, and no IPv4 ID. */
const FEEBLE = 2
/** Of the two ends of a connection, the sender's address and port are the greater ones. */
const DESCENDING = 4

/** Differences between two files' times of the same packets, in columns. */
export class ClockSamples {
  readonly a: number
  readonly b: number
  count = 0
  /** What A's clock showed, and how much more B's, in ns. */
  readonly timeNs: Float64Array
  readonly aheadNs: Float64Array
  /** Equal for both directions of a connection as A sees it; `side` tells the directions apart. */
  readonly connection: Int32Array
  readonly side: Uint8Array
  /** TTL at A minus that at B. */
  readonly hops: Int16Array
  /** 1 where the packet is hardly another one that looks alike. */
  readonly strong: Uint8Array

  /** Keeps at most `capacity` samples of files `a` and `b`. */
  constructor(a: number, b: number, capacity: number) {
    this.a = a
    this.b = b
    this.timeNs = new Float64Array(capacity)
    this.aheadNs = new Float64Array(capacity)
    this.connection = new Int32Array(capacity)
    this.side = new Uint8Array(capacity)
    this.hops = new Int16Array(capacity)
    this.strong = new Uint8Array(capacity)
  }

  add(
    timeNs: number,
    aheadNs: number,
    connection: number,
    side: number,
    hops: number,
    isStrong: boolean,
  ): void {
    const { count } = this
    if (count === this.timeNs.length) return
    this.timeNs[count] = timeNs
    this.aheadNs[count] = aheadNs
    this.connection[count] = connection
    this.side[count] = side
    this.hops[count] = hops
    this.strong[count] = isStrong ? 1 : 0
    this.count++
  }

  /** Adds a sample of others of the same two files. */
  addFrom({ timeNs, aheadNs, connection, side, hops, strong }: ClockSamples, i: number): void {
    this.add(timeNs[i]!, aheadNs[i]!, connection[i]!, side[i]!, hops[i]!, strong[i] === 1)
  }
}

/**
 * Collects sightings of packets, file by file. Where there are too many it keeps those whose identity falls into a
 * part of all identities that halves each time, and so the same packets of every file (PSAMP's hash-based selection, RFC 5475).
 */
export class ClockSampler {
  #count = 0
  #keepMask = 0
  readonly #maxSightings: number
  #low = new Int32Array(1024)
  #high = new Int32Array(1024)
  #timeNs = new Float64Array(1024)
  #file = new Uint16Array(1024)
  #place = new Int32Array(1024)
  #connection = new Int32Array(1024)
  #ttl = new Uint8Array(1024)
  #flags = new Uint8Array(1024)
  #next = new Int32Array(1024)
  #buckets = new Int32Array(2048).fill(-1)

  constructor(maxSightings: number) {
    this.#maxSightings = maxSightings
  }

  /** Sightings that are kept. */
  get count(): number {
    return this.#count
  }

  /** There were too many: only a part is kept. */
  get isThinned(): boolean {
    return this.#keepMask !== 0
  }

  /** Notes a packet that `file` saw at its interface number `place`. `identity` must hold its key, and not be weak. */
  add(file: number, place: number, timeNs: number, headers: Headers, identity: Identity): void {
    const { high } = identity
    // What was sent again is another packet.
    const isTcpOverIpv4 = headers.ipVersion === 4 && !Identity.hasIpId(headers.protocol)
    const low = isTcpOverIpv4 ? identity.low ^ Identity.lowOfId(headers.ipId) : identity.low
    if ((finish(high) & this.#keepMask) !== 0) return
    const isFeeble = headers.protocol !== Protocol.Tcp && (headers.ipVersion !== 4 || headers.ipId === 0)
    const source = endHash(headers, headers.srcOffset, headers.srcPort)
    const destination = endHash(headers, headers.dstOffset, headers.dstPort)
    const here = mix(mix(place, source), mix(headers.ttl, destination))
    let steps = 0
    const bucket = finish(low) & (this.#buckets.length - 1)
    for (let at = this.#buckets[bucket]!; at >= 0; at = this.#next[at]!) {
      if (++steps > MAX_STEPS) return
      if (this.#low[at] !== low || this.#high[at] !== high) continue
      if (this.#file[at] !== file || this.#place[at] !== here) continue
      if (isFeeble || !(Math.abs(this.#timeNs[at]! - timeNs) <= COPY_NS)) this.#flags[at]! |= DEAD
      return
    }
    if (this.#count === this.#timeNs.length) this.#grow()
    const at = this.#count++
    this.#low[at] = low
    this.#high[at] = high
    this.#timeNs[at] = timeNs
    this.#file[at] = file
    this.#place[at] = here
    this.#connection[at] = source ^ destination
    this.#ttl[at] = headers.ttl
    this.#flags[at] = (isFeeble ? FEEBLE : 0) | (source > destination ? DESCENDING : 0)
    this.#next[at] = this.#buckets[bucket]!
    this.#buckets[bucket] = at
    if (this.#count >= this.#maxSightings) this.#thin()
  }

  /**
   * Samples of every two files that saw a packet in common, at most `maxSamples` each; `a` is the smaller number. They come from
   * all of the time that the files cover, as they are taken in the order of their hashes.
   */
  samples(maxSamples: number): ClockSamples[] {
    const pairs = new Map<number, ClockSamples>()
    for (const bucket of this.#buckets)
      for (let head = bucket, steps = 0; head >= 0 && steps < MAX_STEPS; head = this.#next[head]!, steps++) {
        let same = 0
        for (let at = this.#next[head]!; at >= 0 && same < MAX_SIGHTINGS; at = this.#next[at]!)
          if (this.#low[at] === this.#low[head] && this.#high[at] === this.#high[head]) {
            same++
            this.#compare(head, at, pairs, maxSamples)
          }
      }
    return [...pairs.values()]
  }

  #compare(one: number, other: number, pairs: Map<number, ClockSamples>, maxSamples: number): void {
    if (this.#file[one] === this.#file[other] || (this.#flags[one]! | this.#flags[other]!) & DEAD) return
    const [a, b] = this.#file[one]! < this.#file[other]! ? [one, other] : [other, one]
    const fileA = this.#file[a]!
    const fileB = this.#file[b]!
    const key = fileA * 0x10000 + fileB
    let samples = pairs.get(key)
    if (!samples) {
      samples = new ClockSamples(fileA, fileB, maxSamples)
      pairs.set(key, samples)
    }
    samples.add(
      this.#timeNs[a]!,
      this.#timeNs[b]! - this.#timeNs[a]!,
      this.#connection[a]!,
      this.#flags[a]! & DESCENDING,
      this.#ttl[a]! - this.#ttl[b]!,
      (this.#flags[a]! & FEEBLE) === 0,
    )
  }

  /** Halves the part of identities that is kept, until there is room. */
  #thin(): void {
    while (this.#count > this.#maxSightings / 2 && this.#keepMask < 0x3fffffff) {
      this.#keepMask = 2 * this.#keepMask + 1
      let kept = 0
      for (let at = 0; at < this.#count; at++) {
        if ((finish(this.#high[at]!) & this.#keepMask) !== 0) continue
        this.#low[kept] = this.#low[at]!
        this.#high[kept] = this.#high[at]!
        this.#timeNs[kept] = this.#timeNs[at]!
        this.#file[kept] = this.#file[at]!
        this.#place[kept] = this.#place[at]!
        this.#connection[kept] = this.#connection[at]!
        this.#ttl[kept] = this.#ttl[at]!
        this.#flags[kept] = this.#flags[at]!
        kept++
      }
      this.#count = kept
    }
    this.#rehash(this.#buckets.length)
  }

  #grow(): void {
    const capacity = 2 * this.#count
    this.#low = grown(this.#low, capacity)
    this.#high = grown(this.#high, capacity)
    this.#timeNs = grown(this.#timeNs, capacity)
    this.#file = grown(this.#file, capacity)
    this.#place = grown(this.#place, capacity)
    this.#connection = grown(this.#connection, capacity)
    this.#ttl = grown(this.#ttl, capacity)
    this.#flags = grown(this.#flags, capacity)
    this.#next = new Int32Array(capacity)
    this.#rehash(2 * capacity)
  }

  #rehash(size: number): void {
    this.#buckets = new Int32Array(size).fill(-1)
    for (let at = 0; at < this.#count; at++) {
      const bucket = finish(this.#low[at]!) & (size - 1)
      this.#next[at] = this.#buckets[bucket]!
      this.#buckets[bucket] = at
    }
  }
}

/** A hash of an address and a port. */
function endHash(headers: Headers, offset: number, port: number): number {
  const { bytes } = headers
  const end = offset + (headers.ipVersion === 4 ? 4 : 16)
  let hash = mix(0x2c1b3c6d, port)
  for (let at = offset; at < end; at += 4)
    hash = mix(hash, (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
  return finish(hash) | 0
}
