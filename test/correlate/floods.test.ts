/** Floods: a bridge's copies at other ports are not on the way; what is rare for another reason stays. */

import { describe, expect, test } from 'vitest'
import { withoutFloods } from '../../src/correlate/floods.ts'
import { LegTable } from '../../src/correlate/legs.ts'

const TCP = 6

/** Legs of one direction, by point: how many packets each saw, and with which TTL. */
function legsOf(table: LegTable, seen: readonly [point: number, packets: number, ttl: number][]): number[] {
  return seen.map(([point, packets, ttl]) => {
    const leg = table.add(point, TCP, 1, 2, 3)
    for (let packet = 0; packet < packets; packet++) table.countPacket(leg)
    table.ttl[leg] = ttl
    return leg
  })
}

describe('copies that a bridge floods', () => {
  const [uplink, bridge, port, container, otherPort] = [0, 1, 2, 3, 4]

  function pointsLeft(copies: number, ttl: number, answeredAt: readonly number[]): number[] {
    const legs = new LegTable()
    const there = legsOf(legs, [
      [uplink, 40, 64],
      [bridge, 40, 63],
      [port, 40, 63],
      [container, 40, 63],
      [otherPort, copies, ttl],
    ])
    const back = legsOf(
      legs,
      answeredAt.map((point) => [point, 30, 64]),
    )
    return withoutFloods(legs, there, back).map((leg) => legs.point[leg]!)
  }

  test('the first packets at another port are none of the way', () => {
    expect(pointsLeft(1, 63, [container, port, bridge, uplink])).toEqual([uplink, bridge, port, container])
    expect(pointsLeft(2, 63, [container, port, bridge, uplink])).toEqual([uplink, bridge, port, container])
  })

  test('a point that answers pass as well is on the way, however little it saw', () => {
    expect(pointsLeft(1, 63, [otherPort, container, port, bridge, uplink])).toContain(otherPort)
  })

  test('behind a further router, with a good part of the packets, or without any answer it is on the way', () => {
    const back = [container, port, bridge, uplink]
    expect(pointsLeft(1, 62, back)).toContain(otherPort)
    expect(pointsLeft(20, 63, back)).toContain(otherPort)
    expect(pointsLeft(1, 63, [])).toContain(otherPort)
  })
})
