/** Kept pipes: inputs that can be read only once are copied into temporary files, for whoever has to read them twice. */

import { createWriteStream, fstatSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { descriptorOf, openRawSource } from './byte-source.ts'
import { fileName } from './points.ts'

/** Keeps pipes in temporary files, as they can be read only once. */
export class KeptPipes {
  #folder: string | null = null
  #copies = 0
  readonly #atExit = () => this.remove()

  /** The inputs, those that are pipes replaced. */
  async keep(args: readonly string[]): Promise<string[]> {
    const kept: string[] = []
    for (const arg of args) kept.push(isPipe(pathOf(arg)) ? await this.#copy(arg) : arg)
    return kept
  }

  remove(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true })
    process.off('exit', this.#atExit)
  }

  async #copy(arg: string): Promise<string> {
    const path = pathOf(arg)
    const name = path === arg ? fileName(path) : arg.slice(0, arg.length - path.length - 1)
    if (this.#folder === null) {
      this.#folder = mkdtempSync(join(tmpdir(), 'hoptrace-kept-'))
      process.on('exit', this.#atExit)
    }
    const copy = join(this.#folder, String(this.#copies++))
    const source = await openRawSource(path)
    try {
      await pipeline(chunksOf(source), createWriteStream(copy, { mode: 0o600 }))
    } finally {
      await source.close()
    }
    return `${name}=${copy}`
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

/** The path of `NAME=FILE`, where that is no file's name itself. */
function pathOf(arg: string): string {
  const equals = arg.indexOf('=')
  if (equals <= 0 || arg.slice(0, equals).includes('/') || statSync(arg, { throwIfNoEntry: false }))
    return arg
  return arg.slice(equals + 1)
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
