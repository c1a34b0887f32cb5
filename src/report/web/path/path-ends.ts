/** The ends of a way: the sender and the receiver, where no point is at them, and what is known of the way to them. */

import { renderEndpoint } from '../../endpoint.ts'
import type { Place } from '../../explain/places.ts'
import type { Endpoint } from '../../model.ts'
import type { PathGap, PathGroup, PathModel, PathStation, Surroundings } from './path-model.ts'
import type { Stamp } from './stamps.ts'
import type { Way } from './way.ts'

/** Puts the sender in front and the receiver behind, where no point is at them; and what is known of the way to them. */
export function addEnds(
  parts: PathModel['parts'],
  way: Way,
  places: readonly Place[],
  { names = {} }: Surroundings,
): void {
  const [first, last] = [way.stations[0], way.stations.at(-1)]
  const isForward = way.direction === 'forward'
  // An error that the receiver sends itself answers what did arrive.
  const stopped = way.errors.reduce(
    (sum, { from, packets }) => sum + (from === last?.dst.ip ? 0 : packets),
    0,
  )
  const isStopped = stopped > 0 && stopped >= (last?.packets ?? 1)
  const end = (at: number, who: 'sender' | 'receiver', address: Endpoint | undefined): PathStation => {
    const isProxy = way.proxy === who
    const isClient = (who === 'sender') === isForward
    const name = address && names[address.ip]
    const station: PathStation = {
      type: 'station',
      at,
      kind: isProxy ? 'proxy' : 'end',
      name: name ?? (isProxy ? 'Proxy' : isClient ? 'Client' : 'Server'),
      detail: address ? renderEndpoint(address, way.protocol) : 'not captured',
      ttl: null,
      src: null,
      dst: null,
      hasNewEnds: false,
      packets: null,
      unseen: 0,
      isReached: who === 'sender' || (way.unreached.length === 0 && !isStopped),
    }
    return station
  }
  const open = (item: PathStation): PathGroup => ({
    type: 'group',
    label: '',
    hasWalls: false,
    items: [item],
  })
  const gap = (at: number, stamps: Stamp[]): PathGap => ({
    type: 'gap',
    at,
    cable: 'inside',
    words: '',
    stamps,
    medianNs: null,
    isLossy: at > 0 && isStopped,
    isDead: at > 0 && way.unreached.length > 0,
  })
  const earlier = way.earlier.map(
    ({ kind, from, to }): Stamp => ({
      kind,
      word: kind.toUpperCase(),
      from: renderEndpoint(from, way.protocol),
      to: renderEndpoint(to, way.protocol),
    }),
  )
  const errors = way.errors.map(
    ({ packets, from, name }): Stamp => ({
      kind: 'error',
      word: way.isOne ? 'answered' : `${packets} answered`,
      text: `by ${from}: ${name}`,
    }),
  )
  const head = parts[0] as PathGroup
  const before = gap(-0.5, earlier)
  // A proxy is a process on the computer of the first or last point.
  if (way.proxy === 'sender' && !isEnd(places[0]!)) head.items.unshift(end(-1, 'sender', first?.src), before)
  else if (!isEnd(places[0]!)) parts.unshift(open(end(-1, 'sender', first?.src)), before)
  else if (earlier.length > 0) head.items.unshift(before)
  const tail = parts.at(-1) as PathGroup
  const behind = gap(places.length - 0.5, errors)
  const receiver = () => end(places.length, 'receiver', last?.dst)
  if (way.unreached.length === 0 && isEnd(places.at(-1)!)) {
    if (errors.length > 0) tail.items.push(behind)
  } else if (way.proxy === 'receiver') tail.items.push(behind, receiver())
  else parts.push(behind, open(receiver()))
}

/** A point inside of the computer or container that sends or receives. */
function isEnd({ kind }: Place): boolean {
  return kind === 'container' || kind === 'loopback'
}
