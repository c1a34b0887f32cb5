/** Cables: stations between two routers stand as the interfaces hang together, whatever their times say. */

import { expect, test } from 'vitest'
import type { Point } from '../../src/capture/record.ts'
import { Cables } from '../../src/correlate/cables.ts'
import { LegTable } from '../../src/correlate/legs.ts'

const NEXT: Record<string, string | null> = {
  a: 'a.veth',
  'a.veth': 'bridge',
  b: 'b.veth',
  'b.veth': 'bridge',
  bridge: 'uplink',
  uplink: null,
  far: null,
}
const NAMES = Object.keys(NEXT)

function pointsOf(next: Record<string, string | null>): Point[] {
  return Object.keys(next).map((name, index) => ({ index, name, next: next[name]! }) as Point)
}

/** The names of a way's points in the order of the cables; `name 63` is a station with that TTL, 64 unless told. */
function ordered(stations: string[], next = NEXT): string[] {
  const legs = new LegTable()
  const way = stations.map((station, i) => {
    const [name, ttl = '64'] = station.split(' ')
    const leg = legs.add(NAMES.indexOf(name!), 6, 1, 2, i)
    legs.ttl[leg] = Number(ttl)
    return leg
  })
  return new Cables(pointsOf(next)).inOrder(legs, way).map((leg) => NAMES[legs.point[leg]!]!)
}

test('time decides only from which end', () => {
  expect(ordered(['a', 'bridge', 'a.veth', 'uplink 63'])).toEqual(['a', 'a.veth', 'bridge', 'uplink'])
  expect(ordered(['uplink', 'a 63', 'bridge 63', 'a.veth 63'])).toEqual(['uplink', 'bridge', 'a.veth', 'a'])
})

test('the neighbours behind a router say more than time', () => {
  expect(ordered(['bridge', 'a', 'a.veth', 'uplink 63'])).toEqual(['a', 'a.veth', 'bridge', 'uplink'])
})

test('from one container to another over their bridge', () => {
  expect(ordered(['a', 'a.veth', 'b.veth', 'bridge', 'b'])).toEqual(['a', 'a.veth', 'bridge', 'b.veth', 'b'])
  expect(ordered(['b', 'bridge', 'b.veth', 'a.veth', 'a'])).toEqual(['b', 'b.veth', 'bridge', 'a.veth', 'a'])
})

test('what no cable leads to, or is passed twice, stays as it was', () => {
  expect(ordered(['bridge', 'far', 'a'])).toEqual(['bridge', 'far', 'a'])
  expect(ordered(['bridge', 'a', 'bridge'])).toEqual(['bridge', 'a', 'bridge'])
})

test('captures that say nothing, or nonsense, change nothing', () => {
  const none = Object.fromEntries(NAMES.map((name) => [name, null]))
  expect(ordered(['bridge', 'a', 'a.veth'], none)).toEqual(['bridge', 'a', 'a.veth'])
  const circle = { ...NEXT, a: 'a.veth', 'a.veth': 'a', bridge: 'bridge', uplink: 'nowhere' }
  expect(ordered(['bridge', 'a', 'a.veth'], circle)).toEqual(['bridge', 'a', 'a.veth'])
})
