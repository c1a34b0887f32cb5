/** Receive offload: collects the segments that reach a station, and says as which frames the point there sees them. */

import type { Content } from './frame.ts'
import type { Direction, TrueJourney } from './model.ts'
import { canJoin, joined } from './segments.ts'

/** A packet, or a segment of it, as it reaches a station. */
export interface Arrival {
  journey: TrueJourney
  piece: Content
  /** It came as a segment: only such ones are joined. */
  onWire: boolean
  timeNs: number
}

/** A frame, and whose bytes it carries; as late as the last of its segments. */
export interface JoinedFrame {
  direction: Direction
  station: number
  content: Content
  journeys: TrueJourney[]
  timeNs: number
}

export class ReceiveOffload {
  readonly #arrivals = new Map<string, { direction: Direction; station: number; arrived: Arrival[] }>()

  take(arrival: Arrival, station: number): void {
    const { direction } = arrival.journey
    const key = `${direction} ${station}`
    const list = this.#arrivals.get(key) ?? { direction, station, arrived: [] }
    this.#arrivals.set(key, list)
    list.arrived.push(arrival)
  }

  /** All frames, once no further segment will come; `withinNs` says how far apart those of one frame may be at a station. */
  *settle(withinNs: (station: number) => number): Generator<JoinedFrame> {
    for (const { direction, station, arrived } of this.#arrivals.values()) {
      let held: Arrival[] = []
      const frame = (): JoinedFrame => ({
        ...{ direction, station },
        content: joined(held.map(({ piece }) => piece)),
        journeys: [...new Set(held.map(({ journey }) => journey))],
        timeNs: held.at(-1)!.timeNs,
      })
      for (const arrival of arrived.sort((a, b) => a.timeNs - b.timeNs)) {
        if (held.length > 0) {
          const isNear = arrival.timeNs - held.at(-1)!.timeNs <= withinNs(station)
          const pieces = held.map(({ piece }) => piece)
          if (!isNear || !canJoin(pieces, arrival.piece)) {
            yield frame()
            held = []
          }
        }
        held.push(arrival)
      }
      yield frame()
    }
    this.#arrivals.clear()
  }
}
