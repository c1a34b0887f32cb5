/** The table of link headers, against a plain model of it, from frames that the decoder has read. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinkType } from '../../src/capture/link-types.ts'
import { LinkHeaderTable } from '../../src/correlate/link-headers.ts'
import { decodeFrame } from '../../src/decode/frame.ts'
import { Headers } from '../../src/decode/headers.ts'

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 })
const vid = fc.nat(4095)
const header = fc.record({ source: mac, destination: mac, vlans: fc.array(vid, { maxLength: 3 }) })
type Header = { source: Uint8Array; destination: Uint8Array; vlans: number[] }

function decoded(bytes: number[], linkType: number): Headers {
  const headers = new Headers()
  decodeFrame(Uint8Array.from(bytes), 0, bytes.length, linkType, bytes.length, headers)
  return headers
}

function ethernet({ source, destination, vlans }: Header): Headers {
  const tags = vlans.flatMap((id) => [0x81, 0x00, id >> 8, id & 0xff])
  return decoded([...destination, ...source, ...tags, 0x88, 0xb5], LinkType.Ethernet)
}

/** What the table keeps: the two outer tags, and their number up to that. */
const keyOf = ({ source, destination, vlans }: Header) => `${source} ${destination} ${vlans.slice(0, 2)}`
const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)

test('one index for each distinct header; fates and VLANs as the bytes have them', () => {
  fc.assert(
    fc.property(fc.array(header, { minLength: 2, maxLength: 300 }), (headers) => {
      const table = new LinkHeaderTable()
      const indexes = headers.map((one) => table.intern(ethernet(one)))
      headers.forEach((one, i) => {
        if (isZero(one.source) || isZero(one.destination)) return
        const other = headers[(i + 1) % headers.length]!
        expect(table.intern(ethernet(one))).toBe(indexes[i])
        expect(table.vlans(indexes[i]!)).toEqual(one.vlans.slice(0, 2))
        expect(indexes[i] === indexes[(i + 1) % headers.length]).toBe(keyOf(one) === keyOf(other))
        const half = table.intern(ethernet({ ...one, destination: other.destination }))
        if (!isZero(other.destination) && String(one.destination) !== String(other.destination))
          expect(table.macFate(indexes[i]!, half)).toBe('partly')
        expect(table.macFate(indexes[i]!, indexes[i]!)).toBe('kept')
        const tagged = table.intern(ethernet({ ...one, vlans: [1, ...one.vlans].slice(0, 1) }))
        expect(table.macFate(indexes[i]!, tagged)).toBe('kept')
        expect(table.haveSameVlans(indexes[i]!, tagged)).toBe(String(one.vlans.slice(0, 2)) === '1')
      })
    }),
    { numRuns: 40 },
  )
})

test('cooked frames tell the source only; loopback and raw packets nothing', () => {
  const table = new LinkHeaderTable()
  const source = Uint8Array.of(2, 66, 172, 17, 0, 3)
  const destination = Uint8Array.of(2, 66, 1, 2, 3, 4)
  const whole = table.intern(ethernet({ source, destination, vlans: [] }))
  const sll = (length: number, from: Uint8Array) =>
    decoded([0, 4, 0, 1, 0, length, ...from, 0, 0, 0x88, 0xb5], LinkType.LinuxSll)
  const sll2 = (length: number, from: Uint8Array) =>
    decoded([0x88, 0xb5, 0, 0, 0, 0, 0, 3, 0, 1, 4, length, ...from, 0, 0], LinkType.LinuxSll2)
  for (const make of [sll, sll2]) {
    expect(table.macFate(whole, table.intern(make(6, source)))).toBe('kept')
    expect(table.macFate(table.intern(make(6, destination)), whole)).toBe('replaced')
    // Loopback has zeros, and a tunnel device no address of that length.
    expect(table.intern(make(6, new Uint8Array(6)))).toBe(0)
    expect(table.intern(make(0, source))).toBe(0)
    expect(table.intern(make(4, source))).toBe(0)
  }
  const raw = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
  expect(table.intern(decoded(raw, LinkType.Raw))).toBe(0)
  expect(table.intern(decoded([1, 2, 3], LinkType.Ethernet))).toBe(0)
  expect(table.macFate(0, whole)).toBe('unknown')
})

test('more headers than can be told apart are unknown, and those before them stay', () => {
  const table = new LinkHeaderTable()
  const numbered = (n: number): Header => ({
    source: Uint8Array.of(2, 0, n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff),
    destination: Uint8Array.of(2, 0, 0, 0, 0, 1),
    vlans: [],
  })
  for (let n = 1; n <= 0xffff; n++) expect(table.intern(ethernet(numbered(n)))).toBe(n)
  expect(table.intern(ethernet(numbered(0x10000)))).toBe(0)
  expect(table.intern(ethernet(numbered(1)))).toBe(1)
  expect(table.intern(ethernet(numbered(0xffff)))).toBe(0xffff)
})
