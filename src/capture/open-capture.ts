/** Opening a capture: from a path to the record reader that its first bytes ask for. */

import type { ByteSource } from './byte-source.ts'
import { ByteWindow } from './byte-window.ts'
import { decompressed, openByteSource } from './decompression.ts'
import { isPcapMagic, PcapReader } from './pcap.ts'
import { isPcapngMagic, PcapngReader } from './pcapng.ts'
import { notACapture, type RecordReader } from './reader.ts'
import type { Epoch } from './record.ts'
import { SeriesSource } from './series.ts'

/** Bytes read at a time where nothing else is said: more is not faster. */
export const CHUNK_BYTES = 1 << 18

/** The longest of the headers that open a capture: pcapng's section header with its trailer. */
const OPENING_BYTES = 28

/** What the readers of one run share. */
export interface RunState {
  readonly epoch: Epoch
  /** Address → name, filled from pcapng. */
  readonly names: Map<string, string>
}

/**
 * Opens the capture at `path` (a file, FIFO, `/dev/fd/N` or `-`), called `source` in messages. Rejects with a
 * `HoptraceError` where it is not a capture or ends before its first record could begin, and with the system's
 * error where it cannot be opened. `parts` are the files of a series, which are read one after the other; `opened` is the
 * pipe, where that is open already.
 */
export async function openCapture(
  path: string,
  source: string,
  run: RunState,
  chunkBytes: number = CHUNK_BYTES,
  { parts, opened }: { parts?: readonly string[] | undefined; opened?: ByteSource | undefined } = {},
): Promise<RecordReader> {
  const bytes = await openBytes(path, source, parts, opened)
  const small = bytes.compression === null && bytes.sizeBytes !== null
  const window = new ByteWindow(bytes, small ? Math.min(chunkBytes, bytes.sizeBytes + 1) : chunkBytes)
  try {
    await window.fill(OPENING_BYTES)
    const magic = window.limit - window.pos < 4 ? 0 : window.view.getUint32(window.pos)
    if (isPcapMagic(magic)) return new PcapReader(source, window, run.epoch)
    if (isPcapngMagic(magic)) return new PcapngReader(source, window, run.epoch, run.names)
    throw notACapture(source, window)
  } catch (error) {
    await window.close()
    throw error
  }
}

async function openBytes(
  path: string,
  source: string,
  parts: readonly string[] | undefined,
  opened: ByteSource | undefined,
): Promise<ByteSource> {
  if (parts) return new SeriesSource(parts)
  return opened ? await decompressed(opened, source) : await openByteSource(path, source)
}
