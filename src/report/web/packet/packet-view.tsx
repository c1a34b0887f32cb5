/** One packet: its headers at each point side by side, what happened in between, and its bytes. */

import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import './packet.css'
import type { PagePacket } from '../../page-data.ts'
import { explanationOf } from '../explanation.ts'
import { framesOf } from '../packet-frames.ts'
import { report, select, selectedPackets, selection } from '../state.ts'
import { ByteDumps } from './byte-dumps.tsx'
import { type ChosenPacket, chosenPacket } from './chosen-packet.ts'
import { headerTable } from './header-table.ts'
import { HeadersTable } from './headers-table.tsx'
import { Mappings } from './mappings.tsx'
import { PacketBar } from './packet-bar.tsx'
import { PacketTitle } from './packet-title.tsx'
import { Story } from './story.tsx'

export function PacketView() {
  const known = selectedPackets.value
  if (known === null) return <p class="quiet">Unpacking the packets …</p>
  if (known.packets.length === 0)
    return (
      <p class="quiet">
        {known.state === 'unreadable'
          ? 'Its packets could not be read.'
          : 'The page has no packet of this flow.'}
      </p>
    )
  const wanted = selection.value.packet
  const chosen = chosenPacket(known.packets, wanted)
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys are a shortcut of the buttons inside
    <div class="packet-view" onKeyDown={(event) => stepByKey(event, chosen)}>
      <PacketBar chosen={chosen} />
      {wanted === null ? (
        <p class="quiet">No packet is chosen: this is the flow’s first on this page.</p>
      ) : null}
      {chosen.packet === null ? (
        <p>Packet {wanted} is not on this page: choose another.</p>
      ) : (
        <OnePacket packet={chosen.packet} />
      )}
    </div>
  )
}

function OnePacket({ packet }: { packet: PagePacket }) {
  // The explanation is made of the report, which may grow.
  const all = report.value
  const { explanation, table } = useMemo(() => {
    const made = explanationOf(packet)
    return { explanation: made, table: headerTable(packet, made.packets[0]!.stations, framesOf(packet)) }
  }, [packet, all])
  /** Key of the row that is pointed at, whose bytes are marked. */
  const pointedAt = useSignal<string | null>(null)
  const explained = explanation.packets[0]!
  return (
    <>
      <PacketTitle packet={packet} explained={explained} />
      <HeadersTable table={table} pointedAt={pointedAt} />
      <ByteDumps packet={packet} table={table} pointedAt={pointedAt} />
      <Story packet={explained} />
      <Mappings mappings={explanation.mappings} />
    </>
  )
}

function stepByKey(event: KeyboardEvent, chosen: ChosenPacket): void {
  const { key, target, ctrlKey, altKey, metaKey } = event
  if (
    ctrlKey ||
    altKey ||
    metaKey ||
    target instanceof HTMLInputElement ||
    target instanceof HTMLSelectElement
  )
    return
  const to = key === 'n' ? chosen.next : key === 'p' ? chosen.previous : null
  if (to === null) return
  event.preventDefault()
  select({ packet: to })
}
