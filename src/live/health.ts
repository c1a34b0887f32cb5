/** Health: says in a line when points drop frames, or their interfaces go down and come up, while a capture runs. */

import type { Point } from '../capture/record.ts'

/** After a word on drops at a point so long none follows, in ms: a full ring drops all the time. */
const QUIET_MS = 10_000

interface Watched {
  readonly point: Point
  /** The interface is down; nothing for sources that can't tell. */
  readonly isDown: boolean | undefined
}

export class Health {
  readonly #note: (line: string) => void
  readonly #told = new Map<string, { drops: number; atMs: number }>()
  /** Points whose interface was down at the last look, and whether that was told: it may come up at once. */
  readonly #down = new Map<string, boolean>()

  constructor(note: (line: string) => void) {
    this.#note = note
  }

  /** Looks at all points; to be called now and then. `nowMs` counts from anywhere. */
  look(watched: Iterable<Watched>, nowMs: number): void {
    for (const { point, isDown } of watched) {
      const { name, captureDrops } = point
      const told = this.#told.get(name) ?? { drops: 0, atMs: Number.NEGATIVE_INFINITY }
      const drops = (captureDrops ?? 0) - told.drops
      if (drops > 0 && nowMs - told.atMs >= QUIET_MS) {
        this.#told.set(name, { drops: captureDrops ?? 0, atMs: nowMs })
        this.#note(
          `${name}: ${drops} frames dropped, as they came faster than they were read: --bpf captures less, --no-join or a larger --buffer helps as well`,
        )
      }
      this.#lookAtInterface(name, isDown)
    }
  }

  #lookAtInterface(name: string, isDown: boolean | undefined): void {
    const wasTold = this.#down.get(name)
    if (isDown !== true) {
      this.#down.delete(name)
      if (wasTold) this.#note(`${name}: its interface is up again`)
    } else if (wasTold !== true) {
      this.#down.set(name, wasTold === false)
      if (wasTold === false)
        this.#note(`${name}: its interface is down; it is captured again when it comes up`)
    }
  }
}
