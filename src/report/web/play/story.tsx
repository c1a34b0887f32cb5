/** The story: where the packet is, and who does what to it there, and why; read out as it goes on. */

import type { Actor } from '../../explain/model.ts'
import type { Moment } from './play-model.ts'

const ACTORS: Readonly<Record<Actor, string>> = {
  sender: 'Sender',
  cable: 'Cable',
  bridge: 'Bridge',
  router: 'Router',
  netfilter: 'Netfilter',
  conntrack: 'Conntrack',
  tunnel: 'Tunnel',
  offload: 'Offload',
  receiver: 'Receiver',
  // The title says it already.
  lost: '',
  unknown: '',
}

export function Story({ moment: { kind, title, progress, steps, mappings, isDead } }: { moment: Moment }) {
  return (
    <div class={`story story-${kind} ${isDead ? 'dead' : ''}`}>
      <div aria-live="polite" aria-atomic="true">
        <p class="progress">{progress}</p>
        <h3>
          {kind === 'end' ? <span aria-hidden="true">{isDead ? '✗ ' : '✓ '}</span> : null}
          <bdi>{title}</bdi>
        </h3>
        <ol class="steps">
          {steps.map(({ actor, text }, i) => (
            <li key={i} class={`step actor-${actor}`}>
              {ACTORS[actor] === '' ? null : <b>{ACTORS[actor]} </b>}
              <bdi>{text}</bdi>
            </li>
          ))}
        </ol>
      </div>
      {mappings.length === 0 ? null : (
        <section class="mappings" aria-label="What conntrack remembers">
          <h4>What conntrack remembers</h4>
          {mappings.map(({ between, entry, text, knownFrom }, i) => (
            <div key={i}>
              <p class="quiet">
                {between[0] === between[1] ? `At ${between[0]}` : `Between ${between[0]} and ${between[1]}`}
                {knownFrom === 'receipts' ? ', from the kernel’s own table' : ', as the frames show it'}
              </p>
              <p class="entry">{entry}</p>
              <p>{text}</p>
            </div>
          ))}
        </section>
      )}
    </div>
  )
}
