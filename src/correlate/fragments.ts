/** Fragments: which packet the fragments behind a first one belong to, at the point where they were seen (RFC 791, RFC 8200). */

import type { PointIndex } from '../capture/record.ts'
import type { Headers } from '../decode/headers.ts'
import type { AddressTable } from './addresses.ts'
import type { EncapsulationIndex } from './encapsulations.ts'
import type { LegIndex } from './legs.ts'

/** Datagrams whose fragments are waited for at the same time; the oldest are given up. */
const MAX_DATAGRAMS = 4096
/** Fragments in front of the first one that are kept for it: a datagram has 45 at an MTU of 1500. */
const MAX_EARLY = 64

/** A fragment behind the first one. */
export interface LaterFragment {
  frame: number
  timeNs: number
  ttl: number
  lenBytes: number
  /** Length of the IP payload of the whole datagram, where this is the last fragment, else 0. */
  wholeLenBytes: number
}

/** A datagram in pieces, at one point. */
interface Datagram {
  readonly point: PointIndex
  /** Serial number of its journey and the leg of its first fragment; -1 while that has not come. */
  serial: number
  leg: LegIndex
  early: LaterFragment[]
}

export class FragmentTable {
  readonly #addresses: AddressTable
  readonly #onOrphans: (point: PointIndex, count: number) => void
  readonly #datagrams = new Map<string, Datagram>()

  /** `onOrphans` is told of fragments whose first one never came. */
  constructor(addresses: AddressTable, onOrphans: (point: PointIndex, count: number) => void) {
    this.#addresses = addresses
    this.#onOrphans = onOrphans
  }

  /** No further fragment will come. */
  finish(): void {
    for (const { point, early } of this.#datagrams.values()) this.#onOrphans(point, early.length)
    this.#datagrams.clear()
  }

  /** The first fragment has come, of this journey; returns the fragments that came in front of it. */
  noteFirst(
    point: PointIndex,
    encapsulation: EncapsulationIndex,
    headers: Headers,
    serial: number,
    leg: LegIndex,
  ): readonly LaterFragment[] {
    const datagram = this.#of(point, encapsulation, headers)
    datagram.serial = serial
    datagram.leg = leg
    return datagram.early.splice(0)
  }

  /** The datagram of a later fragment; one whose first fragment has not come keeps it, or null where it keeps too many. */
  noteLater(
    point: PointIndex,
    encapsulation: EncapsulationIndex,
    headers: Headers,
    fragment: LaterFragment,
  ): { serial: number; leg: LegIndex } | null {
    const datagram = this.#of(point, encapsulation, headers)
    if (datagram.serial >= 0) return datagram
    if (datagram.early.length >= MAX_EARLY) return null
    datagram.early.push(fragment)
    return datagram
  }

  #of(point: PointIndex, encapsulation: EncapsulationIndex, headers: Headers): Datagram {
    const { bytes, srcOffset, dstOffset, ipVersion, protocol, ipId } = headers
    const source = this.#addresses.intern(bytes, srcOffset, ipVersion)
    const destination = this.#addresses.intern(bytes, dstOffset, ipVersion)
    const key = `${point} ${encapsulation} ${protocol} ${source} ${destination} ${ipId}`
    let datagram = this.#datagrams.get(key)
    if (datagram === undefined) {
      datagram = { point, serial: -1, leg: -1, early: [] }
      this.#datagrams.set(key, datagram)
      if (this.#datagrams.size > MAX_DATAGRAMS)
        for (const [oldest, { point: where, early }] of this.#datagrams) {
          this.#onOrphans(where, early.length)
          this.#datagrams.delete(oldest)
          break
        }
    }
    return datagram
  }
}
