/** Live records: the frames of all running captures in one order of time, held back until no earlier one can come. */

import { FilePoints, NO_POINT, PointList, tooManyPoints } from '../points.ts'
import type { CaptureDamage } from '../reader.ts'
import { CaptureRecord, Epoch, type Gap, type Point, type PointIndex } from '../record.ts'
import { Tournament } from '../tournament.ts'
import { type HeldSource, isGated } from './backlog.ts'
import { type ClockEstimator, ForeignClocks } from './foreign-clocks.ts'
import type { Lane } from './lane.ts'
import { Poller } from './poller.ts'
import type { LaneSource } from './source.ts'

/** What all live points of this machine have as their source: they are captured together. */
export const LIVE_SOURCE = 'live capture'

/** Frames that wait for others make us look again so soon, in ms. */
const LOOK_AGAIN_MS = 10
/** The same where a buffer fills up faster than that. */
const FILLING_MS = 1
/** With nothing to do we look around so often, in ms. */
const IDLE_MS = 100
/** How often the kernel is asked for drop counts, in ns. */
const DROPS_EVERY_NS = 200e6
/** Frames of programs that claim to be later than that are not believed, in ns: clocks differ a little. */
const AHEAD_NS = 2e9
/** That an interface is gone is noticed within this time, in ns. */
const NOTICED_WITHIN_NS = 500e6
/** Programs get so long to end after they were told to, in ns; they are killed then. */
const STOP_PATIENCE_NS = 3e9

/** What happened to a point that goes on without its source. */
export interface LaneEnd {
  name: string
  problem: string | null
}

/**
 * As `MergedRecords`, but for captures that run. `advance()` is synchronous; where it returns false, `fill()` has to
 * be awaited, which takes 0.1 s at the most; after `stop()` it sets `done` once the last frame is out. Only frames that come later than
 * their source promises can be out of order.
 */
export class LiveRecords {
  readonly epoch = new Epoch()
  readonly points: Point[]
  /** Address → name. */
  readonly names = new Map<string, string>()
  readonly warnings: string[] = []
  readonly damages: CaptureDamage[] = []
  record: CaptureRecord = new CaptureRecord()
  point: PointIndex = NO_POINT
  done = false
  /** Called when the `gaps` of a point have changed. */
  onGap: () => void = () => {}
  /** Called when a source ends that was not told to. */
  onLaneEnd: (end: LaneEnd) => void = () => {}
  readonly #countsCuts: boolean
  readonly #list = new PointList()
  readonly #lanes: Lane[] = []
  readonly #poller = new Poller()
  #tournament = new Tournament(1)
  /** The lane whose record is out. */
  #current = -1
  /** Frames up to this time may be given out. */
  #limitNs = Number.NEGATIVE_INFINITY
  #nowNs = 0
  /** How far the clock that counts as right is ahead of ours, in ns: only where none of the points is on this machine. */
  #aheadNs = 0
  #isPressed = false
  readonly #aheadTold = new Set<string>()
  /** Frames of interfaces that are too many to be points. */
  #unassigned = 0
  #frames = 0
  #framesBefore = 0
  #beginNs = Number.NEGATIVE_INFINITY
  #dropsReadNs = Number.NEGATIVE_INFINITY
  #stoppedNs = Number.POSITIVE_INFINITY
  #hasNewLanes = false
  #estimator: ClockEstimator | null = null
  /** Where clocks are compared and not all are ours. */
  #clocks: ForeignClocks | null = null

  /** `countsCuts`: frames that are not kept whole count as `snapped`, as they do in a file. */
  constructor(countsCuts = true) {
    this.#countsCuts = countsCuts
    this.epoch.seconds = Math.floor(Date.now() / 1000)
    this.points = this.#list.points
    this.#tournament.heads[0] = Number.POSITIVE_INFINITY
  }

  /** ns of the run, by the wall clock; that of the first program where all points are elsewhere. */
  nowNs(): number {
    return (Date.now() - this.epoch.seconds * 1000) * 1e6 + this.#aheadNs
  }

  /** Up to this time no further frame is expected, in ns of the run. */
  get settledNs(): number {
    return Math.min(this.#limitNs, this.#nowNs)
  }

  /**
   * All captures run now: what the first of them saw before the last one ran is left out, as that one would seem to have
   * missed it.
   */
  begin(): void {
    // The clock counts whole milliseconds.
    this.#beginNs = this.nowNs() + 1e6
  }

  /** What programs and pipes bring in has its times by clocks of other hosts: these are to be found out, and corrected. */
  compareClocks(estimator: ClockEstimator): void {
    this.#estimator = estimator
    for (const lane of this.#lanes) this.#addClock(lane)
  }

  /** Every source has failed, and not one frame had come. */
  get hasFailed(): boolean {
    return this.#frames === 0 && this.#lanes.every(({ source }) => source.ended && source.problem !== null)
  }

  /**
   * Adds a source; its frames come out under this name from the next `fill()` on. `next` is the name of the point behind
   * it on the way out.
   */
  add(
    name: string,
    source: LaneSource,
    { sourceName = LIVE_SOURCE, next = null }: { sourceName?: string; next?: string | null } = {},
  ): PointIndex {
    const isStream = source.interfaces !== undefined
    const point = isStream ? NO_POINT : this.#list.add(name, sourceName, source.linkType, { next })
    const filePoints = isStream
      ? new FilePoints(this.#list, { path: name, source: sourceName, name }, source.interfaces!)
      : null
    const isEnded = false
    const clock = { clock: null, clockNumber: 0, shownNs: Number.NaN }
    const lane: Lane = { name, sourceName, source, point, filePoints, isEnded, ...clock }
    this.#lanes.push(lane)
    this.#addClock(lane)
    source.onReady = () => this.#poller.wake()
    this.#hasNewLanes = true
    this.#poller.wake()
    if (!isStream && this.#beginNs > Number.NEGATIVE_INFINITY)
      this.#noteGap(point, { fromNs: Number.NEGATIVE_INFINITY, toNs: this.nowNs() + 1e6 })
    return point
  }

  /** Goes on at a point whose source has ended. */
  resume(point: PointIndex, source: LaneSource): void {
    const lane = this.#lanes.find((lane) => lane.point === point)!
    const before = this.points[point]!.captureDrops ?? 0
    lane.source.close()
    lane.source = withDropsBefore(source, before)
    lane.isEnded = false
    const gap = this.points[point]!.gaps.at(-1)
    if (gap) gap.toNs = this.nowNs() + 1e6
    this.onGap()
    source.onReady = () => this.#poller.wake()
    this.#poller.wake()
  }

  /** The smallest snaplen, in bytes; 0 where all keep whole frames. */
  get snapLenBytes(): number {
    const limits = this.#lanes.flatMap(({ source: { snapLenBytes } }) =>
      snapLenBytes > 0 ? [snapLenBytes] : [],
    )
    return limits.length === 0 ? 0 : Math.min(...limits)
  }

  /** True: `record` and `point` are the next ones. `record.frame` counts the records of all points. */
  advance(): boolean {
    const tournament = this.#tournament
    for (;;) {
      if (this.#current >= 0) {
        this.#pull(this.#current)
        this.#current = -1
        tournament.replay()
      }
      const { winner } = tournament
      const headNs = tournament.heads[winner]!
      if (headNs === Number.POSITIVE_INFINITY || headNs > this.#limitNs) return false
      this.#current = winner
      if (this.#give(this.#lanes[winner]!)) return true
    }
  }

  /** Waits for frames, or for the time to give out those that are held back. */
  async fill(): Promise<void> {
    if (this.done) return
    const earliestNs = this.#tournament.heads[this.#tournament.winner]!
    const isHolding = earliestNs < Number.POSITIVE_INFINITY
    const isDraining = this.#stoppedNs < Number.POSITIVE_INFINITY
    // While frames keep coming, a look now and then costs less than being woken for each block of them.
    const isBusy = isHolding || this.#frames > this.#framesBefore
    this.#framesBefore = this.#frames
    const isFilling = this.#lanes.some(({ source, isEnded }) => !isEnded && source.isFilling)
    const open = this.#lanes.filter(({ isEnded, source }) => !isEnded && source.fd >= 0)
    const failed = await this.#poller.wait(
      open.map(({ source }) => source.fd),
      !isBusy,
      isFilling ? FILLING_MS : isBusy || isDraining ? LOOK_AGAIN_MS : IDLE_MS,
    )
    for (const i of failed) open[i]!.source.noteError?.()
    this.#look()
  }

  /** Ends all captures; what they have seen up to now still comes, and of no interface what comes later. */
  stop(): void {
    if (this.#stoppedNs < Number.POSITIVE_INFINITY) return
    // The clock counts whole milliseconds: all points hear until the one that runs now is over.
    this.#stoppedNs = this.nowNs() + 1e6
    this.#poller.wake()
  }

  /** Frees everything; no record can be had afterwards. */
  close(): void {
    this.done = true
    for (const { source } of this.#lanes) source.close()
    this.#poller.close()
  }

  /** Looks at all lanes that have no head, and at how far the others may go. */
  #look(): void {
    if (this.#hasNewLanes) {
      const heads = [...this.#tournament.heads]
      this.#tournament = new Tournament(this.#lanes.length)
      this.#tournament.heads.fill(Number.POSITIVE_INFINITY)
      this.#tournament.heads.set(heads.slice(0, this.#lanes.length))
      this.#hasNewLanes = false
    }
    this.#nowNs = this.nowNs()
    if (this.#nowNs > this.#stoppedNs)
      for (const { source, isEnded } of this.#lanes) if (!isEnded) source.stop()
    this.#isPressed = this.#lanes.some(({ source, isEnded }) => !isEnded && source.isPressed)
    this.#limitNs = this.#clocks === null ? Number.POSITIVE_INFINITY : this.#lookAtClocks(this.#clocks)
    for (let i = 0; i < this.#lanes.length; i++)
      if (this.#tournament.heads[i] === Number.POSITIVE_INFINITY) this.#pull(i)
    this.#tournament.begin()
    if (this.#nowNs - this.#dropsReadNs >= DROPS_EVERY_NS) this.#readDrops()
    this.#finishWhenDrained()
  }

  #finishWhenDrained(): void {
    // Interfaces may come back; programs and pipes don't.
    if (this.#lanes.every(({ isEnded, filePoints }) => isEnded && filePoints !== null)) this.stop()
    const sinceStopNs = this.#nowNs - this.#stoppedNs
    if (!(sinceStopNs > 0) || this.#tournament.heads[this.#tournament.winner]! < Number.POSITIVE_INFINITY)
      return
    const isDrained = this.#lanes.every(
      ({ source, isEnded }) =>
        isEnded || source.ended || (!isGated(source) && source.horizonNs(this.#nowNs) > this.#stoppedNs),
    )
    if (!isDrained && sinceStopNs < STOP_PATIENCE_NS) return
    this.#readDrops()
    for (const point of this.points) point.ended = true
    if (this.#unassigned > 0) this.warnings.push(tooManyPoints(this.#unassigned))
    this.done = true
  }

  #addClock(lane: Lane): void {
    if (this.#estimator === null || lane.filePoints === null || lane.clock !== null) return
    this.#clocks ??= new ForeignClocks(this.#estimator, this.#lanes, LIVE_SOURCE)
    this.#clocks.add(lane)
  }

  /** Returns up to which time frames may be given out, in ns. */
  #lookAtClocks(clocks: ForeignClocks): number {
    const { heads } = this.#tournament
    const hasHead = (index: number) => heads[index]! < Number.POSITIVE_INFINITY
    const streams = this.#lanes.filter(({ filePoints }) => filePoints !== null)
    const isOver =
      this.#nowNs > this.#stoppedNs &&
      streams.every(
        ({ source, isEnded }) => isEnded || this.#isPastStop(source) || (source as Partial<HeldSource>).isCut,
      )
    const { limitNs, haveJumped } = clocks.look({
      nowNs: this.#nowNs - this.#aheadNs,
      recordNs: this.record.timeNs,
      isOver,
      hasHead,
    })
    if (haveJumped)
      for (const [index, lane] of this.#lanes.entries())
        if (lane.clock !== null && hasHead(index)) heads[index] = this.#timeOf(lane)
    return limitNs + this.#aheadNs
  }

  /** Brings the next frame to the head of a lane. Where there is none the others must not go further than its horizon. */
  #pull(index: number): void {
    const lane = this.#lanes[index]!
    const { heads } = this.#tournament
    if (lane.isEnded) {
      heads[index] = Number.POSITIVE_INFINITY
    } else if (lane.source.advance()) {
      this.#clocks?.note(index, lane)
      lane.shownNs = lane.source.record.timeNs
      heads[index] = this.#timeOf(lane)
    } else {
      heads[index] = Number.POSITIVE_INFINITY
      if (lane.source.ended) this.#end(lane)
      // What waits for its clock may be from any time, and has a limit of its own.
      else if (!this.#isPressed && !isGated(lane.source) && !this.#isPastStop(lane.source))
        this.#limitNs = Math.min(this.#limitNs, lane.source.horizonNs(this.#nowNs))
    }
  }

  /**
   * When the frame at the head of a lane was seen. A clock that is ahead of ours, or one absurd time, must not hold up or
   * confuse everything else: what claims to come from the future gets the time at which it arrived.
   */
  #timeOf({ source, name, filePoints, clock, clockNumber, shownNs }: Lane): number {
    const { record } = source
    if (clock !== null) record.timeNs = clock.correctedNs(shownNs)
    if (clockNumber === 1) this.#followClock(record.timeNs)
    const aheadNs = record.timeNs - this.#nowNs
    if (filePoints === null || aheadNs <= AHEAD_NS) return record.timeNs
    if (!this.#aheadTold.has(name)) {
      this.#aheadTold.add(name)
      this.warnings.push(
        `${name}: its clock is ${(aheadNs / 1e9).toFixed(1)} s ahead of this machine's: its frames have the times of their arrival here`,
      )
    }
    record.timeNs = this.#nowNs
    return this.#nowNs
  }

  /** Where all points are elsewhere, the first one's clock is the one to go by; what is played back passes faster than that. */
  #followClock(timeNs: number): void {
    const aheadNs = timeNs - this.#nowNs
    if (this.#aheadNs === 0 && Math.abs(aheadNs) <= AHEAD_NS) return
    if (this.#lanes.some(({ filePoints }) => filePoints === null)) return
    const isFirst = this.#frames === 0 && this.#aheadNs === 0 && this.#stoppedNs === Number.POSITIVE_INFINITY
    if (isFirst) this.#aheadNs = aheadNs
    else if (this.#aheadNs < 0 && aheadNs > 0) this.#aheadNs = Math.min(0, this.#aheadNs + aheadNs)
    else return
    this.#nowNs = this.nowNs()
    this.#dropsReadNs = Number.NEGATIVE_INFINITY
  }

  /** Will nothing more come that was seen before the stop, or has it had its time? */
  #isPastStop(source: LaneSource): boolean {
    return (
      source.horizonNs(this.#nowNs) > this.#stoppedNs || this.#nowNs - this.#stoppedNs >= STOP_PATIENCE_NS
    )
  }

  #give(lane: Lane): boolean {
    const { record } = lane.source
    const isOutside = record.timeNs < this.#beginNs || record.timeNs > this.#stoppedNs
    if (isOutside && lane.filePoints === null) return false
    const index = lane.filePoints ? lane.filePoints.of(record) : lane.point
    if (index === NO_POINT) {
      this.#unassigned++
      return false
    }
    this.#frames++
    record.frame = this.#frames
    const point = this.points[index]!
    const { timeNs } = record
    if (timeNs < point.lastNs) {
      point.timeReversals++
      point.largestReversalNs = Math.max(point.largestReversalNs, point.lastNs - timeNs)
    }
    if (!(timeNs >= point.firstNs)) point.firstNs = timeNs
    if (!(timeNs <= point.lastNs)) point.lastNs = timeNs
    point.packets++
    point.bytes += record.originalLenBytes
    if (this.#countsCuts && record.end - record.start < record.originalLenBytes) point.snapped++
    this.record = record
    this.point = index
    return true
  }

  #end(lane: Lane): void {
    lane.isEnded = true
    lane.filePoints?.end()
    if (lane.point !== NO_POINT) this.points[lane.point]!.captureDrops = lane.source.drops()
    if (this.#stoppedNs < Number.POSITIVE_INFINITY) return
    // When exactly it went is not known: it was noticed by a look now and then.
    if (lane.point !== NO_POINT)
      this.#noteGap(lane.point, { fromNs: this.nowNs() - NOTICED_WITHIN_NS, toNs: Number.POSITIVE_INFINITY })
    this.onLaneEnd({ name: lane.name, problem: lane.source.problem })
  }

  #noteGap(point: PointIndex, gap: Gap): void {
    this.points[point]!.gaps.push(gap)
    this.onGap()
  }

  #readDrops(): void {
    this.#dropsReadNs = this.#nowNs
    for (const lane of this.#lanes) {
      if (lane.filePoints) lane.filePoints.noteDrops()
      else if (!lane.isEnded) this.points[lane.point]!.captureDrops = lane.source.drops()
    }
  }
}

/** The drops of a point are those of all its sources, one after the other. */
function withDropsBefore(source: LaneSource, before: number): LaneSource {
  if (before === 0) return source
  const own = source.drops.bind(source)
  source.drops = () => {
    const drops = own()
    return drops === null ? null : before + drops
  }
  return source
}
