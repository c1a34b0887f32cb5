/** The field that filters the flows, and what is said about it. */

import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { formatCount, formatCounted } from '../../quantities.ts'
import { hasModifier, isTyping } from '../keys.ts'
import { flowFilter } from '../state.ts'
import { allFlows, rows, search } from './flow-rows.ts'

/** What is told to those who hear the page: how many match, when the typing rests. Not each second of a live page. */
const told = signal('')
const REST_MS = 400
const HELP =
  'Any address, port, name, state or finding on the way; or host, net, port, lost, nat … with and, or, not'

export function FlowFilter({ onLeave }: { onLeave(): void }) {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const find = (event: KeyboardEvent) => {
      if (event.key !== '/' || hasModifier(event) || isTyping(event.target)) return
      event.preventDefault()
      field.current?.focus()
      field.current?.select()
    }
    addEventListener('keydown', find)
    return () => removeEventListener('keydown', find)
  }, [])
  const text = flowFilter.value
  useEffect(() => {
    const timer = setTimeout(() => {
      told.value = text.trim() === '' ? '' : matchCount()
    }, REST_MS)
    return () => clearTimeout(timer)
  }, [text])
  const { hint, matches } = search.value
  return (
    <search class="flow-filter no-print">
      <label for="flow-filter">Filter</label>
      <input
        id="flow-filter"
        type="search"
        ref={field}
        value={text}
        autocomplete="off"
        spellcheck={false}
        placeholder="172.17.0.3 or port 53"
        aria-keyshortcuts="/"
        aria-invalid={matches === null}
        aria-describedby="flow-filter-hint"
        onInput={(event) => {
          flowFilter.value = event.currentTarget.value
        }}
        onKeyDown={(event) => {
          if (event.key === 'Escape' && flowFilter.peek() !== '') flowFilter.value = ''
          else if (event.key === 'ArrowDown' || event.key === 'Enter') onLeave()
          else return
          event.preventDefault()
        }}
      />
      <span class="key" aria-hidden="true">
        /
      </span>
      <p
        id="flow-filter-hint"
        class={`hint${matches === null ? ' is-wrong' : ''}${hint === null ? ' is-help' : ''}`}
      >
        {matches === null ? <span aria-hidden="true">▲ </span> : null}
        {hint ?? HELP}
      </p>
      <p role="status" class="only-read">
        {told}
      </p>
    </search>
  )
}

/** `12 of 150 flows`. */
export function matchCount(): string {
  const [shown, all] = [rows.value.length, allFlows.value.length]
  return shown === all ? formatCounted(all, 'flow') : `${formatCount(shown)} of ${formatCounted(all, 'flow')}`
}
