/** The flow that is looked at: its ladder, one packet's headers, the packet on its way, its charts; one tab each. */

import { useRef } from 'preact/hooks'
import { Charts } from './charts/charts.tsx'
import { FlowSummary } from './flow-summary.tsx'
import { stopAfter } from './keys.ts'
import { Ladder } from './ladder/ladder.tsx'
import { PacketView } from './packet/packet-view.tsx'
import { Play } from './play/play.tsx'
import { select, selectedFlow, selection, VIEWS, type View } from './state.ts'

const TITLES: Readonly<Record<View, string>> = {
  ladder: 'Ladder',
  packet: 'Headers',
  play: 'Play',
  charts: 'Charts',
}
const CONTENT: Readonly<Record<View, () => preact.JSX.Element>> = {
  ladder: Ladder,
  packet: PacketView,
  play: Play,
  charts: Charts,
}

export function FlowSection() {
  const list = useRef<HTMLDivElement>(null)
  if (selectedFlow.value === null) return null
  const { view } = selection.value
  const Content = CONTENT[view]
  const move = (event: KeyboardEvent) => {
    const stop = stopAfter(event, VIEWS.indexOf(view), VIEWS.length, 'across')
    if (stop === null) return
    const to = (stop + VIEWS.length) % VIEWS.length
    event.preventDefault()
    select({ view: VIEWS[to]! })
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus()
  }
  return (
    <section class="panel flow" aria-labelledby="flow-title">
      <FlowSummary />
      <div class="tabs" role="tablist" aria-label="Views of the flow" ref={list} onKeyDown={move}>
        {VIEWS.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={name === view}
            aria-controls={`view-${name}`}
            tabIndex={name === view ? 0 : -1}
            onClick={() => select({ view: name })}
          >
            {TITLES[name]}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`view-${view}`} aria-labelledby={`tab-${view}`} class="view">
        <Content />
      </div>
    </section>
  )
}
