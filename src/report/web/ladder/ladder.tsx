/** A flow's ladder: time downwards, a column a point, an arrow a packet; with its overview, its controls and its list. */

import './ladder.css'
import { useSignalEffect } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { NoPackets } from '../no-packets.tsx'
import { Switch } from '../switch.tsx'
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

const SCALES: readonly { value: Scale; title: string; words: string }[] = [
  {
    value: 'even',
    title: 'Even rows',
    words: 'One row a packet, not to scale: within a row, the slant shows how its time splits over the hops.',
  },
  {
    value: 'time',
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
  if (now === null || now.count === 0) return <NoPackets />
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

function Controls() {
  const { words } = SCALES.find(({ value }) => value === scale.value)!
  return (
    <div class="ladder-controls no-print">
      <Switch
        legend="Scale of the ladder"
        name="ladder-scale"
        options={SCALES}
        value={scale.value}
        onChoose={setScale}
      />
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
      <p class={`ladder-detail mono ${selected === '' ? 'no-print' : ''}`} aria-hidden="true">
        {wordsOf(hovered.value) || selected || 'Point at a packet, or go through them with the arrow keys.'}
      </p>
      <p class="only-read" aria-live="polite">
        {selected}
      </p>
    </>
  )
}
