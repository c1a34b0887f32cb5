/** The record reader: the frames of one capture file, one after the other, in a record that is refilled. */

import { HoptraceError } from '../errors.ts'
import type { ByteWindow } from './byte-window.ts'
import { displayBytes } from './display-text.ts'
import { CaptureRecord, type Epoch, type Gap } from './record.ts'

/** An interface that a capture file describes; a pcap file has one. */
export interface CaptureInterface {
  readonly name: string | null
  readonly description: string | null
  /** The name is that of a point: hoptrace wrote the file. */
  readonly isPoint: boolean
  /** Name of the next interface towards the way out, where the file says so; see `nextInterfaceComment`. */
  readonly next: string | null
  /** When its capture had stopped, as far as the file has been read. */
  gaps: Gap[]
  /** LINKTYPE_ value. */
  readonly linkType: number
  /** Bytes kept of a frame at most, 0 for all. */
  readonly snapLenBytes: number
  /** Frames that the capture lost at this interface, as far as the file has been read; null while it does not say. */
  drops: number | null
}

/** Where and why a file could not be read to its end. What stands in front of it was read. */
export interface CaptureDamage {
  readonly source: string
  /** Offset of the record or block that is not whole, in the (decompressed) file, in bytes. */
  readonly byteOffset: number
  /** Records that were read, all of them in front of `byteOffset`. */
  readonly records: number
  /** One line for the user. */
  readonly message: string
}

/** MAXIMUM_SNAPLEN of libpcap and WTAP_MAX_PACKET_SIZE_STANDARD of Wireshark. */
const ORDINARY_MAX_BYTES = 262_144
/** What a file gets by declaring a larger snaplen: big enough for USB and BIG TCP, small enough to hold. */
export const MAX_RECORD_BYTES = 16 * 1024 * 1024

/** The captured length beyond which a pcap record counts as damage, in bytes. */
export function recordBound(snapLenBytes: number): number {
  return Math.min(Math.max(ORDINARY_MAX_BYTES, snapLenBytes), MAX_RECORD_BYTES)
}

/**
 * Reads one capture. `advance()` is synchronous and allocates nothing; where it returns false, either `needsBytes`
 * is set (await `fill()`, then go on) or `ended`. The record and its bytes are valid until the next `advance()`.
 */
export abstract class RecordReader {
  readonly record = new CaptureRecord()
  /** The file as the user named it. */
  readonly source: string
  /** By `record.interfaceIndex`; grows while a pcapng file is read. */
  readonly interfaces: CaptureInterface[] = []
  /** What the kernel counted while the file was written, as far as it has been read: comments to be put together. */
  readonly receiptComments: string[] = []
  needsBytes = false
  ended = false
  damage: CaptureDamage | null = null
  protected readonly window: ByteWindow
  protected readonly epoch: Epoch
  /** Records given out. */
  protected records = 0
  /** Number of the last frame as Wireshark counts. */
  protected frames = 0
  private wanted = 0

  constructor(source: string, window: ByteWindow, epoch: Epoch) {
    this.source = source
    this.window = window
    this.epoch = epoch
  }

  /** True: `record` holds the next frame. Never throws on what a file may contain. */
  abstract advance(): boolean

  /** Reads on, until `advance()` has something to decide. Never rejects: a failing read ends the file as `damage`. */
  async fill(): Promise<void> {
    this.needsBytes = false
    await this.window.fill(this.wanted)
  }

  /** Bytes taken from the file so far, before decompression. */
  get consumedBytes(): number {
    return this.window.consumedBytes
  }

  /** Size of the file on disk in bytes, null where it has none. */
  get sizeBytes(): number | null {
    return this.window.sizeBytes
  }

  async close(): Promise<void> {
    this.ended = true
    await this.window.close()
  }

  /** `wanted` bytes are not there: asks for them, or ends the file, cleanly only between two records. */
  protected lack(wanted: number, what: 'record' | 'block', offset?: number): false {
    const { window } = this
    if (!window.ended) {
      this.wanted = wanted
      this.needsBytes = true
      return false
    }
    const torn = window.limit > window.pos || window.skipping
    if (!torn && window.problem === null) {
      this.ended = true
      return false
    }
    const unit = what === 'record' ? `record ${this.frames + 1}` : 'a block'
    const at = torn ? `cut in the middle of ${unit}, which begins at` : 'cut at'
    return this.stop(at, offset)
  }

  /** Ends the file as damaged; `what` reads on with `byte N`. */
  protected stop(what: string, offset: number = this.window.base + this.window.pos): false {
    const { records, window } = this
    const where = `byte ${offset}${window.compressed ? ' of the decompressed data' : ''}`
    const kept =
      records === 0
        ? 'no record before it'
        : records === 1
          ? 'the record before it was read'
          : `the ${records} records before it were read`
    const cause = window.problem === null ? '' : `${window.problem}: `
    const message = `${this.source}: ${cause}${what} ${where}: ${kept}`
    this.damage = { source: this.source, byteOffset: offset, records, message }
    this.ended = true
    return false
  }
}

/** What some other kinds of files begin with, and what to do about them. */
const KNOWN_MAGICS: readonly (readonly [string, string])[] = [
  ['\xfd7zXZ', 'it is compressed with xz: decompress it with `xz -d`'],
  ['BZh', 'it is compressed with bzip2: decompress it with `bzip2 -d`'],
  ['\x04"M\x18', 'it is compressed with lz4: decompress it with `lz4 -d`'],
  ['PK\x03\x04', 'it is a zip archive: unpack it'],
  ['snoop\0', 'it is a snoop capture: convert it with `editcap -F pcapng`'],
]

/** The error for a file whose first bytes are those of no capture. */
export function notACapture(source: string, window: ByteWindow): HoptraceError {
  const head = window.bytes.subarray(window.pos, Math.min(window.limit, window.pos + 32))
  const inside = window.compressed ? ' when decompressed' : ''
  if (window.problem !== null) {
    return new HoptraceError(
      `${source}: ${window.problem}, before the capture in it begins: copy the file again`,
    )
  }
  if (head.length === 0) {
    return new HoptraceError(`${source}: empty${inside}, not a capture file: was anything written to it?`)
  }
  const text = String.fromCharCode(...head)
  const known = KNOWN_MAGICS.find(([magic]) => text.startsWith(magic))
  const advice = known?.[1] ?? 'give a file that tcpdump, dumpcap or Wireshark wrote'
  return new HoptraceError(
    `${source}: not a capture file: it begins with "${displayBytes(head)}"${inside} ` +
      `(expected pcap, pcapng or gzip): ${advice}`,
  )
}
