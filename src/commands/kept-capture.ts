/** What can be saved from the page of `capture --web`: the file that is written, or one that is kept only until the end. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JoinedFileAbout } from '../capture/joined-writer.ts'
import { RotatingFile } from '../capture/live/rotating-file.ts'
import type { CaptureRecord, PointIndex } from '../capture/record.ts'
import { HoptraceError } from '../errors.ts'
import type { CaptureFile } from '../live-analysis.ts'
import type { KeptPart } from '../serve/downloads.ts'

/** A file that nobody has asked for does not grow larger. */
const MAX_BYTES = 1 << 30

/**
 * A temporary file that only this user can read, and that no capture ends for: where there is no room for it, or it has
 * become too large, it stays as it is.
 */
export class KeptCapture implements CaptureFile {
  /** Why no more frames are kept, or null. */
  problem: string | null = null
  readonly #folder: string
  readonly #file: RotatingFile
  readonly #maxBytes: number
  readonly #atExit = () => this.remove()

  static async open(about: JoinedFileAbout, name: string, maxBytes = MAX_BYTES): Promise<KeptCapture> {
    const folder = mkdtempSync(join(tmpdir(), 'hoptrace-kept-'))
    try {
      const file = await RotatingFile.open(join(folder, `${name}.pcapng`), about, null)
      return new KeptCapture(folder, file, maxBytes)
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  private constructor(folder: string, file: RotatingFile, maxBytes: number) {
    this.#folder = folder
    this.#file = file
    this.#maxBytes = maxBytes
    // A second Ctrl-C ends the program at once.
    process.on('exit', this.#atExit)
  }

  add(point: PointIndex, record: CaptureRecord, packet: number): void {
    if (this.problem !== null) return
    this.#unlessBroken(() => this.#file.add(point, record, packet))
    if (this.#file.lenBytes >= this.#maxBytes)
      this.problem = `${this.#maxBytes / (1 << 20)} MB are kept, and no more: -w writes all`
  }

  flush(nowNs: number): void {
    this.#unlessBroken(() => this.#file.flush(nowNs))
  }

  noteGaps(): void {
    if (this.problem === null) this.#file.noteGaps()
  }

  async finish(comments: readonly string[] = []): Promise<void> {
    try {
      await this.#file.finish(comments)
    } catch (error) {
      this.#note(error)
    }
  }

  parts(): KeptPart[] {
    return this.#file.parts()
  }

  get lenBytes(): number {
    return this.#file.lenBytes
  }

  remove(): void {
    process.off('exit', this.#atExit)
    this.#file.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #unlessBroken(write: () => void): void {
    try {
      write()
    } catch (error) {
      this.#note(error)
    }
  }

  #note(error: unknown): void {
    if (!(error instanceof HoptraceError)) throw error
    this.problem ??= 'there is no room for a temporary file: give -w a file where there is'
  }
}
