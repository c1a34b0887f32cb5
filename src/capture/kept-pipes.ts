/** Kept pipes: inputs that can be read only once are copied into temporary files, for whoever has to read them twice. */

import { createWriteStream, fstatSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { descriptorOf, openRawSource } from './byte-source.ts'
import type { CaptureInput } from './inputs.ts'
import { fileName } from './points.ts'

/** Keeps pipes in temporary files, as they can be read only once. */
export class KeptPipes {
  #folder: string | null = null
  #copies = 0
  readonly #atExit = () => this.remove()

  /** The inputs, of those that are pipes the copy; what they are called stays. */
  async keep(inputs: readonly CaptureInput[]): Promise<CaptureInput[]> {
    // At once: whoever writes into several must not wait for the one that is not read yet.
    return await Promise.all(inputs.map((input) => (isPipe(input.path) ? this.#copy(input) : input)))
  }

  remove(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true })
    process.off('exit', this.#atExit)
  }

  /** A copy by the same name, as points are named after their files. */
  async #copy(input: CaptureInput): Promise<CaptureInput> {
    if (this.#folder === null) {
      this.#folder = mkdtempSync(join(tmpdir(), 'hoptrace-kept-'))
      process.on('exit', this.#atExit)
    }
    const folder = join(this.#folder, String(this.#copies++))
    mkdirSync(folder)
    const copy = join(folder, descriptorOf(input.path) >= 0 ? fileName(input.path) : basename(input.path))
    const source = await openRawSource(input.path)
    try {
      await pipeline(chunksOf(source), createWriteStream(copy, { mode: 0o600 }))
    } finally {
      await source.close()
    }
    return { ...input, path: copy }
  }
}

async function* chunksOf(source: {
  read(into: Uint8Array, offset: number): Promise<number>
}): AsyncGenerator<Uint8Array> {
  for (;;) {
    const chunk = new Uint8Array(1 << 16)
    const count = await source.read(chunk, 0)
    if (count === 0) return
    yield chunk.subarray(0, count)
  }
}

/** What is no file and no pipe, or is not there, is left to whoever opens it: it says what is wrong. */
function isPipe(path: string): boolean {
  try {
    const fd = descriptorOf(path)
    const stat = fd >= 0 ? fstatSync(fd) : statSync(path)
    return stat.isFIFO() || stat.isSocket() || (fd >= 0 && stat.isFile())
  } catch {
    return false
  }
}
