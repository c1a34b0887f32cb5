/** The page of captures: it has what analyze and explain tell of them, packet by packet and byte by byte. */

import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { decodeFrame } from '../../src/decode/frame.ts'
import { Headers } from '../../src/decode/headers.ts'
import { explainCaptures } from '../../src/explanation.ts'
import { htmlReport } from '../../src/index.ts'
import { explain } from '../../src/report/explain/explain.ts'
import { type Frame, frameOf } from '../../src/report/explain/layers.ts'
import { harmlessCopy } from '../../src/report/harmless.ts'
import type { PageFrame, PagePacket } from '../../src/report/page-data.ts'
import { shippedBytes, temporaryFolder } from '../capture/reading.ts'
import { requireTool, run } from '../tools.ts'
import { gathered, type PageContent, pageContent } from './page-content.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? entry.name : [],
)
const folder = temporaryFolder()

async function pageOf(
  inputs: string[],
  options: Parameters<typeof htmlReport>[1] = {},
): Promise<PageContent> {
  return pageContent(await gathered(htmlReport(inputs, options)))
}

/** As the page itself does. */
function framesOf({ bytes }: PagePacket): Frame[][] {
  const headers = new Headers()
  const decoded = ({ hex, lenBytes, linkType = 1, checksum }: PageFrame) => {
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
    decodeFrame(bytes, 0, bytes.length, linkType, lenBytes, headers)
    return frameOf(headers, linkType, checksum)
  }
  return bytes.map((frames) => frames.map(decoded))
}

/** What a checksum should be is not known where the page has only some of the payload. */
function withoutSums<T>(explained: T): T {
  return JSON.parse(
    JSON.stringify(explained).replace(/(unfinished \(offload\)), 0x[0-9a-f]{4} on a wire/g, '$1'),
  )
}

describe.each(SCENARIOS)('%s', (scenario) => {
  const input = join(CAPTURES, scenario)

  test('the page has the whole report, and every packet of it', async () => {
    const { report, packets, about } = await pageOf([input])
    const analysis = await analyze([input], { journeys: true })
    expect(report).toEqual(JSON.parse(JSON.stringify(harmlessCopy(analysis.report))))
    const journeys = [...analysis.journeys()].sort((a, b) => a.flow - b.flow)
    expect(packets.map(({ bytes, number, ...journey }) => journey)).toEqual(harmlessCopy(journeys))
    expect(about.flowsLeftOut).toBeUndefined()
    expect(about.packetsLeftOut).toBeUndefined()
    for (const packet of packets)
      expect(packet.bytes.map((frames) => frames.length)).toEqual(
        packet.sightings.map(({ frames }) => Math.min(8, frames.length)),
      )
  })

  test('packets have the numbers that explain knows them by, and are explained alike', async () => {
    const { report, packets, about } = await pageOf([input])
    const some = report.flows.slice(0, 3).flatMap(({ id }) => {
      const own = packets.filter(({ flow }) => flow === id)
      return [...new Set([own[0], own[own.length >> 1], own.at(-1)])].filter((packet) => packet !== undefined)
    })
    expect(some.length).toBeGreaterThan(0)
    for (const packet of some) {
      const { flow: id, number } = packet
      const { explanation } = await explainCaptures([input], { flow: id, packet: number })
      const flow = report.flows.find((one) => one.id === id)!
      const own = explain({
        flow,
        flowPackets: flow.forward.packets + flow.reverse.packets,
        packets: [{ number, journey: packet, isError: false, frames: framesOf(packet) }],
        progress: { isReplied: false, tcpState: null },
        findings: report.findings,
        names: report.names ?? {},
        descriptions: new Map(Object.entries(about.descriptions)),
        receipts: report.receipts ?? [],
        wantsAnswer: false,
      })
      expect(withoutSums(own.packets[0])).toEqual(withoutSums(explanation.packets[0]))
    }
  })
})

describe.skipIf(!requireTool('tshark'))('bytes', () => {
  /** All bytes of a file's frames in hex, as tshark has them. */
  function bytesOf(path: string): string[] {
    const packets = JSON.parse(run('tshark', '-r', path, '-T', 'jsonraw')) as {
      _source: { layers: { frame_raw: [string] } }
    }[]
    return packets.map(({ _source }) => _source.layers.frame_raw[0])
  }

  test.each(['double-nat', 'any-cooked', 'microseconds-snaplen', 'bulk-gso'])('of %s', async (scenario) => {
    const { report, packets } = await pageOf([join(CAPTURES, scenario)])
    const sourceOf = new Map(report.points.map(({ name, source }) => [name, source]))
    const known = new Map([...new Set(sourceOf.values())].map((source) => [source, bytesOf(source)]))
    for (const { sightings, bytes } of packets)
      for (const [i, { point, frames }] of sightings.entries())
        for (const [j, { hex }] of bytes[i]!.entries()) {
          const whole = known.get(sourceOf.get(point)!)![frames[j]! - 1]!
          expect(whole.startsWith(hex)).toBe(true)
          expect(hex.length).toBeGreaterThanOrEqual(Math.min(whole.length, 2 * 40))
        }
  })

  test('--payload 0 leaves out all that packets carry', async () => {
    const folders = ['udp-and-ping', 'double-nat', 'embedded-dns']
    for (const scenario of folders) {
      const input = join(CAPTURES, scenario)
      const { packets, report } = await pageOf([input], { payloadBytes: 0 })
      expect(report.flows.flatMap(({ dnsNames }) => dnsNames)).toEqual([])
      const full = await pageOf([input], { payloadBytes: 65_535 })
      for (const [i, packet] of packets.entries())
        for (const [j, frames] of packet.bytes.entries())
          for (const [k, { hex }] of frames.entries()) {
            const whole = full.packets[i]!.bytes[j]![k]!.hex
            expect(whole.length - hex.length).toBeGreaterThanOrEqual(2 * packet.lenBytes)
            expect(whole.startsWith(hex)).toBe(true)
          }
    }
  })
})

test('the same captures make the same page, byte by byte', async () => {
  const inputs = [join(CAPTURES, 'lossy-download')]
  expect(await gathered(htmlReport(inputs))).toBe(await gathered(htmlReport(inputs)))
})

test('as many packets as asked for, with those that were lost; the page says how many are missing', async () => {
  const input = join(CAPTURES, 'lossy-download')
  const all = await pageOf([input])
  const { packets, about } = await pageOf([input], { maxPackets: 20 })
  expect(packets.length).toBeGreaterThanOrEqual(20)
  expect(packets.length).toBeLessThanOrEqual(40)
  expect(about.packetsLeftOut).toBe(all.packets.length - packets.length)
  expect(packets.some(({ outcome }) => outcome === 'lost')).toBe(true)
  const byNumber = new Map(all.packets.map((packet) => [`${packet.flow} ${packet.number}`, packet]))
  for (const packet of packets) expect(packet).toEqual(byNumber.get(`${packet.flow} ${packet.number}`))
})

describe('inputs', () => {
  const one = (page: PageContent) => page.packets

  test('a pcapng with several interfaces, and a series of files', async () => {
    const joined = folder.path('joined.pcapng')
    await analyze([join(CAPTURES, 'double-nat')], { write: joined })
    const { packets, report } = await pageOf([joined])
    const apart = await pageOf([join(CAPTURES, 'double-nat')])
    expect(report.path).toEqual(apart.report.path)
    const bytes = (page: PageContent) => page.packets.map(({ bytes }) => bytes)
    expect(bytes({ packets } as PageContent)).toEqual(bytes(apart))

    mkdirSync(folder.path('series'))
    const half = seriesOf(readFileSync(joined))
    folder.write('series/t_00001_20260101000000.pcapng', half[0])
    folder.write('series/t_00002_20260101000100.pcapng', half[1])
    const series = await pageOf([folder.path('series')])
    expect(series.report.points.map(({ name }) => name).sort()).toEqual(
      report.points.map(({ name }) => name).sort(),
    )
    expect(bytes(series)).toEqual(bytes(apart))
  })

  test('names of points', async () => {
    const [a, b] = ['container', 'uplink'].map((name) =>
      join(CAPTURES, `outbound-masquerade/${name}.pcap.gz`),
    )
    const { report, about } = await pageOf([`in=${a}`, `out=${b}`], { title: 'mine' })
    expect(report.path).toEqual(['in', 'out'])
    expect(about.title).toBe('mine')
    expect(one(await pageOf([`in=${a}`])).every(({ bytes }) => bytes.flat().length === 1)).toBe(true)
  })

  test('one that can’t be read is told in the page', async () => {
    const broken = folder.write('broken.pcap', new TextEncoder().encode('no capture'))
    const good = folder.write('good.pcap', shippedBytes('outbound-masquerade/container'))
    const { report } = await pageOf([good, broken])
    expect(report.warnings.join('\n')).toMatch(/broken\.pcap: not a capture/)
  })
})

/** The blocks of a pcapng as two files that each have the section's head and interfaces. */
function seriesOf(file: Uint8Array): [Uint8Array, Uint8Array] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const heads: Uint8Array[] = []
  const packets: Uint8Array[] = []
  for (let at = 0; at < file.length; ) {
    const end = at + view.getUint32(at + 4, true)
    const isPacket = view.getUint32(at, true) === 6
    if (isPacket) packets.push(file.subarray(at, end))
    else if (packets.length === 0) heads.push(file.subarray(at, end))
    at = end
  }
  const middle = packets.length >> 1
  return [
    new Uint8Array(Buffer.concat([...heads, ...packets.slice(0, middle)])),
    new Uint8Array(Buffer.concat([...heads, ...packets.slice(middle)])),
  ]
}
