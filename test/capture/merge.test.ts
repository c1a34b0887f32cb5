import { describe, expect, test } from 'vitest'
import { MAX_INPUTS, MergedRecords } from '../../src/capture/merge.ts'
import { MAX_POINTS } from '../../src/capture/points.ts'
import { Epoch } from '../../src/capture/record.ts'
import { requireTool, run } from '../tools.ts'
import { Blocks, fields, frame, join, pcap } from './bytes.ts'
import { input, readAll, shippedCaptures, temporaryFolder, tsharkLines } from './reading.ts'

const folder = temporaryFolder()
const ng = new Blocks()

/** A µs file with records at these times. */
function at(name: string, ...micros: number[]): string {
  const records = micros.map((fraction) => ({ seconds: 1_700_000_000, fraction, bytes: frame(60) }))
  return folder.write(name, pcap(records))
}

test('one order of time, ties in the order of the inputs, a file keeps its own order', async () => {
  const paths = [at('a.pcap', 1, 5, 5, 3, 9), at('b.pcap', 0, 5, 9), at('c.pcap'), at('d.pcap', 5, 9)]
  const { records, merged } = await readAll(...paths)
  const order = records.map(({ point, timeNs }) => `${point}${(timeNs % 10n ** 9n) / 1000n}`)
  expect(order).toEqual(['b0', 'a1', 'a5', 'a5', 'a3', 'b5', 'd5', 'a9', 'b9', 'd9'])
  expect(merged.points.map(({ timeReversals }) => timeReversals)).toEqual([1, 0, 0, 0])
  expect(merged.progress().readBytes).toBe(merged.progress().totalBytes)
})

test('forty files, random bursts: the same as sorting', async () => {
  let seed = 1
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return (seed >>> 8) % below
  }
  const times = Array.from({ length: 40 }, () => {
    let now = random(1000)
    return Array.from({ length: 100 + random(300) }, () => (now += random(3) === 0 ? random(500) : 0))
  })
  const { records } = await readAll(
    ...times.map((micros, i) => at(`f${String(i).padStart(2, '0')}.pcap`, ...micros)),
  )
  const expected = times
    .flatMap((micros, i) => micros.map((time) => ({ time, i })))
    .sort((a, b) => a.time - b.time || a.i - b.i)
    .map(({ time, i }) => `f${String(i).padStart(2, '0')} ${time}`)
  expect(records.map(({ point, timeNs }) => `${point} ${(timeNs % 10n ** 9n) / 1000n}`)).toEqual(expected)
})

test.skipIf(!requireTool('mergecap', 'tshark'))('mergecap merges to the same times', async () => {
  const parts = shippedCaptures().filter((path) => path.includes('double-nat'))
  const path = folder.path('merged.pcap')
  run('mergecap', '-F', 'nsecpcap', '-w', path, ...parts)
  const { records } = await readAll(...parts)
  const time = (ns: bigint) => `${ns / 10n ** 9n}.${String(ns % 10n ** 9n).padStart(9, '0')}`
  expect(records.map(({ timeNs, original }) => `${time(timeNs)} ${original}`)).toEqual(
    tsharkLines(path, false).map((line) => line.replace(/^\d+\t(\S+)\t\d+\t(\d+)$/, '$1 $2')),
  )
})

test('the first time of every point is known before a record is given out', async () => {
  const merged = await MergedRecords.open([
    input(at('a.pcap', 1)),
    input(at('b.pcap', 7)),
    input(at('c.pcap')),
  ])
  expect(merged.points.map(({ firstNs }) => firstNs)).toEqual([1000, 7000, Number.NaN])
  expect(merged.points.map(({ packets }) => packets)).toEqual([0, 0, 0])
  await merged.close()
  expect(merged.done).toBe(true)
})

test('an epoch can be shared', async () => {
  const epoch = new Epoch()
  epoch.seconds = 1_699_999_999
  const merged = await MergedRecords.open([input(at('a.pcap', 1))], { epoch })
  expect(merged.points[0].firstNs).toBe(1_000_001_000)
  await merged.close()
})

describe('names of points', () => {
  const names = async (...inputs: Parameters<typeof readAll>) =>
    (await readAll(...inputs)).merged.points.map(({ name }) => name)
  const several = () =>
    folder.write(
      'several.pcapng',
      join(
        ng.section(),
        ng.interface([ng.option(2, 'eth0')]),
        ng.interface(),
        ng.interface([ng.option(2, 'eth0')]),
      ),
    )

  test('one interface: the name given, else the file', async () => {
    const one = folder.write('one.pcapng', join(ng.section(), ng.interface([ng.option(2, 'eth9')])))
    expect(await names(one)).toEqual(['one'])
    expect(await names(input(one, 'veth'))).toEqual(['veth'])
  })

  test('several interfaces: their own, else numbered; under the name given', async () => {
    expect(await names(several())).toEqual(['eth0', 'several:1', 'eth0#2'])
    expect(await names(input(several(), 'host'))).toEqual(['host:eth0', 'host:1', 'host:eth0#2'])
  })

  test('two files of one name', async () => {
    expect(await names(at('eth0.pcap', 1), folder.write('eth0.cap', pcap([])), several())).toEqual([
      'eth0',
      'eth0#2',
      'eth0#3',
      'several:1',
      'eth0#4',
    ])
  })

  test('nothing that moves the cursor or turns the text around survives', async () => {
    expect(await names(input(at('a.pcap', 1), '\x1b[31mred\u202Egpj\u200b\ud800'))).toEqual([
      '\\x1B[31mred\\u{202E}gpj\\u{200B}\\u{D800}',
    ])
    const [long] = await names(input(at('a.pcap', 1), 'x'.repeat(1000)))
    expect(long).toBe(`${'x'.repeat(59)}…`)
  })
})

describe('cooked files: a point for each interface index', () => {
  const cooked = (index: number, size = 40) => {
    const bytes = frame(size)
    bytes.set(fields(false, [4, index]).subarray(0, Math.max(0, size - 4)), 4)
    return { seconds: 1, fraction: 0, bytes }
  }

  test('in pcap, made as they come', async () => {
    const records = [cooked(3), cooked(2), cooked(3), cooked(0xffffffff), cooked(0, 4)]
    const { merged } = await readAll(folder.write('any.pcap', pcap(records, { linkType: 276 })))
    expect(merged.points.map(({ name, packets }) => [name, packets])).toEqual([
      ['any:3', 2],
      ['any:2', 1],
      ['any:4294967295', 1],
      ['any:0', 1],
    ])
    expect(merged.points.every(({ ended }) => ended)).toBe(true)
  })

  test('in pcapng, beside others; drops stand at each', async () => {
    const { merged } = await readAll(
      folder.write(
        'mix.pcapng',
        join(
          ng.section(),
          ng.interface([ng.option(2, 'eth0')]),
          ng.interface([ng.option(2, 'any')], 276),
          ng.packet(1, 1n, cooked(7).bytes),
          ng.packet(0, 1n, frame(60)),
          ng.packet(1, 2n, cooked(8).bytes),
          ng.statistics(1, ng.option(5, ng.fields([8, 4]))),
        ),
      ),
    )
    expect(merged.points.map(({ name, captureDrops }) => [name, captureDrops])).toEqual([
      ['eth0', null],
      ['any:7', 4],
      ['any:8', 4],
    ])
  })

  test('without a record there is still a point', async () => {
    const { merged } = await readAll(folder.write('any.pcap', pcap([], { linkType: 276 })))
    expect(merged.points).toMatchObject([{ name: 'any', packets: 0, ended: true }])
  })

  test('more points than can be meant: the rest is counted, not given out', async () => {
    const records = Array.from({ length: MAX_POINTS + 50 }, (_, i) => cooked(i))
    const {
      merged,
      records: seen,
      warnings,
    } = await readAll(folder.write('any.pcap', pcap(records, { linkType: 276 })))
    expect(seen).toHaveLength(MAX_POINTS)
    expect(merged.unassigned).toBe(50)
    expect(warnings).toEqual(['more than 1000 points: the 50 records of the others were left out'])
  })
})

test('too many captures at once', async () => {
  const one = input(at('a.pcap', 1))
  const many = Array.from({ length: MAX_INPUTS + 1 }, () => one)
  await expect(MergedRecords.open(many)).rejects.toThrow(
    '201 captures are too many to join at once (at most 200)',
  )
})
