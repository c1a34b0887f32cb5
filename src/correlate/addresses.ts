/** Addresses: each IPv4 or IPv6 address that was seen gets one small index, so that tuples compare as integers. */

import { i32 } from '../decode/big-endian.ts'
import { finish, grown, mix } from './columns.ts'
import { EmbeddedAddresses, embeddedIn } from './embedded-addresses.ts'

/** Index of an address in its `AddressTable`. */
export type AddressIndex = number

/** Interned addresses. Memory: 18 bytes and a hash slot for each distinct address. */
export class AddressTable {
  count = 0
  /** Was any IPv4 address also seen inside of an IPv6 one? */
  hasTwoFamilies = false
  /** Called with an IPv4 address that was seen before, where it is found inside of an IPv6 one now. */
  onSecondFamily: (ipv4: AddressIndex) => void = () => {}
  #inTwoFamilies = new Uint8Array(64)
  readonly #embedded = new EmbeddedAddresses()
  #words = new Uint32Array(4 * 64)
  #version = new Uint8Array(64)
  #slots = new Int32Array(256).fill(-1)
  #mask = 255
  /** A seed of the run, so that collisions in one capture are not those of the next. */
  readonly #seed = (Math.random() * 0xffffffff) | 0

  constructor() {
    // See `LegTable`.
    this.#grow(256)
    this.#rehash()
  }

  /** Index of the address at `bytes[offset]` (4 bytes for version 4, 16 for version 6). */
  intern(bytes: Uint8Array, offset: number, version: number): AddressIndex {
    const w0 = word(bytes, offset)
    if (version === 4) return this.#find(w0, 0, 0, 0, 4)
    return this.#find(w0, word(bytes, offset + 4), word(bytes, offset + 8), word(bytes, offset + 12), 6)
  }

  version(address: AddressIndex): number {
    return this.#version[address]!
  }

  /** Writes the address into `out` in network order; returns its length, 4 or 16. */
  write(address: AddressIndex, out: Uint8Array): number {
    const words = this.#version[address] === 4 ? 1 : 4
    for (let i = 0; i < words; i++) {
      const w = this.#words[4 * address + i]!
      out[4 * i] = w >>> 24
      out[4 * i + 1] = w >>> 16
      out[4 * i + 2] = w >>> 8
      out[4 * i + 3] = w
    }
    return 4 * words
  }

  /** Multicast or broadcast: what is sent there is not expected in one place. */
  isMulticast(address: AddressIndex): boolean {
    const w0 = this.#words[4 * address]!
    if (this.#version[address] === 6) return w0 >>> 24 === 0xff
    return w0 >>> 28 === 0xe || w0 === 0xffffffff
  }

  /** Is this an IPv4 address that was also seen inside of an IPv6 one, so that packets may change the family on their way? */
  isInTwoFamilies(address: AddressIndex): boolean {
    return this.#inTwoFamilies[address] === 1
  }

  /** Is one of these an IPv4 address, and the other one it inside of an IPv6 address? */
  isSameInOtherFamily(a: AddressIndex, b: AddressIndex): boolean {
    if (this.#version[a] === this.#version[b]) return false
    const [six, four] = this.#version[a] === 6 ? [a, b] : [b, a]
    return this.#inTwoFamilies[four] === 1 && this.#embeddedIn(six).includes(this.#words[4 * four]!)
  }

  isLoopback(address: AddressIndex): boolean {
    const at = 4 * address
    if (this.#version[address] === 4) return this.#words[at]! >>> 24 === 127
    return (
      this.#words[at] === 0 &&
      this.#words[at + 1] === 0 &&
      this.#words[at + 2] === 0 &&
      this.#words[at + 3] === 1
    )
  }

  #embeddedIn(six: AddressIndex): number[] {
    const at = 4 * six
    return embeddedIn(this.#words[at + 1]!, this.#words[at + 2]!, this.#words[at + 3]!)
  }

  #noteFamilies(address: AddressIndex): void {
    if (this.#version[address] === 4) {
      if (this.#embedded.has(this.#words[4 * address]!)) this.#setInTwoFamilies(address)
      return
    }
    for (const word of this.#embeddedIn(address)) {
      this.#embedded.add(word)
      const ipv4 = this.#slots[this.#slotOf(word, 0, 0, 0, 4)]!
      if (ipv4 < 0 || this.#inTwoFamilies[ipv4] === 1) continue
      this.#setInTwoFamilies(ipv4)
      this.onSecondFamily(ipv4)
    }
  }

  #setInTwoFamilies(ipv4: AddressIndex): void {
    this.#inTwoFamilies[ipv4] = 1
    this.hasTwoFamilies = true
  }

  #find(w0: number, w1: number, w2: number, w3: number, version: number): AddressIndex {
    const slot = this.#slotOf(w0, w1, w2, w3, version)
    const found = this.#slots[slot]!
    return found >= 0 ? found : this.#add(w0, w1, w2, w3, version, slot)
  }

  /** The slot that has this address, or where it belongs. */
  #slotOf(w0: number, w1: number, w2: number, w3: number, version: number): number {
    let hash = mix(this.#seed ^ version, w0)
    if (version === 6) hash = mix(mix(mix(hash, w1), w2), w3)
    let slot = finish(hash) & this.#mask
    const words = this.#words
    for (;;) {
      const found = this.#slots[slot]!
      const at = 4 * found
      if (
        found < 0 ||
        (words[at] === w0 &&
          this.#version[found] === version &&
          words[at + 1] === w1 &&
          words[at + 2] === w2 &&
          words[at + 3] === w3)
      )
        return slot
      slot = (slot + 1) & this.#mask
    }
  }

  #add(w0: number, w1: number, w2: number, w3: number, version: number, slot: number): AddressIndex {
    const address = this.count++
    if (address === this.#version.length) this.#grow(2 * address)
    this.#words.set([w0, w1, w2, w3], 4 * address)
    this.#version[address] = version
    this.#slots[slot] = address
    if (2 * this.count > this.#slots.length) this.#rehash()
    this.#noteFamilies(address)
    return address
  }

  #grow(capacity: number): void {
    this.#words = grown(this.#words, 4 * capacity)
    this.#version = grown(this.#version, capacity)
    this.#inTwoFamilies = grown(this.#inTwoFamilies, capacity)
  }

  #rehash(): void {
    const slots = new Int32Array(2 * this.#slots.length).fill(-1)
    this.#mask = slots.length - 1
    for (let address = 0; address < this.count; address++) {
      const at = 4 * address
      let hash = mix(this.#seed ^ this.#version[address]!, this.#words[at]!)
      if (this.#version[address] === 6)
        hash = mix(mix(mix(hash, this.#words[at + 1]!), this.#words[at + 2]!), this.#words[at + 3]!)
      let slot = finish(hash) & this.#mask
      while (slots[slot]! >= 0) slot = (slot + 1) & this.#mask
      slots[slot] = address
    }
    this.#slots = slots
  }
}

function word(bytes: Uint8Array, offset: number): number {
  return i32(bytes, offset) >>> 0
}
