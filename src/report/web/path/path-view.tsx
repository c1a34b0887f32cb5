/** The path of the selected flow: where its packets went, through which namespaces, and what was done to them there. */

import { useComputed, useSignal } from '@preact/signals'
import type { DirectionName, FlowReport } from '../../model.ts'
import { formatCount, formatCounted } from '../../quantities.ts'
import { report, selectedFlow, source } from '../state.ts'
import { PathDiagram } from './path-diagram.tsx'
import { pathModel, type Surroundings } from './path-model.ts'
import { wayOf } from './way.ts'

const DIRECTIONS: readonly [DirectionName, string, string][] = [
  ['forward', 'To the server', '→'],
  ['reverse', 'To the client', '←'],
]

/** What a drawing needs to know besides its way. */
export function surroundings(): Surroundings {
  return { ...report.value!, descriptions: source.value!.about.descriptions }
}

/** What was asked for, where it was seen; else the direction that lost packets, and where both did or none, the request's. */
function shownDirection(flow: FlowReport, asked: DirectionName | null): DirectionName {
  const hasBegun = (direction: DirectionName) => flow[direction].path.length > 0
  if (asked !== null && hasBegun(asked)) return asked
  if (!hasBegun('forward')) return hasBegun('reverse') ? 'reverse' : 'forward'
  return lostIn(flow, 'forward') === 0 && lostIn(flow, 'reverse') > 0 ? 'reverse' : 'forward'
}

function lostIn({ lost }: FlowReport, wanted: DirectionName): number {
  return lost.reduce((sum, { direction, packets }) => sum + (direction === wanted ? packets : 0), 0)
}

function LostCount({ flow, direction }: { flow: FlowReport; direction: DirectionName }) {
  const lost = lostIn(flow, direction)
  return lost === 0 ? null : <span class="lost-count"> ✗ {formatCount(lost)} lost</span>
}

export function PathView() {
  const asked = useSignal<DirectionName | null>(null)
  const models = useComputed(() => {
    const flow = selectedFlow.value
    return flow === null
      ? []
      : DIRECTIONS.map(([direction]) => pathModel(wayOf(flow, direction), surroundings()))
  })
  const flow = selectedFlow.value
  const points = report.value!.path
  if (flow === null)
    return (
      <section class="panel" aria-labelledby="path-title">
        <h2 id="path-title">Path</h2>
        <p class="quiet">
          No flow was joined{points.length === 0 ? '.' : `; the points are ${points.join(', ')}.`}
        </p>
      </section>
    )
  const shown = shownDirection(flow, asked.value)
  return (
    <section class="panel path-view" aria-labelledby="path-title">
      <header class="path-head">
        <h2 id="path-title">Path of flow {flow.id}</h2>
        {models.value.some(({ isGuessed }) => isGuessed) ? (
          <p class="quiet path-legend">
            Boxes are network namespaces, here guessed from the names of the points.
          </p>
        ) : null}
        <fieldset class="switch no-print">
          <legend class="only-read">Direction of the packets</legend>
          {DIRECTIONS.map(([direction, title, arrow]) => (
            <label key={direction}>
              <input
                type="radio"
                name="path-direction"
                checked={shown === direction}
                disabled={flow[direction].path.length === 0}
                onChange={() => {
                  asked.value = direction
                }}
              />
              <span>
                <span aria-hidden="true">{arrow} </span>
                {title}
                <span class="count"> {formatCounted(flow[direction].packets, 'packet')}</span>
                <LostCount flow={flow} direction={direction} />
              </span>
            </label>
          ))}
        </fieldset>
      </header>
      {DIRECTIONS.map(([direction, title], i) => {
        const model = models.value[i]!
        return (
          <div key={direction} class={`path-lane ${direction === shown ? '' : 'only-print'}`}>
            <h3 class="only-print">{title}</h3>
            {model.count === 0 ? (
              <p class="quiet">No packet of this direction was seen.</p>
            ) : (
              <PathDiagram model={model} label={`Way of packets ${title.toLowerCase()}`} />
            )}
            {model.notes.map((note) => (
              <p key={note} class="path-note">
                <span aria-hidden="true">✗ </span>
                {note}
              </p>
            ))}
          </div>
        )
      })}
    </section>
  )
}
