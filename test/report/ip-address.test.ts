import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressGroups, ipVersion } from '../../src/report/ip-address.ts'

describe('ipVersion', () => {
  test('says of any address what node:net says', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6()), (text) => {
        expect(ipVersion(text)).toBe(isIP(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('says of what is nearly an address what node:net says', () => {
    const piece = fc.constantFrom(
      ':',
      '::',
      '.',
      '0',
      '00',
      '1',
      '25',
      '255',
      '256',
      'f',
      'ffff',
      '12345',
      'g',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
        expect(ipVersion(pieces.join('')), pieces.join('')).toBe(isIP(pieces.join('')))
      }),
      { numRuns: 20_000 },
    )
  })

  test('takes no address with a zone, nor an endless one', () => {
    expect(ipVersion('fe80::1%eth0')).toBe(0)
    expect(ipVersion('1:'.repeat(1e6))).toBe(0)
  })
})

test('addressGroups gives the bits in groups of 16', () => {
  expect(addressGroups('172.17.0.3')).toEqual([0xac11, 3])
  expect(addressGroups('2001:db8::5')).toEqual([0x2001, 0xdb8, 0, 0, 0, 0, 0, 5])
  expect(addressGroups('::ffff:192.0.2.1')).toEqual([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201])
})
