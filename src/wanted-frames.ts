/** Wanted frames: the records of some packets, read from their files once more and decoded. */

import type { CaptureInput } from './capture/inputs.ts'
import { openCapture } from './capture/open-capture.ts'
import { type CaptureRecord, Epoch } from './capture/record.ts'
import { withSeries } from './capture/series.ts'
import { grown } from './correlate/columns.ts'
import { decodeFrame } from './decode/frame.ts'
import { Headers } from './decode/headers.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import type { JourneyReport, SightingReport } from './report/journey-lines.ts'
import type { Report } from './report/model.ts'

/** Frames of one sighting that are read: super-packets are cut into 45, and nobody reads more than a few. */
export const MAX_FRAMES = 8
/** Points of a way; hostile captures have more. */
export const MAX_SIGHTINGS = 64

/** The records that are wanted, by file and number; each is there once it was read. */
export class WantedFrames<T> {
  readonly #files = new Map<string, WantedOfFile<T>>()
  readonly #fileOf = new Map<string, WantedOfFile<T>>()
  readonly #keep: (record: CaptureRecord, headers: Headers) => T

  /** `keep` copies out of a record and its headers what is wanted of them: both are filled anew for the next one. */
  constructor(report: Pick<Report, 'points'>, keep: (record: CaptureRecord, headers: Headers) => T) {
    this.#keep = keep
    for (const { name, source } of report.points) {
      const file = this.#files.get(source) ?? new WantedOfFile()
      this.#files.set(source, file)
      this.#fileOf.set(name, file)
    }
  }

  addSightings(sightings: readonly SightingReport[]): void {
    for (const { point, frames } of sightings.slice(0, MAX_SIGHTINGS))
      this.#fileOf.get(point)?.add(point, frames.slice(0, MAX_FRAMES))
  }

  /** By sighting, what was kept of each of its frames. */
  framesOf({ sightings }: Pick<JourneyReport, 'sightings'>): { frames: T[][] } {
    return {
      frames: sightings.slice(0, MAX_SIGHTINGS).map(({ point, frames }) => {
        const file = this.#fileOf.get(point)
        return file ? frames.slice(0, MAX_FRAMES).flatMap((frame) => file.get(frame)) : []
      }),
    }
  }

  /** Reads them; resolves to what the files say about the interfaces of their points. */
  async read(
    inputs: readonly CaptureInput[],
    tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined,
  ): Promise<Map<string, string>> {
    const descriptions = new Map<string, string>()
    const headers = new Headers()
    if (tunnelPorts) headers.tunnelPorts = tunnelPorts
    for (const input of withSeries(inputs)) await this.#readFile(input, headers, descriptions)
    return descriptions
  }

  async #readFile(
    { path, source, parts }: CaptureInput,
    headers: Headers,
    descriptions: Map<string, string>,
  ): Promise<void> {
    const file = this.#files.get(source)
    if (!file?.begin()) return
    const reader = await openCapture(path, source, { epoch: new Epoch(), names: new Map() }, undefined, {
      parts,
    })
    try {
      while (!file.isDone) {
        if (!reader.advance()) {
          if (reader.ended) return
          await reader.fill()
          continue
        }
        const { record } = reader
        if (!file.wants(record.frame)) continue
        const { frame, bytes, start, end, linkType, originalLenBytes, interfaceIndex } = record
        decodeFrame(bytes, start, end, linkType, originalLenBytes, headers)
        file.keep(this.#keep(record, headers))
        const description = reader.interfaces[interfaceIndex]?.description
        const point = file.pointSeenFirstIn(frame)
        if (description && point !== undefined) descriptions.set(point, description)
      }
    } finally {
      await reader.close()
    }
  }
}

/** Those of one file: numbers in a column, and beside it what was kept. */
class WantedOfFile<T> {
  #numbers = new Uint32Array(64)
  #count = 0
  readonly #kept: T[] = []
  readonly #pointByFirst = new Map<number, string>()
  readonly #points = new Set<string>()

  add(point: string, frames: readonly number[]): void {
    if (!this.#points.has(point) && frames.length > 0) {
      this.#points.add(point)
      this.#pointByFirst.set(frames[0]!, point)
    }
    for (const frame of frames) {
      if (this.#count === this.#numbers.length) this.#numbers = grown(this.#numbers, 2 * this.#count)
      this.#numbers[this.#count++] = frame
    }
  }

  /** Puts them in the order of the file, each once; false where none is wanted. */
  begin(): boolean {
    const sorted = this.#numbers.subarray(0, this.#count).sort()
    let count = 0
    for (let i = 0; i < sorted.length; i++)
      if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i]!
    this.#numbers = sorted.slice(0, count)
    this.#count = count
    return count > 0
  }

  /** Whether all were read; else the next one is what the reader has to come to. */
  get isDone(): boolean {
    return this.#kept.length >= this.#count
  }

  wants(frame: number): boolean {
    return this.#numbers[this.#kept.length] === frame
  }

  keep(value: T): void {
    this.#kept.push(value)
  }

  pointSeenFirstIn(frame: number): string | undefined {
    return this.#pointByFirst.get(frame)
  }

  get(frame: number): T | [] {
    let low = 0
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#numbers[middle]! < frame) low = middle + 1
      else high = middle
    }
    return low < this.#kept.length && this.#numbers[low] === frame ? this.#kept[low]! : []
  }
}
