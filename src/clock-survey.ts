/** The clock survey: a look into all files before they are joined, for clocks that are apart; the files' clock errors come out. */

import type { ClockError } from './capture/clock.ts'
import type { CaptureInput } from './capture/inputs.ts'
import { CHUNK_BYTES, openCapture } from './capture/open-capture.ts'
import { isRereadable } from './capture/pipe-heads.ts'
import type { Epoch } from './capture/record.ts'
import { ClockWitness } from './clock-witness.ts'
import { clockErrors } from './correlate/clock-groups.ts'
import { ClockSampler } from './correlate/clock-samples.ts'
import { type ClockDifference, compareClocks } from './correlate/clocks.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'

/** Records of each file that the first look takes, and the second one where files turn out to have nothing in common. */
const FIRST_LOOK_RECORDS = 1 << 12
const SECOND_LOOK_RECORDS = 1 << 16
/** Samples of two files that tell whether their clocks differ; by how much, takes more. */
const GLANCE_SAMPLES = 1 << 9
const MAX_SAMPLES = 1 << 13
/** Samples that are looked at for all pairs of files together, and of each pair in any case. */
const TOTAL_SAMPLES = 1 << 17
const MIN_SAMPLES = 1 << 6
/** Sightings that are kept at once. */
const MAX_SIGHTINGS = 400_000

/**
 * Compares the clocks of `inputs`: of pipes, as far as their heads are there (`openPipeHeads`). Resolves to the error of
 * each input's clock, or null: all of them where nothing shows a difference. Sets the epoch, if it is not set yet. Files that can't be
 * read are left out.
 */
export async function surveyClocks(
  inputs: readonly CaptureInput[],
  epoch: Epoch,
  tunnelPorts?: ReadonlyMap<number, UdpTunnel>,
): Promise<(ClockError | null)[]> {
  const files = inputs.filter((input) => input.opened !== undefined || isRereadable(input))
  if (files.length < 2) return []
  const survey = new Survey(files, epoch, tunnelPorts)
  // Clocks that begin alike and drift apart contradict themselves where a series is seen at both of its ends.
  const differ = () => differences.some(({ differs, basis }) => differs || basis === 'uneven')
  const areAllLinked = () => areLinked(files.length, differences)
  let differences = await survey.look(FIRST_LOOK_RECORDS, GLANCE_SAMPLES)
  if (!differ() && !areAllLinked() && survey.hasMore)
    differences = await survey.look(SECOND_LOOK_RECORDS, GLANCE_SAMPLES)
  // Captures that began far apart have nothing in common at their beginnings.
  if (differ() || (!areAllLinked() && survey.hasMore))
    differences = await survey.look(Number.POSITIVE_INFINITY, MAX_SAMPLES)
  const sources = files.map(({ source }) => source)
  const errors = clockErrors(sources, differences)
  return inputs.map((input) => errors[files.indexOf(input)] ?? null)
}

class Survey {
  /** The last look did not reach the end of every file. */
  hasMore = false
  readonly #files: readonly CaptureInput[]
  readonly #epoch: Epoch
  readonly #witness: ClockWitness

  constructor(
    files: readonly CaptureInput[],
    epoch: Epoch,
    tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined,
  ) {
    this.#files = files
    this.#epoch = epoch
    this.#witness = new ClockWitness(tunnelPorts)
  }

  /** Reads so many records of each file, and compares the clocks of every two files that have packets in common. */
  async look(maxRecords: number, maxSamples: number): Promise<ClockDifference[]> {
    const { bodyBytes } = this.#witness
    const sampler = new ClockSampler(MAX_SIGHTINGS)
    this.hasMore = false
    for (const [number, file] of this.#files.entries())
      for (const part of partsToRead(file, maxRecords)) await this.#read(number, part, maxRecords, sampler)
    // A file keeps less of its packets than those before it: only without payload do all packets compare.
    if (this.#witness.bodyBytes !== bodyBytes) return this.look(maxRecords, maxSamples)
    const pairs = (this.#files.length * (this.#files.length - 1)) / 2
    const share = Math.max(MIN_SAMPLES, Math.min(maxSamples, Math.floor(TOTAL_SAMPLES / pairs)))
    return sampler.samples(share).flatMap((samples) => compareClocks(samples) ?? [])
  }

  async #read(
    number: number,
    { path, source, parts, opened }: CaptureInput,
    maxRecords: number,
    sampler: ClockSampler,
  ): Promise<void> {
    // The merge will say what is wrong with it.
    const run = { epoch: this.#epoch, names: new Map() }
    const bytes = { parts, opened: opened?.preview() }
    const reader = await openCapture(path, source, run, CHUNK_BYTES, bytes).catch(() => null)
    if (reader === null) return
    try {
      for (let count = 0; ; count++) {
        while (!reader.advance()) {
          if (reader.ended) return
          await reader.fill()
        }
        if (count >= maxRecords) {
          this.hasMore = true
          return
        }
        const { record, interfaces } = reader
        this.#witness.take(sampler, number, 0, record, interfaces[record.interfaceIndex]!.snapLenBytes)
      }
    } finally {
      await reader.close()
    }
  }
}

/** Of a series, where only the beginning of files is read, the first and the last: skew shows from end to end. */
function partsToRead(input: CaptureInput, maxRecords: number): CaptureInput[] {
  if (input.parts === undefined || maxRecords === Number.POSITIVE_INFINITY) return [input]
  const { source, name, parts } = input
  return [parts[0]!, parts.at(-1)!].map((path) => ({ path, source, name }))
}

/** Can every file's clock be compared with every other's, at least through others? */
function areLinked(fileCount: number, differences: readonly ClockDifference[]): boolean {
  const reached = new Set([0])
  for (let before = 0; before < reached.size; ) {
    before = reached.size
    for (const { a, b } of differences) {
      if (reached.has(a)) reached.add(b)
      else if (reached.has(b)) reached.add(a)
    }
  }
  return reached.size === fileCount
}
