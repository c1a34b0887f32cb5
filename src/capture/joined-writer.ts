/** Writes the records of all points into one pcapng file, one interface a point, with the packet's identity on each record. */

import { closeSync, openSync, statSync } from 'node:fs'
import { HoptraceError } from '../errors.ts'
import { PcapngWriter } from './pcapng-writer.ts'
import type { CaptureRecord, Epoch, Point, PointIndex } from './record.ts'

/**
 * One file for what many points saw. Records of one packet have the same `epb_packetid` (pcapng: "the same packet has
 * been captured several times"), so that other tools find them together.
 */
export class JoinedWriter {
  readonly #file: number
  readonly #writer: PcapngWriter
  readonly #points: readonly Point[]
  #described = 0

  /** Opens the file; throws a `HoptraceError` where that can't be done, or where it is one of the inputs. */
  constructor(path: string, points: readonly Point[], inputs: readonly { path: string }[], epoch: Epoch) {
    for (const input of inputs)
      if (isSameFile(path, input.path))
        throw new HoptraceError(
          `${path}: is one of the inputs, writing would destroy it: give --write another name`,
        )
    try {
      this.#file = openSync(path, 'w')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new HoptraceError(`${path}: can't be written (${code}): give --write a file in a folder of yours`)
    }
    this.#points = points
    this.#writer = new PcapngWriter(this.#file, epoch)
  }

  /** Adds a record; `packet` is the number of its journey, or -1 where it has none. */
  add(point: PointIndex, record: CaptureRecord, packet: number): void {
    if (point >= this.#described) this.#describe()
    if (packet < 0) this.#writer.addRecord(point, record)
    else this.#writer.addRecord(point, record, { packetId: BigInt(packet) })
  }

  /** Writes what is left, with the points' statistics, and closes the file. */
  async close(): Promise<void> {
    this.#describe()
    for (const { index, firstNs, lastNs, packets, captureDrops } of this.#points)
      this.#writer.addStatistics(index, {
        ...(Number.isNaN(firstNs) ? {} : { startNs: firstNs, endNs: lastNs }),
        received: packets,
        ...(captureDrops === null ? {} : { dropped: captureDrops }),
      })
    await this.#writer.close()
    closeSync(this.#file)
  }

  #describe(): void {
    for (; this.#described < this.#points.length; this.#described++) {
      const { name, linkType, source } = this.#points[this.#described]!
      this.#writer.addInterface({ name, linkType, description: source })
    }
  }
}

function isSameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  return (
    one !== undefined && other !== undefined && one.isFile() && one.dev === other.dev && one.ino === other.ino
  )
}
