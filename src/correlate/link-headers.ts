/** Link headers: the MAC addresses and VLAN tags that packets come with, each distinct header as one number. */

import { u16 } from '../decode/big-endian.ts'
import type { Headers } from '../decode/headers.ts'
import { cookedSourceOffset } from '../decode/linux-cooked.ts'
import { finish, mix } from './columns.ts'

/** Index in a `LinkHeaderTable`; 0 is unknown. */
export type LinkHeaderIndex = number

/** What became of the MAC addresses from one header to another; `partly` is one of the two. */
export type MacFate = 'kept' | 'replaced' | 'partly' | 'unknown'

/** Further ones count as unknown; also what fits a Uint16. */
const MAX_HEADERS = 0xffff
const WORDS = 4
const HAS_SOURCE = 1 << 26
const HAS_DESTINATION = 1 << 27
const TAGS_AT = 24
/** All that tells of VLANs. */
const TAGS = HAS_SOURCE - 1
const MAX_TAGS = 2

/** Interned link headers. LINUX_SLL and SLL2 tell the source address only; loopback's, all zeros, tells nothing. */
export class LinkHeaderTable {
  count = 1
  #words = new Uint32Array(WORDS * 64)
  #slots = new Int32Array(128)
  /** See `AddressTable`. */
  readonly #seed = (Math.random() * 0xffffffff) | 0

  /** The number of a frame's outermost link header, 0 where it tells neither MAC address nor VLAN. */
  intern(frame: Headers): LinkHeaderIndex {
    const { bytes } = frame
    let destinationHigh = 0
    let middle = 0
    let sourceLow = 0
    let about = tagsOf(frame)
    const source = frame.macOffset >= 0 ? frame.macOffset + 6 : cookedSourceOffset(frame)
    if (source >= 0) {
      middle = u16(bytes, source)
      sourceLow = ((u16(bytes, source + 2) << 16) | u16(bytes, source + 4)) >>> 0
      if (middle !== 0 || sourceLow !== 0) about |= HAS_SOURCE
    }
    if (frame.macOffset >= 0) {
      const at = frame.macOffset
      destinationHigh = ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0
      const low = u16(bytes, at + 4)
      if (destinationHigh !== 0 || low !== 0) about |= HAS_DESTINATION
      middle = (middle | (low << 16)) >>> 0
    }
    return about === 0 ? 0 : this.#find(destinationHigh, middle, sourceLow, about)
  }

  /** What became of the MAC addresses between two headers. */
  macFate(a: LinkHeaderIndex, b: LinkHeaderIndex): MacFate {
    const [one, other] = [a * WORDS, b * WORDS]
    const words = this.#words
    const both = words[one + 3]! & words[other + 3]!
    const middle = words[one + 1]! ^ words[other + 1]!
    let known = 0
    let same = 0
    if (both & HAS_SOURCE) {
      known++
      if (words[one + 2] === words[other + 2] && (middle & 0xffff) === 0) same++
    }
    if (both & HAS_DESTINATION) {
      known++
      if (words[one] === words[other] && middle >>> 16 === 0) same++
    }
    if (known === 0) return 'unknown'
    if (same === 0) return 'replaced'
    return same === known ? 'kept' : 'partly'
  }

  haveSameVlans(a: LinkHeaderIndex, b: LinkHeaderIndex): boolean {
    return ((this.#words[a * WORDS + 3]! ^ this.#words[b * WORDS + 3]!) & TAGS) === 0
  }

  /** VLAN ids, the outer one first, at most two; more tags than that count as two. */
  vlans(index: LinkHeaderIndex): number[] {
    const about = this.#words[index * WORDS + 3]!
    return [about & 0xfff, (about >>> 12) & 0xfff].slice(0, (about >>> TAGS_AT) & 3)
  }

  #find(w0: number, w1: number, w2: number, w3: number): LinkHeaderIndex {
    const words = this.#words
    const mask = this.#slots.length - 1
    let slot = finish(mix(mix(mix(mix(this.#seed, w0), w1), w2), w3)) & mask
    for (let known = this.#slots[slot]!; known !== 0; known = this.#slots[slot]!) {
      const at = known * WORDS
      if (words[at] === w0 && words[at + 1] === w1 && words[at + 2] === w2 && words[at + 3] === w3)
        return known
      slot = (slot + 1) & mask
    }
    if (this.count > MAX_HEADERS) return 0
    const index = this.count++
    if (index * WORDS === words.length) this.#grow()
    this.#words.set([w0, w1, w2, w3], index * WORDS)
    this.#slots[slot] = index
    if (2 * this.count > this.#slots.length) this.#rehash()
    return index
  }

  #grow(): void {
    const bigger = new Uint32Array(2 * this.#words.length)
    bigger.set(this.#words)
    this.#words = bigger
  }

  #rehash(): void {
    const slots = new Int32Array(2 * this.#slots.length)
    const words = this.#words
    for (let index = 1; index < this.count; index++) {
      const at = index * WORDS
      const hash = mix(mix(mix(mix(this.#seed, words[at]!), words[at + 1]!), words[at + 2]!), words[at + 3]!)
      let slot = finish(hash) & (slots.length - 1)
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1)
      slots[slot] = index
    }
    this.#slots = slots
  }
}

/** Number of VLAN tags and the two outer ids in one word. */
function tagsOf({ vlanCount, vlanOuter, vlanInner }: Headers): number {
  if (vlanCount === 0) return 0
  return (Math.min(vlanCount, MAX_TAGS) << TAGS_AT) | vlanOuter | (vlanCount > 1 ? vlanInner << 12 : 0)
}
