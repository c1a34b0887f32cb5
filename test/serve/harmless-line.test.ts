import fc from 'fast-check'
import { expect, test } from 'vitest'
import { harmlessCopy } from '../../src/report/harmless.ts'
import { harmlessLine } from '../../src/serve/harmless-line.ts'

test('says the same as a harmless copy, of any value', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '"',
      '\\',
      '\u202e<script>',
      '\x1b[31m',
      '\u200b',
      'x'.repeat(400),
      'x'.repeat(401),
      'x'.repeat(10_000),
      'é',
    ),
  )
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      text,
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('any')),
      fc.dictionary(text, tie('any')),
    ),
  })).any
  fc.assert(
    fc.property(value, (one) => {
      const line = harmlessLine(one)
      expect(line).not.toMatch(/[\n\r]/)
      expect(line).toBe(JSON.stringify(harmlessCopy(one)))
    }),
  )
})
