/** The columns of the joiner: addresses, legs, window, patterns and latencies, each against a plain model of it. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressTable } from '../../src/correlate/addresses.ts'
import { FlowTable } from '../../src/correlate/flows.ts'
import { JourneyJournal } from '../../src/correlate/journal.ts'
import { Latencies } from '../../src/correlate/latencies.ts'
import { LatencyTable } from '../../src/correlate/latency.ts'
import { LegTable } from '../../src/correlate/legs.ts'
import { PatternTable } from '../../src/correlate/patterns.ts'
import { newFinishedJourney } from '../../src/correlate/tally.ts'
import { JourneyWindow } from '../../src/correlate/window.ts'

test('addresses: the same bytes have the same index, and come back as they were', () => {
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  )
  fc.assert(
    fc.property(fc.array(address, { maxLength: 2000 }), (addresses) => {
      const table = new AddressTable()
      const out = new Uint8Array(16)
      const indexes = addresses.map((bytes) => table.intern(bytes, 0, bytes.length === 4 ? 4 : 6))
      addresses.forEach((bytes, i) => {
        expect(out.subarray(0, table.write(indexes[i]!, out))).toEqual(bytes)
        expect(table.intern(bytes, 0, bytes.length === 4 ? 4 : 6)).toBe(indexes[i])
      })
      expect(table.count).toBe(new Set(addresses.map(String)).size)
    }),
    { numRuns: 30 },
  )
})

test('legs: found by point, protocol, addresses, ports and visit, and by nothing less', () => {
  const tuple = fc.tuple(
    fc.nat(3),
    fc.constantFrom(6, 17),
    fc.nat(9),
    fc.nat(9),
    fc.nat(0xffffffff),
    fc.nat(1),
  )
  fc.assert(
    fc.property(fc.array(tuple, { maxLength: 3000 }), (tuples) => {
      const legs = new LegTable()
      const model = new Map<string, number>()
      for (const t of tuples) {
        expect(legs.find(...t)).toBe(model.get(t.join()) ?? -1)
        if (!model.has(t.join())) model.set(t.join(), legs.add(...t))
      }
      for (const t of tuples) expect(legs.find(...t)).toBe(model.get(t.join()))
    }),
    { numRuns: 30 },
  )
})

test('window: finds what is inside by its key, through growth and wrap-around, and nothing that has left', () => {
  const window = new JourneyWindow()
  const keys: number[] = []
  const find = (key: number) => {
    const serials: number[] = []
    for (let slot = window.newest(key); slot >= 0; slot = window.older(slot))
      if (window.keyLow[slot] === key) serials.push(window.serial[slot]!)
    return serials
  }
  for (let i = 0; i < 50_000; i++) {
    const key = Math.imul(i % 7919, 2654435761) | 0
    keys.push(key)
    const slot = window.open(key, 0, i)
    window.see(slot, i % 40, i, i, i, 64, 0)
    window.see(slot, 1, i + 1, i, i, 64, 0)
    // The window breathes: sometimes it fills, sometimes it empties.
    for (let n = i % 30_000 < 20_000 ? 0 : 3; n > 0 && window.size > 1; n--) window.closeOldest()
  }
  for (const serial of [window.oldest, window.nextSerial - 1, window.oldest + 17]) {
    const key = keys[serial]!
    const expected = keys.flatMap((k, s) => (k === key && s >= window.oldest ? [s] : [])).reverse()
    expect(find(key)).toEqual(expected)
    const slot = window.slotOf(serial)
    const first = window.firstSighting[slot]!
    expect([window.leg[first], window.leg[window.nextSighting[first]!]]).toEqual([serial, serial + 1])
  }
  expect(window.slotOf(window.oldest - 1)).toBe(-1)
  expect(window.slotOf(window.nextSerial)).toBe(-1)
})

test('patterns: a bit for each of 62 stations, and renumbering moves them', () => {
  const patterns = new PatternTable()
  for (let station = 0; station < 31; station++) {
    const low = 1 << station
    const row = patterns.row(-1, low, 0, 0, 0)
    expect(
      Array.from({ length: 62 }, (_, s) => patterns.has(row, s)).flatMap((yes, s) => (yes ? [s] : [])),
    ).toEqual([station])
    patterns.shift(row, 31)
    expect(patterns.has(row, station + 31)).toBe(true)
    expect(patterns.has(row, station)).toBe(false)
  }
})

test('latency: exact up to 128 samples, within 1/32 beyond, negative ones included', () => {
  const latencies = fc.array(fc.integer({ min: -2_000_000, max: 900_000_000 }), {
    minLength: 1,
    maxLength: 2000,
  })
  fc.assert(
    fc.property(latencies, (samples) => {
      const table = new LatencyTable()
      const row = table.row(1, 2)
      for (const sample of samples) table.add(row, sample)
      const sorted = samples.toSorted((a, b) => a - b)
      const rank = (p: number) => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]!
      const near = (value: number, exact: number) =>
        samples.length <= 128
          ? expect(value).toBe(exact)
          : expect(Math.abs(value - exact)).toBeLessThanOrEqual(1 + Math.abs(exact) / 32)
      const { packets, minNs, medianNs, p99Ns } = table.summary(row)
      expect([packets, minNs]).toEqual([samples.length, sorted[0]])
      near(medianNs, rank(0.5))
      near(p99Ns, rank(0.99))
      expect(table.negative(row)).toBe(samples.filter((sample) => sample < 0).length)
    }),
    { numRuns: 100 },
  )
})

test('latencies: of many short flows as of few long ones, what a row for each pair of legs says', () => {
  const journey = fc.record({
    direction: fc.nat(20),
    legs: fc.uniqueArray(fc.nat(5), { maxLength: 6 }),
    gaps: fc.array(fc.integer({ min: -2_000_000, max: 3_000_000_000 }), { minLength: 6, maxLength: 6 }),
  })
  fc.assert(
    fc.property(fc.array(journey, { maxLength: 600 }), fc.nat(20), (journeys, renumbered) => {
      const legs = new LegTable()
      const flows = new Array(21).fill(0).map((_, direction) => {
        const some = Array.from({ length: 6 }, (_, i) => legs.add(i, 6, direction, 0, 0))
        some.forEach((leg, i) => {
          legs.station[leg] = i
          legs.sibling[leg] = some[i + 1] ?? -1
        })
        return some
      })
      const latencies = new Latencies(legs)
      const table = new LatencyTable()
      for (const { direction, legs: places, gaps } of journeys) {
        const leg = places.map((place) => flows[direction]![place]!)
        const timeNs = places.map((_, i) => gaps.slice(0, i).reduce((sum, gap) => sum + gap, 5e9))
        for (const [i, here] of leg.entries()) {
          legs.countPacket(here)
          if (i > 0) table.add(table.row(leg[i - 1]!, here), timeNs[i]! - timeNs[i - 1]!)
          if (i > 1 && legs.packets(here) <= 64)
            table.add(table.row(leg[i - 2]!, here), timeNs[i]! - timeNs[i - 2]!)
        }
        if (leg.length > 2 && timeNs[0]! > timeNs.at(-1)!)
          table.add(table.row(leg.at(-1)!, leg[0]!), timeNs[0]! - timeNs.at(-1)!)
        latencies.add(
          direction,
          flows[direction]![0]!,
          leg.length,
          Int32Array.from(leg),
          Float64Array.from(timeNs),
        )
      }
      latencies.leaveFirst(renumbered, flows[renumbered]![0]!)
      for (const [direction, some] of flows.entries())
        for (const from of some)
          for (const to of some)
            expect(latencies.between(direction, from, to)).toEqual(table.between(from, to))
    }),
    { numRuns: 30 },
  )
})

test('patterns: the record numbers of the first 16 journeys of each row, however they come', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 500 }), (rows) => {
      const patterns = new PatternTable()
      const made = Array.from({ length: 41 }, (_, i) => patterns.row(-1, i, 0, 0, 0))
      const model = made.map((): number[] => [])
      rows.forEach((row, frame) => {
        patterns.add(made[row]!, 100, frame)
        model[row]!.push(frame)
      })
      model.forEach((frames, row) => {
        expect(patterns.packets[made[row]!]).toBe(frames.length)
        if (frames.length > 0) expect(patterns.evidence(made[row]!)).toEqual(frames.slice(0, 16))
      })
    }),
    { numRuns: 30 },
  )
})

test('flows: what a point made of a known packet is given back, and its legs are those of the flow that it belongs to', () => {
  const legs = new LegTable()
  const flows = new FlowTable(legs, new PatternTable(), new Latencies(legs))
  const [here, there] = [legs.add(0, 6, 1, 2, 3), legs.add(1, 6, 1, 2, 3)]
  const known = flows.add(6)
  flows.join(here, known)
  flows.lastJourney[known] = 0
  const made = flows.add(6)
  flows.join(there, made)
  expect(flows.merge(made, known)).toBe(known)
  expect([flows.count, flows.mergedCount, legs.direction[there]]).toEqual([1, 0, known])
  const other = flows.add(17)
  expect([other, flows.find(other), flows.firstLeg[other]]).toEqual([made, made, -1])
})

test('flows: sequence numbers tell new bytes, gaps, retransmissions and keep-alives, also across the wrap', () => {
  const legs = new LegTable()
  const flows = new FlowTable(legs, new PatternTable(), new Latencies(legs))
  const direction = flows.add(6)
  const start = 0xffffff00
  const send = (offset: number, length: number, isControl = false) =>
    flows.advanceSequence(direction, (start + offset) >>> 0, length, isControl)
  expect(send(0, 1, true)).toBe(false) // SYN
  expect(send(0, 1, true)).toBe(true) // SYN again
  expect(send(1, 1000)).toBe(false)
  expect(send(2001, 1000)).toBe(false) // leaves a gap of 1000
  expect(send(1001, 500)).toBe(false) // fills half of it: late, not again
  expect(send(1001, 500)).toBe(true)
  expect(send(1501, 500)).toBe(false)
  expect(send(1501, 500)).toBe(true)
  expect(send(3000, 1)).toBe(false) // keep-alive
  expect(send(3001, 0)).toBe(false) // pure ACK
})

test('journal: what goes in comes out, also when it went through a file', () => {
  const journal = new JourneyJournal()
  const journey = newFinishedJourney()
  const count = 150_000
  for (let i = 0; i < count; i++) {
    Object.assign(journey, {
      direction: i % 97,
      pattern: i % 89,
      payloadLenBytes: i,
      seq: i * 28_000,
      sightings: 1 + (i % 3),
    })
    for (let s = 0; s < journey.sightings; s++) {
      journey.leg[s] = i + s
      journey.frame[s] = 4_000_000_000 - i
      journey.timeNs[s] = i * 1e6 + s
      journey.ttl[s] = 64 - s
    }
    journal.append(journey)
  }
  let i = 0
  for (const read of journal.read()) {
    if (i % 10_007 === 0 || i === count - 1) {
      expect(read).toMatchObject({
        direction: i % 97,
        pattern: i % 89,
        payloadLenBytes: i,
        sightings: 1 + (i % 3),
      })
      const last = read.sightings - 1
      expect([read.leg[last], read.frame[last], read.timeNs[last], read.ttl[last]]).toEqual([
        i + last,
        4_000_000_000 - i,
        i * 1e6 + last,
        64 - last,
      ])
    }
    i++
  }
  expect(i).toBe(count)
  journal.close()
})
