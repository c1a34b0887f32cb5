/** The arithmetic of clocks: from samples to the difference of two, and from differences to the errors of all. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { correctedNs, offsetAt } from '../../src/capture/clock.ts'
import { clockErrors } from '../../src/correlate/clock-groups.ts'
import { ClockSamples } from '../../src/correlate/clock-samples.ts'
import { type ClockDifference, compareClocks } from '../../src/correlate/clocks.ts'
import { Random } from '../trace/random.ts'

interface Scene {
  seed?: number
  offsetNs?: number
  ppm?: number
  packets?: number
  spanNs?: number
  /** Least delay there and back, and what queues add at most. */
  delayNs?: [number, number]
  jitterNs?: number
  /** Part of the samples that are no pairs. */
  false?: number
  hops?: number
  oneWay?: boolean
  strong?: boolean
}

function samplesOf(scene: Scene): ClockSamples {
  const { seed = 1, offsetNs = 0, ppm = 0, packets = 200, spanNs = 60e9, delayNs = [20_000, 20_000] } = scene
  const { jitterNs = 30_000, hops = 1, oneWay = false, strong = true } = scene
  const random = new Random(seed)
  const samples = new ClockSamples(0, 1, packets)
  for (let i = 0; i < packets; i++) {
    const trueNs = Math.round((i / packets) * spanNs)
    const isUp = oneWay || i % 2 === 0
    const delay = delayNs[isUp ? 0 : 1] + random.integer(0, jitterNs)
    const clockNs = offsetNs + Math.round(trueNs * ppm * 1e-6)
    const ahead = random.chance(scene.false ?? 0)
      ? random.integer(-1e12, 1e12)
      : clockNs + (isUp ? delay : -delay)
    samples.add(trueNs, ahead, 7, isUp ? 4 : 0, isUp ? hops : -hops, strong)
  }
  return samples
}

const at = ({ offsetNs, skew, atNs }: ClockDifference, timeNs: number) => offsetNs + skew * (timeNs - atNs)

test('offset and skew within the uncertainty, over all of the time, whatever the delays', () => {
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.integer(),
        offsetNs: fc.integer({ min: -5e9, max: 3600e9 }),
        ppm: fc.integer({ min: -100, max: 100 }),
        spanNs: fc.integer({ min: 1e6, max: 3600e9 }),
        packets: fc.integer({ min: 8, max: 400 }),
        delays: fc.tuple(fc.integer({ min: 1000, max: 50e6 }), fc.integer({ min: 1000, max: 50e6 })),
        jitterNs: fc.integer({ min: 0, max: 5e6 }),
      }),
      ({ delays, ...scene }) => {
        const found = compareClocks(samplesOf({ ...scene, delayNs: delays }))!
        for (const timeNs of [0, scene.spanNs / 2, scene.spanNs]) {
          const trueNs = scene.offsetNs + scene.ppm * 1e-6 * timeNs
          // With few packets a drift can be anything that delays hide.
          // Times are whole ns, and edges are made of a few of them.
          const room = 20 + (scene.packets < 100 ? Math.abs(scene.ppm) * 1e-6 * scene.spanNs : 0)
          expect(Math.abs(at(found, timeNs) - trueNs)).toBeLessThanOrEqual(found.uncertaintyNs + room)
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('a tenth of false pairs changes nothing', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const found = compareClocks(samplesOf({ seed, offsetNs: 3e9, ppm: 50, packets: 1000, false: 0.1 }))!
    expect(found.basis).toBe('both-ways')
    expect(Math.abs(at(found, 0) - 3e9)).toBeLessThan(found.uncertaintyNs)
    expect(Math.abs(found.skew - 50e-6)).toBeLessThan(1e-6)
    expect(found.uncertaintyNs).toBeLessThan(50_000)
  }
})

test('one clock: taps that err, queues that grow, long delays and equal times are no difference', () => {
  const scenes: Scene[] = [
    {},
    { delayNs: [0, 0], jitterNs: 0 },
    { delayNs: [-200_000, 210_000], jitterNs: 20_000 },
    { offsetNs: 250_000, delayNs: [1000, 1000], jitterNs: 1000 },
    { delayNs: [80e6, 1000], jitterNs: 40e6 },
    { oneWay: true, delayNs: [400e6, 0] },
    { spanNs: 3600e9, jitterNs: 20e6 },
    { packets: 2 },
  ]
  for (const scene of scenes)
    for (let seed = 1; seed <= 20; seed++)
      expect(compareClocks(samplesOf({ ...scene, seed }))?.differs ?? false).toBe(false)
  const queue = new ClockSamples(0, 1, 400)
  for (let i = 0; i < 400; i++)
    queue.add(i * 1e8, i % 2 ? -20_000 : 20_000 + i * 1e4, 7, i % 2 ? 0 : 4, 0, true)
  expect(compareClocks(queue)).toMatchObject({ differs: false, skew: 0 })
})

test('what repeats itself is no evidence, nor is a single packet', () => {
  expect(compareClocks(samplesOf({ offsetNs: 86_400e9, packets: 10, strong: false }))).toBeNull()
  expect(compareClocks(samplesOf({ offsetNs: 86_400e9, packets: 1 }))).toBeNull()
  expect(compareClocks(samplesOf({ offsetNs: 1e9, packets: 2 }))).toMatchObject({ differs: true })
  expect(compareClocks(new ClockSamples(0, 1, 1))).toBeNull()
})

test('one way: the TTL tells which end of the cloud is the offset', () => {
  const up = compareClocks(samplesOf({ offsetNs: 9e9, oneWay: true, delayNs: [1e6, 0] }))!
  expect(up).toMatchObject({ differs: true, basis: 'one-way' })
  expect(up.offsetNs - 9e9).toBeLessThan(1.1e6)
  const down = compareClocks(
    samplesOf({ offsetNs: 9e9, oneWay: true, hops: -1, delayNs: [-1e6, 0], jitterNs: 500_000 }),
  )!
  expect(Math.abs(down.offsetNs - 9e9)).toBeLessThan(1.1e6)
})

test('hostile times give numbers, and no exception', () => {
  const samples = new ClockSamples(0, 1, 100)
  for (let i = 0; i < 100; i++)
    samples.add([0, 1e18, -4e18, 5][i % 4]!, [Number.NaN, 1e19, -1e19, 3, 0][i % 5]!, i % 3, i & 4, 0, true)
  const found = compareClocks(samples)
  for (const value of [found?.offsetNs, found?.skew, found?.uncertaintyNs].filter((it) => it !== undefined))
    expect(Number.isFinite(value)).toBe(true)
})

function difference(
  a: number,
  b: number,
  offsetNs: number,
  more: Partial<ClockDifference> = {},
): ClockDifference {
  const differs = Math.abs(offsetNs) > 1e6
  return {
    a,
    b,
    offsetNs,
    atNs: 0,
    skew: 0,
    uncertaintyNs: 1000,
    samples: 10,
    basis: 'both-ways',
    differs,
    ...more,
  }
}

test('errors along a chain add up, with skew, whichever way each pair was compared', () => {
  // True clocks: file 0 is right, 1 is 4 s ahead and 50 ppm fast, 2 is 7 s behind and 80 ppm slow, 3 an hour ahead.
  const clock = (file: number, t: number) =>
    t + [0, 4e9, -7e9, 3600e9][file]! + [0, 50e-6, -80e-6, 9e-6][file]! * t
  const compared = (a: number, b: number): ClockDifference => {
    const [a0, a1, b0, b1] = [clock(a, 0), clock(a, 1e12), clock(b, 0), clock(b, 1e12)]
    return difference(a, b, b0 - a0, { atNs: a0, skew: (b1 - b0 - (a1 - a0)) / (a1 - a0) })
  }
  for (const pairs of [
    [compared(0, 1), compared(1, 2), compared(2, 3)],
    [compared(1, 2), compared(0, 2), compared(0, 3)],
  ]) {
    const errors = clockErrors(['w', 'x', 'y', 'z'], pairs)
    const root = errors.indexOf(null)
    for (let file = 0; file < 4; file++)
      for (const t of [0, 5e11, 1e12]) {
        const error = errors[file]
        const shown = error ? correctedNs(error, clock(file, t)) : clock(file, t)
        expect(Math.abs(shown - clock(root, t))).toBeLessThan(10)
        if (error) expect(Math.abs(offsetAt(error, shown) - (clock(file, t) - shown))).toBeLessThan(10)
      }
    expect(Math.max(...errors.map((error) => error?.uncertaintyNs ?? 0))).toBe(2000)
  }
})

test('files of one host share the clock that is known best; the larger group is the reference', () => {
  const errors = clockErrors(
    ['far', 'near', 'veth', 'bridge'],
    [
      difference(0, 1, 5e9, { uncertaintyNs: 40_000 }),
      difference(0, 2, 5e9, { uncertaintyNs: 90_000 }),
      difference(1, 2, 0),
      difference(2, 3, 0),
      // Too little to tell them apart, against those that can.
      difference(0, 3, 0, { uncertaintyNs: 6e9 }),
    ],
  )
  expect(errors.slice(1)).toEqual([null, null, null])
  expect(errors[0]).toMatchObject({ offsetNs: -5e9, uncertaintyNs: 40_000, reference: 'near' })
})

test('without any difference no clock has an error; nor has one that nothing links', () => {
  expect(clockErrors(['a', 'b', 'c'], [difference(0, 1, 0), difference(1, 2, 500)])).toEqual([
    null,
    null,
    null,
  ])
  const errors = clockErrors(['a', 'b', 'c'], [difference(0, 1, 2e9)])
  expect(errors.map((error) => error?.offsetNs ?? null)).toEqual([null, 2e9, null])
})
