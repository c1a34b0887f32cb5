import { expect, test } from 'vitest'
import { formatBytes, formatCount, formatDurationNs } from '../../src/report/quantities.ts'
import { cutToWidth, displayWidth, wrapText } from '../../src/report/width.ts'

test.each([
  [0, '0 ns'],
  [812, '812 ns'],
  [999.6, '1.00 µs'],
  [1234, '1.23 µs'],
  [84_212, '84.2 µs'],
  [-258_000, '−258 µs'],
  [999_499, '999 µs'],
  [999_500, '1.00 ms'],
  [9_996_000, '10.0 ms'],
  [99_960_000, '100 ms'],
  [1_023_456_789, '1.02 s'],
  [119e9, '119 s'],
  [125e9, '2 min 5 s'],
  [7_260e9, '2 h 1 min'],
])('%d ns is %s', (ns, text) => expect(formatDurationNs(ns)).toBe(text))

test('bytes and counts', () => {
  expect([450, 1000, 81_123, 64_250_000].map(formatBytes)).toEqual(['450 B', '1.00 kB', '81.1 kB', '64.3 MB'])
  expect([0, 999, 1000, 1_234_567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567'])
})

test('width counts cells, not characters', () => {
  expect(displayWidth('漢字')).toBe(4)
  expect(displayWidth('e\u0301')).toBe(1)
  expect(displayWidth('😀─✗')).toBe(4)
  expect(displayWidth('\u001b[31mred\u001b[39m')).toBe(3)
  expect(cutToWidth('漢字漢字', 6)).toBe('漢字…')
})

test('text is wrapped at spaces, with a long word cut and arrows at the beginning of a line', () => {
  expect(wrapText('one two three', 7, '  ')).toEqual(['one two', '  three'])
  expect(wrapText('abcdefghij', 4, ' ')).toEqual(['abcd', ' efg', ' hij'])
  expect(wrapText('one → two', 7, '')).toEqual(['one', '→ two'])
})
