/** What a live page keeps, and the words of its bar. */

import { expect, test } from 'vitest'
import type { FlowReport } from '../../../src/report/model.ts'
import type { PagePacket } from '../../../src/report/page-data.ts'
import { LiveStore } from '../../../src/report/web/live/live-store.ts'
import { notHereText, sizeText, timeText } from '../../../src/report/web/live/live-text.ts'

function packet(flow: number, number: number): PagePacket {
  return { flow, number } as PagePacket
}

test('where there are too many packets, the oldest go, whichever flow they are of', () => {
  const store = new LiveStore(10_000)
  let count = 0
  for (let number = 1; number <= 8000; number++) {
    const some = [packet(1, number), ...(number % 2 ? [packet(2, (number + 1) / 2)] : [])]
    count += some.length
    store.addPackets(some)
  }
  expect(store.packetCount + store.forgotten).toBe(count)
  expect(store.packetCount).toBeLessThanOrEqual(10_000)
  for (const [flow, last] of [
    [1, 8000],
    [2, 4000],
  ] as const) {
    const numbers = store.packetsOf(flow).map(({ number }) => number)
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => last - numbers.length + 1 + i))
  }
  expect(store.newest).toEqual({ flow: 1, packet: 8000 })
})

test('a flow whose packets are all forgotten is among those that changed', () => {
  const store = new LiveStore(100)
  expect(store.addPackets([packet(1, 1)])).toEqual(new Set([1]))
  const many = Array.from({ length: 6000 }, (_, i) => packet(2, i + 1))
  expect(store.addPackets(many)).toEqual(new Set([1, 2]))
  expect(store.packetsOf(1)).toEqual([])
})

test('flows stand in the order of their numbers, changed ones with what they are now', () => {
  const store = new LiveStore()
  const flow = (id: number, state = 'closed') => ({ id, state }) as FlowReport
  store.addFlows([flow(3), flow(1)])
  store.addFlows([flow(2), flow(1, 'reset')])
  store.removeFlows([3, 7])
  expect(store.flows()).toEqual([flow(1, 'reset'), flow(2)])
  store.addFlows(Array.from({ length: 25_000 }, (_, i) => flow(i + 1)))
  expect(store.flows()).toHaveLength(20_000)
  expect(store.flows()[0]!.id).toBe(5001)
})

test('what is not shown is told with its reason', () => {
  const none = { earlier: 0, missed: 0, forgotten: 0 }
  expect(notHereText(none, 0)).toBeNull()
  expect(notHereText({ ...none, missed: 1200 }, 3)).toMatch(
    /: 1[^\d]?200 were not sent, as this browser is too slow; 3 were not sent, as there were too many at once$/,
  )
})

test('times and sizes', () => {
  expect([0, 59_999, 3_600_000 + 125_000].map(timeText)).toEqual(['00:00', '00:59', '1:02:05'])
  expect([0, 1, 12_345_678, 2.5e9].map(sizeText)).toEqual(['0 kB', '1 kB', '12.3 MB', '2.50 GB'])
})
