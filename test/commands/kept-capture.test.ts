/** The file that `capture --web` keeps for whoever wants to save it: bounded, and gone at the end. */

import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { CaptureRecord, Epoch, type Point } from '../../src/capture/record.ts'
import { KeptCapture } from '../../src/commands/kept-capture.ts'
import { frame } from '../capture/bytes.ts'
import { requireTool, run } from '../tools.ts'

const ABOUT = (() => {
  const epoch = new Epoch()
  epoch.seconds = 1_800_000_000
  const point = { name: 'a', index: 0, linkType: 1, source: 'live', next: null, gaps: [] } as unknown as Point
  return { points: [point], epoch, snapLenBytes: 0 }
})()

function record(timeNs: number): CaptureRecord {
  const bytes = frame(1000)
  return Object.assign(new CaptureRecord(), {
    bytes,
    end: bytes.length,
    originalLenBytes: bytes.length,
    linkType: 1,
    timeNs,
  })
}

test.skipIf(!requireTool('capinfos'))(
  'it ends at its limit with whole records, says so, and is removed',
  async () => {
    const kept = await KeptCapture.open(ABOUT, 'web', 100_000)
    const [{ path }] = kept.parts()
    expect(statSync(dirname(path)).mode & 0o077).toBe(0)
    for (let i = 0; i < 50; i++) kept.add(0, record(i * 1e6), i)
    expect(kept.problem).toBeNull()
    const [part] = kept.parts()
    expect(part!.lenBytes).toBe(readFileSync(path).length)
    for (let i = 50; i < 500; i++) kept.add(0, record(i * 1e6), i)
    expect(kept.problem).toMatch(/are kept, and no more: -w writes all$/)
    const [whole] = kept.parts()
    expect(whole!.lenBytes).toBeGreaterThan(100_000)
    expect(whole!.lenBytes).toBeLessThan(102_000)
    // What was whole before is a capture as well.
    const copy = `${path}.copy`
    writeFileSync(copy, readFileSync(path))
    const countIn = (file: string) => Number(/packets:\s+(\d+)/.exec(run('capinfos', '-Mc', file))![1])
    const all = countIn(copy)
    expect(all).toBeGreaterThan(90)
    expect(all).toBeLessThan(101)
    truncateSync(copy, part!.lenBytes)
    expect(countIn(copy)).toBe(50)
    await kept.finish(['a comment'])
    expect(countIn(path)).toBe(all)
    kept.remove()
    expect(existsSync(dirname(path))).toBe(false)
  },
)
