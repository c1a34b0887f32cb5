import { expect, test } from 'vitest'
import type { FlowReport } from '../../src/report/model.ts'
import { paletteFor } from '../../src/report/palette.ts'
import { renderPathLines } from '../../src/report/path-line.ts'
import { flow, loss, masqueraded, report, translation, way } from './scenarios.ts'

const A = '10.0.0.1:1000'
const B = '10.0.0.2:80'

function pathOf(flows: FlowReport[], path = ['a', 'b', 'c', 'd'], columns = 80): string[] {
  return renderPathLines(report(path, flows), columns, paletteFor(false)).lines.map((line) => line.trim())
}

const through = (id: number, points: string, more: Partial<FlowReport> = {}): FlowReport =>
  flow(id, way(1, ...points.split(' ').map((point) => `${point} ${A} ${B} 64`)), way(0), more)

test('a flow seen at the beginning of the way only belongs to the way', () => {
  expect(pathOf([through(1, 'a b c d'), through(2, 'a b')])).toEqual(['a ── b ── c ── d'])
})

test('a point missed by some flows does not make another way', () => {
  const translated = masqueraded(1, 4711)
  const missed = masqueraded(2, 4712, 4712, {}, '172.17.0.3', ['container', 'bridge', 'uplink'])
  expect(pathOf([translated, missed], ['container', 'veth', 'bridge', 'uplink'])).toEqual([
    'container ── veth ── bridge ──[ SNAT · TTL −1 ]── uplink',
  ])
})

test('what happened somewhere in a wider gap is not guessed into a narrower one', () => {
  const wide = masqueraded(2, 4712, 4712, {}, '172.17.0.3', ['a', 'd'])
  expect(pathOf([through(1, 'a b c d'), wide])).toEqual([
    'a ── b ── c ── d (1 flow)',
    'a ──[ SNAT · TTL −1 ]── d (1 flow)',
  ])
})

test('flows that differ are counted', () => {
  const plain = through(2, 'a b', { translations: [] })
  const nat = through(1, 'a b', { translations: [translation('snat', 'a b', A, '192.0.2.1:1000')] })
  expect(pathOf([nat, plain], ['a', 'b'])).toEqual(['a ──[ SNAT 1 of 2 flows ]── b'])
})

test('the TTL falls in the direction of travel, and both directions may differ', () => {
  const lopsided = flow(
    1,
    way(1, `a ${A} ${B} 64`, `b ${A} ${B} 63`),
    way(1, `b ${B} ${A} 64`, `a ${B} ${A} 62`),
  )
  expect(pathOf([lopsided], ['a', 'b'])).toEqual(['a ──[ TTL → −1 ← −2 ]── b'])
})

test('losses in both directions, and where no gap can hold them', () => {
  const lost = through(1, 'a b', {
    lost: [loss('forward', 'a b', 3), loss('reverse', 'b a', 1200), loss('reverse', 'x y', 2)],
  })
  expect(pathOf([lost], ['a', 'b'])).toEqual([
    'a ──✗ 3 lost → 1,200 lost ←── b',
    '✗ 2 lost ← between x and y',
  ])
})

test('a flow of which only replies were seen', () => {
  const replies = flow(
    1,
    way(1, `a ${A} ${B} 64`),
    way(2, `c ${B} ${A} 64`, `b ${B} ${A} 64`, `a ${B} ${A} 63`),
  )
  expect(pathOf([{ ...replies, forward: way(0) }], ['a', 'b', 'c'])).toEqual(['a ──[ TTL −1 ]── b ── c'])
})

test('points without a flow, many ways, long names', () => {
  expect(pathOf([through(1, 'a b')])).toEqual(['a ── b', 'no flow was seen at c, d'])
  const ways = Array.from({ length: 9 }, (_, i) => through(i + 1, `c${i} bridge`))
  expect(pathOf(ways).filter((line) => line.startsWith('…'))).toEqual(['… 3 more ways, taken by 3 flows'])
  const long = 'n'.repeat(100)
  expect(pathOf([through(1, `${long} b`)], [long, 'b'])).toEqual([`${'n'.repeat(31)}… ── b`])
})
