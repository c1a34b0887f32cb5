/** A small `npm run accuracy` with fixed seeds: what it prints must not become worse. */

import { expect, test } from 'vitest'
import { measureTrace } from './measure.ts'
import { MIXES } from './mixes.ts'
import { addScore, emptyScore, type Score } from './score.ts'

const PACKETS = 400

/** One trace of each of these seeds: among them they have all three sites. */
async function measured(name: string, seeds: readonly number[]): Promise<Score> {
  const mix = MIXES.find((it) => it.name === name)!
  const sum = emptyScore()
  for (const seed of seeds) {
    const { score } = await measureTrace(seed, { ...mix.options, packets: PACKETS })
    addScore(sum, score)
  }
  expect(sum.packets).toBeGreaterThan(0.5 * seeds.length * PACKETS)
  return sum
}

const SEEDS = [1, 2, 11]

test.each(['clean', 'clean-offload'])('%s: every journey and every translation', async (name) => {
  const { packets, journeys, wrong, recalled, ambiguous, missed, translations, losses } = await measured(
    name,
    SEEDS,
  )
  expect({ journeys, wrong, recalled }).toEqual({ journeys: packets, wrong: 0, recalled: packets })
  expect([ambiguous, missed, losses.told]).toEqual([0, 0, 0])
  expect(translations).toEqual({
    told: translations.there,
    there: translations.there,
    right: translations.there,
  })
  expect(translations.there).toBeGreaterThan(10)
})

test('clocks: nothing wrong; a mapping that is renewed may escape where a clock is off by more than a hop takes', async () => {
  const { packets, wrong, recalled, ambiguous, losses } = await measured('clocks', SEEDS)
  expect({ wrong, ambiguous, lost: losses.told }).toEqual({ wrong: 0, ambiguous: 0, lost: 0 })
  expect(recalled).toBeGreaterThan(0.998 * packets)
})

test('clean-identical: nothing wrong, nothing missed, little ambiguous', async () => {
  const { packets, wrong, missed, ambiguous } = await measured('clean-identical', SEEDS)
  expect({ wrong, missed }).toEqual({ wrong: 0, missed: 0 })
  expect(ambiguous).toBeLessThan(packets / 20)
})

test('edges: a capture that begins late or ends early makes no match wrong', async () => {
  const { packets, wrong, recalled } = await measured('edges', SEEDS)
  expect(wrong).toBe(0)
  expect(recalled).toBeGreaterThan(0.999 * packets)
})

test('loss: nothing wrong, and what is told as lost was lost there', async () => {
  const { packets, wrong, recalled, losses } = await measured('loss', SEEDS)
  expect(wrong).toBe(0)
  expect(recalled).toBeGreaterThan(0.995 * packets)
  expect(losses.right).toBe(losses.told)
  expect(losses.right).toBeGreaterThan(0.9 * losses.there)
})

test('ugly: what is not right is called ambiguous', async () => {
  const { packets, journeys, wrong, recalled, missed } = await measured('ugly', SEEDS)
  expect(wrong).toBeLessThanOrEqual(journeys / 1000)
  expect(missed).toBeLessThanOrEqual(packets / 500)
  expect(recalled).toBeGreaterThan(0.9 * packets)
})
