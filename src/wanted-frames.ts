/** Wanted frames: the records of some packets, read from their files once more and decoded. */

import { type CaptureInput, resolveInputs } from './capture/inputs.ts'
import { openCapture } from './capture/open-capture.ts'
import { type CaptureRecord, Epoch } from './capture/record.ts'
import { withSeries } from './capture/series.ts'
import { decodeFrame } from './decode/frame.ts'
import { Headers } from './decode/headers.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import type { JourneyReport, SightingReport } from './report/journey-lines.ts'
import type { Report } from './report/model.ts'

/** Frames of one sighting that are read: super-packets are cut into 45, and nobody reads more than a few. */
const MAX_FRAMES = 8
/** Points of a way; hostile captures have more. */
const MAX_SIGHTINGS = 64

/** The records that are wanted, by file and number; each is there once it was read. */
export class WantedFrames<T> {
  readonly #sourceOf: Map<string, string>
  readonly #frames = new Map<string, Map<number, T | null>>()
  /** Interface of a point: what the file says about it. */
  readonly #pointsOf = new Map<string, Map<number, string>>()

  readonly #keep: (record: CaptureRecord, headers: Headers) => T

  /** `keep` copies out of a record and its headers what is wanted of them: both are filled anew for the next one. */
  constructor(report: Pick<Report, 'points'>, keep: (record: CaptureRecord, headers: Headers) => T) {
    this.#keep = keep
    this.#sourceOf = new Map(report.points.map(({ name, source }) => [name, source]))
  }

  addSightings(sightings: readonly SightingReport[]): void {
    for (const { point, frames } of sightings.slice(0, MAX_SIGHTINGS)) {
      const source = this.#sourceOf.get(point) ?? ''
      const wanted = this.#frames.get(source) ?? new Map<number, T | null>()
      this.#frames.set(source, wanted)
      const points = this.#pointsOf.get(source) ?? new Map<number, string>()
      this.#pointsOf.set(source, points)
      for (const frame of frames.slice(0, MAX_FRAMES)) {
        wanted.set(frame, null)
        points.set(frame, point)
      }
    }
  }

  framesOf({ sightings }: Pick<JourneyReport, 'sightings'>): { frames: T[][] } {
    return {
      frames: sightings
        .slice(0, MAX_SIGHTINGS)
        .map(({ point, frames }) =>
          frames
            .slice(0, MAX_FRAMES)
            .flatMap((frame) => this.#frames.get(this.#sourceOf.get(point) ?? '')?.get(frame) ?? []),
        ),
    }
  }

  /** Reads them; resolves to what the files say about the interfaces of their points. */
  async read(
    args: readonly string[],
    tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined,
  ): Promise<Map<string, string>> {
    const descriptions = new Map<string, string>()
    const headers = new Headers()
    if (tunnelPorts) headers.tunnelPorts = tunnelPorts
    for (const input of withSeries((await resolveInputs(args)).inputs))
      await this.#readFile(input, headers, descriptions)
    return descriptions
  }

  async #readFile(
    { path, source, parts }: CaptureInput,
    headers: Headers,
    descriptions: Map<string, string>,
  ): Promise<void> {
    const wanted = this.#frames.get(source)
    if (!wanted) return
    let left = wanted.size
    const reader = await openCapture(path, source, { epoch: new Epoch(), names: new Map() }, undefined, {
      parts,
    })
    try {
      while (left > 0) {
        if (!reader.advance()) {
          if (reader.ended) return
          await reader.fill()
          continue
        }
        const { record } = reader
        const { frame, bytes, start, end, linkType, originalLenBytes, interfaceIndex } = record
        if (wanted.get(frame) !== null) continue
        decodeFrame(bytes, start, end, linkType, originalLenBytes, headers)
        wanted.set(frame, this.#keep(record, headers))
        const description = reader.interfaces[interfaceIndex]?.description
        if (description) descriptions.set(this.#pointsOf.get(source)!.get(frame)!, description)
        left--
      }
    } finally {
      await reader.close()
    }
  }
}
