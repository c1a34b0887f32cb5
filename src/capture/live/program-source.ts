/** The streamed capture: pcap or pcapng that a program or another's pipe writes while we read, as a live source. */

import { fstatSync, statSync } from 'node:fs'
import { HoptraceError } from '../../errors.ts'
import { type ByteSource, descriptorOf, openRawSource, StreamSource } from '../byte-source.ts'
import { ByteWindow } from '../byte-window.ts'
import { displayBytes } from '../display-text.ts'
import { systemErrorText } from '../inputs.ts'
import { CHUNK_BYTES } from '../open-capture.ts'
import { isPcapMagic, PcapReader } from '../pcap.ts'
import { isPcapngMagic, PcapngReader } from '../pcapng.ts'
import type { CaptureInterface, RecordReader } from '../reader.ts'
import { CaptureRecord, type Epoch } from '../record.ts'
import { ChildProgram, type Enter } from './child-program.ts'
import type { LaneSource, SourceClock } from './source.ts'
import { Spool } from './spool.ts'

/** `linkType` while the header of the stream has not come. */
export const UNKNOWN_LINK_TYPE = -1
/** As much is taken in ahead of the merge, in bytes, where nothing else is said: the same as a ring. */
const BUFFER_BYTES = 1 << 23
/**
 * So much later than it passed a frame may come, in ns. `tcpdump -U -w -` without `--immediate-mode` gets its frames
 * from the kernel once a second (0.97 s were measured); the rest is for the way here.
 */
const LATENESS_NS = 1.1e9
/** A source that shows to be later than that is waited for, in ns; what is farther off is a clock, and not a delay. */
const MAX_LATENESS_NS = 3e9
/** A pipe is read for so long after the stop: what was captured before it is still on its way. In ms. */
const PIPE_GRACE_MS = 300
/** So long after the end of its output a program may take to end by itself, in ms. */
const EXIT_PATIENCE_MS = 1000
const PCAP_HEADER_BYTES = 24
const SECTION_HEADER_BYTES = 28

export interface StreamOptions {
  /** Address → name, filled from pcapng. */
  names?: Map<string, string>
  /** Bytes that are taken in ahead of the merge at most; then the writer waits. */
  bufferBytes?: number
  /** The program is started inside it, and so in the network namespace that it enters. */
  enter?: Enter
  /** How late its frames may come, in ns, where that is known. */
  latenessNs?: number
}

/**
 * A capture that comes as a stream. Opening it doesn't wait for the stream's header, which `tcpdump` and ssh send when
 * they are ready: until then `linkType` is -1 and `interfaces` is empty; it stays the same array and grows. Each
 * record has a `linkType` and an `interfaceIndex` of its own.
 *
 * `RecordReader.fill()` moves the unfinished record into the other of two buffers and lets the next chunk come into the
 * one that was read. So it is begun only where `advance()` says false, which ends the life of the record before.
 */
export class StreamedCapture implements LaneSource {
  readonly fd = -1
  onReady = () => {}
  readonly record = new CaptureRecord()
  /** What the stream has described so far. */
  readonly interfaces: CaptureInterface[] = []
  ended = false
  problem: string | null = null
  clock: SourceClock | null = null
  /** Resolves when the header has been read, or when it has ended without one. */
  readonly opened: Promise<void>
  /** What writes the stream; null for a pipe. */
  readonly program: ChildProgram | null
  readonly #source: string
  readonly #epoch: Epoch
  readonly #spool: Spool
  #reader: RecordReader | null = null
  /** Why there is no reader: what came is no capture. */
  #failure: string | null = null
  #isFilling = true
  /** The next record has only just come in. */
  #isFresh = false
  #isStopped = false
  #isFinishing = false
  #lastNs = Number.NEGATIVE_INFINITY
  #latenessNs: number

  /**
   * Starts a program whose standard output is pcap or pcapng; `source` names it in messages. Resolves as soon as it
   * runs; rejects with a `HoptraceError` where it can't be started.
   */
  static async openProgram(
    words: readonly string[],
    source: string,
    epoch: Epoch,
    options: StreamOptions = {},
  ): Promise<StreamedCapture> {
    const program = await ChildProgram.start(words, source, options.enter)
    return new StreamedCapture(new StreamSource(program.stdout), program, source, epoch, options)
  }

  /** Opens a FIFO or `/dev/fd/N`, at once, whether there is a writer or not; rejects with a `HoptraceError`. */
  static async openPipe(
    path: string,
    source: string,
    epoch: Epoch,
    options: StreamOptions = {},
  ): Promise<StreamedCapture> {
    try {
      const fd = descriptorOf(path)
      const stat = fd >= 0 ? fstatSync(fd) : statSync(path)
      if (!stat.isFIFO() && !stat.isSocket())
        throw new HoptraceError(
          `${source}: is no pipe: name a FIFO here, and read what is already captured with hoptrace analyze`,
        )
      return new StreamedCapture(await openRawSource(path), null, source, epoch, options)
    } catch (error) {
      if (error instanceof HoptraceError) throw error
      throw new HoptraceError(systemErrorText(source, error))
    }
  }

  private constructor(
    bytes: ByteSource,
    program: ChildProgram | null,
    source: string,
    epoch: Epoch,
    options: StreamOptions,
  ) {
    this.program = program
    this.#source = source
    this.#epoch = epoch
    this.#spool = new Spool(bytes, options.bufferBytes ?? BUFFER_BYTES)
    this.#spool.onPressed = () => this.onReady()
    this.#latenessNs = options.latenessNs ?? LATENESS_NS
    this.opened = this.#begin(options.names ?? new Map())
  }

  /** LINKTYPE_ value of the interface that was described first, or -1. */
  get linkType(): number {
    return this.interfaces[0]?.linkType ?? UNKNOWN_LINK_TYPE
  }

  /** The smallest of the interfaces', 0 where all keep whole frames. */
  get snapLenBytes(): number {
    const limits = this.interfaces.flatMap(({ snapLenBytes }) => (snapLenBytes > 0 ? [snapLenBytes] : []))
    return limits.length === 0 ? 0 : Math.min(...limits)
  }

  advance(): boolean {
    const reader = this.#reader
    if (reader === null || this.#isFilling || reader.ended) return false
    const isThere = reader.advance()
    this.#noteInterfaces(reader)
    if (isThere) this.#take(reader.record)
    else if (reader.ended) void this.#finish()
    else void this.#fill(reader)
    return isThere
  }

  /** As long as bytes wait to be parsed it is the time of the frame before them. */
  horizonNs(nowNs: number): number {
    if (this.ended || this.#isFinishing) return Number.POSITIVE_INFINITY
    if (this.#spool.isStarved) return nowNs - this.#latenessNs
    return this.clock === null ? this.#lastNs : this.clock.correctedNs(this.#lastNs)
  }

  get isFilling(): boolean {
    return this.#spool.isPressed
  }

  get isPressed(): boolean {
    return this.#spool.isPressed
  }

  /** What the stream says of its interfaces; for plain pcap, what tcpdump says when it ends. */
  drops(): number | null {
    const known = this.interfaces.flatMap(({ drops }) => (drops === null ? [] : [drops]))
    return known.length === 0 ? null : known.reduce((sum, drops) => sum + drops, 0)
  }

  /** A program is told to end, and what it writes until then comes; a pipe is read for another 0.3 s. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    if (this.program !== null) this.program.terminate()
    else setTimeout(() => void this.#spool.endInput(), PIPE_GRACE_MS).unref()
  }

  close(): void {
    this.stop()
    this.#isFilling = true
    this.ended = true
    void this.#spool.close()
  }

  async #begin(names: Map<string, string>): Promise<void> {
    const window = new ByteWindow(this.#spool, CHUNK_BYTES)
    try {
      this.#reader = await this.#open(window, names)
      this.#noteInterfaces(this.#reader)
    } catch (error) {
      if (!(error instanceof HoptraceError)) throw error
      this.#failure = error.message
    }
    this.#isFilling = false
    if (this.#reader === null) await this.#finish()
    else this.onReady()
  }

  /** Waits for no more bytes than it needs: of a quiet line only the header comes. */
  async #open(window: ByteWindow, names: Map<string, string>): Promise<RecordReader> {
    await window.fill(4)
    const head = window.bytes.subarray(window.pos, window.limit)
    if (head.length === 0) throw new HoptraceError(`${this.#source}: ended without a capture`)
    const magic = head.length < 4 ? 0 : window.view.getUint32(window.pos)
    if (isPcapMagic(magic)) {
      await window.fill(PCAP_HEADER_BYTES)
      return new PcapReader(this.#source, window, this.#epoch)
    }
    if (isPcapngMagic(magic)) {
      await window.fill(SECTION_HEADER_BYTES)
      return new PcapngReader(this.#source, window, this.#epoch, names)
    }
    throw new HoptraceError(
      `${this.#source}: writes no capture: its output begins with "${displayBytes(head, 40)}" (expected pcap or pcapng)`,
    )
  }

  async #fill(reader: RecordReader): Promise<void> {
    this.#isFilling = true
    const isWaiting = this.#spool.isStarved
    await reader.fill()
    if (this.ended) return
    this.#isFilling = false
    this.#isFresh = isWaiting
    this.onReady()
  }

  #noteInterfaces({ interfaces }: RecordReader): void {
    for (let i = this.interfaces.length; i < interfaces.length; i++) this.interfaces.push(interfaces[i])
  }

  /** Copied, field by field: the merge may hold on to `record` from before there is a reader. */
  #take(from: CaptureRecord): void {
    const { record } = this
    record.bytes = from.bytes
    record.start = from.start
    record.end = from.end
    record.originalLenBytes = from.originalLenBytes
    record.timeNs = from.timeNs
    record.linkType = from.linkType
    record.frame = from.frame
    record.interfaceIndex = from.interfaceIndex
    record.fileOffset = from.fileOffset
    record.flags = from.flags
    this.#lastNs = from.timeNs
    if (this.#isFresh) this.#learnLateness(from.timeNs)
  }

  #learnLateness(timeNs: number): void {
    this.#isFresh = false
    const { clock } = this
    if (clock?.isKnown === false) return
    const passedNs = clock === null ? timeNs : clock.correctedNs(timeNs)
    const lateNs = (Date.now() - this.#epoch.seconds * 1000) * 1e6 - passedNs
    if (lateNs > this.#latenessNs && lateNs < MAX_LATENESS_NS) this.#latenessNs = lateNs
  }

  /** Nothing more will be read: waits for the end of the program, and says what went wrong. */
  async #finish(): Promise<void> {
    if (this.#isFinishing) return
    this.#isFinishing = true
    const isCutOff = !this.#spool.hasEnded
    // What isn't read any more has no writer that waits for us.
    if (isCutOff || this.program === null) await this.#spool.close()
    if (this.program !== null) await this.#awaitExit(this.program, isCutOff ? 0 : EXIT_PATIENCE_MS)
    if (this.ended) return
    if (!this.#isStopped) this.problem = this.#verdict(isCutOff)
    this.ended = true
    this.onReady()
  }

  async #awaitExit(program: ChildProgram, patienceMs: number): Promise<void> {
    const timer = setTimeout(() => program.terminate(), patienceMs)
    await program.exited
    clearTimeout(timer)
    if (this.interfaces.length === 1) this.interfaces[0].drops ??= program.drops
  }

  /** One line, or null where it ended as it should. */
  #verdict(isCutOff: boolean): string | null {
    const { exit = null, lastLine = '', isTerminated = false } = this.program ?? {}
    const said = lastLine === '' ? '' : `: ${lastLine}`
    const flaw = this.#failure === null ? (this.#reader?.damage?.message ?? null) : `${this.#failure}${said}`
    if (exit === null || isCutOff || isTerminated) return flaw
    // Ctrl-C reached the program before it reached us.
    if (exit.signal === 'SIGINT') return null
    if (exit.code === 0 || (said === '' && this.#failure !== null)) return flaw
    const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`
    return `${this.#source}: ended with ${how}${said}`
  }
}
