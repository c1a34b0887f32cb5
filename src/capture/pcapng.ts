/** pcapng files: packets, interfaces, names and drop counts of every section; every other block is stepped over. */

import { HoptraceError } from '../errors.ts'
import type { ByteWindow } from './byte-window.ts'
import {
  Block,
  EMPTY_BLOCK_BYTES,
  isFrameOfWireshark,
  isPacketBlock,
  isRead,
  minimumBytes,
} from './pcapng-blocks.ts'
import {
  isOurSection,
  readDrops,
  readGaps,
  readInterfaceOptions,
  readNames,
  readReceiptComments,
} from './pcapng-options.ts'
import { type CaptureInterface, MAX_RECORD_BYTES, RecordReader } from './reader.ts'
import type { Epoch } from './record.ts'
import type { TickClock } from './tick-clock.ts'

const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const BYTE_ORDER_MAGIC_SWAPPED = 0x4d3c2b1a
/** The largest block that is held: a record and its options. */
const MAX_BLOCK_BYTES = MAX_RECORD_BYTES + (1 << 20)
/** Interfaces over all sections: concatenated ring files have thousands, a damaged file could have millions. */
const MAX_INTERFACES = 65_536
const MAX_NAMES = 10_000

/** Whether a file that begins with these four bytes, read big-endian, is a pcapng file. */
export function isPcapngMagic(magic: number): boolean {
  return magic === Block.SectionHeader
}

/** Reads pcapng as in draft-ietf-opsawg-pcapng. */
export class PcapngReader extends RecordReader {
  /** Address → name, from Name Resolution Blocks; at most 10,000. */
  readonly names: Map<string, string>
  private littleEndian = true
  /** By interface index over all sections, as `interfaces`. */
  private readonly clocks: TickClock[] = []
  /** Index of the section's first interface. */
  private sectionBase = 0
  /** The section was written by hoptrace. */
  private isOurs = false
  /** Drop counts from packet blocks, by interface index; an Interface Statistics Block overrules them. */
  private readonly countedDrops: number[] = []
  private lastTimeNs = 0
  /** Length of the block that is being stepped over, 0 when none is. */
  private stepping = 0
  private steppingFrom = 0

  /** The window has been filled and begins with a Section Header Block. */
  constructor(source: string, window: ByteWindow, epoch: Epoch, names: Map<string, string>) {
    super(source, window, epoch)
    this.names = names
    if (window.limit - window.pos < 28) {
      const cause = window.problem ?? 'the file is cut'
      throw new HoptraceError(`${source}: ${cause} inside its section header: copy or capture it again`)
    }
  }

  override advance(): boolean {
    const { window } = this
    for (;;) {
      if (this.stepping !== 0 && !this.finishStep()) return false
      const { view, pos } = window
      const there = window.limit - pos
      if (there < EMPTY_BLOCK_BYTES) return this.lack(EMPTY_BLOCK_BYTES, 'block')
      const type = view.getUint32(pos, this.littleEndian)
      if (type === Block.SectionHeader && !this.takeByteOrder()) return false
      const { littleEndian } = this
      const length = view.getUint32(pos + 4, littleEndian)
      const isPacket = isPacketBlock(type)
      if (length % 4 !== 0 || length < minimumBytes(type)) {
        return this.stop(`damaged: a block of type ${type} claims ${length} bytes, at`)
      }
      if (length > there) {
        if (isRead(type) && length <= MAX_BLOCK_BYTES) return this.lack(length, isPacket ? 'record' : 'block')
        if (isPacket || type === Block.InterfaceDescription || type === Block.SectionHeader) {
          return this.stop(`damaged: a block of type ${type} claims ${length} bytes, at`)
        }
        if (isFrameOfWireshark(type)) this.frames++
        this.stepping = length
        this.steppingFrom = window.base + pos
        window.skip(length - 4)
        continue
      }
      const trailer = view.getUint32(pos + length - 4, littleEndian)
      if (trailer !== length) return this.mismatch(length, trailer)
      if (isPacket) {
        if (!this.readPacket(type, pos, length)) return false
        window.pos = pos + length
        return true
      }
      if (!this.readBlock(type, pos, length)) return false
      window.pos = pos + length
    }
  }

  /** Fills the record from a packet block; false where the block contradicts itself. */
  private readPacket(type: number, pos: number, length: number): boolean {
    const { window, record, littleEndian, epoch } = this
    const { view } = window
    let local = 0
    let start = pos + 28
    let capturedBytes: number
    if (type === Block.EnhancedPacket) {
      local = view.getUint32(pos + 8, littleEndian)
      capturedBytes = view.getUint32(pos + 20, littleEndian)
    } else if (type === Block.ObsoletePacket) {
      local = view.getUint16(pos + 8, littleEndian)
      capturedBytes = view.getUint32(pos + 20, littleEndian)
    } else {
      start = pos + 12
      capturedBytes = view.getUint32(pos + 8, littleEndian)
    }
    const index = this.sectionBase + local
    if (index >= this.interfaces.length) {
      return this.stop(
        `damaged: record ${this.frames + 1} is of interface ${local}, which is not described, at`,
      )
    }
    const { linkType, snapLenBytes } = this.interfaces[index]
    if (type === Block.SimplePacket) {
      record.originalLenBytes = capturedBytes
      if (snapLenBytes !== 0) capturedBytes = Math.min(capturedBytes, snapLenBytes)
      capturedBytes = Math.min(capturedBytes, length - 16)
    } else {
      record.originalLenBytes = view.getUint32(pos + 24, littleEndian)
    }
    const end = start + capturedBytes
    const optionsEnd = pos + length - 4
    if (end > optionsEnd || capturedBytes > MAX_RECORD_BYTES) {
      return this.stop(`damaged: record ${this.frames + 1} claims ${capturedBytes} bytes, at`)
    }
    if (type !== Block.SimplePacket) {
      const high = view.getUint32(pos + 12, littleEndian)
      const low = view.getUint32(pos + 16, littleEndian)
      const clock = this.clocks[index]
      if (clock.epochSeconds !== epoch.seconds) {
        if (Number.isNaN(epoch.seconds)) epoch.seconds = clock.secondsOf(high, low)
        clock.rebase(epoch.seconds)
      }
      this.lastTimeNs = clock.toNs(high, low)
    }
    record.flags = 0
    const options = start + ((capturedBytes + 3) & ~3)
    if (options + 4 <= optionsEnd && type !== Block.SimplePacket) {
      this.readPacketOptions(type, index, options, optionsEnd)
    }
    if (type === Block.ObsoletePacket) this.countDrops(index, view.getUint16(pos + 10, littleEndian), 0xffff)
    record.timeNs = this.lastTimeNs
    record.bytes = window.bytes
    record.start = start
    record.end = end
    record.linkType = linkType
    record.interfaceIndex = index
    record.frame = ++this.frames
    this.records++
    record.fileOffset = window.base + pos
    return true
  }

  /** epb_flags and epb_dropcount; a loop of its own, since a callback for each record would cost. */
  private readPacketOptions(type: number, index: number, start: number, end: number): void {
    const { littleEndian } = this
    const { view } = this.window
    let at = start
    while (at + 4 <= end) {
      const code = view.getUint16(at, littleEndian)
      const length = view.getUint16(at + 2, littleEndian)
      if (code === 0 || at + 4 + length > end) return
      if (code === 2 && length === 4) this.record.flags = view.getUint32(at + 4, littleEndian)
      else if (code === 4 && length === 8 && type === Block.EnhancedPacket) {
        this.countDrops(index, Number(view.getBigUint64(at + 4, littleEndian)), -1)
      }
      at += 4 + ((length + 3) & ~3)
    }
  }

  private countDrops(index: number, count: number, unknown: number): void {
    if (count === unknown) return
    this.countedDrops[index] = (this.countedDrops[index] ?? 0) + count
    const captured = this.interfaces[index]
    captured.drops = Math.max(captured.drops ?? 0, this.countedDrops[index])
  }

  /** Takes in a block that is no packet; false where it ends the file. */
  private readBlock(type: number, pos: number, length: number): boolean {
    const { window, littleEndian } = this
    const { view } = window
    const end = pos + length - 4
    if (type === Block.SectionHeader) {
      this.sectionBase = this.interfaces.length
      this.isOurs = isOurSection(window, pos + 24, end, littleEndian)
    } else if (type === Block.InterfaceDescription) {
      if (this.interfaces.length >= MAX_INTERFACES) {
        return this.stop(`more than ${MAX_INTERFACES} interfaces are described, at`)
      }
      const { name, description, next, clock } = readInterfaceOptions(window, pos + 16, end, littleEndian)
      const linkType = view.getUint16(pos + 8, littleEndian)
      const snapLenBytes = view.getUint32(pos + 12, littleEndian)
      this.interfaces.push({
        name,
        description,
        next,
        isPoint: this.isOurs,
        gaps: [],
        linkType,
        snapLenBytes,
        drops: null,
      })
      this.clocks.push(clock)
    } else if (type === Block.NameResolution) {
      readNames(window, pos + 8, end, littleEndian, this.names, MAX_NAMES)
    } else if (type === Block.InterfaceStatistics) {
      const captured: CaptureInterface | undefined =
        this.interfaces[this.sectionBase + view.getUint32(pos + 8, littleEndian)]
      const drops = readDrops(view, pos + 20, end, littleEndian)
      if (captured !== undefined && drops !== null) captured.drops = drops
      if (captured !== undefined && this.isOurs)
        readGaps(window, pos + 20, end, littleEndian, this.epoch, captured.gaps)
      // Whoever wrote the section: mergecap keeps them in one of its own.
      readReceiptComments(window, pos + 20, end, littleEndian, this.receiptComments)
    } else if (isFrameOfWireshark(type)) {
      this.frames++
    }
    return true
  }

  /** A section begins: learns its byte order from the first 12 bytes of its header. */
  private takeByteOrder(): boolean {
    const { view, pos } = this.window
    const magic = view.getUint32(pos + 8, true)
    if (magic !== BYTE_ORDER_MAGIC && magic !== BYTE_ORDER_MAGIC_SWAPPED) {
      return this.stop('damaged: a section without a byte order begins at')
    }
    this.littleEndian = magic === BYTE_ORDER_MAGIC
    return true
  }

  /** Behind a block that was stepped over stands its length once more; false where that is not there. */
  private finishStep(): boolean {
    const { window, stepping } = this
    if (window.skipping || window.limit - window.pos < 4) return this.lack(4, 'block', this.steppingFrom)
    const trailer = window.view.getUint32(window.pos, this.littleEndian)
    if (trailer !== stepping) return this.mismatch(stepping, trailer, this.steppingFrom)
    window.pos += 4
    this.stepping = 0
    return true
  }

  private mismatch(length: number, trailer: number, offset?: number): false {
    return this.stop(`damaged: a block's length is ${length} in front and ${trailer} behind it, at`, offset)
  }
}
