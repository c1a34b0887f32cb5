/** Series: the files of a rotating capture are one capture, whoever names them in whatever order. */

import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts'
import { Epoch } from '../../src/capture/record.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hoptrace-series-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A file with two interfaces that see one frame each, at this many ms. */
async function written(name: string, ms: number): Promise<string> {
  const path = join(folder, name)
  const epoch = new Epoch()
  epoch.seconds = 1_800_000_000
  const file = openSync(path, 'w')
  const writer = new PcapngWriter(file, epoch)
  for (const point of ['container', 'uplink']) writer.addInterface({ name: point, linkType: 1 })
  for (const i of [0, 1])
    writer.addRecord(i, {
      bytes: new Uint8Array(60),
      start: 0,
      end: 60,
      originalLenBytes: 60,
      timeNs: ms * 1e6 + i,
      flags: 0,
    })
  for (const i of [0, 1]) writer.addStatistics(i, { received: 1, dropped: ms })
  await writer.close()
  closeSync(file)
  return path
}

test('the files are read as one, in their order', async () => {
  const paths = [
    await written('t_00002_20260101000001.pcapng', 20),
    await written('t_00010_20260101000002.pcapng', 30),
    await written('t_00001_20260101000000.pcapng', 10),
  ]
  for (const inputs of [[folder], paths]) {
    const { report } = await analyze(inputs)
    expect(report.points.map(({ name, packets, captureDrops }) => [name, packets, captureDrops])).toEqual([
      ['container', 3, 30],
      ['uplink', 3, 30],
    ])
    expect(report.points[0]!.firstNs).toBe('1800000000010000000')
    expect(report.points[0]!.lastNs).toBe('1800000000030000000')
    expect(report.points[0]!.source).toMatch(/t_00001_.* … t_00010_/)
    expect(report.warnings).toEqual([])
  }
})

test('two series, one file of a third, and a name that only looks like it', async () => {
  await written('a_00001_20260101000000.pcapng', 10)
  await written('a_00002_20260101000000.pcapng', 20)
  await written('b_00001_20260101000000.pcapng', 10)
  await written('a_00003.pcapng', 40)
  const { report } = await analyze([folder])
  expect(
    report.points
      .map(({ source, packets }) => `${source.replace(/^.*\//, '')}: ${packets}`)
      .sort((a, b) => a.slice(-1).localeCompare(b.slice(-1)) || a.localeCompare(b)),
  ).toEqual([
    'a_00003.pcapng: 1',
    'a_00003.pcapng: 1',
    'b_00001_20260101000000.pcapng: 1',
    'b_00001_20260101000000.pcapng: 1',
    expect.stringMatching(/: 2$/),
    expect.stringMatching(/: 2$/),
  ])
})
