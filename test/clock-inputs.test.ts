/** Clocks of captures that are no plain files: pipes, which can be read only once, and series of files. */

import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { analyze } from '../src/analysis.ts'
import { PcapngWriter } from '../src/capture/pcapng-writer.ts'
import { Epoch } from '../src/capture/record.ts'
import type { Report } from '../src/report/model.ts'
import { recordsOf } from './played.ts'
import { run } from './tools.ts'
import { TraceBuilder } from './trace/builder.ts'

const SECONDS = 1_800_000_000
const SERVER = { ip: '203.0.113.9', port: 80 }

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-clocks-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A FIFO through which these bytes come, as slowly as they are taken. */
function piped(folder: string, name: string, bytes: Uint8Array): string {
  const [file, fifo] = [join(folder, `${name}.bytes`), join(folder, name)]
  writeFileSync(file, bytes)
  run('mkfifo', fifo)
  const cat = spawn('sh', ['-c', 'cat "$0" > "$1"', file, fifo], { stdio: 'ignore' })
  onTestFinished(() => void cat.kill())
  return `${name}=${fifo}`
}

/** Rounds of one connection between two hosts, of which the far one has such a clock. */
function talk(
  rounds: number,
  pauseNs: number | ((round: number) => number),
  far: object,
  bytes = 500,
): TraceBuilder {
  const points = ['near', { name: 'far', ...far }]
  const trace = new TraceBuilder({ seed: 3, points, routed: [0], hopDelayNs: [100_000, 400_000] })
  const web = trace.tcp({ client: { ip: '10.0.0.2', port: 40_000 }, server: SERVER })
  web.open()
  for (let i = 0; i < rounds; i++) {
    web.send('client', 100)
    web.send('server', bytes)
    web.wait(typeof pauseNs === 'number' ? pauseNs : pauseNs(i))
  }
  web.close()
  return trace
}

const pathsOf = ({ flows }: Report) =>
  flows.map(({ forward, lost }) => [forward.path.map(({ point, packets }) => `${point} ${packets}`), lost])

const apart = { clockOffsetNs: -3.2e9, clockSkewPpm: 40 }

test('a file and a pipe, two pipes, a compressed one, one that is longer than what is looked at', async () => {
  for (const [rounds, bytes] of [
    [200, 500],
    [6500, 1400],
  ] as const) {
    const folder = scratch()
    const { files } = talk(rounds, 1e6, apart, bytes).build()
    const [near, far] = [files.get('near')!, files.get('far')!]
    const file = join(folder, 'file.pcap')
    writeFileSync(file, near)
    const perfect = scratch()
    talk(rounds, 1e6, {}, bytes).write(perfect)
    const { report: expected } = await analyze([perfect])
    for (const inputs of [
      () => [`near=${file}`, piped(folder, 'far', far)],
      () => [piped(folder, 'near', near), piped(folder, 'far', gzipSync(far, { level: 1 }))],
    ]) {
      const { report } = await analyze(inputs())
      run('rm', '-f', join(folder, 'near'), join(folder, 'far'))
      expect(pathsOf(report)).toEqual(pathsOf(expected))
      const clock = report.points.find(({ name }) => name === 'far')!.clock
      const other = report.points.find(({ name }) => name === 'near')!.clock
      const apartNs = clock.offsetNs - other.offsetNs
      expect(Math.abs(apartNs - apart.clockOffsetNs)).toBeLessThan(clock.uncertaintyNs + other.uncertaintyNs)
      expect(report.points.map(({ packets }) => packets)).toEqual(
        expected.points.map(({ packets }) => packets),
      )
    }
  }
}, 180_000)

test('a pipe alone is not held', async () => {
  const folder = scratch()
  const { files } = talk(50, 1e6, {}).build()
  const { report } = await analyze([piped(folder, 'near', files.get('near')!)])
  expect(report.points[0]!.packets).toBeGreaterThan(100)
})

/** The records of a capture as a series of files, one an hour or so. */
async function series(folder: string, name: string, capture: Uint8Array, parts: number): Promise<void> {
  const records = recordsOf(capture)
  const spanMs = records.at(-1)!.timeMs + 1
  for (let part = 0; part < parts; part++) {
    const epoch = new Epoch()
    epoch.seconds = SECONDS
    const file = openSync(join(folder, `${name}_0000${part + 1}_2026010100000${part}.pcapng`), 'w')
    const writer = new PcapngWriter(file, epoch)
    writer.addInterface({ name, linkType: 1 })
    for (const { bytes, timeMs } of records) {
      if (Math.floor((timeMs / spanMs) * parts) !== part) continue
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      const timeNs = (view.getUint32(0, true) - SECONDS) * 1e9 + view.getUint32(4, true)
      writer.addRecord(0, {
        ...{ bytes, start: 16, end: bytes.length, originalLenBytes: bytes.length - 16 },
        ...{ timeNs, flags: 0 },
      })
    }
    await writer.close()
    closeSync(file)
  }
}

test('clocks that begin alike and drift apart: the later files of a series show it', async () => {
  const folder = scratch()
  // 40 µs of drift are in the records that are looked at first, and 60 ms at the end.
  const { files } = talk(1700, (round) => (round < 1600 ? 1e6 : 30e9), { clockSkewPpm: 20 }).build()
  for (const name of ['near', 'far']) await series(folder, name, files.get(name)!, 3)
  const { report } = await analyze([folder])
  const { clock } = report.points.find(({ clock }) => clock.reference !== undefined)!
  expect(Math.abs(Math.abs(clock.skewPpm) - 20)).toBeLessThan(0.5)
  expect(pathsOf(report)[0]![1]).toEqual([])
  expect(report.findings.map(({ code }) => code)).not.toContain('clock-uncertain')
})
