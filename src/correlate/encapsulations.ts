/** Encapsulations: the tunnels that a packet is inside of where it was seen, each distinct nest of them as one number. */

import type { Headers } from '../decode/headers.ts'
import type { AddressIndex, AddressTable } from './addresses.ts'

/** Index in an `EncapsulationTable`; 0 is none. */
export type EncapsulationIndex = number

export type TunnelKind = Exclude<Headers['tunnel'], 'none'>

/** One tunnel around a packet. */
export interface Encapsulation {
  readonly kind: TunnelKind
  /** VNI, key or TEID. */
  readonly id: number
  readonly source: AddressIndex
  readonly destination: AddressIndex
  /** What the tunnel itself is inside of. */
  readonly outer: EncapsulationIndex
}

/** Further ones are not told apart: their packets are followed by the outermost headers. */
const MAX_ENCAPSULATIONS = 4000

/** Outer ports take no part: senders choose them anew for each flow, to spread the load. */
export class EncapsulationTable {
  readonly all: Encapsulation[] = [{ kind: 'ipip', id: 0, source: 0, destination: 0, outer: 0 }]
  readonly #addresses: AddressTable
  readonly #byKey = new Map<string, EncapsulationIndex>()
  #last: EncapsulationIndex = 0

  constructor(addresses: AddressTable) {
    this.#addresses = addresses
  }

  /** The number of the tunnel whose outer headers these are, or -1 where there are too many. */
  intern(
    { bytes, srcOffset, dstOffset, ipVersion, tunnel, tunnelId }: Headers,
    outer: EncapsulationIndex,
  ): EncapsulationIndex {
    const source = this.#addresses.intern(bytes, srcOffset, ipVersion)
    const destination = this.#addresses.intern(bytes, dstOffset, ipVersion)
    const last = this.all[this.#last]!
    if (
      last.source === source &&
      last.destination === destination &&
      last.id === tunnelId &&
      last.kind === tunnel &&
      last.outer === outer &&
      this.#last > 0
    )
      return this.#last
    const wanted: Encapsulation = { kind: tunnel as TunnelKind, id: tunnelId, source, destination, outer }
    let index = this.#byKey.get(keyOf(wanted))
    if (index === undefined) {
      if (this.all.length > MAX_ENCAPSULATIONS) return -1
      index = this.all.length
      this.all.push(wanted)
      this.#byKey.set(keyOf(wanted), index)
    }
    this.#last = index
    return index
  }

  /** The same tunnels in the other direction, or -1 where no packet came through them. */
  turned(index: EncapsulationIndex): EncapsulationIndex {
    if (index === 0) return 0
    const { kind, id, source, destination, outer } = this.all[index]!
    const turnedOuter = this.turned(outer)
    if (turnedOuter < 0) return -1
    return (
      this.#byKey.get(keyOf({ kind, id, source: destination, destination: source, outer: turnedOuter })) ?? -1
    )
  }

  /** The tunnels around a packet, outermost first. */
  nest(index: EncapsulationIndex): Encapsulation[] {
    const nest: Encapsulation[] = []
    for (let i = index; i > 0; i = this.all[i]!.outer) nest.unshift(this.all[i]!)
    return nest
  }
}

function keyOf({ kind, id, source, destination, outer }: Encapsulation): string {
  return `${kind} ${id} ${source} ${destination} ${outer}`
}
