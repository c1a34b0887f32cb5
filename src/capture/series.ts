/** Series: the files of one rotating capture, read as if they were one. */

import { closeSync, openSync, readSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type ByteSource, openRawSource } from './byte-source.ts'
import type { CaptureInput } from './inputs.ts'

/** `trace_00001_20260131235959.pcapng`, as `capture --rotate` numbers its files. */
const NUMBERED = /^(.*)_(\d{5,})_\d{14}((?:\.\w+)?)$/
/** The first block of a file says within these who wrote it. */
const HEAD_BYTES = 256

/** The files one after the other: pcapng may have many sections. */
export class SeriesSource implements ByteSource {
  readonly compression = null
  readonly sizeBytes = null
  readonly #paths: string[]
  #current: ByteSource | null = null
  #doneBytes = 0

  constructor(paths: readonly string[]) {
    this.#paths = [...paths]
  }

  get consumedBytes(): number {
    return this.#doneBytes + (this.#current?.consumedBytes ?? 0)
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    for (;;) {
      if (this.#current === null) {
        const path = this.#paths.shift()
        if (path === undefined) return 0
        this.#current = await openRawSource(path)
      }
      const count = await this.#current.read(into, offset)
      if (count > 0) return count
      this.#doneBytes += this.#current.consumedBytes
      await this.#current.close()
      this.#current = null
    }
  }

  async close(): Promise<void> {
    this.#paths.length = 0
    await this.#current?.close()
  }
}

/** Puts the files of each series together, in their order; other inputs stay as they are. */
export function withSeries(inputs: readonly CaptureInput[]): CaptureInput[] {
  const series = new Map<string, { input: CaptureInput; number: number }[]>()
  const out: CaptureInput[] = []
  for (const input of inputs) {
    const match = input.name === null ? NUMBERED.exec(basename(input.path)) : null
    if (match === null || !isOurs(input.path)) {
      out.push(input)
      continue
    }
    const key = `${dirname(input.path)}/${match[1]}${match[3]}`
    const known = series.get(key)
    const part = { input, number: Number(match[2]) }
    if (known) known.push(part)
    else series.set(key, [part])
  }
  for (const parts of series.values()) {
    parts.sort((a, b) => a.number - b.number)
    const [first] = parts
    const last = parts.at(-1)!
    if (parts.length === 1) out.push(first!.input)
    else
      out.push({
        ...first!.input,
        source: `${first!.input.source} … ${basename(last.input.source)}`,
        parts: parts.map(({ input }) => input.path),
      })
  }
  return out
}

/** Says a pcapng file in its first block that hoptrace wrote it? False where it can't be read. */
export function isOurs(path: string): boolean {
  let file = -1
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    file = openSync(path, 'r')
    readSync(file, head)
    return head.includes('hoptrace')
  } catch {
    return false
  } finally {
    if (file >= 0) closeSync(file)
  }
}
