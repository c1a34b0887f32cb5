/** A flow's ladder: time downwards, a column a point, an arrow a packet; with its overview, its controls and its list. */

import './ladder.css'
import { useSignalEffect } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { selectedPackets, source } from '../state.ts'
import { typeZoom } from './inks.ts'
import { LadderCanvas } from './ladder-canvas.tsx'
import { Legend } from './ladder-legend.tsx'
import type { Scale } from './ladder-scale.ts'
import {
  hovered,
  isWhole,
  keepRange,
  ladder,
  scale,
  selectedRow,
  setScale,
  showAll,
  showSelected,
  viewport,
  zoomKey,
} from './ladder-state.ts'
import { Overview } from './overview.tsx'
import { PacketList } from './packet-list.tsx'
import { sentenceOf } from './packet-words.ts'

const SCALES: readonly { name: Scale; title: string; words: string }[] = [
  {
    name: 'even',
    title: 'Even rows',
    words: 'One row a packet, not to scale: within a row, the slant shows how its time splits over the hops.',
  },
  {
    name: 'time',
    title: 'Real time',
    words:
      'Height is time. Hops take µs and flows seconds: zoom in, with Ctrl and the wheel, until arrows slant.',
  },
]

export function Ladder() {
  useEffect(() => {
    const measure = () => {
      viewport.value = { height: innerHeight, zoom: typeZoom() }
    }
    measure()
    addEventListener('resize', measure)
    return () => removeEventListener('resize', measure)
  }, [])
  useSignalEffect(keepRange)
  useSignalEffect(showSelected)
  const now = ladder.value
  if (now === null) return <p class="quiet">Reading the packets …</p>
  if (now.count === 0) return <p class="quiet">{emptyWords()}</p>
  return (
    <div class="ladder">
      <Controls />
      <Legend />
      <Detail />
      <div class="ladder-parts">
        <div class="ladder-drawing">
          <Overview />
          <LadderCanvas />
        </div>
        <PacketList />
      </div>
    </div>
  )
}

function emptyWords(): string {
  if (source.value?.isLive) return 'No packet of this flow is here yet.'
  const { state } = selectedPackets.value!
  return state === 'unreadable'
    ? 'The packets of this flow could not be read.'
    : 'No packet of this flow is in this page.'
}

function Controls() {
  const { words } = SCALES.find(({ name }) => name === scale.value)!
  return (
    <div class="ladder-controls no-print">
      <fieldset class="switch">
        <legend class="only-read">Scale of the ladder</legend>
        {SCALES.map(({ name, title }) => (
          <label key={name}>
            <input
              type="radio"
              name="ladder-scale"
              checked={name === scale.value}
              onChange={() => setScale(name)}
            />
            <span>{title}</span>
          </label>
        ))}
      </fieldset>
      <div class="zooms">
        <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoomKey('+')}>
          +
        </button>
        <button
          type="button"
          aria-label="Zoom out"
          title="Zoom out (-)"
          disabled={isWhole.value}
          onClick={() => zoomKey('-')}
        >
          −
        </button>
        <button type="button" title="Show the whole flow (0)" disabled={isWhole.value} onClick={showAll}>
          Whole flow
        </button>
      </div>
      <p class="words quiet">{words}</p>
    </div>
  )
}

/** The packet that the pointer is on, else the selected one. */
function Detail() {
  const { model } = ladder.value!
  const wordsOf = (row: number) => {
    const packet = model.packets[row]
    return packet ? sentenceOf(packet, model.originNs) : ''
  }
  const selected = wordsOf(selectedRow.value)
  return (
    <>
      <p class="ladder-detail mono" aria-hidden="true">
        {wordsOf(hovered.value) || selected || 'Point at a packet, or go through them with the arrow keys.'}
      </p>
      <p class="only-read" aria-live="polite">
        {selected}
      </p>
    </>
  )
}
