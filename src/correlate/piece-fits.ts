/** Piece fits: where in a big datagram that is kept a packet fits as a piece of it, and what speaks for that. */

import type { Headers } from '../decode/headers.ts'
import type { AddressTable } from './addresses.ts'
import { type BigDatagrams, type BigIndex, Compared, type PlaceIndex } from './big-datagrams.ts'
import type { LegIndex } from './legs.ts'
import type { JourneySlot, JourneyWindow } from './window.ts'

/** Pieces are no longer than this (MTU 9000), and there are no more of them in one datagram. */
export const MAX_PIECE_BYTES = 8972
export const MAX_PIECES = 128

/** How well a packet fits a place in a datagram, from bad to good: nothing but order, IDs, or bytes speak for it. */
export const Fit = { No: 0, ByOrder: 1, ById: 2, NextById: 3, ByBytes: 4, Next: 5 } as const
export type Fit = (typeof Fit)[keyof typeof Fit]

export class PieceFits {
  /** Where in the datagram `fit` found that the packet fits best. */
  offset = 0
  readonly #big: BigDatagrams
  readonly #addresses: AddressTable
  readonly #window: JourneyWindow

  constructor(big: BigDatagrams, addresses: AddressTable, window: JourneyWindow) {
    this.#big = big
    this.#addresses = addresses
    this.#window = window
  }

  #slotOf(big: BigIndex): JourneySlot {
    return this.#window.slotOf(this.#big.serialOf(big))
  }

  /** How well a packet fits as a piece of a big datagram; where it fits best is left in `#offset`. */
  fit(big: BigIndex, leg: LegIndex, headers: Headers): Fit {
    const slot = this.#slotOf(big)
    const length = this.#window.payloadLenBytes[slot]!
    const place = this.placeOf(big, slot, leg)
    if (place >= 0 && this.#big.seenBytes[place]! >= length) return Fit.No
    const end = this.endOn(big, leg)
    const mine = headers.payloadLenBytes
    const known = this.#big.pieceLenOf(big)
    const unit = known > 0 || mine > MAX_PIECE_BYTES ? known : mine
    const id = this.#window.ipId[slot]!
    // A translator to IPv6 and back makes numbers up.
    const isNumbered =
      headers.ipVersion === 4 && (id !== 0 || headers.ipId !== 0) && !this.#addresses.hasTwoFamilies
    if (isNumbered) {
      const piece = (headers.ipId - id) & 0xffff
      if (piece >= MAX_PIECES) return Fit.No
      let at = unit > 0 ? piece * unit : end
      // Its last piece, when none has told yet how long the others are.
      if (known === 0 && at + mine > length && (length - mine) % piece === 0) at = length - mine
      const fit = this.#big.isSeen(big, place, at) ? Fit.No : this.#fitAt(big, at, end, length, headers)
      if (fit !== Fit.No) return fit === Fit.ByOrder ? (at === end ? Fit.NextById : Fit.ById) : fit
      if (piece > 0) return Fit.No
    }
    const next = this.#fitAt(big, end, end, length, headers)
    if (next === Fit.Next) return next
    const last = length - mine
    if (unit > 0)
      for (let at = end + unit; at < last; at += unit)
        if (this.#fitAt(big, at, end, length, headers) === Fit.ByBytes) return Fit.ByBytes
    const asLast = last > end ? this.#fitAt(big, last, end, length, headers) : Fit.No
    if (asLast === Fit.ByBytes) return asLast
    if (place >= 0 && unit > 0 && this.#big.seenBytes[place]! < end)
      for (let at = 0; at < end; at += unit)
        if (!this.#big.isSeen(big, place, at) && this.#fitAt(big, at, end, length, headers) === Fit.ByBytes)
          return Fit.ByBytes
    if (isNumbered) return Fit.No
    this.offset = next === Fit.No ? last : end
    return next === Fit.No ? asLast : next
  }

  /** Only what is joined of whole pieces goes on behind the end of the datagram, or ends within. */
  #fitAt(big: BigIndex, at: number, end: number, length: number, headers: Headers): Fit {
    const mine = headers.payloadLenBytes
    const room = length - at
    const unit = this.#big.pieceLenOf(big)
    if (at < 0 || room <= 0) return Fit.No
    if (mine > room && (at !== end || (unit > 0 && room % unit !== 0))) return Fit.No
    if (mine < room && unit > 0 && mine % unit !== 0) return Fit.No
    this.offset = at
    const { bytes, payloadOffset } = headers
    const compared = this.#big.compare(big, at, bytes, payloadOffset, Math.min(mine, room), headers.end)
    if (compared === Compared.Different) return Fit.No
    if (compared === Compared.Unknown) return Fit.ByOrder
    return at === end ? Fit.Next : Fit.ByBytes
  }

  /** Was this numbered piece seen here before? */
  isCopy(big: BigIndex, leg: LegIndex, headers: Headers): boolean {
    const slot = this.#slotOf(big)
    const id = this.#window.ipId[slot]!
    const unit = this.#big.pieceLenOf(big)
    if (headers.ipVersion !== 4 || id === 0 || unit === 0) return false
    const at = ((headers.ipId - id) & 0xffff) * unit
    const length = Math.min(unit, this.#window.payloadLenBytes[slot]! - at)
    if (length !== headers.payloadLenBytes) return false
    const { bytes, payloadOffset, end } = headers
    if (this.#big.compare(big, at, bytes, payloadOffset, length, end) === Compared.Different) return false
    return this.#big.isSeen(big, this.#big.placeOf(big, leg), at)
  }

  endOn(big: BigIndex, leg: LegIndex): number {
    const place = this.#big.placeOf(big, leg)
    return place < 0 ? 0 : this.#big.seenEnd[place]!
  }

  /** Where pieces on a leg are noted, or -1 while it has seen nothing of the datagram. */
  placeOf(big: BigIndex, slot: JourneySlot, leg: LegIndex): PlaceIndex {
    const known = this.#big.placeOf(big, leg)
    if (known >= 0 || !this.isSeenOn(slot, leg)) return known
    const place = this.#big.addPlace(big, leg)
    if (place >= 0) this.#big.see(big, place, 0, this.#window.payloadLenBytes[slot]!, 0)
    return place
  }

  isSeenOn(slot: JourneySlot, leg: LegIndex): boolean {
    const { firstSighting, nextSighting, leg: legOf } = this.#window
    for (let s = firstSighting[slot]!; s >= 0; s = nextSighting[s]!) if (legOf[s] === leg) return true
    return false
  }
}
