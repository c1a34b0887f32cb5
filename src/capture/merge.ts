/** The merge: records of all captures in one order of time, each with its point; the counters of points grow here. */

import { HoptraceError } from '../errors.ts'
import { type ClockError, correctedNs } from './clock.ts'
import { type CaptureInput, type InputFailure, systemErrorText } from './inputs.ts'
import type { InterfaceNames } from './interface-names.ts'
import { LinkType } from './link-types.ts'
import { CHUNK_BYTES, openCapture } from './open-capture.ts'
import { PcapReader } from './pcap.ts'
import { FilePoints, NO_POINT, PointList, tooManyPoints } from './points.ts'
import type { CaptureDamage, RecordReader } from './reader.ts'
import { CaptureRecord, Epoch, type Point, type PointIndex } from './record.ts'
import { Tournament } from './tournament.ts'

/** Captures read at once: each holds a file descriptor and buffers. */
export const MAX_INPUTS = 200
/** What all files' chunks may take together, in bytes. */
const CHUNK_BUDGET_BYTES = 1 << 23
const MIN_CHUNK_BYTES = 1 << 15

/** One capture in the merge; its reader's record is the next one to come from this file. */
class Lane {
  readonly reader: RecordReader
  readonly filePoints: FilePoints
  /** Taken off the time of each record. */
  readonly clock: ClockError | null
  headPoint: PointIndex = NO_POINT
  /** Time of the record in front of the head, in ns. */
  previousNs = Number.NEGATIVE_INFINITY

  constructor(reader: RecordReader, filePoints: FilePoints, clock: ClockError | null) {
    this.reader = reader
    this.filePoints = filePoints
    this.clock = clock
  }
}

/**
 * Reads captures side by side. `advance()` is synchronous; where it returns false, either `done` is set or `fill()`
 * has to be awaited. `record` and its bytes are valid until the next `advance()`. Equal times come in the order of
 * the inputs, and a file's own order is never changed.
 */
export class MergedRecords {
  readonly epoch: Epoch
  /** Grows when a file describes a further interface. */
  readonly points: Point[]
  /** Address → name, as far as pcapng files tell. */
  readonly names = new Map<string, string>()
  /** One line each, fit for stderr. Complete when `done`. */
  readonly warnings: string[] = []
  /** Files that broke off, in structured form; each is among the warnings too. */
  readonly damages: CaptureDamage[] = []
  /** Inputs that could not be opened at all. */
  readonly failures: InputFailure[] = []
  record: CaptureRecord = new CaptureRecord()
  point: PointIndex = NO_POINT
  done = false
  /** Records without a point, since there were too many points: they are not given out. */
  unassigned = 0
  private readonly list = new PointList()
  private readonly lanes: Lane[] = []
  private tournament = new Tournament(0)
  private started = false
  private waiting: Lane | null = null

  private constructor(epoch: Epoch) {
    this.epoch = epoch
    this.points = this.list.points
  }

  /**
   * Opens all inputs and waits for the first record of each. Inputs that cannot be opened are `failures`; rejects
   * with a `HoptraceError` where none can, or where there are more than 200. `clocks` holds the errors of the inputs' clocks,
   * by input, with times of `epoch`: they are taken off. `interfaceNames` names interfaces that files only number.
   */
  static async open(
    inputs: readonly CaptureInput[],
    options: {
      epoch?: Epoch
      clocks?: readonly (ClockError | null)[]
      interfaceNames?: InterfaceNames
    } = {},
  ): Promise<MergedRecords> {
    if (inputs.length > MAX_INPUTS) {
      throw new HoptraceError(
        `${inputs.length} captures are too many to join at once (at most ${MAX_INPUTS}): name those of one path`,
      )
    }
    const merged = new MergedRecords(options.epoch ?? new Epoch())
    await merged.openLanes(inputs, options.clocks ?? [], options.interfaceNames)
    return merged
  }

  /** True: `record` and `point` are the next ones. */
  advance(): boolean {
    if (this.done) return false
    const { tournament } = this
    if (this.started) {
      if (!this.pull(tournament.winner)) return false
      tournament.replay()
    }
    this.started = true
    const { winner } = tournament
    if (tournament.heads[winner] === Number.POSITIVE_INFINITY) return this.finish()
    this.give(this.lanes[winner])
    return true
  }

  /** Reads on in the file that `advance()` stopped at. Never rejects on what a file may contain. */
  async fill(): Promise<void> {
    await this.waiting?.reader.fill()
  }

  /** Bytes taken from the files and their sizes on disk; the total is null where a pipe is among them. */
  progress(): { readBytes: number; totalBytes: number | null } {
    let readBytes = 0
    let totalBytes: number | null = 0
    for (const { reader } of this.lanes) {
      readBytes += reader.consumedBytes
      totalBytes = totalBytes === null || reader.sizeBytes === null ? null : totalBytes + reader.sizeBytes
    }
    return { readBytes, totalBytes }
  }

  /** Whether no further point can come up: only classic pcap files of one interface say so before they are read. */
  get hasAllPoints(): boolean {
    return this.lanes.every(
      ({ reader }) => reader instanceof PcapReader && reader.record.linkType !== LinkType.LinuxSll2,
    )
  }

  /** The smallest snaplen of the interfaces that are known so far, in bytes; 0 where all keep whole frames. */
  get snapLenBytes(): number {
    const declared = this.lanes.flatMap(({ reader }) =>
      reader.interfaces.map((described) => described.snapLenBytes),
    )
    const limits = declared.filter((bytes) => bytes > 0)
    return limits.length === 0 ? 0 : Math.min(...limits)
  }

  /** The comments with receipts of each file that has some, as far as files have been read. */
  receiptComments(): { source: string; comments: readonly string[] }[] {
    return this.lanes
      .map(({ reader: { source, receiptComments } }) => ({ source, comments: receiptComments }))
      .filter(({ comments }) => comments.length > 0)
  }

  /** Frees every file; no record can be had afterwards. */
  async close(): Promise<void> {
    this.done = true
    await Promise.all(this.lanes.map(({ reader }) => reader.close()))
  }

  private async openLanes(
    inputs: readonly CaptureInput[],
    clocks: readonly (ClockError | null)[],
    names: InterfaceNames | undefined,
  ): Promise<void> {
    const share = Math.floor(CHUNK_BUDGET_BYTES / Math.max(1, inputs.length))
    const chunkBytes = Math.min(CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, share))
    const opened = await Promise.all(
      inputs.map(async (input) => {
        try {
          return await openCapture(input.path, input.source, this, chunkBytes, input)
        } catch (error) {
          return failureOf(input, error)
        }
      }),
    )
    inputs.forEach((input, i) => {
      const result = opened[i]
      const clock = clocks[i] ?? null
      if ('message' in result) this.failures.push(result)
      else
        this.lanes.push(
          new Lane(result, new FilePoints(this.list, input, result.interfaces, clock, names), clock),
        )
    })
    if (this.lanes.length === 0) throw new HoptraceError(this.failures[0]?.message ?? 'no input')
    this.tournament = new Tournament(this.lanes.length)
    for (let i = 0; i < this.lanes.length; i++) {
      while (!this.pull(i)) await this.fill()
    }
    this.tournament.begin()
    // No record, or none with a time: simple packets of pcapng.
    if (Number.isNaN(this.epoch.seconds)) this.epoch.seconds = 0
  }

  /** Brings the next record to the head of a lane, or its end; false where the lane has to be filled first. */
  private pull(index: number): boolean {
    const lane = this.lanes[index]
    const { heads } = this.tournament
    const { reader, filePoints } = lane
    for (;;) {
      if (!reader.advance()) {
        if (!reader.ended) {
          this.waiting = lane
          filePoints.noteDrops()
          return false
        }
        this.end(lane)
        heads[index] = Number.POSITIVE_INFINITY
        return true
      }
      if (lane.clock !== null) reader.record.timeNs = correctedNs(lane.clock, reader.record.timeNs)
      const { timeNs } = reader.record
      const pointIndex = filePoints.of(reader.record)
      if (pointIndex === NO_POINT) {
        this.unassigned++
        continue
      }
      const point = this.points[pointIndex]
      if (timeNs < lane.previousNs) {
        point.timeReversals++
        point.largestReversalNs = Math.max(point.largestReversalNs, lane.previousNs - timeNs)
      }
      lane.previousNs = timeNs
      lane.headPoint = pointIndex
      // Known before the record is given out: what has not begun yet cannot have lost anything.
      if (!(timeNs >= point.firstNs)) point.firstNs = timeNs
      heads[index] = timeNs
      return true
    }
  }

  private give(lane: Lane): void {
    const { record } = lane.reader
    const point = this.points[lane.headPoint]
    point.packets++
    point.bytes += record.originalLenBytes
    if (record.end - record.start < record.originalLenBytes) point.snapped++
    if (!(record.timeNs <= point.lastNs)) point.lastNs = record.timeNs
    this.record = record
    this.point = lane.headPoint
  }

  private end(lane: Lane): void {
    const { reader } = lane
    lane.filePoints.end()
    if (reader.damage !== null) {
      this.damages.push(reader.damage)
      this.warnings.push(reader.damage.message)
    }
    if (reader.interfaces.length === 0) {
      this.warnings.push(`${reader.source}: describes no interface: there is no point in it`)
    }
    void reader.close()
  }

  private finish(): false {
    if (this.list.refused > 0) {
      this.warnings.push(tooManyPoints(this.unassigned))
    }
    this.done = true
    return false
  }
}

function failureOf(input: CaptureInput, error: unknown): InputFailure {
  const { source } = input
  if (error instanceof HoptraceError) return { source, message: error.message }
  if ((error as NodeJS.ErrnoException).code === undefined) throw error
  return { source, message: systemErrorText(source, error) }
}
