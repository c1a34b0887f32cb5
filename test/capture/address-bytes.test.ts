/** Addresses to bytes, held against Node's own reading of them. */

import { BlockList, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressBytes } from '../../src/capture/address-bytes.ts'

/** The plainest spelling of bytes. */
function spelled(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16)).join(':')
}

function isSame(a: string, b: string): boolean {
  const list = new BlockList()
  const family = isIPv6(a) ? 'ipv6' : 'ipv4'
  list.addAddress(a, family)
  return list.check(b, family)
}

test('any address in any spelling', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (ip) => {
      const bytes = addressBytes(ip)!
      expect(bytes).toHaveLength(isIPv6(ip) ? 16 : 4)
      expect(isSame(ip, spelled(bytes))).toBe(true)
    }),
    { numRuns: 1000 },
  )
})

test('any bytes come back from their spelling', () => {
  const bytes = fc.oneof(...[4, 16].map((length) => fc.uint8Array({ minLength: length, maxLength: length })))
  fc.assert(
    fc.property(bytes, (it) => {
      expect(addressBytes(spelled(it))).toEqual(it)
    }),
  )
})

test.each([
  ['::', '0:0:0:0:0:0:0:0'],
  ['::1', '0:0:0:0:0:0:0:1'],
  ['fe80::', 'fe80:0:0:0:0:0:0:0'],
  ['2001:DB8::A:0:1', '2001:db8:0:0:0:a:0:1'],
  ['::ffff:192.0.2.128', '0:0:0:0:0:ffff:c000:280'],
  ['64:ff9b::203.0.113.10', '64:ff9b:0:0:0:0:cb00:710a'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
])('%s', (ip, expected) => expect(spelled(addressBytes(ip)!)).toBe(expected))

test.each(['', 'web', '1.2.3', '256.0.0.1', '01.2.3.4', '1::2::3', ':::', '12345::', '10.0.0.0/8', 'x%eth0'])(
  '%j is none',
  (text) => expect(addressBytes(text)).toBeNull(),
)

test('what is no address for Node is none', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9a-f:.%]{0,20}$/), (text) => {
      const list = new BlockList()
      let isAddress = true
      try {
        const bare = text.replace(/%.*$/, '')
        list.addAddress(bare, bare.includes(':') ? 'ipv6' : 'ipv4')
        isAddress = bare === text || bare.includes(':')
      } catch {
        isAddress = false
      }
      expect(addressBytes(text) !== null).toBe(isAddress)
    }),
    { numRuns: 1000 },
  )
})
