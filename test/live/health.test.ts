/** Health: drops and interfaces that go down are told, and not again and again. */

import { expect, test } from 'vitest'
import type { Point } from '../../src/capture/record.ts'
import { Health } from '../../src/live/health.ts'

function pointWith(captureDrops: number | null): Point {
  return { name: 'bridge', captureDrops } as Point
}

test('drops are told at once, then at most every 10 s, each time those that are new', () => {
  const lines: string[] = []
  const health = new Health((line) => lines.push(line))
  const look = (drops: number | null, atMs: number) =>
    health.look([{ point: pointWith(drops), isDown: false }], atMs)
  look(null, 0)
  look(0, 1000)
  expect(lines).toEqual([])
  look(5, 2000)
  look(9, 3000)
  look(9, 11_999)
  expect(lines).toEqual([expect.stringMatching(/^bridge: 5 frames dropped, /)])
  look(9, 12_000)
  look(9, 60_000)
  expect(lines.slice(1)).toEqual([expect.stringMatching(/^bridge: 4 frames dropped, /)])
})

test('an interface that is down for two looks is told, and that it is up again', () => {
  const lines: string[] = []
  const health = new Health((line) => lines.push(line))
  const look = (isDown: boolean | undefined) => health.look([{ point: pointWith(0), isDown }], 0)
  for (const isDown of [true, false, true, false, undefined]) look(isDown)
  expect(lines).toEqual([])
  for (const isDown of [true, true, true]) look(isDown)
  expect(lines).toEqual(['bridge: its interface is down; it is captured again when it comes up'])
  look(false)
  look(false)
  expect(lines.slice(1)).toEqual(['bridge: its interface is up again'])
})
