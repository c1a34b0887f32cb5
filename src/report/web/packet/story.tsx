/** What happened to the packet, from point to point, in the words of `hoptrace explain`. */

import type { ExplainedPacket, Step } from '../../explain/model.ts'
import { harmless } from '../../harmless.ts'
import { pointName } from '../../path-line.ts'

/** Long enough for every sentence with names in it. */
const MAX_TEXT = 1000

export function Story({ packet: { stations, ending } }: { packet: ExplainedPacket }) {
  if (stations.length === 0) return null
  return (
    <section aria-labelledby="story-title">
      <div class="section-head">
        <h3 id="story-title">What happened on the way</h3>
      </div>
      <ol class="story">
        {stations.map(({ point, steps, moreFrames }, i) => (
          <li key={i}>
            <h4>
              {i === 0 ? pointName(point) : `${pointName(stations[i - 1]!.point)} → ${pointName(point)}`}
            </h4>
            <Steps steps={steps} />
            {moreFrames.map((line) => (
              <p key={line} class="quiet">
                {harmless(line)}
              </p>
            ))}
          </li>
        ))}
        {ending.length > 0 ? (
          <li>
            <h4>In the end</h4>
            <Steps steps={ending} />
          </li>
        ) : null}
      </ol>
    </section>
  )
}

function Steps({ steps }: { steps: readonly Step[] }) {
  if (steps.length === 0) return <p class="quiet">Nothing that would be seen.</p>
  return (
    <ul>
      {steps.map(({ actor, text }, i) => (
        <li key={i}>
          <span class={`actor actor-${actor}`}>
            {actor === 'lost' ? '✗ ' : ''}
            {actor}
          </span>{' '}
          {harmless(text, MAX_TEXT)}
        </li>
      ))}
    </ul>
  )
}
