/** The finding whose packets are looked at, one after the other. */

import { effect, signal } from '@preact/signals'
import { flowsById, select, source } from '../state.ts'
import type { ListedFinding } from './finding-groups.ts'
import { packetsOfFinding } from './finding-packets.ts'

export interface Followed {
  key: string
  flow: number
  /** Numbers of its packets; null while they are read. */
  packets: readonly number[] | null
  /** Which of them is shown, from 0. */
  at: number
}

export const followed = signal<Followed | null>(null)
let stopReading: () => void = () => {}

/** Shows a finding's first packet, or the next one where one was shown already, in turns. */
export function followFinding({ key, finding }: ListedFinding): void {
  const { flow } = finding
  if (flow === null || !flowsById.peek().has(flow)) return
  const now = followed.peek()
  if (now?.key === key && now.packets !== null && now.packets.length > 0) {
    showPacket((now.at + 1) % now.packets.length)
    return
  }
  stopReading()
  followed.value = { key, flow, packets: null, at: 0 }
  select({ flow })
  const packets = source.peek()!.packetsOf(flow)
  stopReading = effect(() => {
    const there = packets.value
    if (there === null || followed.peek()?.packets !== null) return
    followed.value = { key, flow, packets: packetsOfFinding(finding, there.packets), at: 0 }
    showPacket(0)
  })
}

/** Shows one of the packets of the finding that is followed. */
export function showPacket(at: number): void {
  const now = followed.peek()
  const packet = now?.packets?.[at]
  if (now === null || packet === undefined) return
  followed.value = { ...now, at }
  select({ flow: now.flow, packet, view: 'packet' })
}
