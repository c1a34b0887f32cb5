/** Points of a run: one for each interface that the captures describe, with a name that is unique and harmless. */

import { basename } from 'node:path'
import { descriptorOf } from './byte-source.ts'
import type { ClockError } from './clock.ts'
import { displayText } from './display-text.ts'
import type { CaptureInput } from './inputs.ts'
import { InterfaceNames } from './interface-names.ts'
import { LinkType } from './link-types.ts'
import type { CaptureInterface } from './reader.ts'
import type { CaptureRecord, Gap, Point, PointIndex } from './record.ts'

/** More points than a path can have; a damaged SLL2 file could name four billion. */
export const MAX_POINTS = 1000
/** The point of a record that got none, since there were too many. */
export const NO_POINT: PointIndex = -1

const NAME_CHARACTERS = 60
/** Offset of `sll_ifindex` in an SLL2 header, and its end (LINKTYPE_LINUX_SLL2). */
const SLL2_INDEX_AT = 4
const SLL2_INDEX_END = 8

/** The list of points, and the names that are taken. */
export class PointList {
  readonly points: Point[] = []
  /** Times that a point could not be made. */
  refused = 0
  private readonly taken = new Set<string>()

  /** A new point, or `NO_POINT` where there are too many. A name that is taken gets `#2`, `#3`, … */
  add(
    name: string,
    source: string,
    linkType: number,
    { next = null, gaps = [] }: { next?: string | null; gaps?: Gap[] } = {},
    clock: ClockError | null = null,
  ): PointIndex {
    const index = this.points.length
    if (index >= MAX_POINTS) {
      this.refused++
      return NO_POINT
    }
    const wanted = displayText(name, NAME_CHARACTERS)
    let unique = wanted
    for (let n = 2; this.taken.has(unique); n++) unique = `${wanted}#${n}`
    this.taken.add(unique)
    this.points.push({
      index,
      name: unique,
      source,
      linkType,
      next,
      clock,
      packets: 0,
      bytes: 0,
      firstNs: Number.NaN,
      lastNs: Number.NaN,
      captureDrops: null,
      timeReversals: 0,
      largestReversalNs: 0,
      snapped: 0,
      gaps,
      ended: false,
    })
    return index
  }
}

/** Gives each record of one file its point, making points as interfaces come up. */
export class FilePoints {
  private readonly list: PointList
  private readonly input: CaptureInput
  private readonly interfaces: readonly CaptureInterface[]
  /** By interface index; an SLL2 interface has no point of its own but one for each index in its frames. */
  private readonly byInterface: PointIndex[] = []
  private readonly cooked: Map<number, PointIndex>[] = []
  private readonly own: PointIndex[] = []
  private clock: ClockError | null
  private readonly names: InterfaceNames

  constructor(
    list: PointList,
    input: CaptureInput,
    interfaces: readonly CaptureInterface[],
    clock: ClockError | null = null,
    names = new InterfaceNames(),
  ) {
    this.list = list
    this.input = input
    this.interfaces = interfaces
    this.clock = clock
    this.names = names
  }

  /** The point of a record. */
  of(record: CaptureRecord): PointIndex {
    const { interfaceIndex } = record
    if (interfaceIndex >= this.byInterface.length) this.describe()
    if (record.linkType === LinkType.LinuxSll2) return this.ofCooked(record)
    return this.byInterface[interfaceIndex]
  }

  /** More is known of the clock that all of them share. */
  setClock(clock: ClockError | null): void {
    this.clock = clock
    for (const index of this.own) this.list.points[index].clock = clock
  }

  /** Makes points for the interfaces that the file has described so far. */
  describe(): void {
    for (let i = this.byInterface.length; i < this.interfaces.length; i++) {
      const known = this.sameAsBefore(i)
      if (known !== NO_POINT) {
        this.byInterface.push(known)
        continue
      }
      const { linkType } = this.interfaces[i]
      const index =
        linkType === LinkType.LinuxSll2 ? NO_POINT : this.add(this.nameOf(i), linkType, this.interfaces[i])
      this.byInterface.push(index)
    }
  }

  /** The point of an interface that hoptrace described before in another section: the next file of a series has it again. */
  private sameAsBefore(i: number): PointIndex {
    const described = this.interfaces[i]
    if (!described.isPoint || described.linkType === LinkType.LinuxSll2) return NO_POINT
    const earlier = this.interfaces.findIndex(
      ({ name, isPoint, linkType }) => isPoint && name === described.name && linkType === described.linkType,
    )
    if (earlier >= i) return NO_POINT
    const index = this.byInterface[earlier]
    if (index !== NO_POINT) {
      this.list.points[index].gaps.push(...described.gaps)
      described.gaps = this.list.points[index].gaps
    }
    return index
  }

  /** Carries drop counts over to the points; an SLL2 interface's count goes to each of its points. */
  noteDrops(): void {
    for (let i = 0; i < this.byInterface.length; i++) {
      const { drops } = this.interfaces[i]
      if (drops === null) continue
      const indexes = this.cooked[i]?.values() ?? [this.byInterface[i]]
      for (const index of indexes) if (index !== NO_POINT) this.list.points[index].captureDrops = drops
    }
  }

  /** The file is at its end: so are its points. One that is left without any gets one, as evidence of silence. */
  end(): void {
    this.describe()
    for (let i = 0; i < this.interfaces.length; i++) {
      const { linkType } = this.interfaces[i]
      if (linkType === LinkType.LinuxSll2 && this.cooked[i] === undefined) {
        this.byInterface[i] = this.add(this.nameOf(i), linkType)
      }
    }
    this.noteDrops()
    for (const index of this.own) this.list.points[index].ended = true
  }

  private ofCooked(record: CaptureRecord): PointIndex {
    const { bytes, start, interfaceIndex } = record
    const at = start + SLL2_INDEX_AT
    const whole = record.end >= start + SLL2_INDEX_END
    const key = whole
      ? ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
      : 0
    let known = this.cooked[interfaceIndex]
    if (known === undefined) {
      known = new Map()
      this.cooked[interfaceIndex] = known
    }
    let index = known.get(key)
    if (index === undefined) {
      const own = this.interfaces[interfaceIndex].name
      // A file that we wrote names its interfaces like this already.
      const isNamed = own?.endsWith(`:${key}`) === true
      const usual = isNamed ? own : `${this.nameOf(interfaceIndex)}:${key}`
      index = this.add(this.names.nameOf(key, usual) ?? usual, record.linkType)
      if (index !== NO_POINT) known.set(key, index)
    }
    return index
  }

  private add(
    name: string,
    linkType: number,
    known: { next?: string | null; gaps?: Gap[] } = {},
  ): PointIndex {
    const index = this.list.add(name, this.input.source, linkType, known, this.clock)
    if (index !== NO_POINT) this.own.push(index)
    return index
  }

  /** The interface's own name where the file has several, else the file's. */
  private nameOf(interfaceIndex: number): string {
    const file = this.input.name ?? fileName(this.input.path)
    const { name: own, isPoint } = this.interfaces[interfaceIndex]
    if (this.interfaces.length === 1 && !(isPoint && own !== null && this.input.name === null)) return file
    if (own === null) {
      const usual = `${file}:${interfaceIndex}`
      return this.names.nameOf(interfaceIndex, usual) ?? usual
    }
    return this.input.name === null ? own : `${file}:${own}`
  }
}

/** The warning about records of points that could not be made. */
export function tooManyPoints(records: number): string {
  return `more than ${MAX_POINTS} points: the ${records} records of the others were left out`
}

/** A path's last part without the endings of compression and capture: the name that a point gets by default. */
export function fileName(path: string): string {
  const fd = descriptorOf(path)
  if (fd >= 0) return fd === 0 ? 'stdin' : `fd${fd}`
  const name = basename(path)
  return name.replace(/\.(gz|zst)$/i, '').replace(/\.(pcap|pcapng|cap|dump)$/i, '') || name
}
