/** Decompression: gzip and zstd as byte sources, streaming and bounded, giving every byte that was whole. */

import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { HoptraceError } from '../errors.ts'
import { type ByteSource, openRawSource, peek, StreamSource } from './byte-source.ts'
import { displayText } from './display-text.ts'

/** Compressed data that end too early or are damaged; the message is the middle of a sentence about the file. */
export class DamagedDataError extends Error {
  override readonly name = 'DamagedDataError'
}

/** Bytes taken from the file at a time. */
const RAW_CHUNK_BYTES = 1 << 16
/** Bytes that the decompressor gives at a time. */
const OUTPUT_CHUNK_BYTES = 1 << 17
/** The gzip trailer. */
const HELD_BACK_BYTES = 8

type ZstdModule = { createZstdDecompress?: (options: { chunkSize: number }) => Transform }

export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b
}

export function isZstd(head: Uint8Array): boolean {
  return head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd
}

/** A decompressor that is fed no faster than it is read, so that a decompression bomb meets back pressure. */
class DecompressedSource extends StreamSource {
  override readonly sizeBytes: number | null
  override readonly compression: 'gzip' | 'zstd'
  private readonly raw: ByteSource
  private readonly decoder: Transform
  private fed = false
  private stopped = false

  constructor(raw: ByteSource, decoder: Transform, compression: 'gzip' | 'zstd') {
    super(decoder)
    this.raw = raw
    this.sizeBytes = raw.sizeBytes
    this.decoder = decoder
    this.compression = compression
    this.feed().catch((error) => decoder.destroy(error))
  }

  override get consumedBytes(): number {
    return this.raw.consumedBytes
  }

  override async read(into: Uint8Array, offset: number): Promise<number> {
    try {
      return await super.read(into, offset)
    } catch (error) {
      const failure = error as NodeJS.ErrnoException
      throw failure.syscall === undefined ? new DamagedDataError(this.describe(failure)) : failure
    }
  }

  /**
   * The trailer goes in by itself, and the end is told only when everything is read: a decompressor that fails
   * throws away the output of the call it fails in.
   */
  private async feed(): Promise<void> {
    const chunk = new Uint8Array(RAW_CHUNK_BYTES + HELD_BACK_BYTES)
    let held = 0
    for (;;) {
      const count = await this.raw.read(chunk, held)
      if (this.stopped) return
      if (count === 0) break
      const ready = Math.max(0, held + count - HELD_BACK_BYTES)
      if (ready > 0) await this.write(chunk.subarray(0, ready))
      chunk.copyWithin(0, ready, held + count)
      held += count - ready
    }
    if (held > 0) await this.write(chunk.subarray(0, held))
    this.fed = true
    this.rouse()
  }

  private write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.decoder.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
  }

  protected override exhausted(): void {
    if (this.fed && !this.decoder.writableEnded) this.decoder.end()
  }

  private describe(error: NodeJS.ErrnoException): string {
    if (error.code === 'Z_BUF_ERROR' || /unexpected end|truncat/i.test(error.message)) {
      return `the ${this.compression} data is cut short`
    }
    return `the ${this.compression} data is damaged (${displayText(error.message)})`
  }

  override async close(): Promise<void> {
    this.stopped = true
    await super.close()
    await this.raw.close()
  }
}

function zstdDecoder(source: string): Transform {
  const { createZstdDecompress } = zlib as ZstdModule
  if (createZstdDecompress !== undefined) return createZstdDecompress({ chunkSize: OUTPUT_CHUNK_BYTES })
  throw new HoptraceError(
    `${source}: zstd needs Node 22.15 or newer (this is ${process.versions.node}): decompress it with \`zstd -d\``,
  )
}

/**
 * Opens a file, FIFO, `/dev/fd/N` or `-` and decompresses it where its magic says gzip or zstd. `source` names it
 * in messages. Rejects with the system's error, or a `HoptraceError` where this Node cannot decompress it.
 */
export async function openByteSource(path: string, source: string): Promise<ByteSource> {
  return decompressed(await openRawSource(path), source)
}

/** What comes out of `raw`, which is closed where it can't be read; see `openByteSource`. */
export async function decompressed(raw: ByteSource, source: string): Promise<ByteSource> {
  try {
    const { head, source: whole } = await peek(raw, 4)
    if (isGzip(head)) {
      return new DecompressedSource(whole, zlib.createGunzip({ chunkSize: OUTPUT_CHUNK_BYTES }), 'gzip')
    }
    if (isZstd(head)) return new DecompressedSource(whole, zstdDecoder(source), 'zstd')
    return whole
  } catch (error) {
    await raw.close()
    throw error
  }
}
