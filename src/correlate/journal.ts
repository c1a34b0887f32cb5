/** The journal: finished journeys kept until the run's end, as only then the order of points and all losses are known. */

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FinishedJourney, newFinishedJourney } from './tally.ts'

const HEAD_BYTES = 28
const SIGHTING_BYTES = 20
/** Up to here all stays in memory; longer journals go to a temporary file that is unlinked at once. */
const CHUNK_BYTES = 1 << 22

/**
 * Appends journeys in the order in which they left the window, then reads them back once in that order. Memory is two
 * chunks of 4 MiB. Throws the system's error where the temporary directory is full or not writable.
 */
export class JourneyJournal {
  #chunk = new DataView(new ArrayBuffer(CHUNK_BYTES))
  #used = 0
  #file = -1
  #writtenBytes = 0
  #isClosed = false

  append(journey: FinishedJourney): void {
    const size = HEAD_BYTES + journey.sightings * SIGHTING_BYTES
    if (this.#used + size > CHUNK_BYTES) this.#spill()
    const view = this.#chunk
    let at = this.#used
    view.setUint32(at, size)
    view.setUint32(at + 4, journey.pattern)
    view.setUint32(at + 8, journey.direction)
    view.setUint8(at + 12, journey.flags)
    view.setUint8(at + 13, journey.tcpFlags)
    view.setUint16(at + 14, journey.sightings)
    view.setUint32(at + 16, journey.payloadLenBytes)
    view.setUint32(at + 20, journey.seq)
    view.setUint32(at + 24, journey.answeredBy)
    at += HEAD_BYTES
    for (let i = 0; i < journey.sightings; i++, at += SIGHTING_BYTES) {
      view.setUint32(at, journey.leg[i]!)
      view.setUint32(at + 4, journey.frame[i]!)
      view.setFloat64(at + 8, journey.timeNs[i]!)
      view.setUint8(at + 16, journey.ttl[i]!)
    }
    this.#used = at
  }

  /** All journeys; one object, refilled for each. Nothing where the journal was closed. */
  *read(): Generator<FinishedJourney> {
    if (this.#isClosed) return
    const journey = newFinishedJourney()
    for (const { view, end } of this.#chunks()) {
      for (let at = 0; at < end; at += view.getUint32(at)) yield readAt(view, at, journey)
    }
  }

  /** Frees the temporary file. */
  close(): void {
    if (this.#file >= 0) closeSync(this.#file)
    this.#file = -1
    this.#isClosed = true
  }

  /** Each spilled chunk as it was, its length in front of it, then what is still in memory. */
  *#chunks(): Generator<{ view: DataView; end: number }> {
    const length = new DataView(new ArrayBuffer(4))
    const view = new DataView(new ArrayBuffer(this.#writtenBytes > 0 ? CHUNK_BYTES : 0))
    for (let position = 0; position < this.#writtenBytes; ) {
      readSync(this.#file, length, 0, 4, position)
      const end = length.getUint32(0)
      for (let got = 0; got < end; ) got += readSync(this.#file, view, got, end - got, position + 4 + got)
      yield { view, end }
      position += 4 + end
    }
    yield { view: this.#chunk, end: this.#used }
  }

  #spill(): void {
    if (this.#file < 0) {
      const folder = mkdtempSync(join(tmpdir(), 'hoptrace-'))
      this.#file = openSync(join(folder, 'journeys'), 'w+', 0o600)
      // The open descriptor keeps the data; nothing is left behind even after kill -9.
      rmSync(folder, { recursive: true })
    }
    const length = new DataView(new ArrayBuffer(4))
    length.setUint32(0, this.#used)
    this.#write(length, 4)
    this.#write(this.#chunk, this.#used)
    this.#used = 0
  }

  #write(view: DataView, bytes: number): void {
    for (let done = 0; done < bytes; ) done += writeSync(this.#file, view, done, bytes - done)
    this.#writtenBytes += bytes
  }
}

function readAt(view: DataView, start: number, journey: FinishedJourney): FinishedJourney {
  let at = start
  journey.pattern = view.getUint32(at + 4)
  journey.direction = view.getUint32(at + 8)
  journey.flags = view.getUint8(at + 12)
  journey.tcpFlags = view.getUint8(at + 13)
  journey.sightings = view.getUint16(at + 14)
  journey.payloadLenBytes = view.getUint32(at + 16)
  journey.seq = view.getUint32(at + 20)
  journey.answeredBy = view.getUint32(at + 24)
  at += HEAD_BYTES
  for (let i = 0; i < journey.sightings; i++, at += SIGHTING_BYTES) {
    journey.leg[i] = view.getUint32(at)
    journey.frame[i] = view.getUint32(at + 4)
    journey.timeNs[i] = view.getFloat64(at + 8)
    journey.ttl[i] = view.getUint8(at + 16)
  }
  return journey
}
