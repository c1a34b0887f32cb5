/** Writes the records of all points into one pcapng file, one interface a point, with the packet's identity on each record. */

import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { HoptraceError } from '../errors.ts'
import { displayText } from './display-text.ts'
import { isCapture } from './inputs.ts'
import { PcapngWriter } from './pcapng-writer.ts'
import type { CaptureRecord, Epoch, Point, PointIndex } from './record.ts'

/**
 * One file for what many points saw. Records of one packet have the same `epb_packetid` (pcapng: "the same packet has
 * been captured several times"), so that other tools find them together.
 */
export class JoinedWriter {
  readonly #path: string
  readonly #file: number
  readonly #writer: PcapngWriter
  readonly #points: readonly Point[]
  readonly #snapLenBytes: number
  #described = 0

  /**
   * Opens the file. Rejects with a `HoptraceError` where that can't be done, and where a capture lies there that hoptrace
   * did not write: `-w *.pcap` is soon typed. `snapLenBytes` is what the captures kept of each frame, 0 for all.
   */
  static async open(
    path: string,
    points: readonly Point[],
    inputs: readonly { path: string }[],
    epoch: Epoch,
    snapLenBytes: number,
  ): Promise<JoinedWriter> {
    const shown = displayText(path, 400)
    if (inputs.some((input) => isSameFile(path, input.path)))
      throw new HoptraceError(
        `${shown}: is one of the inputs, writing would destroy it: give --write another file`,
      )
    try {
      if (statSync(path, { throwIfNoEntry: false })?.isFile() && (await isCapture(path)) && !isOurs(path))
        throw new HoptraceError(`${shown}: is a capture, not overwritten: give --write another file`)
      return new JoinedWriter(shown, openSync(path, 'w'), points, epoch, snapLenBytes)
    } catch (error) {
      throw error instanceof HoptraceError ? error : cannotWrite(shown, error)
    }
  }

  private constructor(
    path: string,
    file: number,
    points: readonly Point[],
    epoch: Epoch,
    snapLenBytes: number,
  ) {
    this.#path = path
    this.#file = file
    this.#points = points
    this.#snapLenBytes = snapLenBytes
    this.#writer = new PcapngWriter(file, epoch)
  }

  /** Adds a record; `packet` is the number of its journey, or -1 where it has none. Throws where the disk is full. */
  add(point: PointIndex, record: CaptureRecord, packet: number): void {
    try {
      if (point >= this.#described) this.#describe()
      if (packet < 0) this.#writer.addRecord(point, record)
      else this.#writer.addRecord(point, record, { packetId: BigInt(packet) })
    } catch (error) {
      throw cannotWrite(this.#path, error)
    }
  }

  /** Writes what is left, with the points' statistics. */
  async finish(): Promise<void> {
    try {
      this.#describe()
      for (const { index, firstNs, lastNs, packets, captureDrops } of this.#points)
        this.#writer.addStatistics(index, {
          ...(Number.isNaN(firstNs) ? {} : { startNs: firstNs, endNs: lastNs }),
          received: packets,
          ...(captureDrops === null ? {} : { dropped: captureDrops }),
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
    for (; this.#described < this.#points.length; this.#described++) {
      const { name, linkType, source } = this.#points[this.#described]!
      this.#writer.addInterface({ name, linkType, description: source, snapLenBytes: this.#snapLenBytes })
    }
  }
}

function isSameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return (
    one !== undefined && other !== undefined && one.isFile() && one.dev === other.dev && one.ino === other.ino
  )
}

/** Says a pcapng file in its first block that hoptrace wrote it? */
function isOurs(path: string): boolean {
  const head = Buffer.alloc(256)
  const file = openSync(path, 'r')
  readSync(file, head)
  closeSync(file)
  return head.includes('hoptrace')
}

function cannotWrite(path: string, error: unknown): HoptraceError {
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  return new HoptraceError(
    `${path}: cannot be written (${code}): give --write a file where there is room and permission`,
  )
}
