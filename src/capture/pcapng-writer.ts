/** Writing pcapng: one section, several interfaces, ns times, with notes on records; what it writes Wireshark reads. */

import { ftruncateSync, writeSync } from 'node:fs'
import { BlockBuffer } from './block-buffer.ts'
import { OUR_APPLICATION } from './pcapng-options.ts'
import type { CaptureRecord, Epoch } from './record.ts'

/** An interface to describe in the file. */
export interface WrittenInterface {
  readonly name: string
  /** LINKTYPE_ value. */
  readonly linkType: number
  readonly description?: string
  readonly hardware?: string
  readonly comment?: string
  /** The capture filter, in its text form. */
  readonly filter?: string
  /** Nothing where frames are kept whole. */
  readonly snapLenBytes?: number
}

/** What can be said of a record beside its bytes. */
export interface RecordNotes {
  /** epb_dropcount: frames lost between the record before it and this one. */
  readonly dropCount?: number
  readonly comment?: string
}

/** What can be said of an interface when its capture is over; times in ns since the epoch. */
export interface InterfaceStatistics {
  readonly startNs?: number
  readonly endNs?: number
  readonly received?: number
  /** Each of at most 65,535 bytes. */
  readonly comments?: readonly string[]
  readonly dropped?: number
}

/** Where the bytes go: a file descriptor, or a function that is done with the bytes when its promise resolves. */
export type ByteSink = number | ((bytes: Uint8Array) => void | Promise<void>)

/** The part of a `CaptureRecord` that is written. */
export type WritableRecord = Pick<
  CaptureRecord,
  'bytes' | 'start' | 'end' | 'originalLenBytes' | 'timeNs' | 'flags'
>

const TWO_32 = 4294967296
/** What an Enhanced Packet Block takes beside its bytes and comment, padding included. */
const MAX_RECORD_HEAD_BYTES = 96
const utf8 = new TextEncoder()

/**
 * Collects blocks and hands them on in large pieces. A file descriptor is written synchronously, whenever the buffer
 * is full; with a function `full` says when to await `flush()`, and without that the buffer grows. `close()` hands
 * the rest on; the descriptor stays open. Errors of the sink come out of the call that meets them.
 */
export class PcapngWriter {
  private readonly sink: ByteSink
  private readonly epoch: Epoch
  private interfaceCount = 0
  private filling = new BlockBuffer()
  private idle = new BlockBuffer()
  private flushed: Promise<void> = Promise.resolve()
  private writtenBytes = 0
  /** The epoch in ns since 1970, in halves. */
  private baseSeconds = Number.NaN
  private baseHigh = 0
  private baseLow = 0

  /** Begins the section; `epoch` is what the times of records count from. */
  constructor(
    sink: ByteSink,
    epoch: Epoch,
    about: { hardware?: string; os?: string; comment?: string } = {},
  ) {
    this.sink = sink
    this.epoch = epoch
    const out = this.filling
    out.begin(0x0a0d0d0a)
    out.reserve(16)
    out.u32(0x1a2b3c4d)
    out.u16Pair(1, 0)
    // The section's length is not known: -1.
    out.u32(0xffffffff)
    out.u32(0xffffffff)
    out.textOption(1, about.comment)
    out.textOption(2, about.hardware)
    out.textOption(3, about.os)
    out.textOption(4, OUR_APPLICATION)
    out.endOptions()
    out.end()
  }

  /** Whether it is time to await `flush()`. */
  get full(): boolean {
    return this.filling.full
  }

  /** Describes an interface; the number that it returns is for `addRecord`. */
  addInterface(described: WrittenInterface): number {
    const out = this.filling
    out.begin(1)
    out.reserve(8)
    out.u16Pair(described.linkType, 0)
    out.u32(described.snapLenBytes ?? 0)
    out.textOption(1, described.comment)
    out.textOption(2, described.name)
    out.textOption(3, described.description)
    out.option(9, Uint8Array.of(9))
    // Its first byte says that the filter is text.
    if (described.filter !== undefined) out.option(11, utf8.encode(`\0${described.filter}`))
    out.textOption(15, described.hardware)
    out.endOptions()
    this.endBlock()
    return this.interfaceCount++
  }

  /**
   * Adds a frame as an Enhanced Packet Block. A `CaptureRecord` fits as it is. `packet` becomes its `epb_packetid`: the
   * same for all sightings of one packet, -1 for none.
   */
  addRecord(interfaceIndex: number, record: WritableRecord, packet = -1, notes?: RecordNotes): void {
    const out = this.filling
    const { start, end, flags } = record
    out.begin(6)
    // All that is written below but the comment: one look at the room for it is enough.
    out.reserve(MAX_RECORD_HEAD_BYTES + end - start)
    out.u32(interfaceIndex)
    this.writeTime(record.timeNs)
    out.u32(end - start)
    out.u32(record.originalLenBytes)
    out.padded(record.bytes, start, end)
    if (flags !== 0 || packet >= 0 || notes !== undefined) {
      if (notes !== undefined) out.textOption(1, notes.comment)
      if (flags !== 0) out.u32Option(2, flags)
      if (notes?.dropCount !== undefined) out.u64Option(4, notes.dropCount)
      if (packet >= 0) out.u64Option(5, packet)
      out.endOptions()
    }
    this.endBlock()
  }

  /** Adds an Interface Statistics Block. */
  addStatistics(interfaceIndex: number, statistics: InterfaceStatistics): void {
    const { startNs, endNs, received, dropped, comments = [] } = statistics
    const out = this.filling
    out.begin(5)
    out.reserve(36)
    out.u32(interfaceIndex)
    this.writeTime(endNs ?? startNs ?? 0)
    for (const comment of comments) out.textOption(1, comment)
    for (const [code, timeNs] of [[2, startNs] as const, [3, endNs] as const]) {
      if (timeNs === undefined) continue
      out.reserve(12)
      out.u16Pair(code, 8)
      this.writeTime(timeNs)
    }
    if (received !== undefined) out.u64Option(4, received)
    if (dropped !== undefined) out.u64Option(5, dropped)
    out.endOptions()
    this.endBlock()
  }

  /** Adds a Name Resolution Block: addresses as 4 or 16 bytes, each with its name. */
  addNames(names: Iterable<readonly [address: Uint8Array, name: string]>): void {
    const out = this.filling
    out.begin(4)
    for (const [address, name] of names) {
      const text = utf8.encode(`${name}\0`)
      const value = new Uint8Array(address.length + text.length)
      value.set(address)
      value.set(text, address.length)
      out.option(address.length === 4 ? 1 : 2, value)
    }
    out.endOptions()
    this.endBlock()
  }

  /** Bytes of all blocks so far, whether or not the sink has them; for a file descriptor. */
  get lenBytes(): number {
    return this.writtenBytes + this.filling.length
  }

  /** Hands everything on to the sink; resolves when the sink has taken it. */
  flush(): Promise<void> {
    const { sink } = this
    if (typeof sink === 'number') {
      this.writeOut(sink)
      return this.flushed
    }
    // The other buffer fills up meanwhile: frames come in while a slow sink writes.
    this.flushed = this.flushed.then(async () => {
      const full = this.filling
      if (full.length === 0) return
      this.filling = this.idle
      await sink(full.contents)
      full.clear()
      this.idle = full
    })
    return this.flushed
  }

  /** Hands the rest on. */
  close(): Promise<void> {
    return this.flush()
  }

  private endBlock(): void {
    this.filling.end()
    if (typeof this.sink === 'number' && this.filling.full) this.writeOut(this.sink)
  }

  private writeOut(fd: number): void {
    const { contents } = this.filling
    try {
      for (let at = 0; at < contents.length; ) at += writeSync(fd, contents, at)
    } catch (error) {
      // A full disk: without the half of a block at its end the file can be read.
      try {
        ftruncateSync(fd, this.writtenBytes)
      } catch {
        // It is a pipe.
      }
      throw error
    } finally {
      this.filling.clear()
    }
    this.writtenBytes += contents.length
  }

  /** A time of the run as 64-bit ns since 1970, high half first, without a BigInt for each record. */
  private writeTime(timeNs: number): void {
    if (this.baseSeconds !== this.epoch.seconds) {
      this.baseSeconds = this.epoch.seconds
      const base = BigInt(this.baseSeconds) * 1_000_000_000n
      this.baseHigh = Number(base >> 32n)
      this.baseLow = Number(base & 0xffffffffn)
    }
    const high = Math.floor(timeNs / TWO_32)
    const low = timeNs - high * TWO_32 + this.baseLow
    const carry = low >= TWO_32 ? 1 : 0
    this.filling.u32(this.baseHigh + high + carry)
    this.filling.u32(low - carry * TWO_32)
  }
}
