/** Sizes and times as they are typed. */

import { InvalidArgumentError } from 'commander'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { byteSize, rotation, timeSpan } from '../../src/commands/quantity-values.ts'

test.each([
  ['1', 1],
  ['65535', 65_535],
  ['64k', 65_536],
  ['64KiB', 65_536],
  ['64 kB', 65_536],
  ['1.5M', 1_572_864],
  ['100MB', 104_857_600],
  ['1GiB', 1_073_741_824],
  [' 8m ', 8_388_608],
  ['512b', 512],
])('a size: %j', (text, bytes) => expect(byteSize(text)).toBe(bytes))

test.each([
  ['30', 30_000],
  ['1.5s', 1500],
  ['250ms', 250],
  ['2m', 120_000],
  ['10min', 600_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['5 MIN', 300_000],
])('a time: %j', (text, ms) => expect(timeSpan(text)).toBe(ms))

describe('what is neither is refused', () => {
  test.each([
    '',
    '0',
    '0k',
    '-1',
    'k',
    '1.',
    '.5k',
    '1e3',
    '1x',
    '1kk',
    '64 k B',
    '0x10',
    '9999999G',
    '1\n2',
    'NaN',
  ])('as a size: %j', (text) => expect(() => byteSize(text)).toThrow(InvalidArgumentError))
  test.each([
    '',
    '0',
    '-1s',
    's',
    '1.',
    '1e3',
    '1x',
    '1 s s',
    '101d',
    '0.1ms',
    'Infinity',
    '1constructor',
    '1__proto__',
  ])('as a time: %j', (text) => expect(() => timeSpan(text)).toThrow(InvalidArgumentError))
})

test('any text gives a sensible number, or the message', () => {
  for (const [read, most] of [
    [byteSize, 2 ** 50],
    [timeSpan, 24 * 86_400e3],
  ] as const)
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^\d{1,20}(\.\d{1,9})? ?[kKmMgsdhinbB]{0,4}$/)),
        (text) => {
          let value = 1
          try {
            value = read(text)
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidArgumentError)
          }
          expect(value).toBeGreaterThanOrEqual(1)
          expect(value).toBeLessThanOrEqual(most)
        },
      ),
      { numRuns: 500 },
    )
})

describe('a rotation', () => {
  test('is a size, a time, or both', () => {
    expect(rotation('100MB')).toEqual({ bytes: 104_857_600 })
    expect(rotation('10min')).toEqual({ everyMs: 600_000 })
    expect(rotation('30s', rotation('64k'))).toEqual({ bytes: 65_536, everyMs: 30_000 })
    expect(rotation('1G', rotation('1d'))).toEqual({ bytes: 1_073_741_824, everyMs: 86_400_000 })
  })

  test('is none where it could be either, or is there already', () => {
    expect(() => rotation('100')).toThrow('unit')
    expect(() => rotation('2s', { everyMs: 1 })).toThrow('a time already')
    expect(() => rotation('2k', { bytes: 1 })).toThrow('a size already')
    expect(() => rotation('soon')).toThrow(InvalidArgumentError)
  })

  test('tells megabytes from minutes', () => {
    expect(rotation('5MB')).toEqual({ bytes: 5 << 20 })
    expect(rotation('5MiB')).toEqual({ bytes: 5 << 20 })
    expect(rotation('5m')).toEqual({ everyMs: 300_000 })
  })
})
