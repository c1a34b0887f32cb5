/** A page about one very long flow, made by hand: real captures of that length take too long to read in a test. */

import type { FlowReport, Report } from '../../src/report/model.ts'
import type { PagePacket } from '../../src/report/page-data.ts'
import { writePage } from './made-page.ts'

const POINTS = ['container', 'veth', 'bridge', 'uplink']
const START_NS = 1_795_300_329_000_000_000n
const GAP_NS = 130_000
const HOP_NS = 9000
const BLOCK_PACKETS = 2000
const CLIENT = { ip: '172.17.0.3', port: 47276 }
const OUTSIDE = { ip: '192.168.78.100', port: 47276 }
const SERVER = { ip: '203.0.113.238', port: 80 }

/** Each so many packets to the server one is lost behind the bridge, and the next is the same again. */
export const LOST_EACH = 1000

/** Writes the page. Both directions in turn; the report says that there were `leftOut` packets more. */
export async function writeLongFlowPage(path: string, packets: number, leftOut = 0): Promise<void> {
  const blocks = Array.from({ length: Math.ceil(packets / BLOCK_PACKETS) }, (_, block) => {
    const first = block * BLOCK_PACKETS
    return Array.from({ length: Math.min(BLOCK_PACKETS, packets - first) }, (_, i) => packetOf(first + i + 1))
  })
  await writePage(path, longFlowReport(packets, leftOut), ...blocks)
}

/** The report about it. */
export function longFlowReport(packets: number, leftOut: number): Report {
  const lost = Math.floor(packets / LOST_EACH)
  const last = String(START_NS + BigInt(packets) * BigInt(GAP_NS))
  const half = packets / 2
  const flow: FlowReport = {
    id: 1,
    protocol: 'tcp',
    state: 'established',
    client: CLIENT,
    server: SERVER,
    firstNs: String(START_NS),
    lastNs: last,
    forward: { packets: half, bytes: half * 100, path: POINTS.map((_, i) => station(i, false)) },
    reverse: { packets: half + leftOut, bytes: half * 100, path: POINTS.map((_, i) => station(3 - i, true)) },
    translations: [{ kind: 'snat', between: ['bridge', 'uplink'], from: CLIENT, to: OUTSIDE }],
    lost: [
      {
        direction: 'forward',
        between: ['bridge', 'uplink'],
        packets: lost,
        frames: { point: 'bridge', frames: [LOST_EACH - 1] },
      },
    ],
    unseen: [],
    latency: [],
    retransmissions: { forward: lost, reverse: 0 },
    rttNs: null,
    icmpErrors: [],
    segmentationDiffers: false,
    ambiguous: 0,
    dnsNames: [],
    passedTwice: [],
    duplicates: 0,
  }
  return {
    schema: 'hoptrace.report/1',
    points: POINTS.map((name) => ({
      name,
      source: `${name}.pcap`,
      linkType: 'EN10MB',
      packets,
      bytes: packets * 100,
      firstNs: String(START_NS),
      lastNs: last,
      captureDrops: 0,
      undecoded: 0,
      clock: { offsetNs: 0, skewPpm: 0, uncertaintyNs: 0 },
    })),
    path: POINTS,
    flows: [flow],
    findings: [],
    notJoined: [],
    warnings: [],
  }
}

function station(place: number, isReverse: boolean) {
  return { point: POINTS[place]!, ...ends(place, isReverse), ttl: place < 3 ? 64 : 63, packets: 1 }
}

function ends(place: number, isReverse: boolean) {
  const client = place < 3 ? CLIENT : OUTSIDE
  return isReverse ? { src: SERVER, dst: client } : { src: client, dst: SERVER }
}

/** One of its packets, by its number from 1. */
export function packetOf(number: number): PagePacket {
  const isReverse = number % 2 === 0
  const isLost = number % LOST_EACH === LOST_EACH - 1
  const way = isReverse ? [3, 2, 1, 0] : isLost ? [0, 1, 2] : [0, 1, 2, 3]
  return {
    flow: 1,
    number,
    protocol: 'tcp',
    direction: isReverse ? 'reverse' : 'forward',
    sightings: way.map((place, i) => ({
      point: POINTS[place]!,
      frames: [number],
      timeNs: String(START_NS + BigInt(number - 1) * BigInt(GAP_NS) + BigInt(i * HOP_NS)),
      ttl: place < 3 ? 64 : 63,
      ...ends(place, isReverse),
    })),
    outcome: isLost ? 'lost' : 'delivered',
    ...(isLost ? { lostBetween: ['bridge', 'uplink'] as [string, string] } : {}),
    summary: `[P.] seq ${number} len 100`,
    lenBytes: 100,
    retransmission: number > LOST_EACH && number % LOST_EACH === 1,
    bytes: [],
  }
}
