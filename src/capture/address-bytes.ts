/** Addresses from text to bytes, as files hold them, and back. */

import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/** The 4 or 16 bytes of an IP address in any of its spellings (RFC 4291, section 2.2), or null where it is none. */
export function addressBytes(ip: string): Uint8Array | null {
  if (isIPv4(ip)) return Uint8Array.from(ip.split('.'), Number)
  const bare = ip.replace(/%.*$/, '')
  if (!isIPv6(bare)) return null
  const [head, tail] = bare.split('::')
  const front = wordsOf(head ?? '')
  const back = wordsOf(tail ?? '')
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length
  const words = [...front, ...new Array<number>(zeros).fill(0), ...back]
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))
}

/** An address of 4 or 16 bytes as text (RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16))
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address
}

/** 16-bit words of a part of an IPv6 address; an IPv4 address at its end is two of them. */
function wordsOf(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((word) => {
    if (!word.includes('.')) return [Number.parseInt(word, 16)]
    const [a, b, c, d] = word.split('.').map(Number) as [number, number, number, number]
    return [(a << 8) | b, (c << 8) | d]
  })
}
