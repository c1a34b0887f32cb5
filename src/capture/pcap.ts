/** pcap files: micro- and nanoseconds, both byte orders, and the modified format with longer record headers. */

import { HoptraceError } from '../errors.ts'
import type { ByteWindow } from './byte-window.ts'
import { RecordReader, recordBound } from './reader.ts'
import type { Epoch } from './record.ts'

const FILE_HEADER_BYTES = 24
const NS_PER_SECOND = 1e9

/** How the records of a pcap file are laid out: all that its magic number says. */
interface PcapLayout {
  readonly littleEndian: boolean
  readonly nsPerFraction: 1 | 1000
  readonly recordHeaderBytes: 16 | 24
}

/** Magic numbers as read big-endian, and so the byte order of the file. */
const LAYOUTS = new Map<number, PcapLayout>([
  [0xa1b2c3d4, { littleEndian: false, nsPerFraction: 1000, recordHeaderBytes: 16 }],
  [0xd4c3b2a1, { littleEndian: true, nsPerFraction: 1000, recordHeaderBytes: 16 }],
  [0xa1b23c4d, { littleEndian: false, nsPerFraction: 1, recordHeaderBytes: 16 }],
  [0x4d3cb2a1, { littleEndian: true, nsPerFraction: 1, recordHeaderBytes: 16 }],
  // Kuznetzov's: interface, protocol and packet type follow the lengths.
  [0xa1b2cd34, { littleEndian: false, nsPerFraction: 1000, recordHeaderBytes: 24 }],
  [0x34cdb2a1, { littleEndian: true, nsPerFraction: 1000, recordHeaderBytes: 24 }],
])

/** Whether a file that begins with these four bytes, read big-endian, is a pcap file. */
export function isPcapMagic(magic: number): boolean {
  return LAYOUTS.has(magic)
}

/** Reads pcap as in draft-ietf-opsawg-pcap. */
export class PcapReader extends RecordReader {
  private readonly littleEndian: boolean
  private readonly nsPerFraction: number
  private readonly recordHeaderBytes: number
  private readonly maxCapturedBytes: number

  /** Takes the file header off the window, which has been filled. Throws a `HoptraceError` where it is not whole. */
  constructor(source: string, window: ByteWindow, epoch: Epoch) {
    super(source, window, epoch)
    const { view, pos } = window
    if (window.limit - pos < FILE_HEADER_BYTES) {
      const cause = window.problem ?? 'the file is cut'
      throw new HoptraceError(
        `${source}: ${cause} inside its header, ${window.limit - pos} of ${FILE_HEADER_BYTES} bytes are there: ` +
          'copy or capture it again',
      )
    }
    const layout = LAYOUTS.get(view.getUint32(pos))!
    this.littleEndian = layout.littleEndian
    this.nsPerFraction = layout.nsPerFraction
    this.recordHeaderBytes = layout.recordHeaderBytes
    const major = view.getUint16(pos + 4, this.littleEndian)
    if (major !== 2) {
      const minor = view.getUint16(pos + 6, this.littleEndian)
      throw new HoptraceError(
        `${source}: pcap version ${major}.${minor} is not known (expected 2.4): convert it with \`editcap -F pcap\``,
      )
    }
    const snapLenBytes = view.getUint32(pos + 16, this.littleEndian)
    this.maxCapturedBytes = recordBound(snapLenBytes)
    // The upper bits tell of the frame check sequence (and once of a class).
    const linkType = view.getUint32(pos + 20, this.littleEndian) & 0xffff
    this.interfaces.push({
      name: null,
      description: null,
      next: null,
      isPoint: false,
      gaps: [],
      linkType,
      snapLenBytes,
      drops: null,
    })
    this.record.linkType = linkType
    window.pos += FILE_HEADER_BYTES
  }

  override advance(): boolean {
    const { window, record, littleEndian, recordHeaderBytes } = this
    const { view, pos } = window
    const there = window.limit - pos
    if (there < recordHeaderBytes) return this.lack(recordHeaderBytes, 'record')
    const capturedBytes = view.getUint32(pos + 8, littleEndian)
    if (capturedBytes > this.maxCapturedBytes) return this.overlong(capturedBytes)
    const start = pos + recordHeaderBytes
    const end = start + capturedBytes
    if (end > window.limit) return this.lack(end - pos, 'record')
    const seconds = view.getUint32(pos, littleEndian)
    if (Number.isNaN(this.epoch.seconds)) this.epoch.seconds = seconds
    record.timeNs =
      (seconds - this.epoch.seconds) * NS_PER_SECOND +
      view.getUint32(pos + 4, littleEndian) * this.nsPerFraction
    record.originalLenBytes = view.getUint32(pos + 12, littleEndian)
    record.bytes = window.bytes
    record.start = start
    record.end = end
    record.frame = ++this.frames
    this.records++
    record.fileOffset = window.base + pos
    window.pos = end
    return true
  }

  private overlong(capturedBytes: number): false {
    return this.stop(`damaged: record ${this.frames + 1} claims ${capturedBytes} bytes, at`)
  }
}
