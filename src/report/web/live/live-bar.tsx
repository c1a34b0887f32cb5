/** The bar of a live page: whether it is live, how much there is, and pause, follow, save, stop. */

import './live-bar.css'
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { LivePath } from '../../page-live.ts'
import { formatCount } from '../../quantities.ts'
import { hasModifier, isTyping } from '../keys.ts'
import { source } from '../state.ts'
import { type Following, following } from './follow.ts'
import { type LiveLink, LiveSource } from './live-source.ts'
import { notHereText, sizeText, timeText } from './live-text.ts'
import { saveReport, stopCapture } from './save.ts'

const STATES: Readonly<Record<LiveLink | 'paused', string>> = {
  connected: 'Live',
  paused: 'Paused',
  lost: 'Connection lost, trying again',
  closed: 'No connection',
  ended: 'The capture has ended',
}
const FOLLOW: readonly [Following, string][] = [
  ['off', 'nothing'],
  ['flow', 'this flow'],
  ['newest', 'the newest packet'],
]
/** Space plays and p goes to the packet before, elsewhere on the page. */
const PAUSE_KEY = 'l'
const STOP = 'End the capture? The program ends with it, and nothing can be saved from here afterwards.'

export function LiveBar() {
  const live = source.value
  return live instanceof LiveSource ? <Bar live={live} /> : null
}

function Bar({ live }: { live: LiveSource }) {
  const problem = useSignal<string | null>(null)
  const link = live.link.value
  const isOver = link === 'ended' || link === 'closed'
  const isPaused = live.isPaused.value && !isOver
  const state = isPaused && link === 'connected' ? 'paused' : link
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== PAUSE_KEY || hasModifier(event) || isTyping(event.target)) return
      live.pause(!live.isPaused.peek())
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [live])
  const { packets, packetsPerSecond, flows, drops, elapsedMs, kept } = live.status.value
  const remarks = [
    notHereText(live.notHere.value, live.status.value.untold),
    kept.problem,
    problem.value,
  ].filter((text): text is string => text !== null)
  return (
    <section class={`live live-${state} no-print`} aria-label="Live capture">
      <p class="live-state" role="status">
        <span class="live-sign" aria-hidden="true" />
        {STATES[state]}
      </p>
      <p class="live-counts">
        <span>
          <b>{formatCount(packets)}</b> packet{packets === 1 ? '' : 's'}
        </span>
        <span>
          <b>{isOver ? 0 : formatCount(packetsPerSecond)}</b>/s
        </span>
        <span>
          <b>{formatCount(flows)}</b> flow{flows === 1 ? '' : 's'}
        </span>
        {drops === 0 ? null : (
          <span class="live-drops">
            <b>{formatCount(drops)}</b> frames dropped
          </span>
        )}
        <span>{timeText(elapsedMs)}</span>
      </p>
      <div class="live-actions">
        <button
          type="button"
          disabled={isOver}
          aria-keyshortcuts={PAUSE_KEY}
          title={`Key ${PAUSE_KEY}`}
          onClick={() => live.pause(!live.isPaused.peek())}
        >
          {isPaused ? 'Continue' : 'Pause'}
        </button>
        <label>
          Follow{' '}
          <select
            value={following.value}
            onChange={({ currentTarget }) => {
              following.value = currentTarget.value as Following
            }}
          >
            {FOLLOW.map(([value, title]) => (
              <option key={value} value={value}>
                {title}
              </option>
            ))}
          </select>
        </label>
        {isOver ? null : <Savings bytes={kept.bytes} onProblem={(text) => (problem.value = text)} />}
      </div>
      {remarks.length === 0 ? null : (
        <p class="live-remarks" role="status">
          {remarks.join(' · ')}
        </p>
      )}
    </section>
  )
}

/** What needs the server. */
function Savings({ bytes, onProblem }: { bytes: number; onProblem: (text: string | null) => void }) {
  const isMaking = useSignal(false)
  const save = async () => {
    isMaking.value = true
    onProblem(await saveReport())
    isMaking.value = false
  }
  return (
    <>
      <a class="button" href={LivePath.capture} download title={`All frames so far, ${sizeText(bytes)}`}>
        Save pcapng
      </a>
      <button type="button" disabled={isMaking.value} onClick={save}>
        {isMaking.value ? 'Making …' : 'Save HTML'}
      </button>
      <button
        type="button"
        class="live-stop"
        onClick={async () => {
          if (confirm(STOP)) onProblem(await stopCapture())
        }}
      >
        Stop
      </button>
    </>
  )
}
