/** IPv4 addresses inside of IPv6 ones: how a translator between the two families writes who is meant (RFC 6052, NAT64 and 464XLAT). */

/** IPv4 addresses that were seen only inside of IPv6 ones, and are remembered until they come by themselves. */
const MAX_REMEMBERED = 1 << 16

/**
 * The IPv4 addresses, as 32-bit words, that an IPv6 address of these words may have inside: one for each length of the
 * prefix whose zero bits are zero (section 2.2).
 */
export function embeddedIn(w1: number, w2: number, w3: number): number[] {
  const found = [w3]
  if (w2 >>> 24 === 0) {
    if ((w3 & 0xffffff) === 0) found.push(((w2 << 8) | (w3 >>> 24)) >>> 0)
    if (w3 === 0) {
      found.push(((w1 << 24) | (w2 & 0xffffff)) >>> 0)
      if ((w2 & 0xff) === 0) found.push(((w1 << 16) | ((w2 >>> 8) & 0xffff)) >>> 0)
      if ((w2 & 0xffff) === 0) found.push(((w1 << 8) | ((w2 >>> 16) & 0xff)) >>> 0)
      if (w2 === 0) found.push(w1)
    }
  }
  // 0.0.0.0/8 is nobody's; `::1` and the like would have it inside.
  return found.filter((word) => word >>> 24 !== 0)
}

/** Words of IPv4 addresses that were seen inside of IPv6 ones. */
export class EmbeddedAddresses {
  readonly #words = new Set<number>()

  has(word: number): boolean {
    return this.#words.has(word)
  }

  add(word: number): void {
    if (this.#words.size < MAX_REMEMBERED) this.#words.add(word)
  }
}
