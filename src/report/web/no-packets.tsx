/** What stands in place of a flow's packets where there are none to show. */

import { selectedPackets, source } from './state.ts'

export function NoPackets() {
  return <p class="quiet">{wordsNow()}</p>
}

function wordsNow(): string {
  const known = selectedPackets.value
  if (known === null) return 'Unpacking the packets …'
  if (source.value?.isLive) return 'No packet of this flow is here yet.'
  return known.state === 'unreadable'
    ? 'Its packets could not be read.'
    : 'The page has no packet of this flow.'
}
