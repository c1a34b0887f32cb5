/** The data of a running capture, as its server sends them. */

import { type ReadonlySignal, type Signal, signal } from '@preact/signals'
import type { FlowReport, Report } from '../../model.ts'
import type { PageAbout, PagePacket } from '../../page-data.ts'
import type { LiveEvents, LiveHead, LiveStatus } from '../../page-live.ts'
import type { FlowPackets, PageSource } from '../source.ts'
import { LiveStore } from './live-store.ts'

/** Views are drawn anew so often, however many packets come. */
const SHOW_EVERY_MS = 250

/** `lost`: it is being tried again; `closed`: the server does not know this page any more. */
export type LiveLink = 'connected' | 'lost' | 'closed' | 'ended'

export class LiveSource implements PageSource {
  readonly isLive = true
  readonly about: PageAbout
  readonly report: Signal<Report>
  readonly status: Signal<LiveStatus>
  readonly link = signal<LiveLink>('connected')
  readonly isPaused = signal(false)
  /** The newest packet that is shown. */
  readonly newest = signal<{ flow: number; packet: number } | null>(null)
  /** Packets that came and are not here: before the page was opened, too fast for it, or forgotten for newer ones. */
  readonly notHere: Signal<{ earlier: number; missed: number; forgotten: number }>
  readonly #store = new LiveStore()
  readonly #shown = new Map<number, Signal<FlowPackets | null>>()
  readonly #changed = new Set<number>()
  #head: LiveHead
  #isHeadNew = false
  #timer: ReturnType<typeof setTimeout> | null = null

  /** Resolves with the first report. Rejects where the server does not let this page in. */
  static async open(url: string): Promise<LiveSource> {
    const events = new EventSource(url)
    try {
      return await new Promise<LiveSource>((resolve, reject) => {
        const flows: FlowReport[] = []
        let about: PageAbout | null = null
        let earlier = 0
        const stops = [
          listen(events, 'hello', (hello) => {
            about ??= hello.about
            earlier = hello.earlierPackets
          }),
          listen(events, 'flows', (some) => flows.push(...some)),
          listen(events, 'head', (head) => {
            // From here on the source itself listens, and nothing is to be gathered beside it.
            for (const stop of stops) stop()
            resolve(new LiveSource(events, about!, { head, flows, earlier }))
          }),
        ]
        events.onerror = () => {
          if (events.readyState === EventSource.CLOSED)
            reject(new Error('its capture has ended, or too many pages show it already'))
        }
      })
    } catch (error) {
      events.close()
      throw error
    }
  }

  private constructor(
    events: EventSource,
    about: PageAbout,
    { head, flows, earlier }: { head: LiveHead; flows: FlowReport[]; earlier: number },
  ) {
    this.about = about
    this.#head = head
    this.#store.addFlows(flows)
    this.report = signal(this.#reportNow())
    this.status = signal(head.status)
    this.notHere = signal({ earlier, missed: 0, forgotten: 0 })
    listen(events, 'flows', (some) => this.#store.addFlows(some))
    listen(events, 'head', (next) => {
      this.#store.removeFlows(next.gone)
      this.#head = next
      this.#isHeadNew = true
      this.#showSoon()
    })
    listen(events, 'packets', (packets) => this.#take(packets))
    listen(events, 'missed', (packets) => {
      const { missed, ...others } = this.notHere.peek()
      this.notHere.value = { ...others, missed: missed + packets }
    })
    listen(events, 'end', () => {
      events.close()
      this.link.value = 'ended'
    })
    events.onopen = () => {
      this.link.value = 'connected'
    }
    events.onerror = () => {
      if (this.link.peek() !== 'ended')
        this.link.value = events.readyState === EventSource.CLOSED ? 'closed' : 'lost'
    }
  }

  packetsOf(flow: number): ReadonlySignal<FlowPackets | null> {
    const known = this.#shown.get(flow)
    if (known) return known
    const made = signal<FlowPackets | null>(this.#packetsNow(flow))
    this.#shown.set(flow, made)
    return made
  }

  /** What comes is kept meanwhile, and shown afterwards. */
  pause(isPaused: boolean): void {
    this.isPaused.value = isPaused
    if (!isPaused) this.#show()
  }

  #take(packets: PagePacket[]): void {
    for (const flow of this.#store.addPackets(packets)) this.#changed.add(flow)
    this.#showSoon()
  }

  #showSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#show()
    }, SHOW_EVERY_MS)
  }

  #show(): void {
    if (this.isPaused.peek()) return
    if (this.#isHeadNew) {
      this.#isHeadNew = false
      this.report.value = this.#reportNow()
    }
    this.status.value = this.#head.status
    for (const flow of this.#changed) {
      const shown = this.#shown.get(flow)
      if (!shown) continue
      const now = this.#packetsNow(flow)
      // Whoever follows the newest packet looks at a new flow again and again; who still looks asks again.
      if (now.packets.length === 0) this.#shown.delete(flow)
      shown.value = now
    }
    this.#changed.clear()
    this.newest.value = this.#store.newest
    const { forgotten } = this.#store
    if (forgotten !== this.notHere.peek().forgotten)
      this.notHere.value = { ...this.notHere.peek(), forgotten }
  }

  #packetsNow(flow: number): FlowPackets {
    return { packets: this.#store.packetsOf(flow), state: 'here' }
  }

  #reportNow(): Report {
    return { ...this.#head.report, flows: this.#store.flows() }
  }
}

/** Calls `take` for each event of this name, until the returned function is called. */
function listen<Name extends keyof LiveEvents>(
  events: EventSource,
  name: Name,
  take: (data: LiveEvents[Name]) => void,
): () => void {
  const listener = ({ data }: MessageEvent<string>) => take(JSON.parse(data))
  events.addEventListener(name, listener)
  return () => events.removeEventListener(name, listener)
}
