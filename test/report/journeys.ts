/** Journeys made by hand. */

import type { JourneyReport } from '../../src/report/journey-lines.ts'
import { end } from './scenarios.ts'

const FIRST_NS = 1_795_300_329_142_743_000n

/** A SYN on its way through masquerade, 31.2 µs from container to uplink. */
export function journey(more: Partial<JourneyReport> = {}): JourneyReport {
  const sighting = (point: string, afterNs: bigint, src: string, ttl: number, frame: number) => ({
    point,
    frames: [frame],
    timeNs: String(FIRST_NS + afterNs),
    ttl,
    src: end(src),
    dst: end('203.0.113.238:80'),
  })
  return {
    flow: 1,
    protocol: 'tcp',
    direction: 'forward',
    sightings: [
      sighting('container', 0n, '172.17.0.3:47276', 64, 3),
      sighting('veth', 1_123n, '172.17.0.3:47276', 64, 2),
      sighting('bridge', 2_042n, '172.17.0.3:47276', 64, 2),
      sighting('uplink', 31_200n, '192.168.78.100:47276', 63, 1),
    ],
    outcome: 'delivered',
    summary: 'S seq 1392019128 len 0',
    lenBytes: 0,
    retransmission: false,
    ...more,
  }
}
