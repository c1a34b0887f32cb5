/** Writes the records of all points into one pcapng file, one interface a point, with the packet's identity on each record. */

import { closeSync, openSync, statSync } from 'node:fs'
import { HoptraceError } from '../errors.ts'
import { addressBytes } from './address-bytes.ts'
import { displayText } from './display-text.ts'
import { isCapture } from './inputs.ts'
import { gapComment, nextInterfaceComment } from './pcapng-options.ts'
import { PcapngWriter, type WrittenInterface } from './pcapng-writer.ts'
import type { CaptureRecord, Epoch, Point, PointIndex } from './record.ts'
import { isOurs } from './series.ts'

/** What a file of joined records says beside the records. */
export interface JoinedFileAbout {
  points: readonly Point[]
  epoch: Epoch
  /** What the captures kept of each frame in bytes, 0 for all. */
  snapLenBytes: number
  /** What is known of a point's interface; its source, where this is not given. */
  describe?: (point: Point) => Partial<Pick<WrittenInterface, 'description' | 'hardware' | 'filter'>>
  /** Address → name, for the Name Resolution Block. */
  names?: ReadonlyMap<string, string>
}

/**
 * One file for what many points saw. Records of one packet have the same `epb_packetid` (pcapng: "the same packet has
 * been captured several times"), so that other tools find them together.
 */
export class JoinedWriter {
  readonly #path: string
  readonly #file: number
  readonly #writer: PcapngWriter
  readonly #about: JoinedFileAbout
  #described = 0
  /** By point: how many of the beginnings and ends of its gaps are written. */
  readonly #edgesWritten: number[] = []

  /**
   * Opens the file. Rejects with a `HoptraceError` where that can't be done, where it is one of the inputs, and where a
   * capture lies there that hoptrace did not write: `-w *.pcap` is soon typed.
   */
  static async open(
    path: string,
    about: JoinedFileAbout,
    inputs: readonly { path: string }[] = [],
  ): Promise<JoinedWriter> {
    const shown = displayText(path, 400)
    if (inputs.some((input) => isSameFile(path, input.path)))
      throw new HoptraceError(
        `${shown}: is one of the inputs, writing would destroy it: give --write another file`,
      )
    try {
      if (statSync(path, { throwIfNoEntry: false })?.isFile() && (await isCapture(path)) && !isOurs(path))
        throw new HoptraceError(`${shown}: is a capture, not overwritten: give --write another file`)
      return new JoinedWriter(path, about)
    } catch (error) {
      throw error instanceof HoptraceError ? error : cannotWrite(shown, error)
    }
  }

  /** Opens the file whatever lies there; throws the system's error. */
  constructor(path: string, about: JoinedFileAbout) {
    this.#path = displayText(path, 400)
    this.#about = about
    this.#file = openSync(path, 'w')
    this.#writer = new PcapngWriter(this.#file, about.epoch)
    if (about.names !== undefined && about.names.size > 0) this.#writer.addNames(addressNames(about.names))
  }

  /** Bytes written so far, and those that wait to be. */
  get lenBytes(): number {
    return this.#writer.lenBytes
  }

  /** Adds a record; `packet` is the number of its journey, or -1 where it has none. Throws where the disk is full. */
  add(point: PointIndex, record: CaptureRecord, packet: number): void {
    try {
      if (point >= this.#described) this.#describe()
      this.#writer.addRecord(point, record, packet)
    } catch (error) {
      throw cannotWrite(this.#path, error)
    }
  }

  /** Writes down at which times points were not captured, as far as that is new. Throws where the disk is full. */
  noteGaps(): void {
    try {
      this.#describe()
      this.#writeGaps()
    } catch (error) {
      throw cannotWrite(this.#path, error)
    }
  }

  /** What was added so far is in the file after this, whatever happens to us. Throws where the disk is full. */
  flush(): void {
    try {
      this.#describe()
      void this.#writer.flush()
    } catch (error) {
      throw cannotWrite(this.#path, error)
    }
  }

  /** Writes what is left, with the points' statistics and these comments on the capture as a whole. */
  async finish(comments: readonly string[] = []): Promise<void> {
    try {
      this.#describe()
      // In each file of a series they count from the beginning of the capture (pcapng, section 4.6).
      for (const { index, firstNs, lastNs, packets, captureDrops } of this.#about.points)
        this.#writer.addStatistics(index, {
          ...(Number.isNaN(firstNs) ? {} : { startNs: firstNs, endNs: lastNs }),
          received: packets,
          ...(captureDrops === null ? {} : { dropped: captureDrops }),
          // A block of its own would be a frame to Wireshark, and a second one of statistics would hide the first.
          ...(index === 0 ? { comments } : {}),
        })
      await this.#writer.close()
    } catch (error) {
      throw cannotWrite(this.#path, error)
    }
  }

  /** Closes the file, whether or not it was finished. */
  close(): void {
    closeSync(this.#file)
  }

  #describe(): void {
    const { points, snapLenBytes, describe } = this.#about
    for (; this.#described < points.length; this.#described++) {
      const point = points[this.#described]!
      const { name, linkType, source, next } = point
      this.#writer.addInterface({
        name,
        linkType,
        snapLenBytes,
        ...(next === null ? {} : { comment: nextInterfaceComment(next) }),
        ...(describe?.(point) ?? { description: source }),
      })
      // Gaps that were over when the file began are no matter of this file.
      const last = point.gaps.at(-1)
      const isOver =
        last === undefined || (last.toNs < Number.POSITIVE_INFINITY && last.fromNs > Number.NEGATIVE_INFINITY)
      this.#edgesWritten.push(2 * (point.gaps.length - (isOver ? 0 : 1)))
      if (!isOver) this.#writeGaps()
    }
  }

  #writeGaps(): void {
    const { points, epoch } = this.#about
    for (const [index, written] of this.#edgesWritten.entries()) {
      const edges = points[index]!.gaps.flatMap(({ fromNs, toNs }) => [fromNs, toNs])
      for (let i = written; i < edges.length; i++) {
        const timeNs = edges[i]!
        if (timeNs === Number.POSITIVE_INFINITY) break
        this.#edgesWritten[index] = i + 1
        if (timeNs === Number.NEGATIVE_INFINITY) continue
        const comment = gapComment(i % 2 === 1, epoch.toUnixNs(timeNs))
        this.#writer.addStatistics(index, { endNs: timeNs, comments: [comment] })
      }
    }
  }
}

/** Names with their addresses as bytes; what is no address is left out. */
function* addressNames(names: ReadonlyMap<string, string>): Generator<[Uint8Array, string]> {
  for (const [ip, name] of names) {
    const bytes = addressBytes(ip)
    if (bytes !== null) yield [bytes, name]
  }
}

/** Whether both paths are the same regular file. */
export function isSameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return (
    one !== undefined && other !== undefined && one.isFile() && one.dev === other.dev && one.ino === other.ino
  )
}

function cannotWrite(path: string, error: unknown): HoptraceError {
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  return new HoptraceError(
    `${path}: cannot be written (${code}): give --write a file where there is room and permission`,
  )
}
