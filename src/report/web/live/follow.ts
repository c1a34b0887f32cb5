/** Following: the selection goes where the newest packets are. */

import { effect, signal, untracked } from '@preact/signals'
import { flowsById, select, selectedPackets, selection } from '../state.ts'
import type { LiveSource } from './live-source.ts'

/** `flow`: the newest packet of the selected flow; `newest`: that of all. */
export type Following = 'off' | 'flow' | 'newest'

export const following = signal<Following>('off')

/** A capture may begin without any flow: the first one is selected when it comes, and another one for one that is gone. */
export function followLive({ newest }: LiveSource): void {
  effect(() => {
    const flows = flowsById.value
    const { flow } = selection.value
    const first = flows.keys().next().value
    if (first !== undefined && (flow === null || !flows.has(flow))) select({ flow: first })
  })
  effect(() => {
    const latest = newest.value
    if (following.value !== 'newest' || latest === null) return
    // Selecting reads what is selected, which must not bring it here again.
    if (flowsById.peek().has(latest.flow)) untracked(() => select(latest))
  })
  effect(() => {
    const last = selectedPackets.value?.packets.at(-1)
    if (following.value === 'flow' && last && last.number !== selection.peek().packet)
      select({ packet: last.number })
  })
}
