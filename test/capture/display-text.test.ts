import fc from 'fast-check'
import { expect, test } from 'vitest'
import { displayBytes, displayText } from '../../src/capture/display-text.ts'
import { LinkType, linkTypeName } from '../../src/capture/link-types.ts'

test.each([
  ['eth0', 'eth0'],
  ['größe 名前 🐳', 'größe 名前 🐳'],
  ['a\nb\tc\x7f\x9b', 'a\\x0Ab\\x09c\\x7F\\x9B'],
  ['\u2066x\u2069\ufeff\u00ad', '\\u{2066}x\\u{2069}\\u{FEFF}\\xAD'],
  ['\u2028\u{e0041}\ud800', '\\u{2028}\\u{E0041}\\u{D800}'],
])('%j is shown as %j', (text, shown) => {
  expect(displayText(text)).toBe(shown)
})

test('any text comes out bounded, on one line, without hidden characters', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.integer({ min: 1, max: 50 }),
      (text, max) => {
        const shown = displayText(text, max)
        expect([...shown].length).toBeLessThanOrEqual(max)
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      },
    ),
  )
})

test('bytes are shown as printable ASCII', () => {
  expect(displayBytes(Uint8Array.of(0x41, 0x1b, 0xff, 0x7e))).toBe('A..~')
})

test('link types have names', () => {
  expect(Object.values(LinkType).map(linkTypeName)).toEqual([
    'NULL',
    'EN10MB',
    'RAW',
    'RAW',
    'RAW',
    'LOOP',
    'LINUX_SLL',
    'IPV4',
    'IPV6',
    'LINUX_SLL2',
  ])
  expect(linkTypeName(65535)).toBe('LINKTYPE_65535')
})
