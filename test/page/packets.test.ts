/** Which flows and packets a page takes where it can't have all. */

import { expect, test } from 'vitest'
import { PageFlows } from '../../src/page/flows.ts'
import { PagePackets, shareOfEach } from '../../src/page/packets.ts'
import type { JourneyOutcome, JourneyReport } from '../../src/report/journey-lines.ts'
import type { FindingReport, FlowReport, ReportPoint } from '../../src/report/model.ts'

const POINTS = [{ name: 'a', source: 'a.pcap' }] as ReportPoint[]

function flow(id: number, packets: number, more: Partial<FlowReport> = {}): FlowReport {
  const none = { packets: 0, bytes: 0, path: [] }
  return {
    id,
    forward: { ...none, packets },
    reverse: none,
    lost: [],
    unseen: [],
    icmpErrors: [],
    retransmissions: { forward: 0, reverse: 0 },
    ambiguous: 0,
    ...more,
  } as unknown as FlowReport
}

function lost(packets: number): FlowReport['lost'] {
  return [{ direction: 'forward', between: ['a', 'b'], packets, frames: { point: 'a', frames: [] } }]
}

function found(flow: number | null, frames: number[]): FindingReport {
  return { code: 'x', severity: 'info', flow, summary: '', evidence: { frames: { a: frames } } }
}

function journey(flow: number, frame: number, outcome: JourneyOutcome = 'delivered'): JourneyReport {
  const end = { ip: '10.0.0.1', port: 1 }
  return {
    flow,
    protocol: 'udp',
    direction: 'forward',
    sightings: [{ point: 'a', frames: [frame], timeNs: '1', ttl: 64, src: end, dst: end }],
    outcome,
    summary: 'udp len 1',
    lenBytes: 1,
    retransmission: false,
  }
}

/** The numbers of the packets that are taken, by flow. */
function taken(
  flows: FlowReport[],
  journeys: JourneyReport[],
  maxPackets: number,
  findings: FindingReport[] = [],
  maxFlows = 100,
): { numbers: Record<number, number[]>; total: number } {
  const packets = new PagePackets(
    { points: POINTS, findings },
    new PageFlows({ flows, findings }, maxFlows),
    {
      maxPackets,
      payloadBytes: 0,
    },
  )
  for (const one of journeys) packets.take(one)
  const numbers: Record<number, number[]> = {}
  for (const block of packets.blocks())
    for (const { flow, number } of block.read()) numbers[flow] = [...(numbers[flow] ?? []), number]
  return { numbers, total: packets.total }
}

test.each([
  [[10, 10, 10], 100, Number.POSITIVE_INFINITY],
  [[10, 1000, 1000], 110, 50],
  [[1, 2, 3, 4], 4, 1],
  [[5], 3, 3],
  [[], 3, Number.POSITIVE_INFINITY],
])('%j packets in at most %d: so many of each', (counts, max, share) => {
  expect(shareOfEach(Float64Array.from(counts), max)).toBe(share)
  const taken = counts.reduce((sum, count) => sum + Math.min(count, share), 0)
  expect(taken).toBeLessThanOrEqual(max)
})

test('the first of each flow, in its order, though flows are mixed', () => {
  const journeys = Array.from({ length: 30 }, (_, i) => journey(1 + (i % 3), i + 1))
  const flows = [1, 2, 3].map((id) => flow(id, 10))
  expect(taken(flows, journeys, 6)).toEqual({ numbers: { 1: [1, 2], 2: [1, 2], 3: [1, 2] }, total: 30 })
})

test('behind the share, what did not simply arrive and what a finding names', () => {
  const journeys = Array.from({ length: 20 }, (_, i) => journey(1, i + 1, i === 14 ? 'lost' : 'delivered'))
  journeys[11]!.retransmission = true
  const flows = [flow(1, 20, { lost: lost(1), retransmissions: { forward: 1, reverse: 0 } })]
  const { numbers } = taken(flows, journeys, 4, [found(1, [18])])
  expect(numbers).toEqual({ 1: [1, 2, 3, 4, 12, 15, 18] })
})

test('a flow that is lost whole takes not all of the room', () => {
  const journeys = Array.from({ length: 1000 }, (_, i) => journey(1 + (i % 2), i + 1, 'lost'))
  const flows = [1, 2].map((id) => flow(id, 500, { lost: lost(500) }))
  const { numbers } = taken(flows, journeys, 100)
  expect(numbers[1]).toHaveLength(75)
  expect(numbers[2]).toHaveLength(75)
})

test('of too many flows those with findings or losses, then the largest, in their order', () => {
  const flows = Array.from({ length: 10 }, (_, i) => flow(i + 1, 100 + i))
  flows[2] = flow(3, 1, { ambiguous: 1 })
  const findings = [found(5, []), found(null, [])]
  const chosen = new PageFlows({ flows, findings }, 4)
  expect([...chosen].map(({ id }) => id)).toEqual([3, 5, 9, 10])
  expect(chosen.length).toBe(4)
  const journeys = flows.flatMap(({ id }) => [journey(id, id), journey(id, 100 + id)])
  expect(taken(flows, journeys, 1000, findings, 4)).toEqual({
    numbers: { 3: [1, 2], 5: [1, 2], 9: [1, 2], 10: [1, 2] },
    total: 8,
  })
})
