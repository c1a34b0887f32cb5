/** Byte sources: where a capture's bytes come from - file, pipe or standard input - read into buffers of the caller. */

import { closeSync, constants, fstatSync, openSync, read, statSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'

const readFd = promisify(read)

/** A stream of bytes that is pulled, one read at a time. */
export interface ByteSource {
  /**
   * Puts some bytes into `into` from `offset` on; resolves to their count, 0 at the end. At most one read at a
   * time. Rejects with the system's error, or with a `DamagedDataError` where compressed data stop making sense.
   */
  read(into: Uint8Array, offset: number): Promise<number>
  /** Frees what is open; a read under way ends first, or is answered with 0. */
  close(): Promise<void>
  /** Size of the file as it lies on disk (compressed where it is), in bytes; null for pipes. */
  readonly sizeBytes: number | null
  /** Bytes taken from the file so far, before decompression: for progress. */
  readonly consumedBytes: number
  /** How the bytes were compressed, or null. */
  readonly compression: 'gzip' | 'zstd' | null
}

/** A regular file, or a device: plain reads, at a position of our own where the descriptor is ours. */
class FileSource implements ByteSource {
  readonly sizeBytes: number | null
  readonly compression = null
  consumedBytes = 0
  private readonly fd: number
  private readonly positioned: boolean
  private reading: Promise<unknown> = Promise.resolve()

  constructor(fd: number, sizeBytes: number | null, positioned: boolean) {
    this.fd = fd
    this.sizeBytes = sizeBytes
    this.positioned = positioned
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const position = this.positioned ? this.consumedBytes : null
    const reading = readFd(this.fd, into, offset, into.length - offset, position)
    this.reading = reading.catch(() => undefined)
    const { bytesRead } = await reading
    this.consumedBytes += bytesRead
    return bytesRead
  }

  async close(): Promise<void> {
    await this.reading
    if (this.fd > 2) closeSync(this.fd)
  }
}

/** A Node stream turned into reads that are asked for; what nobody asked for stays behind its back pressure. */
export class StreamSource implements ByteSource {
  readonly sizeBytes: number | null = null
  readonly compression: 'gzip' | 'zstd' | null = null
  private taken = 0
  private readonly stream: Readable
  private chunk: Uint8Array = new Uint8Array(0)
  private chunkAt = 0
  private failure: Error | null = null
  private over = false
  private wake: (() => void) | null = null

  constructor(stream: Readable) {
    this.stream = stream
    stream.on('readable', () => this.rouse())
    for (const event of ['end', 'close']) {
      stream.on(event, () => {
        this.over = true
        this.rouse()
      })
    }
    stream.on('error', (error) => {
      this.failure = error
      this.rouse()
    })
  }

  /** Lets a waiting read look again. */
  protected rouse(): void {
    this.wake?.()
    this.wake = null
  }

  get consumedBytes(): number {
    return this.taken
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    while (this.chunkAt === this.chunk.length) {
      const next: Uint8Array | null = this.stream.read()
      if (next !== null) {
        this.chunk = next
        this.chunkAt = 0
        continue
      }
      this.exhausted()
      if (this.failure !== null) throw this.failure
      if (this.over) return 0
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    const count = Math.min(into.length - offset, this.chunk.length - this.chunkAt)
    into.set(this.chunk.subarray(this.chunkAt, this.chunkAt + count), offset)
    this.chunkAt += count
    this.taken += count
    return count
  }

  /** Called when everything that the stream held has been read. */
  protected exhausted(): void {}

  async close(): Promise<void> {
    this.stream.destroy()
  }
}

/** `head`, which was read to look at it, and then the rest of `source`. */
class RewoundSource implements ByteSource {
  private readonly source: ByteSource
  private head: Uint8Array

  constructor(source: ByteSource, head: Uint8Array) {
    this.source = source
    this.head = head
  }

  get sizeBytes(): number | null {
    return this.source.sizeBytes
  }

  get consumedBytes(): number {
    return this.source.consumedBytes
  }

  get compression(): 'gzip' | 'zstd' | null {
    return this.source.compression
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    if (this.head.length === 0) return this.source.read(into, offset)
    const count = Math.min(this.head.length, into.length - offset)
    into.set(this.head.subarray(0, count), offset)
    this.head = this.head.subarray(count)
    return count
  }

  close(): Promise<void> {
    return this.source.close()
  }
}

/** Reads up to `count` bytes; gives them, and a source that begins with them again. */
export async function peek(
  source: ByteSource,
  count: number,
): Promise<{ head: Uint8Array; source: ByteSource }> {
  const head = new Uint8Array(count)
  let length = 0
  while (length < count) {
    const got = await source.read(head, length)
    if (got === 0) break
    length += got
  }
  return { head: head.subarray(0, length), source: new RewoundSource(source, head.slice(0, length)) }
}

/** The descriptor that a path such as `/dev/fd/63`, `/dev/stdin` or `-` stands for, or -1. */
export function descriptorOf(path: string): number {
  if (path === '-' || path === '/dev/stdin') return 0
  const match = /^\/(?:dev|proc\/self)\/fd\/(\d{1,9})$/.exec(path)
  return match === null ? -1 : Number(match[1])
}

/**
 * Opens the bytes of a file, FIFO, `/dev/fd/N` or `-` (standard input) as they are, without decompression. Rejects
 * with the system's error. Pipes wait in the event loop and not in a worker thread: four silent FIFOs would
 * otherwise hold up every other file.
 */
export async function openRawSource(path: string): Promise<ByteSource> {
  const fd = descriptorOf(path)
  const stat = fd >= 0 ? fstatSync(fd) : statSync(path)
  if (stat.isFIFO() || stat.isSocket()) {
    const pipe = fd >= 0 ? fd : openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    return new StreamSource(new Socket({ fd: pipe, readable: true, writable: false }))
  }
  const size = stat.isFile() ? stat.size : null
  if (fd >= 0) return new FileSource(fd, size, false)
  return new FileSource(openSync(path, constants.O_RDONLY), size, size !== null)
}
