import { closeSync, openSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { MergedRecords } from '../../src/capture/merge.ts'
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts'
import { Epoch } from '../../src/capture/record.ts'
import { requireTool, run } from '../tools.ts'
import { frame } from './bytes.ts'
import { input, ourLines, readAll, shippedCaptures, temporaryFolder, tsharkLines } from './reading.ts'

const folder = temporaryFolder()
const withTools = requireTool('tshark', 'capinfos')

/** Writes through a sink that takes its time, as a slow disk does. */
async function written(name: string, epoch: Epoch, fill: (writer: PcapngWriter) => void | Promise<void>) {
  const pieces: Uint8Array[] = []
  const writer = new PcapngWriter(
    async (bytes) => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      pieces.push(Uint8Array.from(bytes))
    },
    epoch,
    { comment: 'a test', os: 'an OS', hardware: 'a machine' },
  )
  await fill(writer)
  await writer.close()
  return folder.write(name, Buffer.concat(pieces))
}

function epochAt(seconds: number): Epoch {
  const epoch = new Epoch()
  epoch.seconds = seconds
  return epoch
}

const record = (size: number, timeNs: number, flags = 0) => {
  return { bytes: frame(size), start: 0, end: size, originalLenBytes: size + 5, timeNs, flags }
}

test('what is written is what is read', async () => {
  const times = [0, 999_999_999, -1, 4_294_967_296, -8_000_000_000_000_000, 8_000_000_000_000_000]
  const path = await written('own.pcapng', epochAt(1_700_000_000), (writer) => {
    expect(
      writer.addInterface({ name: 'eth0', linkType: 1, description: 'd', hardware: 'h', filter: 'tcp' }),
    ).toBe(0)
    expect(writer.addInterface({ name: 'any', linkType: 113, snapLenBytes: 96 })).toBe(1)
    times.forEach((timeNs, i) => {
      writer.addRecord(i % 2, record(40 + i, timeNs, i), i, { dropCount: i, comment: `nr ${i}` })
    })
    writer.addNames([
      [Uint8Array.of(10, 0, 0, 1), 'web'],
      [Uint8Array.from({ length: 16 }, (_, i) => i), 'db'],
    ])
    writer.addStatistics(0, { startNs: 0, endNs: 5, received: 9, dropped: 3 })
  })
  const { records, merged, warnings } = await readAll(path)
  expect(warnings).toEqual([])
  expect(records.map(({ timeNs }) => timeNs - 1_700_000_000n * 10n ** 9n)).toEqual(times.map(BigInt))
  expect(records.map(({ flags }) => flags)).toEqual([0, 1, 2, 3, 4, 5])
  expect(records.map(({ captured }) => captured)).toEqual(
    records.map(({ captured }) => frame(captured.length)),
  )
  expect(merged.points.map(({ name, captureDrops }) => [name, captureDrops])).toEqual([
    ['eth0', 3],
    ['any', 9],
  ])
  expect([...merged.names]).toEqual([
    ['10.0.0.1', 'web'],
    ['1:203:405:607:809:a0b:c0d:e0f', 'db'],
  ])
})

describe.skipIf(!withTools)('Wireshark reads it', () => {
  test('every field that is written', async () => {
    const path = await written('fields.pcapng', epochAt(1_700_000_000), (writer) => {
      writer.addInterface({
        name: 'eth0',
        linkType: 1,
        description: 'uplink',
        hardware: 'nic',
        filter: 'tcp port 80',
      })
      writer.addRecord(0, record(61, 5, 0x21), 77, { dropCount: 2, comment: 'först' })
      writer.addRecord(0, record(62, 6))
      writer.addStatistics(0, { startNs: 5, endNs: 6, received: 9, dropped: 3 })
      writer.addNames([[Uint8Array.of(10, 0, 0, 1), 'web']])
    })
    const columns = ['frame.time_epoch', 'frame.interface_name', 'frame.interface_description']
    columns.push('frame.packet_flags', 'frame.packet_id', 'frame.drop_count', 'frame.comment')
    const shown = run('tshark', '-n', '-r', path, '-T', 'fields', ...columns.flatMap((name) => ['-e', name]))
    expect(shown.split('\n')).toEqual([
      '1700000000.000000005\teth0\tuplink\t0x00000021\t77\t2\tförst',
      '1700000000.000000006\teth0\tuplink\t\t\t\t',
      '',
    ])
    const about = run('capinfos', path)
    expect(about).toContain('Capture application: hoptrace')
    expect(about).toContain('Capture comment:     a test')
    expect(about).toContain('Name = eth0')
    expect(about).toContain('Filter string = tcp port 80')
    expect(about).toContain('Number of stat entries = 1')
    expect(about).toContain('Time precision = nanoseconds (9)')
  })

  test('shipped captures, merged into one file', async () => {
    const merged = await MergedRecords.open(
      shippedCaptures()
        .filter((path) => path.includes('many-flows'))
        .map((path) => input(path)),
    )
    const path = await written('all.pcapng', merged.epoch, async (writer) => {
      const interfaces = merged.points.map(({ name, linkType }) => writer.addInterface({ name, linkType }))
      while (!merged.done) {
        while (merged.advance()) {
          writer.addRecord(interfaces[merged.point], merged.record)
          if (writer.full) await writer.flush()
        }
        if (!merged.done) await merged.fill()
      }
    })
    const { records, warnings } = await readAll(path)
    expect(warnings).toEqual([])
    expect(records).toHaveLength(7128)
    expect(ourLines(records, true)).toEqual(tsharkLines(path, true))
  })
})

test('a descriptor is written as the buffer fills', async () => {
  const path = folder.path('descriptor.pcapng')
  const fd = openSync(path, 'w')
  const writer = new PcapngWriter(fd, epochAt(0))
  writer.addInterface({ name: 'a', linkType: 1 })
  for (let i = 0; i < 5000; i++) writer.addRecord(0, record(100, i))
  expect(readFileSync(path).length).toBeGreaterThan(500_000)
  await writer.close()
  closeSync(fd)
  expect((await readAll(path)).records).toHaveLength(5000)
})

test('records that nobody flushes wait in a growing buffer', async () => {
  const path = await written('growing.pcapng', epochAt(0), (writer) => {
    writer.addInterface({ name: 'a', linkType: 1 })
    for (let i = 0; i < 5000; i++) writer.addRecord(0, record(100, i))
    writer.addRecord(0, record(300_000, 1))
    expect(writer.full).toBe(true)
  })
  expect((await readAll(path)).records).toHaveLength(5001)
})

test('an error of the sink comes out of flush', async () => {
  const writer = new PcapngWriter(() => Promise.reject(new Error('disk full')), epochAt(0))
  await expect(writer.flush()).rejects.toThrow('disk full')
})
