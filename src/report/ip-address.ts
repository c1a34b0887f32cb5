/** IP addresses as text: which version one is, and its bits. Without node:net, as the page filters by them, too. */

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d{1,2})(?:\.|$)){4}$/
const LEADING_ZERO = /(?:^|\.)0\d/
const MAX_CHARACTERS = 45

/** 4 or 6, or 0 for what is no address. As isIP of node:net, but that an address with a zone (`fe80::1%eth0`) is none. */
export function ipVersion(text: string): 0 | 4 | 6 {
  if (text.length > MAX_CHARACTERS) return 0
  if (!text.includes(':')) return isDotted(text) ? 4 : 0
  const [head, tail, ...more] = text.split('::')
  if (more.length > 0) return 0
  const isShortened = tail !== undefined
  const groups = groupsIn(head!, !isShortened) + groupsIn(tail ?? '', true)
  // `::` stands for one group at least.
  return (isShortened ? groups <= 7 : groups === 8) ? 6 : 0
}

/** The address in groups of 16 bits, two or eight of them. BlockList of node:net takes 4 µs to look at one address. */
export function addressGroups(ip: string): number[] {
  const dotted = ip.slice(ip.lastIndexOf(':') + 1)
  const tail: number[] = []
  if (dotted.includes('.')) {
    const [a, b, c, d] = dotted.split('.').map(Number)
    tail.push(a! * 256 + b!, c! * 256 + d!)
    if (dotted === ip) return tail
  }
  const hex = tail.length > 0 ? ip.slice(0, -dotted.length).replace(/([^:]):$/, '$1') : ip
  const [head, end] = hex
    .split('::')
    .map((part) => (part === '' ? [] : part.split(':').map((text) => Number.parseInt(text, 16))))
  if (end === undefined) return [...head!, ...tail]
  const zeros = Math.max(0, 8 - head!.length - end.length - tail.length)
  return [...head!, ...new Array<number>(zeros).fill(0), ...end, ...tail]
}

/** Groups that the text is, a dotted end counted as two; far too many where it is none. `mayEndDotted`: it ends the address. */
function groupsIn(text: string, mayEndDotted: boolean): number {
  if (text === '') return 0
  const groups = text.split(':')
  const isEndDotted = mayEndDotted && isDotted(groups.at(-1)!)
  const hex = isEndDotted ? groups.slice(0, -1) : groups
  if (!hex.every((group) => /^[\da-f]{1,4}$/i.test(group))) return 99
  return hex.length + (isEndDotted ? 2 : 0)
}

function isDotted(text: string): boolean {
  return IPV4.test(text) && !text.endsWith('.') && !LEADING_ZERO.test(text)
}
