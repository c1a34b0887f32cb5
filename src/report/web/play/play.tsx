/** The play: one packet moves along the path, and everything that is done to it is shown and told as it happens. */

import './play.css'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { PagePacket } from '../../page-data.ts'
import { explanationOf } from '../explanation.ts'
import { type Mark, PathDiagram } from '../path/path-diagram.tsx'
import { pathModel } from '../path/path-model.ts'
import { surroundings } from '../path/path-view.tsx'
import { wayOfPacket } from '../path/way.ts'
import { select, selectedFlow, selectedPacket, selectedPackets } from '../state.ts'
import { HeaderCard } from './header-card.tsx'
import { PlayControls } from './play-controls.tsx'
import { type PlayKey, playKey } from './play-keys.ts'
import { type Moment, momentsOf } from './play-model.ts'
import { Story } from './story.tsx'

export function Play() {
  const loaded = selectedPackets.value
  if (loaded === null) return <p class="quiet">Reading the packets …</p>
  const packet = selectedPacket.value ?? loaded.packets[0]
  if (!packet) return <p class="quiet">The page has no packet of this flow.</p>
  return <Journey packet={packet} packets={loaded.packets} />
}

function Journey({ packet, packets }: { packet: PagePacket; packets: readonly PagePacket[] }) {
  const flow = selectedFlow.value!
  const root = useRef<HTMLDivElement>(null)
  const model = useMemo(() => pathModel(wayOfPacket(flow, packet), surroundings()), [flow, packet])
  const moments = useMemo(() => momentsOf(packet, explanationOf(packet), model), [packet, model])
  const key = `${packet.flow}/${packet.number}`
  const [position, setPosition] = useState({ key, index: 0 })
  const [isPlaying, setPlaying] = useState(false)
  const [speed, setSpeed] = useState(1)
  // Another packet begins at its beginning.
  const index = position.key === key ? Math.min(position.index, moments.length - 1) : 0
  const lastIndex = moments.length - 1
  const moment = moments[index]

  const go = (to: number) => {
    setPosition({ key, index: Math.max(0, Math.min(lastIndex, to)) })
    if (selectedPacket.peek() !== packet) select({ packet: packet.number })
  }
  const act = (what: PlayKey) => {
    if (what === 'toggle') {
      if (!isPlaying && index === lastIndex) go(0)
      setPlaying(!isPlaying)
      return
    }
    setPlaying(false)
    go({ next: index + 1, previous: index - 1, first: 0, last: lastIndex }[what])
  }

  useEffect(() => {
    if (!isPlaying || !moment) return
    if (index === lastIndex) {
      setPlaying(false)
      return
    }
    const timer = setTimeout(() => go(index + 1), moment.showMs / speed)
    return () => clearTimeout(timer)
  }, [isPlaying, index, lastIndex, speed, key])

  // Effects run late: keys that come before must not meet the step that was shown before.
  const latest = useRef(act)
  latest.current = act
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const what = playKey(event, root.current)
      if (what === null) return
      event.preventDefault()
      latest.current(what)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])

  // Who came by mouse goes on by keyboard at once; who walks along the tabs stays there.
  useEffect(() => {
    const { activeElement } = document
    if (activeElement?.getAttribute('role') === 'tab' && !activeElement.matches(':focus-visible'))
      root.current?.focus({ preventScroll: true })
  }, [])

  if (!moment) return <p class="quiet">No point saw this packet.</p>
  return (
    <div class="play" ref={root} tabIndex={-1}>
      <PlayControls
        packet={packet}
        packets={packets}
        isPlaying={isPlaying}
        isFirst={index === 0}
        isLast={index === lastIndex}
        speed={speed}
        step={index + 1}
        steps={moments.length}
        onKey={act}
        onSpeed={setSpeed}
        onPacket={(number) => select({ packet: number })}
        stage={root}
      />
      <PathDiagram
        model={model}
        label="The packet’s way"
        at={moment.at}
        marks={marksOf(moments, index)}
        token={{ text: tokenText(packet, moment), isDead: moment.isDead }}
      />
      <div class="play-columns">
        <Story moment={moment} />
        <HeaderCard layers={moment.card} />
      </div>
    </div>
  )
}

function tokenText({ protocol, number }: PagePacket, { isDead }: Moment): string {
  return isDead ? '✗' : `${protocol.toUpperCase().slice(0, 8)} #${number}`
}

/** What is behind the packet, and where it is; what is ahead has no mark, and does not tell yet what happens there. */
function marksOf(moments: readonly Moment[], index: number): Map<number, Mark> {
  const marks = new Map<number, Mark>([
    [-1, 'passed'],
    [-0.5, 'passed'],
  ])
  for (const { at } of moments.slice(0, index)) marks.set(at, 'passed')
  const { at, isDead } = moments[index]!
  marks.set(at, isDead ? 'lost' : 'current')
  return marks
}
