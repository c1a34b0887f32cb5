/** The backlog: copies of a source's records that wait until the clocks of all sources are known. */

import { CaptureRecord } from '../record.ts'
import type { LaneSource } from './source.ts'

/** Numbers of each record: see `put`. */
const FIELDS = 10
const FIRST_BYTES = 1 << 16

/** Records in the order in which they came, in two growing buffers. */
class RecordStore {
  lenBytes = 0
  #bytes = new Uint8Array(FIRST_BYTES)
  #fields = new Float64Array(FIELDS << 6)
  #first = 0
  #end = 0

  get isEmpty(): boolean {
    return this.#first === this.#end
  }

  /** When the oldest record came in, in ns. */
  get oldestNs(): number {
    return this.isEmpty ? Number.POSITIVE_INFINITY : this.#fields[this.#first * FIELDS]!
  }

  put(record: CaptureRecord, nowNs: number): void {
    if (this.isEmpty) {
      this.#first = 0
      this.#end = 0
      this.lenBytes = 0
    }
    const { start, end } = record
    const at = this.lenBytes
    this.#makeRoom(at + end - start)
    this.#bytes.set(record.bytes.subarray(start, end), at)
    this.lenBytes = at + end - start
    this.#fields.set(
      [
        nowNs,
        record.timeNs,
        at,
        this.lenBytes,
        record.originalLenBytes,
        record.linkType,
        record.frame,
        record.interfaceIndex,
        record.flags,
        record.fileOffset,
      ],
      this.#end++ * FIELDS,
    )
  }

  /** Its bytes stay until the next `put` after the last record was taken. */
  take(into: CaptureRecord): void {
    const at = this.#first++ * FIELDS
    const fields = this.#fields
    into.bytes = this.#bytes
    into.timeNs = fields[at + 1]!
    into.start = fields[at + 2]!
    into.end = fields[at + 3]!
    into.originalLenBytes = fields[at + 4]!
    into.linkType = fields[at + 5]!
    into.frame = fields[at + 6]!
    into.interfaceIndex = fields[at + 7]!
    into.flags = fields[at + 8]!
    into.fileOffset = fields[at + 9]!
  }

  #makeRoom(lenBytes: number): void {
    if (lenBytes > this.#bytes.length) {
      const larger = new Uint8Array(2 * lenBytes)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    if ((this.#end + 1) * FIELDS > this.#fields.length) {
      const larger = new Float64Array(2 * this.#fields.length)
      larger.set(this.#fields)
      this.#fields = larger
    }
  }
}

/** Do records wait until the clock of their source is known? */
export function isGated(source: LaneSource): boolean {
  return source instanceof HeldSource && source.isGated
}

/** A source whose records can be taken in ahead of the merge, and held. */
export class HeldSource implements LaneSource {
  readonly inner: LaneSource
  record: CaptureRecord
  /** While its clock is not known, records that came in later than that stay, in ns. */
  gateNs = Number.POSITIVE_INFINITY
  /** The record at its head was noted when it came in. */
  isNoted = false
  isFull = false
  readonly #store = new RecordStore()
  readonly #own = new CaptureRecord()

  constructor(inner: LaneSource) {
    this.inner = inner
    this.record = inner.record
  }

  /** Takes in what there is, up to `maxBytes`, at the time `nowNs`; `isInUse`: the record that is out stays valid. */
  takeIn(nowNs: number, maxBytes: number, isInUse: boolean, note: (record: CaptureRecord) => void): void {
    const { inner } = this
    if (isInUse && this.record === inner.record) this.#copyHead()
    this.isFull = this.#store.lenBytes >= maxBytes
    while (!this.isFull && inner.advance()) {
      note(inner.record)
      this.#store.put(inner.record, nowNs)
      this.isFull = this.#store.lenBytes >= maxBytes
    }
  }

  /** When the oldest record that waits came in, in ns; infinite where none does. */
  get oldestNs(): number {
    return this.#store.oldestNs
  }

  /** Records wait, and may not go on yet. */
  get isGated(): boolean {
    return !this.#store.isEmpty && this.#store.oldestNs > this.gateNs
  }

  advance(): boolean {
    this.isNoted = !this.#store.isEmpty
    if (this.isNoted) {
      if (this.isGated) return false
      this.record = this.#own
      this.#store.take(this.#own)
      return true
    }
    // What comes in while records are held has to be taken in.
    if (this.gateNs < Number.POSITIVE_INFINITY || !this.inner.advance()) return false
    this.record = this.inner.record
    return true
  }

  #copyHead(): void {
    const own = this.#own
    Object.assign(own, this.inner.record)
    own.bytes = own.bytes.slice(own.start, own.end)
    own.end -= own.start
    own.start = 0
    this.record = own
  }

  get fd() {
    return this.inner.fd
  }

  get onReady() {
    return this.inner.onReady
  }

  set onReady(onReady) {
    this.inner.onReady = onReady
  }

  get linkType() {
    return this.inner.linkType
  }

  get snapLenBytes() {
    return this.inner.snapLenBytes
  }

  get interfaces() {
    return this.inner.interfaces
  }

  horizonNs(nowNs: number): number {
    return this.inner.horizonNs(nowNs)
  }

  get isFilling() {
    return this.inner.isFilling
  }

  get isPressed() {
    return this.inner.isPressed
  }

  drops(): number | null {
    return this.inner.drops()
  }

  /** Nothing more comes in; what is held may still be had. */
  get isCut() {
    return this.inner.ended
  }

  get ended() {
    return this.inner.ended && this.#store.isEmpty
  }

  get problem() {
    return this.inner.problem
  }

  noteError(): void {
    this.inner.noteError?.()
  }

  stop(): void {
    this.inner.stop()
  }

  close(): void {
    this.inner.close()
  }
}
