/** The series of files that a live capture writes, each held against what capinfos and tshark read of it. */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { RotatingFile, type Rotation } from '../../../src/capture/live/rotating-file.ts'
import { PointList } from '../../../src/capture/points.ts'
import { CaptureRecord, Epoch } from '../../../src/capture/record.ts'
import { HoptraceError } from '../../../src/errors.ts'
import { requireRoot, requireTool, run } from '../../tools.ts'
import { frame } from '../bytes.ts'
import { temporaryFolder } from '../reading.ts'

const folder = temporaryFolder()
const hasTools = requireTool('tshark', 'capinfos')
let folders = 0
const folderPath = () => dirname(folder.path('x'))

/** A file of two points, and frames for it. */
async function series(rotation: Rotation | null, path = folder.path(`series${++folders}.pcapng`)) {
  const list = new PointList()
  for (const name of ['a', 'b']) list.add(name, 'live capture', 1)
  const epoch = new Epoch()
  epoch.seconds = 1_800_000_000
  const about = { points: list.points, epoch, snapLenBytes: 0, names: new Map([['10.0.0.1', 'one']]) }
  const file = await RotatingFile.open(path, about, rotation)
  let count = 0
  return {
    file,
    path,
    /** Adds a frame of 100 bytes, so many ms after the epoch. */
    add(ms: number) {
      const record = new CaptureRecord()
      const bytes = frame(100, count)
      Object.assign(record, {
        bytes,
        end: bytes.length,
        originalLenBytes: 100,
        timeNs: ms * 1e6,
        linkType: 1,
      })
      file.add(count % 2, record, count++)
    },
    async end() {
      await file.finish()
      file.close()
      return [...file.paths]
    },
    /** What lies in the folder of this series. */
    there: () =>
      readdirSync(dirname(path))
        .filter((name) => name.startsWith(basename(path, '.pcapng')))
        .sort(),
  }
}

/** Frames in a file, by tshark: the times in ms. */
function timesIn(path: string): number[] {
  run('capinfos', path)
  return run('tshark', '-r', path, '-T', 'fields', '-e', 'frame.time_epoch')
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((time) => Math.round((Number(time) - 1_800_000_000) * 1000))
}

test.skipIf(!hasTools)('without a rule it is one file under its own name', async () => {
  const { add, end, path, there } = await series(null)
  for (let i = 0; i < 50; i++) add(i)
  expect(await end()).toEqual([path])
  expect(there()).toEqual([basename(path)])
  expect(timesIn(path)).toHaveLength(50)
})

test.skipIf(!hasTools)(
  'by size: none is larger, none is lost, each has its interfaces and names',
  async () => {
    const { add, end } = await series({ bytes: 3000 })
    for (let i = 0; i < 60; i++) add(i)
    const paths = await end()
    expect(paths.length).toBeGreaterThan(2)
    expect(paths.flatMap(timesIn)).toEqual(Array.from({ length: 60 }, (_, i) => i))
    for (const path of paths) {
      expect(statSync(path).size).toBeLessThanOrEqual(3000)
      expect(run('capinfos', path)).toContain('Number of interfaces in file: 2')
      expect(run('tshark', '-r', path, '-Nn', '-q', '-z', 'hosts')).toContain('10.0.0.1\tone')
    }
  },
)

test.skipIf(!hasTools)('by age: a file holds what came within so long of its first frame', async () => {
  const { add, end } = await series({ everyNs: 100e6 })
  for (const ms of [5, 104, 105, 150, 204, 205, 900]) add(ms)
  expect((await end()).map(timesIn)).toEqual([[5, 104], [105, 150, 204], [205], [900]])
})

test.skipIf(!hasTools)('only the newest stay, by whichever rule they begin', async () => {
  const { add, end, there } = await series({ everyNs: 100e6, bytes: 3000, keepFiles: 2 })
  for (let i = 0; i < 10; i++) add(100 * i)
  for (let i = 0; i < 30; i++) add(910 + i)
  const paths = await end()
  expect(paths).toHaveLength(2)
  expect(there()).toEqual(paths.map((path) => basename(path)))
  expect(paths.flatMap(timesIn).at(-1)).toBe(939)
  expect(Number(/_(\d{5})_\d{14}\.pcapng$/.exec(paths[1])?.[1])).toBeGreaterThan(10)
})

test('a frame that is larger than a file may be has one to itself', async () => {
  const { add, end } = await series({ bytes: 10 })
  add(1)
  add(2)
  expect((await end()).length).toBeGreaterThanOrEqual(2)
})

test.skipIf(!hasTools)('what was flushed can be read while more is written', async () => {
  const { file, add, end, path } = await series(null)
  add(1)
  file.flush(1e9)
  expect(timesIn(path)).toEqual([1])
  add(2)
  // So soon it is not worth it.
  file.flush(1.5e9)
  expect(timesIn(path)).toEqual([1])
  file.flush(2e9)
  expect(timesIn(path)).toEqual([1, 2])
  await end()
})

test('a disk that is full is told of once', async () => {
  const list = new PointList()
  list.add('a', 'live capture', 1)
  const epoch = new Epoch()
  epoch.seconds = 1
  const file = await RotatingFile.open('/dev/full', { points: list.points, epoch, snapLenBytes: 0 }, null)
  const record = new CaptureRecord()
  Object.assign(record, { bytes: frame(100), end: 100, originalLenBytes: 100 })
  file.add(0, record, 0)
  expect(() => file.flush(1e9)).toThrow(HoptraceError)
  file.add(0, record, 1)
  file.flush(3e9)
  await file.finish()
  file.close()
})

test('a next file that cannot be made is told of in one line, and the one before it is whole', async () => {
  const { add, end, file, path } = await series({ everyNs: 10e6 })
  add(1)
  const [first] = file.paths
  // Its folder goes by another name for a while.
  const moved = `${folderPath()}-moved`
  renameSync(folderPath(), moved)
  onTestFinished(() => renameSync(moved, folderPath()))
  expect(() => add(20)).toThrow(/series\d+_00002_\d+\.pcapng: cannot be written \(ENOENT\)/)
  add(30)
  await end()
  expect(statSync(first.replace(folderPath(), moved)).size).toBeGreaterThan(300)
  expect(existsSync(path)).toBe(false)
})

test('a file of the series that somebody else has removed is no trouble', async () => {
  const { add, end, file } = await series({ everyNs: 10e6, keepFiles: 1 })
  add(1)
  rmSync(file.paths[0])
  for (const ms of [20, 40]) add(ms)
  expect(await end()).toHaveLength(1)
})

test.skipIf(!requireRoot())('a disk that is full when a file is completed is told of', async () => {
  const small = folder.path('small')
  mkdirSync(small)
  run('mount', '-t', 'tmpfs', '-o', 'size=16k', 'hoptrace-test', small)
  onTestFinished(() => void run('umount', small))
  const { add, file } = await series({ bytes: 3000 }, `${small}/t.pcapng`)
  const fill = async () => {
    for (let i = 0; i < 1000; i++) {
      add(i)
      await setImmediate()
    }
  }
  await expect(fill()).rejects.toThrow(/cannot be written \(ENOSPC\)/)
  file.close()
})
