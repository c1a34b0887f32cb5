/** `capture --watch`: live flows as a table that fills the terminal, sorted and scrolled by keys. */

import type { LiveRecords } from '../capture/live/live-records.ts'
import type { LiveListener } from '../live-analysis.ts'
import type { LiveView } from '../live-generation.ts'
import type { FlowReport } from '../report/model.ts'
import { flowsPerPage, renderWatch, type WatchFlow, type WatchView } from '../report/watch-table.ts'
import type { LineOptions } from './live-output.ts'
import { FullScreen } from './screen.ts'

const REDRAW_MS = 1000
/** Flows that are looked at for each picture: those that were active last. */
const MAX_FLOWS = 500
/** Of how many flows the last event is remembered. */
const MAX_EVENTS = 5000
/** Packets that are looked at for events within 50 ms. */
const MAX_EVENTS_AT_ONCE = 200

/** What flows can be sorted by, highest first. */
const SORTINGS: readonly { name: string; key: (flow: WatchFlow) => number }[] = [
  { name: 'last packet', key: ({ idleNs }) => -idleNs },
  { name: 'packets/s', key: ({ packetsPerSecond }) => packetsPerSecond },
  { name: 'bytes/s', key: ({ bytesPerSecond }) => bytesPerSecond },
  { name: 'packets', key: ({ flow }) => packetsOf(flow) },
  { name: 'lost', key: ({ flow }) => lostOf(flow) },
]

type WatchSettings = LineOptions & { isMissing: (point: string) => boolean }

const NOTHING: Counted = { packets: 0, bytes: 0 }

interface Counted {
  packets: number
  bytes: number
}

/** A full-screen view of a live capture. Takes over the terminal at once; `close` gives it back. */
export class Watch {
  readonly listener: LiveListener
  /** A line for the user, which stands on the screen until the next one. */
  message: string | null = null
  readonly #screen: FullScreen
  readonly #records: LiveRecords
  readonly #options: WatchSettings
  readonly #events = new Map<number, string>()
  #pointCounts: number[] = []
  #flowCounts = new Map<number, Counted>()
  #flows: WatchFlow[] = []
  #view: WatchView | null = null
  #drawnMs = Number.NEGATIVE_INFINITY
  #beganNs = Number.NaN
  #previousNs = Number.NaN
  #sorting = 0
  #offset = 0
  #isPaused = false

  constructor(records: LiveRecords, options: WatchSettings) {
    this.#records = records
    this.#options = options
    this.#screen = FullScreen.open({
      onKey: (key) => this.#onKey(key),
      onResize: () => this.#draw(),
    })
    this.listener = {
      maxJourneysAtOnce: MAX_EVENTS_AT_ONCE,
      journeys: async (reports) => {
        for (const { flow, direction, summary, outcome } of reports) {
          const what = `${direction === 'forward' ? '→' : '←'} ${summary}`
          this.#events.delete(flow)
          this.#events.set(flow, outcome === 'lost' ? `${what} ✗ lost` : what)
        }
        for (const id of this.#events.keys()) {
          if (this.#events.size <= MAX_EVENTS) break
          this.#events.delete(id)
        }
      },
      tick: async (view) => {
        if (performance.now() - this.#drawnMs >= REDRAW_MS) this.#update(view)
      },
    }
  }

  close(): void {
    this.#screen.close()
  }

  #update(live: LiveView): void {
    this.#drawnMs = performance.now()
    const { nowNs } = live
    if (Number.isNaN(this.#beganNs)) this.#beganNs = nowNs
    const seconds = (nowNs - this.#previousNs) / 1e9
    const perSecond = (now: number, before: number) => (seconds > 0 ? (now - before) / seconds : 0)
    const joined = live.flows(MAX_FLOWS)
    const counts = new Map<number, Counted>()
    const { epoch, points } = this.#records
    const { filter } = this.#options
    const flows = joined.flows
      .filter((flow) => filter === undefined || filter.matches(flow))
      .map((flow) => {
        const packets = packetsOf(flow)
        const bytes = flow.forward.bytes + flow.reverse.bytes
        // One that was not in the last picture has a rate only where it is new.
        const isNew = epoch.toUnixNs(this.#previousNs || 0) <= BigInt(flow.firstNs)
        const before = this.#flowCounts.get(flow.id) ?? (isNew ? NOTHING : { packets, bytes })
        counts.set(flow.id, { packets, bytes })
        return {
          flow,
          packetsPerSecond: perSecond(packets, before.packets),
          bytesPerSecond: perSecond(bytes, before.bytes),
          lastEvent: this.#events.get(flow.id) ?? '',
          idleNs: Math.max(0, Number(epoch.toUnixNs(nowNs) - BigInt(flow.lastNs))),
        }
      })
    this.#flowCounts = counts
    this.#flows = flows
    const inOrder = joined.path.map((index) => points[index]!)
    this.#view = {
      elapsedNs: nowNs - this.#beganNs,
      points: inOrder.map(({ index, name, packets, captureDrops }) => ({
        name,
        packets,
        packetsPerSecond: perSecond(packets, this.#pointCounts[index] ?? 0),
        drops: captureDrops,
        note: this.#options.isMissing(name) ? 'gone' : null,
      })),
      flows: [],
      flowCount: filter === undefined ? live.flowCount : flows.length,
      lostPackets: flows.reduce((sum, { flow }) => sum + lostOf(flow), 0),
      message: null,
      names: this.#options.names,
    }
    this.#pointCounts = points.map(({ packets }) => packets)
    this.#previousNs = nowNs
    if (!this.#isPaused) this.#draw()
  }

  #draw(): void {
    if (this.#view === null) return
    const sorting = SORTINGS[this.#sorting]!
    const { columns, rows, hasKeys } = this.#screen
    const view: WatchView = {
      ...this.#view,
      flows: this.#flows.toSorted((a, b) => sorting.key(b) - sorting.key(a) || a.flow.id - b.flow.id),
      sorting: sorting.name,
      message: this.message,
      paused: this.#isPaused,
      hasKeys,
    }
    this.#offset = Math.max(
      0,
      Math.min(this.#offset, view.flows.length - flowsPerPage(view, { columns, rows })),
    )
    view.offset = this.#offset
    this.#screen.draw(renderWatch(view, { columns, rows, color: !process.env.NO_COLOR }))
  }

  #onKey(key: string): void {
    const page = this.#view === null ? 1 : flowsPerPage(this.#view, this.#screen)
    switch (key) {
      case 'q':
        this.#options.onCount()
        return
      case 'p':
      case 'space':
        this.#isPaused = !this.#isPaused
        break
      case 's':
        this.#sorting = (this.#sorting + 1) % SORTINGS.length
        break
      case 'up':
        this.#offset--
        break
      case 'down':
        this.#offset++
        break
      case 'pageup':
        this.#offset -= page
        break
      case 'pagedown':
        this.#offset += page
        break
      case 'home':
        this.#offset = 0
        break
      default:
        return
    }
    this.#draw()
  }
}

function packetsOf({ forward, reverse }: FlowReport): number {
  return forward.packets + reverse.packets
}

function lostOf({ lost }: FlowReport): number {
  return lost.reduce((sum, { packets }) => sum + packets, 0)
}
