/** A live clock's corrections: the first one at once, later ones so that times never come in another order. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ClockError } from '../../../src/capture/clock.ts'
import { HeldSource } from '../../../src/capture/live/backlog.ts'
import { LaneClock } from '../../../src/capture/live/lane-clock.ts'
import { TestSource } from '../../test-source.ts'

const error = (offsetNs: number, skew = 0, atNs = 0): ClockError => ({
  ...{ offsetNs, skew, atNs, uncertaintyNs: 1000 },
  ...{ basis: 'both-ways', reference: 'here' },
})

describe('corrections', () => {
  test('none until something is known, and none where the clock agrees', () => {
    const clock = new LaneClock()
    expect([clock.correctedNs(5e9), clock.isKnown, clock.error]).toEqual([5e9, false, null])
    expect(clock.adopt(null, 5e9)).toBe(false)
    expect([clock.correctedNs(5e9), clock.isKnown, clock.error]).toEqual([5e9, true, null])
  })

  test('the first one at once, and one that was far off', () => {
    const clock = new LaneClock()
    expect(clock.adopt(error(3e9), 10e9)).toBe(true)
    expect(clock.correctedNs(10e9)).toBe(7e9)
    expect(clock.adopt(error(5e9), 10e9)).toBe(true)
    expect(clock.correctedNs(10e9)).toBe(5e9)
  })

  test('smaller ones by and by; the uncertainty has room for what was wrong before', () => {
    const clock = new LaneClock()
    clock.adopt(error(3e9), 10e9)
    expect(clock.adopt(error(3.1e9), 10e9)).toBe(false)
    expect([10e9, 11e9, 12e9, 50e9].map((own) => clock.correctedNs(own))).toEqual([
      7e9, 7.95e9, 8.9e9, 46.9e9,
    ])
    expect(clock.error).toMatchObject({ offsetNs: 3.1e9, uncertaintyNs: 0.1e9 + 1000 })
  })

  test('times stay in their order, whatever is found out', () => {
    const finding = fc.record({
      offsetNs: fc.integer({ min: -2e8, max: 2e8 }),
      ppm: fc.integer({ min: -1000, max: 1000 }),
      afterMs: fc.integer({ min: 1, max: 20_000 }),
    })
    fc.assert(
      fc.property(fc.array(finding, { minLength: 1, maxLength: 10 }), (findings) => {
        const clock = new LaneClock()
        clock.adopt(error(0), 0)
        let ownNs = 0
        let beforeNs = Number.NEGATIVE_INFINITY
        for (const { offsetNs, ppm, afterMs } of findings) {
          for (let i = 0; i < 10; i++) {
            ownNs += afterMs * 1e5
            const timeNs = clock.correctedNs(ownNs)
            expect(timeNs).toBeGreaterThan(beforeNs)
            beforeNs = timeNs
          }
          clock.adopt(error(offsetNs, ppm * 1e-6, ownNs), ownNs)
        }
      }),
    )
  })
})

describe('a source that is held', () => {
  class Numbers extends TestSource {
    left = 0
    #count = 0

    advance(): boolean {
      if (this.left === 0) return false
      this.left--
      this.#count++
      // The same bytes again, as a ring's are.
      Object.assign(this.record, { timeNs: this.#count, start: 1, end: 4, originalLenBytes: 60 })
      this.record.bytes = new Uint8Array([0, this.#count, this.#count, this.#count])
      return true
    }
  }

  const taken = (held: HeldSource) => {
    const out: number[] = []
    while (held.advance()) {
      const { bytes, start, end, timeNs } = held.record
      expect([...bytes.subarray(start, end)]).toEqual([timeNs, timeNs, timeNs])
      out.push(timeNs)
    }
    return out
  }

  test('gives what was taken in first, in order; the one in use stays', () => {
    const numbers = new Numbers()
    const held = new HeldSource(numbers)
    numbers.left = 3
    expect(held.advance()).toBe(true)
    const noted: number[] = []
    held.takeIn(100, 1 << 20, true, ({ timeNs }) => noted.push(timeNs))
    expect([held.record.timeNs, held.record.bytes[held.record.start], noted]).toEqual([1, 1, [2, 3]])
    numbers.left = 1
    expect(taken(held)).toEqual([2, 3, 4])
  })

  test('holds what came later than its gate, and no more than it may', () => {
    const numbers = new Numbers()
    const held = new HeldSource(numbers)
    for (const nowNs of [100, 200]) {
      numbers.left = 2
      held.takeIn(nowNs, 1 << 20, false, () => {})
    }
    held.gateNs = 150
    expect([held.oldestNs, held.isGated, taken(held), held.isGated]).toEqual([100, false, [1, 2], true])
    numbers.ended = true
    expect(held.ended).toBe(false)
    held.gateNs = Number.POSITIVE_INFINITY
    expect([taken(held), held.ended]).toEqual([[3, 4], true])
    numbers.left = 100
    held.takeIn(300, 30, false, () => {})
    expect([held.isFull, numbers.left]).toEqual([true, 90])
  })
})
