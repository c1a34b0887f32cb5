/**
 * Floods: copies of a packet that a bridge sent out of all its ports, as it did not know yet behind which of them the
 * destination is (IEEE 802.1D, 7.7). A point at another port saw them, and is not on the way.
 */

import type { LegIndex, LegTable } from './legs.ts'

/** A bridge floods until the first answer comes by: few packets, or few in a hundred where entries of its table expire. */
const FEW_PACKETS = 2
const FEW_SHARE = 0.05

/**
 * The legs of one direction without those that saw mere copies: only few packets, which others behind no further router
 * saw as well as all the rest, and none of the opposite direction, whose legs are `back`.
 */
export function withoutFloods(
  legs: LegTable,
  there: readonly LegIndex[],
  back: readonly LegIndex[],
): LegIndex[] {
  if (back.length === 0) return [...there]
  const answering = new Set(back.map((leg) => legs.point[leg]))
  const onTheWay = there.filter((leg) => answering.has(legs.point[leg]!))
  return there.filter((leg) => {
    if (answering.has(legs.point[leg]!)) return true
    const packets = legs.packets(leg)
    return !onTheWay.some(
      (other) =>
        legs.ttl[other] === legs.ttl[leg] &&
        packets * 2 <= legs.packets(other) &&
        (packets <= FEW_PACKETS || packets <= FEW_SHARE * legs.packets(other)),
    )
  })
}
