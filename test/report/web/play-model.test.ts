/** The moments of a packet's journey: every station, every change, the end; with bytes, and where they are missing. */

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { explainCaptures } from '../../../src/explanation.ts'
import type { ExplainedStation, Explanation } from '../../../src/report/explain/model.ts'
import type { FlowReport } from '../../../src/report/model.ts'
import type { PagePacket } from '../../../src/report/page-data.ts'
import { pathModel } from '../../../src/report/web/path/path-model.ts'
import { wayOfPacket } from '../../../src/report/web/path/way.ts'
import { type Moment, momentsOf } from '../../../src/report/web/play/play-model.ts'
import { doubleNat, forwardDrop } from '../scenarios.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')

/** The packet that the explanation is of. */
function packetOf({ packets: [packet] }: Explanation, more: Partial<PagePacket> = {}): PagePacket {
  const { stations, direction, number, summary } = packet!
  return {
    flow: 1,
    protocol: 'tcp',
    number,
    direction,
    summary,
    sightings: stations.map(({ point, frames, src, dst, layers }) => ({
      point,
      frames,
      timeNs: '0',
      src,
      dst,
      ttl: Number(layers.flatMap(({ fields }) => fields).find(({ name }) => name === 'TTL')!.value),
    })),
    outcome: 'delivered',
    lenBytes: 0,
    retransmission: false,
    bytes: stations.map(() => [{ lenBytes: 60, hex: '00' }]),
    ...more,
  }
}

function play(
  explanation: Explanation,
  packet: PagePacket,
  flow: FlowReport = doubleNat.flows[0]!,
): Moment[] {
  const path = pathModel(wayOfPacket(flow, packet), { points: [], descriptions: {} })
  return momentsOf(packet, explanation, path)
}

function fieldsOf({ card }: Moment): string[] {
  return card.flatMap(({ name, fields }) => fields.map((field) => `${name} ${field.name} ${field.value}`))
}

function changesOf({ card }: Moment): string[] {
  return card.flatMap(({ fields }) =>
    fields.flatMap(({ name, before, value, tone }) =>
      before === undefined ? [] : `${tone} ${name} ${before} ${value}`,
    ),
  )
}

const explained = async (scenario: string, options = {}) =>
  (await explainCaptures([join(CAPTURES, scenario)], options)).explanation

describe('a packet through two kernels that translate', async () => {
  const explanation = await explained('double-nat')
  const moments = play(explanation, packetOf(explanation))

  test('is at each station, between each two, and at its end', () => {
    expect(moments.map(({ kind, at }) => `${kind} ${at}`)).toEqual([
      'station 0',
      ...Array.from({ length: 6 }, (_, i) => [`between ${i + 0.5}`, `station ${i + 1}`]).flat(),
      'end 6',
    ])
    expect(moments[4]).toMatchObject({ progress: 'Station 3 of 7', title: 'At bridge' })
    expect(moments.at(-1)).toMatchObject({ title: 'Arrived at server', isDead: false })
  })

  test('changes where the frames do, and only while it is between', () => {
    expect(changesOf(moments[5]!)).toEqual(
      expect.arrayContaining(['snat source 172.17.0.3 192.168.78.100', 'ttl TTL 64 63']),
    )
    for (const moment of moments) if (moment.kind !== 'between') expect(changesOf(moment)).toEqual([])
    expect(fieldsOf(moments[6]!)).toEqual(
      expect.arrayContaining(['IPv4 source 192.168.78.100', 'IPv4 TTL 63', 'TCP source port 55210']),
    )
  })

  test('tells at its end what conntrack has', () => {
    expect(moments.at(-1)!.mappings).toEqual(explanation.mappings)
    expect(moments.at(-1)!.mappings).toHaveLength(2)
  })

  test('is shown for as long as there is to read', () => {
    const [, cable, , , , nat] = moments
    expect(nat!.showMs).toBeGreaterThan(cable!.showMs)
    for (const { showMs } of moments) expect(showMs).toBeLessThan(25_000)
  })

  test('keeps its place where bytes of a station are missing', () => {
    const packet = packetOf(explanation)
    packet.bytes[1] = []
    const without = structuredClone(explanation)
    without.packets[0]!.stations.splice(1, 1)
    const gaps = play(without, packet)
    expect(gaps.map(({ title }) => title)).toEqual(moments.map(({ title }) => title))
    expect(fieldsOf(gaps[2]!)).toEqual([
      'IP source 172.17.0.3:55210',
      'IP destination 203.0.113.238:80',
      'IP TTL 64',
    ])
    expect(changesOf(gaps[5]!)).toContain('ttl TTL 64 63')
  })

  test('without any bytes its addresses and TTLs are told', () => {
    const packet = packetOf(explanation, { bytes: [] })
    const bare = play({ ...explanation, packets: [] }, packet)
    expect(bare).toHaveLength(moments.length)
    expect(changesOf(bare[5]!)).toEqual([
      'snat source 172.17.0.3:55210 192.168.78.100:55210',
      'ttl TTL 64 63',
    ])
    expect(bare[5]!.steps[0]!.text).toContain('TTL 64 becomes 63')
    expect(bare[3]!.steps[0]!.text).toBe('Addresses and TTL stay.')
  })
})

describe('ends', async () => {
  const explanation = await explained('forward-drop')
  const [flow] = forwardDrop.flows
  const end = (more: Partial<PagePacket>) => play(explanation, packetOf(explanation, more), flow!).at(-1)!

  test('lost: between the last point and the one that never saw it', () => {
    expect(end({ outcome: 'lost', lostBetween: ['bridge', 'uplink'] })).toMatchObject({
      at: 2.5,
      title: 'Lost between bridge and uplink',
      isDead: true,
    })
  })

  test('answered: behind the last point', () => {
    const answeredBy = { from: '172.17.0.1', type: 11, code: 0, name: 'time to live exceeded' }
    expect(end({ outcome: 'answered', answeredBy })).toMatchObject({
      at: 2.5,
      title: 'Answered by 172.17.0.1: time to live exceeded',
      isDead: true,
    })
  })

  test.each(['unseen', 'ambiguous', 'delivered'] as const)('%s: where it was seen last', (outcome) => {
    expect(end({ outcome })).toMatchObject({ at: 2, isDead: false })
  })

  test('a packet that was seen nowhere has no moments', () => {
    expect(
      play({ ...explanation, packets: [] }, packetOf(explanation, { sightings: [], bytes: [] })),
    ).toEqual([])
  })
})

test('a tunnel is put on, and taken off', () => {
  const field = (value: string) => ({ name: 'source', value, isChanged: false })
  const station = (point: string, layers: ExplainedStation['layers']): ExplainedStation => ({
    point,
    where: { namespace: 'the host', knownFrom: 'name' },
    frames: [1],
    afterNs: 0,
    steps: [],
    layers,
    moreFrames: [],
    src: { ip: '10.0.0.1', port: 1 },
    dst: { ip: '10.0.0.2', port: 2 },
  })
  const inner = { name: 'IPv4', isNew: false, fields: [field('10.0.0.1')] }
  const outer = { name: 'outer IPv4', isNew: true, fields: [field('192.0.2.1')] }
  const explanation = {
    packets: [
      { stations: [station('a', [inner]), station('b', [outer, inner]), station('c', [inner])], ending: [] },
    ],
    mappings: [],
  } as unknown as Explanation
  const sightings = ['a', 'b', 'c'].map((point) => ({
    point,
    frames: [1],
    timeNs: '0',
    ttl: 64,
    src: { ip: '10.0.0.1', port: 1 },
    dst: { ip: '10.0.0.2', port: 2 },
  }))
  const packet = {
    flow: 1,
    protocol: 'tcp',
    number: 1,
    direction: 'forward',
    summary: '',
    sightings,
    outcome: 'delivered',
    lenBytes: 0,
    retransmission: false,
    bytes: sightings.map(() => [{ lenBytes: 60, hex: '' }]),
  } satisfies PagePacket
  const fates = play(explanation, packet).map(({ card }) => card.map(({ name, fate }) => `${name} ${fate}`))
  expect(fates[1]).toEqual(['outer IPv4 new', 'IPv4 kept'])
  expect(fates[2]).toEqual(['outer IPv4 kept', 'IPv4 kept'])
  expect(fates[3]).toEqual(['outer IPv4 gone', 'IPv4 kept'])
  expect(fates[4]).toEqual(['IPv4 kept'])
})
