/** The follower: has the places of a run opened again that were lost, and new ones, as containers come and go. */

import type { CapturePlace } from '../capture/live/place.ts'
import { HoptraceError } from '../errors.ts'
import { placeKey } from '../topology/capture-places.ts'
import { watchContainers } from '../topology/docker-events.ts'
import type { PlaceFinder } from './place-finder.ts'

/** So soon we look again whether a place that went away is back, in ms. */
const LOOK_AGAIN_MS = 1000
/** Where the engine tells of changes we look ever more rarely, down to this, in ms: a container may be stopped for days. */
const LONGEST_WAIT_MS = 10_000

/** Whoever looks after points that lose their places: this process, or the root helper. */
export interface Follower {
  /** The point of this name has lost its place. */
  miss(name: string): void
  close(): void
}

/** Opens a place and hands it on; rejects with a `HoptraceError` where that can't be done now. */
export type Take = (place: CapturePlace) => Promise<void>

export class PlaceFollower implements Follower {
  readonly #finder: PlaceFinder
  readonly #take: Take
  /** Where each point captures, by `placeKey`. */
  readonly #held: Map<string, string>
  readonly #lost = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #waitMs = LOOK_AGAIN_MS
  #stopWatching: (() => void) | null = null
  #isLooking = false
  #lookAgain = false
  #isClosed = false

  /** `held`: the places where it captures already. `taken`: names of points that have no place. */
  constructor(finder: PlaceFinder, held: Iterable<CapturePlace>, taken: Iterable<string>, take: Take) {
    this.#finder = finder
    this.#take = take
    this.#held = new Map([...held].map((place) => [place.name, placeKey(place)]))
    for (const name of taken) this.#held.set(name, `stream ${name}`)
    this.#watch()
    if (this.#finder.fixed.containers.length > 0) this.#look()
  }

  miss(name: string): void {
    if (!this.#held.delete(name)) return
    this.#lost.add(name)
    this.#lookNow()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#stopWatching?.()
  }

  /** There are containers, and nobody tells of them yet. */
  get #isUnwatched(): boolean {
    return this.#stopWatching === null && this.#finder.fixed.containers.length > 0
  }

  #lookNow(): void {
    this.#waitMs = LOOK_AGAIN_MS
    this.#look()
  }

  #look(): void {
    this.#lookAgain = true
    if (this.#isLooking) return
    this.#isLooking = true
    void this.#lookWhileAsked()
  }

  #lookLater(): void {
    clearTimeout(this.#timer)
    if (this.#isClosed || (this.#lost.size === 0 && !this.#isUnwatched)) return
    this.#timer = setTimeout(() => this.#look(), this.#waitMs)
    const longestMs = this.#stopWatching === null ? LOOK_AGAIN_MS : LONGEST_WAIT_MS
    this.#waitMs = Math.min(longestMs, 2 * this.#waitMs)
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#isClosed) {
      this.#lookAgain = false
      // The engine restarts, the container is half started: the next look may find it.
      const places = await this.#finder.find(this.#heldNames()).catch(ignoreUserErrors)
      this.#watch()
      for (const place of places ?? []) await this.#takeIfFree(place)
    }
    this.#isLooking = false
    this.#lookLater()
  }

  #watch(): void {
    const { api } = this.#finder
    if (api === null || !this.#isUnwatched || this.#isClosed) return
    this.#stopWatching = watchContainers(api, () => this.#lookNow())
    // What changed since then was told to nobody.
    this.#lookAgain = true
  }

  async #takeIfFree(place: CapturePlace): Promise<void> {
    const { name } = place
    if (this.#isClosed || this.#held.has(name)) return
    const wasLost = this.#lost.delete(name)
    this.#held.set(name, placeKey(place))
    try {
      await this.#take(place)
    } catch (error) {
      this.#held.delete(name)
      if (wasLost) this.#lost.add(name)
      ignoreUserErrors(error)
    }
  }

  #heldNames(): Map<string, string> {
    return new Map([...this.#held].map(([name, key]) => [key, name]))
  }
}

function ignoreUserErrors(error: unknown): void {
  if (!(error instanceof HoptraceError)) throw error
}
