/** Live clocks: compares the clocks of running captures by the packets that they have in common, in bounded memory. */

import type { ClockEstimate, ClockEstimator } from './capture/live/foreign-clocks.ts'
import type { CaptureRecord } from './capture/record.ts'
import { ClockWitness } from './clock-witness.ts'
import { clockErrors } from './correlate/clock-groups.ts'
import { ClockSampler, ClockSamples } from './correlate/clock-samples.ts'
import { type ClockDifference, compareClocks } from './correlate/clocks.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'

/** Sightings that are kept at once: 1 MB. */
const MAX_SIGHTINGS = 1 << 15
/** With fewer there is no hurry: packets that are on their way would be lost as samples. */
const ENOUGH_SIGHTINGS = 1 << 13
/** Samples of two clocks that such a stretch adds, and that are kept: 60 kB. */
const NEW_SAMPLES = 1 << 9
const MAX_SAMPLES = 1 << 11

export class LiveClocks implements ClockEstimator {
  readonly #witness: ClockWitness
  #sampler = new ClockSampler(MAX_SIGHTINGS)
  #bodyBytes: number
  /** Of every two clocks, what they had in common before. */
  readonly #kept = new Map<number, ClockSamples>()

  constructor(tunnelPorts?: ReadonlyMap<number, UdpTunnel>) {
    this.#witness = new ClockWitness(tunnelPorts)
    this.#bodyBytes = this.#witness.bodyBytes
  }

  get hasEnough(): boolean {
    return this.#sampler.isThinned
  }

  note(clock: number, place: number, record: CaptureRecord, snapLenBytes: number): void {
    this.#witness.take(this.#sampler, clock, place, record, snapLenBytes)
    if (this.#witness.bodyBytes === this.#bodyBytes) return
    this.#bodyBytes = this.#witness.bodyBytes
    this.#sampler = new ClockSampler(MAX_SIGHTINGS)
  }

  condense(): void {
    if (this.#sampler.count < ENOUGH_SIGHTINGS) return
    for (const fresh of this.#sampler.samples(NEW_SAMPLES)) this.#kept.set(keyOf(fresh), this.#with(fresh))
    this.#sampler = new ClockSampler(MAX_SIGHTINGS)
  }

  estimate(sources: readonly string[]): readonly (ClockEstimate | undefined)[] {
    const samples = new Map(this.#kept)
    for (const fresh of this.#sampler.samples(NEW_SAMPLES)) samples.set(keyOf(fresh), this.#with(fresh))
    const differences = [...samples.values()].flatMap((some) => compareClocks(some) ?? [])
    const errors = clockErrors(sources, differences, true)
    return errors.map((error, clock) => {
      const own = differences.filter(({ a, b }) => a === clock || b === clock)
      if (own.length === 0) return undefined
      const isSure = error === null ? own.some(isTwoWay) : error.basis === 'both-ways'
      return { error, isSure }
    })
  }

  /** Those of before and these; where they are too many, of the earlier half every other one goes. */
  #with(fresh: ClockSamples): ClockSamples {
    const before = this.#kept.get(keyOf(fresh))
    const all = new ClockSamples(fresh.a, fresh.b, MAX_SAMPLES)
    if (before) {
      const isFull = before.count + fresh.count > MAX_SAMPLES
      for (let i = 0; i < before.count; i++)
        if (!isFull || i >= before.count / 2 || i % 2 === 0) all.addFrom(before, i)
    }
    for (let i = 0; i < fresh.count; i++) all.addFrom(fresh, i)
    return all
  }
}

function isTwoWay({ basis }: ClockDifference): boolean {
  return basis === 'both-ways'
}

function keyOf({ a, b }: ClockSamples): number {
  return a * 0x10000 + b
}
