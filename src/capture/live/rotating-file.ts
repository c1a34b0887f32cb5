/** The rotating file: what a live capture writes, one file or a series of them, each readable by itself. */

import { rmSync, statSync } from 'node:fs'
import { extname } from 'node:path'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'
import { type JoinedFileAbout, JoinedWriter } from '../joined-writer.ts'
import type { CaptureRecord, PointIndex } from '../record.ts'

/** What the program holds back of what it writes, at the most, in ns: so much is missing after a kill. */
const FLUSH_EVERY_NS = 1e9

export interface Rotation {
  /** A new file begins before one would be larger, in bytes. */
  bytes?: number
  /** A new file begins after so long, in ns. */
  everyNs?: number
  /** Only the newest files stay, so many. */
  keepFiles?: number
}

/** Throws and rejects with a `HoptraceError` where a file can't be written; what was flushed before can be read. */
export class RotatingFile {
  /** All files that were written and are still there, the current one last. */
  readonly paths: string[]
  readonly #path: string
  readonly #about: JoinedFileAbout
  readonly #rotation: Rotation | null
  #writer: JoinedWriter
  #count = 1
  #begunNs = Number.NaN
  #flushedNs = Number.NEGATIVE_INFINITY
  #isBroken = false
  /** What a file before the current one could not be completed for. */
  #failure: unknown = null

  static async open(path: string, about: JoinedFileAbout, rotation: Rotation | null): Promise<RotatingFile> {
    const first = rotation === null ? path : numbered(path, 1)
    return new RotatingFile(path, first, await JoinedWriter.open(first, about), about, rotation)
  }

  private constructor(
    path: string,
    first: string,
    writer: JoinedWriter,
    about: JoinedFileAbout,
    rotation: Rotation | null,
  ) {
    this.#path = path
    this.paths = [first]
    this.#writer = writer
    this.#about = about
    this.#rotation = rotation
  }

  add(point: PointIndex, record: CaptureRecord, packet: number): void {
    if (this.#isBroken) return
    try {
      if (this.#failure !== null) throw this.#failure
      if (this.#rotation !== null) this.#rotateIfDue(this.#rotation, record)
      this.#writer.add(point, record, packet)
    } catch (error) {
      this.#isBroken = true
      throw error
    }
  }

  /** Points have ceased to be captured, or are captured again. Never throws: the next `add` or `flush` does. */
  noteGaps(): void {
    if (this.#isBroken) return
    try {
      this.#writer.noteGaps()
    } catch (error) {
      this.#failure = error
    }
  }

  /** Hands over what is held back, now and then. */
  flush(nowNs: number): void {
    // The clock to go by may be found to be another one.
    if (this.#isBroken || Math.abs(nowNs - this.#flushedNs) < FLUSH_EVERY_NS) return
    this.#flushedNs = nowNs
    try {
      this.#writer.flush()
    } catch (error) {
      this.#isBroken = true
      throw error
    }
  }

  /**
   * Hands over what is held back; returns the files, the oldest first, each with how much of it is whole now. Never throws:
   * the next `add` or `flush` does.
   */
  parts(): { path: string; lenBytes: number }[] {
    try {
      if (!this.#isBroken) this.#writer.flush()
    } catch (error) {
      this.#failure = error
    }
    const before = this.paths
      .slice(0, -1)
      .map((path) => ({ path, lenBytes: statSync(path, { throwIfNoEntry: false })?.size ?? 0 }))
    return [...before, { path: this.paths.at(-1)!, lenBytes: this.#writer.lenBytes }]
  }

  /** Bytes of the current file, and those that wait to be written to it. */
  get lenBytes(): number {
    return this.#writer.lenBytes
  }

  /** Completes the current file, with comments on the capture as a whole. */
  async finish(comments: readonly string[] = []): Promise<void> {
    if (!this.#isBroken) await this.#writer.finish(comments)
  }

  close(): void {
    this.#writer.close()
  }

  #rotateIfDue(rotation: Rotation, record: CaptureRecord): void {
    if (Number.isNaN(this.#begunNs)) this.#begunNs = record.timeNs
    const isTooOld = rotation.everyNs !== undefined && record.timeNs - this.#begunNs >= rotation.everyNs
    const isTooLarge =
      rotation.bytes !== undefined &&
      this.#writer.lenBytes + record.end - record.start + RECORD_HEAD_BYTES > rotation.bytes
    if (!isTooOld && !isTooLarge) return
    // To a file descriptor all is written at once: only word of what failed comes later.
    this.#writer.flush()
    this.#writer.finish().catch((error) => {
      this.#failure ??= error
    })
    this.#count++
    const path = numbered(this.#path, this.#count)
    const next = opened(path, this.#about)
    this.#writer.close()
    this.#writer = next
    this.paths.push(path)
    this.#begunNs = record.timeNs
    while (rotation.keepFiles !== undefined && this.paths.length > rotation.keepFiles)
      rmSync(this.paths.shift()!, { force: true })
  }
}

/** What a record takes beside its bytes, about, and the statistics at a file's end. */
const RECORD_HEAD_BYTES = 600

function opened(path: string, about: JoinedFileAbout): JoinedWriter {
  try {
    return new JoinedWriter(path, about)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new HoptraceError(
      `${displayText(path, 400)}: cannot be written (${code}): it was to be the next file`,
    )
  }
}

/** `trace.pcapng` → `trace_00001_20260131235959.pcapng`, as dumpcap numbers its files. */
function numbered(path: string, count: number): string {
  const ending = extname(path)
  const now = new Date()
  const stamp = [
    now.getFullYear(),
    now.getMonth() + 1,
    now.getDate(),
    now.getHours(),
    now.getMinutes(),
    now.getSeconds(),
  ]
    .map((part) => String(part).padStart(2, '0'))
    .join('')
  const stem = ending === '' ? path : path.slice(0, -ending.length)
  return `${stem}_${String(count).padStart(5, '0')}_${stamp}${ending}`
}
