/** A progress bar on stderr for runs that take a while; only where stderr is a terminal. */

import { SingleBar } from 'cli-progress'

/** Runs shorter than this show no bar. */
const DELAY_MS = 700

export interface ProgressBar {
  update(readBytes: number, totalBytes: number | null): void
  stop(): void
}

/** `doing` is what the run does meanwhile. */
export function progressBar(doing = 'reading'): ProgressBar {
  if (!process.stderr.isTTY) return { update() {}, stop() {} }
  const begunAt = Date.now()
  let bar: SingleBar | null = null
  return {
    update(readBytes, totalBytes) {
      if (Date.now() - begunAt < DELAY_MS || totalBytes === null) return
      if (!bar) {
        bar = new SingleBar({
          stream: process.stderr,
          clearOnComplete: true,
          // Ctrl-C would leave the terminal without one.
          hideCursor: false,
          format: `${doing} {bar} {percentage} % · {eta_formatted} left`,
        })
        bar.start(totalBytes, readBytes)
      }
      bar.update(Math.min(readBytes, totalBytes))
    },
    stop() {
      bar?.stop()
    },
  }
}
