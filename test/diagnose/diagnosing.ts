/**
 * Diagnosing generated traffic: a trace, frames made by hand and receipts go into capture files, one a point, and through
 * the real analysis.
 */

import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts'
import { Epoch } from '../../src/capture/record.ts'
import { SEVERITY } from '../../src/diagnose/finding.ts'
import type { Receipts } from '../../src/receipts/model.ts'
import { receiptComments } from '../../src/receipts/receipts-text.ts'
import { renderJson } from '../../src/report/json.ts'
import type { FindingReport, Report } from '../../src/report/model.ts'
import { type Bytes, be16, hex } from '../decode/frames.ts'
import { TraceBuilder } from '../trace/builder.ts'
import { ipBytes } from '../trace/frame.ts'
import type { TraceOptions, TrueJourney } from '../trace/model.ts'

export const START_SECONDS = 1_800_000_000
export const START_NS = BigInt(START_SECONDS) * 1_000_000_000n
const PCAP_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16

/** A frame that the trace does not have; `timeNs` counts from the trace's beginning. */
export interface Frame {
  point: string
  timeNs: number
  bytes: Bytes
}

export interface Circumstances {
  frames?: readonly Frame[]
  receipts?: Receipts
  /** Points that nobody captured at: what is lost in front of them is lost behind the others. */
  without?: readonly string[]
  /** The captures run so long, as a frame at every point shows, in ns since the trace's beginning. */
  untilNs?: number
  /** Frames that the captures themselves lost, by point. */
  captureDrops?: Record<string, number>
}

/** container, veth, bridge and uplink of a Docker host, which routes between the last two. */
export function dockerHost(options: Partial<TraceOptions> = {}): TraceBuilder {
  return new TraceBuilder({
    seed: 7,
    points: ['container', 'veth', 'bridge', 'uplink'],
    routed: [['bridge', 'uplink']],
    ...options,
  })
}

export const CLIENT = { ip: '172.17.0.2', port: 40_000 }
export const SERVER = { ip: '203.0.113.9', port: 80 }
export const MASQUERADE = [
  { kind: 'snat', between: ['bridge', 'uplink'], to: { ip: '192.168.7.2', port: 40_000 } },
] as const

/** Writes what the points saw, a file each, and analyzes them; `read` is how a JSON reader gets the report. */
export async function diagnosed(trace: TraceBuilder, circumstances: Circumstances = {}): Promise<Report> {
  const { frames = [], receipts, without = [], untilNs, captureDrops = {} } = circumstances
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-diagnosed-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const { files } = trace.build()
  const inputs: string[] = []
  for (const [name, file] of files) {
    if (without.includes(name)) continue
    const last = untilNs === undefined ? [] : [{ timeNs: untilNs, bytes: announcement() }]
    const own = frames
      .filter(({ point }) => point === name)
      .map(({ timeNs, bytes }) => ({ timeNs, bytes: Uint8Array.from(bytes) }))
    const records = [...recordsOf(file), ...own, ...last].sort((a, b) => a.timeNs - b.timeNs)
    const path = join(folder, `${name}.pcapng`)
    const comments = receipts && inputs.length === 0 ? receiptComments(receipts) : []
    writeCapture(path, name, records, comments, captureDrops[name])
    inputs.push(`${name}=${path}`)
  }
  return JSON.parse(renderJson((await analyze(inputs)).report)) as Report
}

function writeCapture(
  path: string,
  name: string,
  records: readonly { timeNs: number; bytes: Uint8Array }[],
  comments: readonly string[],
  dropped: number | undefined,
): void {
  const epoch = new Epoch()
  epoch.seconds = START_SECONDS
  const descriptor = openSync(path, 'w')
  const writer = new PcapngWriter(descriptor, epoch)
  writer.addInterface({ name, linkType: 1 })
  for (const { timeNs, bytes } of records)
    writer.addRecord(0, {
      ...{ bytes, start: 0, end: bytes.length, originalLenBytes: bytes.length },
      ...{ timeNs, flags: 0 },
    })
  writer.addStatistics(0, { comments, ...(dropped === undefined ? {} : { dropped }) })
  writer.close()
  closeSync(descriptor)
}

function recordsOf(file: Uint8Array): { timeNs: number; bytes: Uint8Array }[] {
  const view = new DataView(file.buffer, file.byteOffset)
  const records = []
  for (let at = PCAP_HEADER_BYTES; at < file.length; ) {
    const start = at + RECORD_HEADER_BYTES
    const end = start + view.getUint32(at + 8, true)
    const timeNs = (view.getUint32(at, true) - START_SECONDS) * 1e9 + view.getUint32(at + 4, true)
    records.push({ timeNs, bytes: file.subarray(start, end) })
    at = end
  }
  return records
}

/** Says nothing but that its sender is there (RFC 5227, 3). */
function announcement(): Uint8Array {
  return Uint8Array.from(arp(1, '02:00:00:00:00:99', '192.0.2.99', '192.0.2.99'))
}

/** An ARP packet in its frame, broadcast. `operation` 1 asks, 2 answers. */
export function arp(operation: 1 | 2, senderMac: string, sender: string, target: string): Bytes {
  const mac = hex(senderMac.replaceAll(':', ''))
  const everybody = hex('ffffffffffff')
  return [
    ...everybody,
    ...mac,
    ...hex('0806 0001 0800 0604'),
    ...be16(operation),
    ...mac,
    ...ipBytes(sender),
    ...hex('000000000000'),
    ...ipBytes(target),
  ]
}

/** The findings of a code. */
export function all({ findings }: Report, code: keyof typeof SEVERITY): FindingReport[] {
  return findings.filter((it) => it.code === code)
}

/** The one finding of a code; its severity is the code's. */
export function only(report: Report, code: keyof typeof SEVERITY): FindingReport {
  const found = all(report, code)
  expect(found, JSON.stringify(report.findings, null, 1)).toHaveLength(1)
  expect(found[0]!.severity).toBe(SEVERITY[code])
  return found[0]!
}

/** Codes of severity error and warning, in their order. */
export function trouble({ findings }: Report): string[] {
  return findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code)
}

/** Ids of its causes, in their order; a confirmed one has `!` behind it. */
export function causes({ causes = [] }: FindingReport): string[] {
  return causes.map(({ id, isConfirmed }) => (isConfirmed ? `${id}!` : id))
}

/** The record numbers that these packets have at a point, as the trace knows them. */
export function framesAt(point: string, ...journeys: TrueJourney[]): Record<string, number[]> {
  const frames = journeys.flatMap(({ sightings }) => sightings.filter((seen) => seen.point === point))
  return { [point]: frames.flatMap((seen) => seen.frames) }
}
