/** Encapsulations: the tunnels that a packet is inside of where it was seen, each distinct nest of them as one number. */

import type { Headers } from '../decode/headers.ts'
import type { AddressIndex, AddressTable } from './addresses.ts'
import { finish, mix } from './columns.ts'

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
const RECENT = 1024
/** Tunnels of the other direction that are tried, newest first, where identifiers do not tell which one it is. */
const MAX_TRIED = 256

/** Outer ports take no part: senders choose them anew for each flow, to spread the load. */
export class EncapsulationTable {
  readonly all: Encapsulation[] = [{ kind: 'ipip', id: 0, source: 0, destination: 0, outer: 0 }]
  readonly #addresses: AddressTable
  readonly #byKey = new Map<string, EncapsulationIndex>()
  /** Those that differ in nothing but their TEIDs, where they have any: each end of a GTP-U tunnel chooses its own. */
  readonly #byLooseKey = new Map<string, EncapsulationIndex[]>()
  readonly #partners = new Map<EncapsulationIndex, EncapsulationIndex>()
  /** A direct-mapped cache: what packets come through again and again needs no key. */
  readonly #recent = new Uint16Array(RECENT)

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
    const place = finish(mix(mix(mix(outer, source), destination), tunnelId)) % RECENT
    const recent = this.#recent[place]!
    const known = this.all[recent]!
    if (
      recent > 0 &&
      known.source === source &&
      known.destination === destination &&
      known.id === tunnelId &&
      known.kind === tunnel &&
      known.outer === outer
    )
      return recent
    const wanted: Encapsulation = { kind: tunnel as TunnelKind, id: tunnelId, source, destination, outer }
    let index = this.#byKey.get(keyOf(wanted))
    if (index === undefined) {
      if (this.all.length > MAX_ENCAPSULATIONS) return -1
      index = this.all.length
      this.all.push(wanted)
      this.#byKey.set(keyOf(wanted), index)
      if (this.#hasTeid(index)) this.#noteLoosely(index)
    }
    this.#recent[place] = index
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

  /** Tunnels that answers may come through, the likeliest first; only with GTP-U can there be more than one. */
  *answers(index: EncapsulationIndex): Generator<EncapsulationIndex> {
    const turned = this.turned(index)
    if (turned >= 0) yield turned
    if (!this.#hasTeid(index)) return
    const partner = this.#partners.get(index)
    if (partner !== undefined) yield partner
    const others = this.#byLooseKey.get(this.#looseKeyOf(index, true)) ?? []
    for (let i = others.length - 1; i >= Math.max(0, others.length - MAX_TRIED); i--) yield others[i]!
  }

  /** The two were seen to carry the two directions of a flow. */
  pair(a: EncapsulationIndex, b: EncapsulationIndex): void {
    if (!this.#hasTeid(a)) return
    this.#partners.set(a, b)
    this.#partners.set(b, a)
  }

  /** Do the two say the same of whose packet is inside: the innermost tunnels' kind and identifier? */
  haveSameId(a: EncapsulationIndex, b: EncapsulationIndex): boolean {
    const [one, other] = [this.all[a]!, this.all[b]!]
    return one.kind === other.kind && one.id === other.id
  }

  /** Are the two packets of two networks, which may use the same addresses? */
  areApart(a: EncapsulationIndex, b: EncapsulationIndex): boolean {
    const { kind, id } = this.all[a]!
    const other = this.all[b]!
    return (kind === 'vxlan' || kind === 'geneve') && kind === other.kind && id !== other.id
  }

  /** How many tunnels are around each other. */
  depth(index: EncapsulationIndex): number {
    let depth = 0
    for (let i = index; i > 0; i = this.all[i]!.outer) depth++
    return depth
  }

  #hasTeid(index: EncapsulationIndex): boolean {
    for (let i = index; i > 0; i = this.all[i]!.outer) if (this.all[i]!.kind === 'gtpu') return true
    return false
  }

  #noteLoosely(index: EncapsulationIndex): void {
    const key = this.#looseKeyOf(index, false)
    const same = this.#byLooseKey.get(key)
    if (same) same.push(index)
    else this.#byLooseKey.set(key, [index])
  }

  #looseKeyOf(index: EncapsulationIndex, isTurned: boolean): string {
    return this.nest(index)
      .map(({ kind, id, source, destination }) =>
        [kind, kind === 'gtpu' ? '' : id, ...(isTurned ? [destination, source] : [source, destination])].join(
          ' ',
        ),
      )
      .join()
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
