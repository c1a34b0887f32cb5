/** What the packet is, what it is for, and what became of it. */

import type { ExplainedPacket } from '../../explain/model.ts'
import { harmless } from '../../harmless.ts'
import type { PagePacket } from '../../page-data.ts'
import { arrow, pointName } from '../../path-line.ts'

export function PacketTitle({ packet, explained }: { packet: PagePacket; explained: ExplainedPacket }) {
  const { number, direction, summary, retransmission, answeredBy } = packet
  return (
    <header class="packet-title">
      <h3>
        <span class={`packet-way way-${direction}`}>
          <span aria-hidden="true">{arrow(direction)} </span>
          {direction === 'forward' ? 'to the server' : 'to the client'}
        </span>{' '}
        Packet {number} <span class="mono">{summary}</span>
      </h3>
      <p>
        {harmless(explained.purpose)} <Outcome packet={packet} />
        {retransmission ? <span class="outcome-tag outcome-warn">↻ resent, a retransmission</span> : null}
        {answeredBy ? (
          <span class="outcome-tag outcome-loss">
            ICMP from {answeredBy.from}: {answeredBy.name}
          </span>
        ) : null}
      </p>
    </header>
  )
}

function Outcome({ packet: { outcome, lostBetween, sightings } }: { packet: PagePacket }) {
  const last = sightings.at(-1)?.point ?? ''
  switch (outcome) {
    case 'lost': {
      const places = lostBetween ? `between ${lostBetween.map(pointName).join(' and ')}` : 'on the way'
      return <span class="outcome-tag outcome-loss">✗ lost {places}</span>
    }
    case 'answered':
      return <span class="outcome-tag outcome-loss">✗ ended behind {pointName(last)}</span>
    case 'unseen':
      return <span class="outcome-tag outcome-warn">? not seen behind {pointName(last)}</span>
    case 'ambiguous':
      return <span class="outcome-tag outcome-warn">? not told apart from others</span>
    default:
      return <span class="outcome-tag outcome-ok">✓ arrived at {pointName(last)}</span>
  }
}
