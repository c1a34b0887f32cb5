/** Reading captures in tests: everything into plain objects, by this program and by the programs it is compared with. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll } from 'vitest'
import type { CaptureInput } from '../../src/capture/inputs.ts'
import { MergedRecords } from '../../src/capture/merge.ts'
import { run } from '../tools.ts'

/** A record as a plain object; times as exact ns since 1970. */
export interface SeenRecord {
  point: string
  frame: number
  interfaceIndex: number
  timeNs: bigint
  captured: Uint8Array
  original: number
  flags: number
  fileOffset: number
}

export interface Seen {
  merged: MergedRecords
  records: SeenRecord[]
  warnings: string[]
}

/** A folder of this test file's own, removed behind it. */
export function temporaryFolder(): {
  path(name: string): string
  write(name: string, bytes: Uint8Array): string
} {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hoptrace-capture-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return {
    path: (name) => join(folder, name),
    write(name, bytes) {
      writeFileSync(join(folder, name), bytes)
      return join(folder, name)
    },
  }
}

export function input(path: string, name: string | null = null): CaptureInput {
  return { path, source: path.split('/').pop()!, name }
}

/** Reads captures to their end, as a user of the merge does. */
export async function readAll(...inputs: (string | CaptureInput)[]): Promise<Seen> {
  const merged = await MergedRecords.open(inputs.map((one) => (typeof one === 'string' ? input(one) : one)))
  const records: SeenRecord[] = []
  for (;;) {
    while (merged.advance()) {
      const { record } = merged
      records.push({
        point: merged.points[merged.point].name,
        frame: record.frame,
        interfaceIndex: record.interfaceIndex,
        timeNs: merged.epoch.toUnixNs(record.timeNs),
        captured: record.bytes.slice(record.start, record.end),
        original: record.originalLenBytes,
        flags: record.flags,
        fileOffset: record.fileOffset,
      })
    }
    if (merged.done) break
    await merged.fill()
  }
  await merged.close()
  return { merged, records, warnings: merged.warnings }
}

/** What tshark says of each record: number, time, lengths, and the interface where the file is pcapng. */
export function tsharkLines(path: string, withInterface: boolean): string[] {
  const names = ['frame.number', 'frame.time_epoch', 'frame.cap_len', 'frame.len']
  if (withInterface) names.push('frame.interface_id')
  const shown = run('tshark', '-n', '-r', path, '-T', 'fields', ...names.flatMap((name) => ['-e', name]))
  return shown.split('\n').slice(0, -1)
}

/** The same lines of what this program read. */
export function ourLines(records: readonly SeenRecord[], withInterface: boolean): string[] {
  return records.map(({ frame, timeNs, captured, original, interfaceIndex }) => {
    const fraction = String(timeNs % 1_000_000_000n).padStart(9, '0')
    const columns = [frame, `${timeNs / 1_000_000_000n}.${fraction}`, captured.length, original]
    return (withInterface ? [...columns, interfaceIndex] : columns).join('\t')
  })
}

const CAPTURES = join(import.meta.dirname, '../../captures')

/** The captures that ship with the project. */
export function shippedCaptures(): string[] {
  return readdirSync(CAPTURES, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pcap.gz'))
    .sort()
    .map((name) => join(CAPTURES, name))
}

/** The decompressed bytes of a shipped capture such as `hairpin/bridge`. */
export function shippedBytes(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(readFileSync(join(CAPTURES, `${name}.pcap.gz`))))
}
