/** Foreign clocks: those of the hosts whose frames programs and pipes bring in, told from this machine's while all run. */

import type { ClockError } from '../clock.ts'
import type { CaptureRecord } from '../record.ts'
import { HeldSource } from './backlog.ts'
import type { Lane } from './lane.ts'
import { LaneClock } from './lane-clock.ts'
import type { LaneSource } from './source.ts'

/** Records of a clock that nothing is known of wait for so long, in ns: until then packets may show what it says. */
const HOLD_NS = 1.5e9
/** So often it is tried to tell a clock, in ns. */
const TRY_EVERY_NS = 100e6
/** Known clocks are compared again after that time, in ns, and then less and less often. */
const FIRST_LOOK_NS = 1e9
const LAST_LOOK_NS = 30e9
const LOOK_GROWTH = 1.25
/** While one is unknown, what was seen long ago would take the room of what may tell it, in ns. */
const LOOK_WHILE_SEARCHING_NS = 5e9
/** What the backlogs of all sources may hold, and of each in any case, in bytes. */
const TOTAL_BACKLOG_BYTES = 1 << 26
const MIN_BACKLOG_BYTES = 1 << 20
const MAX_BACKLOG_BYTES = 1 << 23

/** What a clock is found to show. */
export interface ClockEstimate {
  /** Against the reference; null where both show the same. */
  readonly error: ClockError | null
  /** Packets of both directions told it: what more of them will tell is not much else. */
  readonly isSure: boolean
}

/** What compares clocks; it knows protocols, which a capture doesn't. Clock 0 is that of this machine. */
export interface ClockEstimator {
  /** Until `condense()`, more records of clocks that are known would not tell much more. */
  readonly hasEnough: boolean
  /** Notes a record that was seen at a `place` by a clock, with the time that this one showed. */
  note(clock: number, place: number, record: CaptureRecord, snapLenBytes: number): void
  /**
   * What the records so far tell of each clock, by number; undefined where they tell nothing. `sources` names the
   * clocks, those that count as right first.
   */
  estimate(sources: readonly string[]): readonly (ClockEstimate | undefined)[]
  /** What was noted so far may be kept in brief, where it is much. */
  condense(): void
}

/** How the capture stands. */
export interface ClockSituation {
  readonly nowNs: number
  /** Time of the record that was given out last, in ns. */
  readonly recordNs: number
  /** Nothing more will come. */
  readonly isOver: boolean
  /** The lane's record waits to be given out. */
  hasHead(index: number): boolean
}

export class ForeignClocks {
  readonly #estimator: ClockEstimator
  readonly #lanes: readonly Lane[]
  /** Lanes that have a clock, by its number less one. */
  readonly #foreign: Lane[] = []
  readonly #localSource: string
  #triedNs = Number.NEGATIVE_INFINITY
  #lookEveryNs = FIRST_LOOK_NS
  #lookedNs = Number.NaN
  #lookedRecordNs = Number.NaN

  /** `lanes` grows; `localSource` is the source of all points on this machine. */
  constructor(estimator: ClockEstimator, lanes: readonly Lane[], localSource: string) {
    this.#estimator = estimator
    this.#lanes = lanes
    this.#localSource = localSource
  }

  /** The lane's times are by a clock of their own. */
  add(lane: Lane): void {
    lane.clock = new LaneClock()
    lane.source.clock = lane.clock
    lane.source = new HeldSource(lane.source)
    this.#foreign.push(lane)
    lane.clockNumber = this.#foreign.length
  }

  /** A record has come to the head of a lane. */
  note(index: number, lane: Lane): void {
    const { source } = lane
    if (this.#estimator.hasEnough) return
    if (!(source instanceof HeldSource && source.isNoted)) this.#take(index, lane, source.record)
  }

  /**
   * While a clock is not known, the frames of all points are taken in as they come, as they may tell it. Returns up to which
   * time frames may be given out, in ns, and whether times of a lane have jumped that is known already.
   */
  look(situation: ClockSituation): { limitNs: number; haveJumped: boolean } {
    const { nowNs, recordNs } = situation
    if (this.#lanes.length < 2) return { limitNs: Number.POSITIVE_INFINITY, haveJumped: false }
    this.#takeIn(situation, (lane) => lane.clock?.isKnown === false)
    let limitNs = Number.POSITIVE_INFINITY
    if (this.#isSearching) {
      this.#takeIn(situation, (lane) => lane.clock?.isKnown !== false)
      const isLast =
        situation.isOver || this.#lanes.some(({ source }) => source instanceof HeldSource && source.isFull)
      this.#search(nowNs, isLast)
      if (this.#isSearching && !isLast) limitNs = nowNs - HOLD_NS
    }
    for (const { source, clock } of this.#foreign)
      (source as HeldSource).gateNs = clock!.isKnown ? Number.POSITIVE_INFINITY : limitNs
    return { limitNs, haveJumped: this.#refine(nowNs, recordNs) }
  }

  /** Frames wait for a clock to be told. */
  get #isSearching(): boolean {
    return this.#foreign.some(
      ({ clock, source }) => !clock!.isKnown && oldestNs(source) < Number.POSITIVE_INFINITY,
    )
  }

  #take(index: number, { clockNumber, source }: Lane, record: CaptureRecord): void {
    const snapLenBytes = source.interfaces?.[record.interfaceIndex]?.snapLenBytes ?? source.snapLenBytes
    this.#estimator.note(clockNumber, index, record, snapLenBytes)
  }

  #takeIn({ nowNs, hasHead }: ClockSituation, isMeant: (lane: Lane) => boolean): void {
    const share = Math.floor(TOTAL_BACKLOG_BYTES / this.#lanes.length)
    const maxBytes = Math.max(MIN_BACKLOG_BYTES, Math.min(MAX_BACKLOG_BYTES, share))
    for (const [index, lane] of this.#lanes.entries()) {
      if (lane.isEnded || !isMeant(lane)) continue
      const held = lane.source instanceof HeldSource ? lane.source : new HeldSource(lane.source)
      lane.source = held
      held.takeIn(nowNs, maxBytes, hasHead(index), (record) => this.#take(index, lane, record))
    }
  }

  /** Tells clocks that are not known, as far as it can be done; `isLast`: with what there is. */
  #search(nowNs: number, isLast: boolean): void {
    const isDue = ({ source }: Lane) => isLast || oldestNs(source) <= nowNs - HOLD_NS
    const unknown = this.#foreign.filter(({ clock }) => !clock!.isKnown)
    if (nowNs - this.#triedNs < TRY_EVERY_NS && !unknown.some(isDue)) return
    this.#triedNs = nowNs
    const estimates = this.#estimates()
    for (const lane of unknown) {
      const estimate = estimates[lane.clockNumber]
      if (estimate && (estimate.isSure || isDue(lane))) adopt(lane, estimate)
    }
  }

  /** Compares known clocks again, if it is time to. True where the times of one have jumped. */
  #refine(nowNs: number, recordNs: number): boolean {
    // Recordings that are played back pass faster than our time.
    const passedNs = Math.max(nowNs - this.#lookedNs, recordNs - this.#lookedRecordNs)
    if (passedNs < (this.#isSearching ? LOOK_WHILE_SEARCHING_NS : this.#lookEveryNs)) return false
    this.#lookedNs = nowNs
    this.#lookedRecordNs = recordNs
    if (Number.isNaN(passedNs)) return false
    this.#lookEveryNs = Math.min(LAST_LOOK_NS, LOOK_GROWTH * this.#lookEveryNs)
    this.#estimator.condense()
    const estimates = this.#estimates()
    let haveJumped = false
    for (const lane of this.#foreign) {
      const estimate = estimates[lane.clockNumber]
      if (estimate && lane.clock!.isKnown && adopt(lane, estimate)) haveJumped = true
    }
    return haveJumped
  }

  #estimates(): readonly (ClockEstimate | undefined)[] {
    return this.#estimator.estimate([this.#localSource, ...this.#foreign.map(({ sourceName }) => sourceName)])
  }
}

function oldestNs(source: LaneSource): number {
  return (source as HeldSource).oldestNs
}

/** True where the times of the lane have jumped. */
function adopt({ clock, shownNs, filePoints }: Lane, { error }: ClockEstimate): boolean {
  const hasJumped = clock!.adopt(error, shownNs)
  filePoints!.setClock(clock!.error)
  return hasJumped
}
