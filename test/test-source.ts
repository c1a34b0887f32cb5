/** What the sources of tests have in common: one of frames that the test hands out, which never fails and drops nothing. */

import type { LiveSource } from '../src/capture/live/source.ts'
import { CaptureRecord } from '../src/capture/record.ts'

export abstract class TestSource implements LiveSource {
  readonly fd = -1
  onReady = () => {}
  readonly record = new CaptureRecord()
  readonly linkType = 1
  readonly snapLenBytes = 0
  readonly isFilling = false
  readonly isPressed = false
  ended = false
  problem: string | null = null

  abstract advance(): boolean

  horizonNs(nowNs: number): number {
    return nowNs
  }

  drops(): number | null {
    return 0
  }

  stop(): void {}

  close(): void {}
}
