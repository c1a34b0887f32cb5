/** Goes from packet to packet: buttons, a number, and the keys p and n. */

import { formatCount } from '../../quantities.ts'
import { allPackets, packetsHereText } from '../flow-counts.ts'
import { select, selectedFlow, selectedPackets } from '../state.ts'
import { type ChosenPacket, nearestNumber } from './chosen-packet.ts'

export function PacketBar({ chosen }: { chosen: ChosenPacket }) {
  const flow = selectedFlow.value!
  const known = selectedPackets.value!
  const { packets } = known
  const count = Math.max(allPackets(flow), packets.at(-1)?.number ?? 0)
  const here = packetsHereText(flow, known)
  const go = (event: Event & { currentTarget: HTMLInputElement }) => {
    const field = event.currentTarget
    const wanted = Number.parseInt(field.value.replaceAll(',', ''), 10)
    const number = Number.isNaN(wanted) ? null : nearestNumber(packets, wanted)
    if (number !== null) select({ packet: number })
    field.value = String(number ?? chosen.packet?.number ?? '')
  }
  return (
    <div class="packet-bar no-print">
      <Step to={chosen.previous} name="Previous" letter="p" />
      <label>
        Packet{' '}
        <input
          type="text"
          inputMode="numeric"
          size={Math.max(3, String(count).length)}
          value={String(chosen.packet?.number ?? '')}
          onChange={go}
        />{' '}
        of {formatCount(count)}
      </label>
      <Step to={chosen.next} name="Next" letter="n" />
      {here === null ? null : <span class="quiet">{here}</span>}
    </div>
  )
}

/** Stays focusable at the ends, so that whoever steps does not lose the place. */
function Step({ to, name, letter }: { to: number | null; name: string; letter: string }) {
  return (
    <button
      type="button"
      aria-disabled={to === null}
      aria-keyshortcuts={letter}
      title={`${name} packet (${letter})`}
      onClick={() => {
        if (to !== null) select({ packet: to })
      }}
    >
      {name}
    </button>
  )
}
