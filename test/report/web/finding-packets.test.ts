/** From findings to packets. */

import { describe, expect, test } from 'vitest'
import type { FindingReport } from '../../../src/report/model.ts'
import type { PagePacket } from '../../../src/report/page-data.ts'
import { findingGroups } from '../../../src/report/web/findings/finding-groups.ts'
import { flowsOfFinding, packetsOfFinding } from '../../../src/report/web/findings/finding-packets.ts'

const end = { ip: '192.0.2.1', port: 1 }

function packet(
  number: number,
  frames: Record<string, number[]>,
  change: Partial<PagePacket> = {},
): PagePacket {
  return {
    flow: 1,
    protocol: 'tcp',
    direction: 'forward',
    sightings: Object.entries(frames).map(([point, numbers]) => ({
      point,
      frames: numbers,
      timeNs: '0',
      ttl: 64,
      src: end,
      dst: end,
    })),
    outcome: 'delivered',
    summary: '[.] len 0',
    lenBytes: 0,
    retransmission: false,
    number,
    bytes: [],
    ...change,
  }
}

function finding(change: Partial<FindingReport>): FindingReport {
  return { code: 'zero-window', severity: 'error', flow: 1, summary: '', evidence: {}, ...change }
}

const packets = [
  packet(1, { a: [1], b: [1] }),
  packet(2, { a: [2, 3], b: [2] }),
  packet(3, { a: [4] }, { outcome: 'lost' }),
  packet(4, { b: [4] }, { direction: 'reverse', retransmission: true }),
]

describe('packetsOfFinding', () => {
  test('goes by the frames of each point, and by no other point of these numbers', () => {
    expect(packetsOfFinding(finding({ evidence: { frames: { a: [3, 4] } } }), packets)).toEqual([2, 3])
    expect(packetsOfFinding(finding({ evidence: { frames: { b: [4] } } }), packets)).toEqual([4])
  })

  test('else goes by what the finding says of them', () => {
    expect(packetsOfFinding(finding({ code: 'dropped-between-points' }), packets)).toEqual([3])
    expect(packetsOfFinding(finding({ code: 'retransmissions' }), packets)).toEqual([4])
    expect(packetsOfFinding(finding({ code: 'segmentation-differs' }), packets)).toEqual([2])
  })

  test('is about all packets where nothing singles some out, and about none where there are none', () => {
    expect(packetsOfFinding(finding({ code: 'hairpin' }), packets)).toEqual([1, 2, 3, 4])
    expect(packetsOfFinding(finding({ evidence: { frames: { a: [99] } } }), packets)).toEqual([1, 2, 3, 4])
    expect(packetsOfFinding(finding({}), [])).toEqual([])
  })

  test('stands evidence of any form', () => {
    for (const frames of [null, 'x', 3, { a: null }, { a: 'x' }, [[1]]])
      expect(packetsOfFinding(finding({ evidence: { frames } as never }), packets)).toHaveLength(4)
  })
})

test('flowsOfFinding names its own flow first, and each once', () => {
  expect(flowsOfFinding(finding({ flow: 3, evidence: { flows: [1, 3] } }))).toEqual([3, 1])
  expect(flowsOfFinding(finding({ flow: null }))).toEqual([])
  expect(flowsOfFinding(finding({ flow: null, evidence: { flows: ['x', 2] } }))).toEqual([2])
})

test('findingGroups puts the worst first, and gives each finding a key of its own', () => {
  const groups = findingGroups([
    finding({ severity: 'info' }),
    finding({}),
    finding({}),
    finding({ flow: null }),
  ])
  expect(groups.map(({ severity }) => severity)).toEqual(['error', 'info'])
  const keys = groups.flatMap(({ findings }) => findings.map(({ key }) => key))
  expect(new Set(keys).size).toBe(4)
})
