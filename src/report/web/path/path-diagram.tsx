/** The drawing of a way: namespaces as boxes with walls, points in them, and stamps where packets are changed or lost. */

import './path.css'
import './path-across.css'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { formatCount, formatCounted, formatDurationNs } from '../../quantities.ts'
import { Glyph } from './glyphs.tsx'
import type { PathGap, PathGroup, PathModel, PathStation } from './path-model.ts'
import type { Stamp } from './stamps.ts'

/** How a station or gap is marked while a packet is on its way. */
export type Mark = 'passed' | 'current' | 'lost'

/** So many points are shown at once from top to bottom; more are scrolled. */
const MAX_COUNT = 16

/** With so much room all is drawn larger, as the style says. */
const LARGE = 1.25

export interface PathDiagramProps {
  model: PathModel
  /** Names the drawing for those who can't see it. */
  label: string
  /** Where the packet is: a station's number on the way, or halfway between two. */
  at?: number
  /** What the packet on the drawing says, and whether it died. */
  token?: { text: string; isDead: boolean }
  marks?: ReadonlyMap<number, Mark>
}

export function PathDiagram({ model, label, at, token, marks }: PathDiagramProps) {
  const frame = useRef<HTMLDivElement>(null)
  const room = useRoom(frame, model.widthRem)
  const isWide = room >= 1
  const layout = isWide ? 'across' : 'down'
  const isLong = !isWide && model.count > MAX_COUNT
  const context = { marks, at, ends: endsOf(model) }
  return (
    <div
      class={`path-frame ${layout} ${model.direction} ${isLong ? 'long' : ''} ${room >= LARGE ? 'large' : ''}`}
      ref={frame}
      tabIndex={isLong ? 0 : undefined}
    >
      <ol class="path" aria-label={label}>
        {model.parts.map((part, i) =>
          part.type === 'gap' ? (
            <Gap key={i} gap={part} isCrossing {...context} />
          ) : (
            <Group key={i} group={part} {...context} />
          ),
        )}
      </ol>
      {at !== undefined && token ? <Token at={at} frame={frame} layout={layout} {...token} /> : null}
    </div>
  )
}

interface Context {
  /** The outermost stations of the drawing. */
  ends: [number | undefined, number | undefined]
  marks: ReadonlyMap<number, Mark> | undefined
  at: number | undefined
}

function endsOf({ parts }: PathModel): Context['ends'] {
  const items = parts.flatMap((part) => (part.type === 'group' ? part.items : []))
  const isStation = (item: PathStation | PathGap | undefined) =>
    item?.type === 'station' ? item.at : undefined
  return [isStation(items[0]), isStation(items.at(-1))]
}

function Group({ group, ...context }: Context & { group: PathGroup }) {
  return (
    <li class={`group ${group.hasWalls ? 'walled' : 'open'}`}>
      <span class="wall-label" title={group.label}>
        <bdi>{group.label}</bdi>
      </span>
      <ol>
        {group.items.map((item) =>
          item.type === 'gap' ? (
            <Gap key={item.at} gap={item} {...context} />
          ) : (
            <Station key={item.at} station={item} {...context} />
          ),
        )}
      </ol>
    </li>
  )
}

function Station({ station, marks, at, ends }: Context & { station: PathStation }) {
  const { name, detail, ttl, src, dst, packets, unseen, isReached, kind } = station
  return (
    <li
      class={`station kind-${kind} ${isReached ? '' : 'unreached'} ${station.at === ends[0] ? 'is-first' : ''} ${station.at === ends[1] ? 'is-last' : ''} ${marks?.get(station.at) ?? ''}`}
      data-at={station.at}
      aria-current={at === station.at ? 'step' : undefined}
    >
      <span class="anchor">
        <Glyph kind={kind} />
      </span>
      <span class="station-text">
        <bdi class="station-name" title={name}>
          {name}
        </bdi>
        {detail === '' ? null : <bdi class="station-detail">{detail}</bdi>}
        {ttl === null ? null : (
          <span class="station-values">
            <span>TTL {ttl}</span>
            {packets === null ? null : <span>{formatCounted(packets, 'packet')}</span>}
          </span>
        )}
        {!station.hasNewEnds ? null : (
          <span class="station-ends address">
            <bdi>{src}</bdi> → <bdi>{dst}</bdi>
          </span>
        )}
        {unseen === 0 ? null : <span class="unseen">? {formatCount(unseen)} more passed unseen</span>}
      </span>
    </li>
  )
}

function Gap({ gap, isCrossing, marks, at }: Context & { gap: PathGap; isCrossing?: boolean }) {
  const { cable, words, stamps, medianNs, isLossy, isDead } = gap
  return (
    <li
      class={`gap cable-${cable} ${isCrossing ? 'crossing' : ''} ${isLossy ? 'lossy' : ''} ${isDead ? 'dead-end' : ''} ${marks?.get(gap.at) ?? ''}`}
      data-at={gap.at}
      aria-current={at === gap.at ? 'step' : undefined}
    >
      <span class="anchor">
        <span class="wire" />
        {isLossy ? (
          <span class="cross" aria-hidden="true">
            ✗
          </span>
        ) : null}
      </span>
      <span class="gap-text">
        {stamps.map((stamp, i) => (
          <StampView key={i} stamp={stamp} />
        ))}
        {words === '' ? null : <span class="gap-words">{words}</span>}
        {medianNs === null ? null : <span class="gap-words">{formatDurationNs(medianNs)}</span>}
      </span>
    </li>
  )
}

function StampView({ stamp: { kind, word, from, to, text } }: { stamp: Stamp }) {
  return (
    <span class={`stamp ${kind}`} data-stamp={kind}>
      <b>
        {kind === 'loss' || kind === 'error' ? <span aria-hidden="true">✗ </span> : null}
        {word}
      </b>
      {from === undefined ? null : (
        <>
          {' '}
          <bdi class="from">{from}</bdi>{' '}
          <span class="to-side">
            → <bdi class="to">{to}</bdi>
          </span>
        </>
      )}
      {text === undefined ? null : <bdi class="stamp-text"> {text}</bdi>}
    </span>
  )
}

interface TokenProps {
  at: number
  text: string
  isDead: boolean
  layout: string
  frame: { current: HTMLDivElement | null }
}

/** The packet, standing on a station or on a wire. It is decoration: what it does is told in words elsewhere. */
function Token({ at, text, isDead, layout, frame }: TokenProps) {
  const own = useRef<HTMLDivElement>(null)
  const placed = useRef('')
  useLayoutEffect(() => {
    const place = (isStep: boolean) => {
      const [box, token] = [frame.current, own.current]
      const target = box?.querySelector(`[data-at="${at}"] > .anchor`)
      if (!box || !token || !target) return
      const [outer, inner] = [box.getBoundingClientRect(), target.getBoundingClientRect()]
      const x = inner.left - outer.left + inner.width / 2 + box.scrollLeft
      const y = inner.top - outer.top + inner.height / 2 + box.scrollTop
      if (box.scrollHeight > box.clientHeight) target.scrollIntoView({ block: 'nearest' })
      // It travels from step to step only, and not where the drawing itself changes.
      token.style.transition = isStep ? '' : 'none'
      token.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`
    }
    const isStep = placed.current === layout
    placed.current = layout
    place(isStep)
    // It reports at once what it watches, and that ends no step.
    let isStepping = isStep
    const observer = new ResizeObserver(() => {
      place(isStepping)
      isStepping = false
    })
    observer.observe(frame.current!)
    return () => observer.disconnect()
  }, [at, layout, frame])
  return (
    <div class={`token ${isDead ? 'dead' : ''}`} ref={own} aria-hidden="true">
      {text}
    </div>
  )
}

/** How many times something so wide fits into the element. */
function useRoom(element: { current: HTMLElement | null }, widthRem: number): number {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry!.contentRect.width))
    observer.observe(element.current!)
    setWidth(element.current!.clientWidth)
    return () => observer.disconnect()
  }, [element])
  const remPx = Number.parseFloat(getComputedStyle(document.documentElement).fontSize)
  return width / (widthRem * remPx)
}
