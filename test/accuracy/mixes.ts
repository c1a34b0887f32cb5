/** The mixes of traffic that accuracy is measured with, and what is aimed at. */

import { Random } from '../trace/random.ts'
import type { TrafficOptions } from '../trace/traffic.ts'

export interface Mix {
  name: string
  /** What it is made of, in few words. */
  about: string
  options: Omit<TrafficOptions, 'packets'>
  /** In parts of 1; a precision of 1 means that not one match may be wrong. */
  aim?: { precision: number; recall: number }
}

const CLEAN = { precision: 1, recall: 0.9999 }
const UGLY = { precision: 0.9999, recall: 0.995 }

export const MIXES: readonly Mix[] = [
  { name: 'clean', about: 'every kind of NAT, reuse, wraps', options: { reuse: 0.15 }, aim: CLEAN },
  {
    name: 'clean-offload',
    about: 'the same with GSO and GRO',
    options: { reuse: 0.15, offload: true },
    aim: CLEAN,
  },
  {
    name: 'clean-identical',
    about: 'the same with 30 % equal packets',
    options: { reuse: 0.15, identical: 0.3 },
    aim: CLEAN,
  },
  {
    name: 'clocks',
    about: 'seconds of offset, 100 ppm of skew',
    options: { reuse: 0.15, clocks: true },
    aim: CLEAN,
  },
  { name: 'edges', about: 'captures that begin late or end early', options: { reuse: 0.15, edges: true } },
  { name: 'loss', about: '2 % loss', options: { loss: 0.02 } },
  {
    name: 'drops',
    about: 'captures lack 1 %, and have 1 % twice',
    options: { captureDrop: 0.01, duplicate: 0.01 },
  },
  {
    name: 'ugly',
    about: '2 % loss, 2 % reorder, offload, 30 % equal',
    options: { loss: 0.02, reorder: 0.02, offload: true, identical: 0.3, reuse: 0.05 },
    aim: UGLY,
  },
  {
    name: 'everything',
    about: 'ugly with drops, copies, edges and clocks',
    options: {
      ...{ loss: 0.02, reorder: 0.02, offload: true, identical: 0.3, reuse: 0.1 },
      ...{ captureDrop: 0.01, duplicate: 0.01, edges: true, clocks: true },
    },
  },
]

const MIN_PACKETS = 500
const MAX_PACKETS = 5000

/** Seeds and sizes of the traces that have so many packets together: small enough to be kept in memory one by one. */
export function* tracesOf(packets: number, seed: number): Generator<{ seed: number; packets: number }> {
  const random = new Random(seed)
  for (let left = packets; left > 0; ) {
    const size = Math.min(left, random.integer(MIN_PACKETS, MAX_PACKETS))
    left -= size
    yield { seed: random.integer(1, 2 ** 31), packets: size }
  }
}
