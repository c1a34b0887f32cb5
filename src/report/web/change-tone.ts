/** What the change of a header field means, for its colour. */

import type { DirectionName } from '../model.ts'

export type ChangeTone = 'snat' | 'dnat' | 'ttl' | 'other'

/**
 * The tone of a field. `isEnd`: it is one of the layers that hold the addresses and ports of the packet itself, and not of a
 * tunnel around it. The reply to a rewritten source has a rewritten destination, and the other way round.
 */
export function changeTone(field: string, direction: DirectionName, isEnd: boolean): ChangeTone {
  if (field === 'TTL' || field === 'hop limit') return 'ttl'
  const isForward = direction === 'forward'
  if (isEnd && field.startsWith('source')) return isForward ? 'snat' : 'dnat'
  if (isEnd && field.startsWith('destination')) return isForward ? 'dnat' : 'snat'
  return 'other'
}
