/** What the frames of a point show beside their flows: losses of the capture, damage, checksums, tunnels, fragments, clocks. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { type Bytes, be32, ethernet, type Fill, icmp, ipv4, tcp, udp } from '../decode/frames.ts'
import { TraceBuilder } from '../trace/builder.ts'
import type { PointOptions } from '../trace/model.ts'
import {
  all,
  arp,
  CLIENT,
  causes,
  diagnosed,
  dockerHost,
  type Frame,
  MASQUERADE,
  only,
  SERVER,
  trouble,
} from './diagnosing.ts'

function web(trace = dockerHost()): TraceBuilder {
  const conversation = trace.tcp({ client: CLIENT, server: SERVER, nat: MASQUERADE })
  conversation.open()
  conversation.send('client', 100)
  conversation.send('server', 600)
  conversation.close()
  return trace
}

function withOptions(options: Partial<PointOptions>): TraceBuilder {
  return dockerHost({
    points: ['container', 'veth', 'bridge', 'uplink'].map((name) => ({ name, ...options })),
  })
}

function datagram(fill: Fill): Bytes {
  return ethernet(0x0800, ipv4({ protocol: 17, fill }, udp(40_000, 514, [1, 2, 3, 4])))
}

test('a clean capture has nothing of all this', async () => {
  expect((await diagnosed(web())).findings).toEqual([])
})

test('capture drops, where the file says so', async () => {
  const found = only(await diagnosed(web(), { captureDrops: { bridge: 3 } }), 'capture-drops')
  expect(found.summary).toBe('the capture at bridge itself dropped 3 frames')
  expect(trouble(await diagnosed(web(), { captureDrops: { bridge: 0 } }))).toEqual([])
})

test('a file that ends in the middle of a record, at which byte', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-truncated-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'veth.pcap')
  const bytes = web().build().files.get('veth')!
  writeFileSync(file, bytes.subarray(0, bytes.length - 10))
  const { report } = await analyze([file])
  const found = only(report, 'truncated-file')
  const lastRecordBytes = 16 + 14 + 20 + 32
  expect(found.evidence).toMatchObject({ source: file, byteOffset: bytes.length - lastRecordBytes })
  writeFileSync(file, bytes)
  expect(trouble((await analyze([file])).report)).toEqual([])
})

describe('checksums', () => {
  const at = (fill: Fill): Frame => ({ point: 'veth', timeNs: 5e9, bytes: datagram(fill) })

  test('wrong ones, by their frames', async () => {
    const report = await diagnosed(web(), { frames: [at('wrong')] })
    const found = only(report, 'checksum-bad')
    const { packets } = report.points.find(({ name }) => name === 'veth')!
    expect(found.summary).toBe(`1 of ${packets} frames looked at in veth have a wrong checksum`)
    expect(found.evidence.frames).toEqual({ veth: [packets] })
    expect(causes(found)).toEqual(['offload'])
  })

  test('not those that the hardware fills in, or that UDP does without', async () => {
    const report = await diagnosed(web(), { frames: [at('offloaded'), at('zero')] })
    expect(trouble(report)).toEqual([])
    const found = only(report, 'checksum-offload')
    expect(found.summary).toBe('checksums at veth are not filled in yet: offload, harmless')
    expect(found.evidence).toEqual({ packets: { veth: 1 } })
  })

  test('offload everywhere is one finding, and no warning', async () => {
    const report = await diagnosed(web(withOptions({ offloaded: true })))
    expect(only(report, 'checksum-offload').summary).toBe(
      'checksums at all points are not filled in yet: offload, harmless',
    )
    expect(trouble(report)).toEqual([])
  })

  test('a point that saw nothing but ARP and ping has none to leave to anybody', async () => {
    const beside = [
      arp(1, '02:42:c0:a8:07:02', '192.168.7.2', '192.168.7.1'),
      ethernet(0x0800, ipv4({ protocol: 1 }, icmp(8, 0, be32(7)))),
    ].map((bytes) => ({ point: 'uplink', timeNs: 5e9, bytes }))
    const where = async (frames: Frame[]) => {
      const trace = withOptions({ offloaded: true })
      const path = ['container', 'veth', 'bridge']
      const conversation = trace.tcp({ client: CLIENT, server: SERVER, path, routed: [] })
      conversation.open()
      conversation.close()
      const report = await diagnosed(trace, { frames })
      return only(report, 'checksum-offload').summary.split(' are ')[0]
    }
    expect(await where([])).toBe('checksums at all points')
    expect(await where(beside)).toBe('checksums at all points')
    const filledIn = { point: 'uplink', timeNs: 5e9, bytes: datagram('right') }
    expect(await where([...beside, filledIn])).toBe('checksums at container, veth, bridge')
  })
})

test('frames that were cut', async () => {
  const report = await diagnosed(web(), {})
  expect(all(report, 'snaplen-truncated')).toEqual([])
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-cut-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  web(withOptions({ snapLen: 96 })).write(folder)
  const cut = (await analyze([folder])).report
  expect(all(cut, 'snaplen-truncated').map(({ summary }) => summary)).toContain(
    '2 frames at uplink were cut by the capture (snaplen)',
  )
  expect(trouble(cut)).toEqual([])
})

test('fragments', async () => {
  const whole = udp(40_000, 514, new Array<number>(40).fill(7))
  const piece = (fragment: number, payload: Bytes): Frame => ({
    ...{ point: 'veth', timeNs: 5e9 },
    bytes: ethernet(0x0800, ipv4({ protocol: 17, fragment, fill: 'zero' }, payload)),
  })
  const frames = [piece(0x2000, whole.slice(0, 24)), piece(3, whole.slice(24))]
  const report = await diagnosed(web(), { frames })
  expect(only(report, 'fragmented').summary).toBe('2 frames at veth are IP fragments')
  expect(trouble(report)).toEqual([])
})

test('tunnels', async () => {
  const trace = new TraceBuilder({ seed: 4, points: ['container', 'uplink'] })
  const inside = trace.tcp({
    ...{ client: CLIENT, server: { ip: '172.17.0.9', port: 80 } },
    tunnels: [{ kind: 'vxlan', id: 42, within: [0, 1], client: '192.168.7.2', server: '192.168.7.3' }],
  })
  inside.open()
  inside.close()
  const report = await diagnosed(trace)
  expect(only(report, 'encapsulated').summary).toMatch(
    /^\d packets at uplink travel inside vxlan: followed by what is inside$/,
  )
  expect(trouble(report)).toEqual([])
})

describe('clocks', () => {
  const APART = { points: ['container', 'veth', 'bridge', { name: 'uplink', clockOffsetNs: 3e9 }] }

  test('one that only one-way traffic corrects', async () => {
    const trace = dockerHost(APART)
    const log = trace.tcp({ client: CLIENT, server: SERVER, nat: MASQUERADE })
    log.open()
    for (let i = 0; i < 60; i++) {
      log.wait(0.1e9)
      log.send('client', 50 + i)
    }
    const report = await diagnosed(trace)
    // Two ways tell the offset: nothing is uncertain.
    expect(all(report, 'clock-uncertain')).toEqual([])
  })

  test('one-way traffic', async () => {
    const trace = dockerHost(APART)
    const log = trace.udp({ client: CLIENT, server: { ip: '203.0.113.9', port: 514 }, nat: MASQUERADE })
    for (let i = 0; i < 60; i++) {
      log.wait(0.1e9)
      log.send('client', 50 + i)
    }
    const found = only(await diagnosed(trace), 'clock-uncertain')
    expect(found.summary).toMatch(
      /^the clock of .*(uplink|container).* was corrected, and only one-way traffic tells its offset/,
    )
    expect(Math.abs(Math.abs(Number(found.evidence.offsetNs)) - 3e9)).toBeLessThan(1e6)
  })
})

test('wrong checksums are no reason to lose a flow', async () => {
  const bytes = ethernet(0x0800, ipv4({ protocol: 6, fill: 'wrong' }, tcp({ flags: 0x02, ack: 0 })))
  const report = await diagnosed(new TraceBuilder({ seed: 1, points: ['veth'] }), {
    frames: [{ point: 'veth', timeNs: 0, bytes }],
  })
  expect(report.flows).toHaveLength(1)
  expect(trouble(report)).toEqual(['checksum-bad'])
})
