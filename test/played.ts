/** Generated traces played back as running captures: rings of this host, and FIFOs that other hosts' captures come through. */

import { createWriteStream, mkdtempSync, rmSync, type WriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { LiveRecords } from '../src/capture/live/live-records.ts'
import { StreamedCapture } from '../src/capture/live/program-source.ts'
import { RotatingFile } from '../src/capture/live/rotating-file.ts'
import { analyzeLive } from '../src/live-analysis.ts'
import type { JourneyReport } from '../src/report/journey-lines.ts'
import type { Report } from '../src/report/model.ts'
import { TestSource } from './test-source.ts'
import { run } from './tools.ts'
import type { TraceBuilder } from './trace/builder.ts'

const SECONDS = 1_800_000_000
const FILE_HEADER_BYTES = 24
const RECORD_HEADER_BYTES = 16
/** Time passes in steps, in ms, where anything happens; where nothing does, it jumps to so much before something does. */
const STEP_MS = 10
const BEFORE_MS = 400
const QUIET_MS = 2500
/** The capture ends so long after the last frame, in ms. */
const AFTER_MS = 4000

export type Clocks = Record<string, { clockOffsetNs?: number; clockSkewPpm?: number }>

export interface PlayOptions {
  /** Points that come in through a FIFO; by their clocks, if they have any. */
  foreign: readonly string[]
  /** When a frame that passed at that time comes in, in ms, of foreign points. */
  arrivalMs?: (passedMs: number) => number
  keepClocks?: boolean
  /** How fast time passes. */
  stepMs?: number
  /** Writes all frames there. */
  write?: string
}

export interface Played {
  report: Report
  told: JourneyReport[]
  /** How long after a packet had passed its last point it was told, in ms. */
  delaysMs: number[]
}

/** Headers and bytes of the records of a file that `TraceBuilder` made, with their times in ms. */
export function recordsOf(file: Uint8Array): { bytes: Uint8Array; timeMs: number }[] {
  const view = new DataView(file.buffer)
  const records: { bytes: Uint8Array; timeMs: number }[] = []
  for (let at = FILE_HEADER_BYTES; at < file.length; ) {
    const end = at + RECORD_HEADER_BYTES + view.getUint32(at + 8, true)
    const timeMs = (view.getUint32(at, true) - SECONDS) * 1e3 + view.getUint32(at + 4, true) / 1e6
    records.push({ bytes: file.subarray(at, end), timeMs })
    at = end
  }
  return records
}

let nowMs = 0

/** What a ring of this host gives: frames as time passes. */
class PlayedSource extends TestSource {
  readonly #frames: { bytes: Uint8Array; timeMs: number }[]
  #next = 0

  constructor(frames: { bytes: Uint8Array; timeMs: number }[]) {
    super()
    this.#frames = frames
  }

  advance(): boolean {
    const next = this.#frames[this.#next]
    if (next === undefined || next.timeMs > nowMs) return false
    this.#next++
    const view = new DataView(next.bytes.buffer, next.bytes.byteOffset)
    Object.assign(this.record, {
      timeNs: (view.getUint32(0, true) - SECONDS) * 1e9 + view.getUint32(4, true),
      bytes: next.bytes,
      start: RECORD_HEADER_BYTES,
      end: next.bytes.length,
      originalLenBytes: view.getUint32(12, true),
      linkType: 1,
    })
    return true
  }
}

/** Plays what `make` makes, with these clocks, through the live analysis. */
export async function play(
  make: (clocks: Clocks) => TraceBuilder,
  clocks: Clocks,
  { foreign, arrivalMs = (ms) => ms + 5, keepClocks, stepMs = STEP_MS, write }: PlayOptions,
): Promise<Played> {
  nowMs = 0
  vi.spyOn(Date, 'now').mockImplementation(() => SECONDS * 1000 + nowMs)
  onTestFinished(() => void vi.restoreAllMocks())
  const records = new LiveRecords()
  onTestFinished(() => records.close())
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-played-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const shown = make(clocks).build().files
  const passed = make({}).build().files
  const due: { atMs: number; bytes: Uint8Array; to: WriteStream | null }[] = []
  const sources: { onReady: () => void }[] = []
  for (const [name, file] of shown) {
    const times = recordsOf(passed.get(name)!)
    if (!foreign.includes(name)) {
      const source = new PlayedSource(recordsOf(file))
      for (const { timeMs } of times) due.push({ atMs: timeMs, bytes: file, to: null })
      records.add(name, source)
      sources.push(source)
      continue
    }
    const path = join(folder, name)
    run('mkfifo', path)
    const source = await StreamedCapture.openPipe(path, path, records.epoch)
    const to = createWriteStream(path)
    to.on('error', () => {})
    onTestFinished(() => void to.destroy())
    to.write(file.subarray(0, FILE_HEADER_BYTES))
    for (const [i, { bytes }] of recordsOf(file).entries())
      due.push({ atMs: arrivalMs(times[i]!.timeMs), bytes, to })
    records.add(name, source, { sourceName: path })
    sources.push(source)
  }
  due.sort((a, b) => a.atMs - b.atMs)
  let next = 0
  let endMs = Number.POSITIVE_INFINITY
  const timer = setInterval(() => {
    const quietMs = (due[next]?.atMs ?? Number.POSITIVE_INFINITY) - nowMs
    const last = due[next - 1]?.atMs ?? 0
    if (next < due.length && quietMs > QUIET_MS && nowMs - last > QUIET_MS) nowMs += quietMs - BEFORE_MS
    else nowMs += stepMs
    for (; next < due.length && due[next]!.atMs <= nowMs; next++) due[next]!.to?.write(due[next]!.bytes)
    if (next === due.length) endMs = Math.min(endMs, nowMs + AFTER_MS)
    if (nowMs >= endMs) records.stop()
    for (const source of sources) source.onReady()
  }, 1)
  const told: JourneyReport[] = []
  const delaysMs: number[] = []
  const about = { points: records.points, epoch: records.epoch, snapLenBytes: 0 }
  const { report } = await analyzeLive(records, {
    file: write === undefined ? null : await RotatingFile.open(write, about, null),
    ...(keepClocks ? { keepClocks } : {}),
    listener: {
      async journeys(reports) {
        for (const journey of reports) {
          told.push(journey)
          const last = journey.sightings.at(-1)!
          delaysMs.push(nowMs - Number(BigInt(last.timeNs) - BigInt(SECONDS) * 1_000_000_000n) / 1e6)
        }
      },
    },
  }).finally(() => clearInterval(timer))
  return { report, told, delaysMs }
}
