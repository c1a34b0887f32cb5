import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CaptureRecord } from '../../src/capture/record.ts'
import { FrameRing } from '../../src/serve/frame-ring.ts'

test('the newest frames are found as they came, older ones not at all', () => {
  const RING_BYTES = 5000
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2500 }), { minLength: 1, maxLength: 30 }), (sizes) => {
      const ring = new FrameRing(RING_BYTES)
      const record = new CaptureRecord()
      const frames = sizes.map((size, i) =>
        Uint8Array.from({ length: size + 3 }, (_, at) => (at * 31 + i) & 255),
      )
      for (const [i, bytes] of frames.entries()) {
        Object.assign(record, {
          bytes,
          start: 3,
          end: bytes.length,
          frame: i + 1,
          originalLenBytes: bytes.length + 70_000,
          linkType: i,
        })
        ring.add(0, record)
      }
      const out = new CaptureRecord()
      let bytesBehind = 0
      for (let i = frames.length - 1; i >= 0; i--) {
        const kept = frames[i]!.subarray(3, 1603)
        bytesBehind += kept.length
        const isThere = ring.find(i + 1, out)
        // What does not fit before the end of the ring begins anew: up to one frame's room is lost.
        if (bytesBehind <= RING_BYTES - 1600) expect(isThere).toBe(true)
        if (bytesBehind > RING_BYTES) expect(isThere).toBe(false)
        if (!isThere) continue
        expect(out.bytes.subarray(out.start, out.end)).toEqual(kept)
        expect([out.originalLenBytes, out.linkType]).toEqual([frames[i]!.length + 70_000, i])
      }
      expect([ring.find(0, out), ring.find(frames.length + 1, out)]).toEqual([false, false])
    }),
    { numRuns: 30 },
  )
})
