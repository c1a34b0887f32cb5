import { execFileSync, spawn } from 'node:child_process'
import * as zlib from 'node:zlib'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { requireTool } from '../tools.ts'
import { Blocks, frame, join, pcap } from './bytes.ts'
import { childReader } from './compiled.ts'
import { readAll, shippedBytes, temporaryFolder } from './reading.ts'

const folder = temporaryFolder()
const read = childReader()
const many = (count: number) =>
  pcap(
    Array.from({ length: count }, (_, i) => ({ seconds: 1_700_000_000, fraction: i, bytes: frame(100, i) })),
  )

describe('gzip', () => {
  test('several members are one file', async () => {
    const bytes = many(5000)
    const parts = [bytes.subarray(0, 100), bytes.subarray(100, 300_001), bytes.subarray(300_001)]
    const path = folder.write('members.pcap.gz', join(...parts.map((part) => gzipSync(part))))
    const { records, warnings, merged } = await readAll(path)
    expect(warnings).toEqual([])
    expect(records).toHaveLength(5000)
    expect(merged.points[0].name).toBe('members')
  })

  test.each([1, 5, 8, 9, 100, 10_000, 30_000])(
    '%i bytes cut off: everything that was whole, and one line',
    async (cut) => {
      const bytes = many(5000)
      const whole = gzipSync(bytes)
      const path = folder.write('cut.pcap.gz', whole.subarray(0, whole.length - cut))
      // What zlib makes of it when asked for all it can.
      const there = zlib.gunzipSync(whole.subarray(0, whole.length - cut), {
        finishFlush: zlib.constants.Z_SYNC_FLUSH,
      })
      const { records, warnings, merged } = await readAll(path)
      expect(records).toHaveLength(Math.floor((there.length - 24) / 116))
      expect(warnings).toHaveLength(1)
      expect(warnings[0]).toMatch(
        /^cut.pcap.gz: the gzip data is cut short: cut .* of the decompressed data: the \d+ records/,
      )
      expect(merged.damages[0].byteOffset).toBe(24 + 116 * records.length)
    },
  )

  test('a wrong checksum at the end costs no record', async () => {
    const whole = gzipSync(many(100))
    whole[whole.length - 8] ^= 1
    const { records, warnings } = await readAll(folder.write('crc.pcap.gz', whole))
    expect(records).toHaveLength(100)
    expect(warnings[0]).toContain(
      'the gzip data is damaged (incorrect data check): cut at byte 11624 of the decomp',
    )
  })

  test('damage inside keeps what came before it', async () => {
    const whole = gzipSync(many(50_000), { level: 0 })
    whole.fill(0xff, 3_000_000, 3_001_000)
    const { records, warnings } = await readAll(folder.write('inside.pcap.gz', whole))
    expect(records.length).toBeGreaterThan(20_000)
    expect(warnings).toHaveLength(1)
  })

  test('cut before the capture in it begins', async () => {
    const path = folder.write('early.pcap.gz', gzipSync(many(100)).subarray(0, 12))
    await expect(readAll(path)).rejects.toThrow(
      'early.pcap.gz: the gzip data is cut short, before the capture in it',
    )
  })

  test('something else inside', async () => {
    const path = folder.write('text.gz', gzipSync('just some text'))
    await expect(readAll(path)).rejects.toThrow('it begins with "just some…" when decompressed')
    await expect(readAll(folder.write('none.gz', gzipSync('')))).rejects.toThrow(
      'none.gz: empty when decompressed',
    )
  })

  test('a decompression bomb is stepped over in bounded memory', async () => {
    const ng = new Blocks()
    // 1 GiB of zeros in one block, as 64 gzip members of 16 MiB.
    const megabytes = gzipSync(new Uint8Array(1 << 24))
    const count = 64
    const length = count * (1 << 24) + 12
    const bomb = join(
      gzipSync(
        join(ng.section(), ng.interface(), ng.packet(0, 1n, frame(60)), ng.fields([4, 77], [4, length])),
      ),
      ...Array.from({ length: count }, () => megabytes),
      gzipSync(join(ng.fields([4, length]), ng.packet(0, 2n, frame(60)))),
    )
    const path = folder.write('bomb.pcapng.gz', bomb)
    const { records, warnings, peakMb } = await read(`hoptrace ${path}`)
    expect(warnings).toEqual([])
    expect(records).toBe(2)
    expect(peakMb).toBeLessThan(150)
  })
})

describe('zstd', () => {
  // What there is to test depends on the Node that runs: each has its one test.
  const supported = 'createZstdDecompress' in zlib

  test.skipIf(!requireTool('zstd'))(
    supported ? 'this Node reads it' : 'this older Node says what to do',
    async () => {
      const path = folder.write('new.pcap', many(5000))
      execFileSync('zstd', ['-q', '-f', path])
      const reading = readAll(`${path}.zst`)
      if (supported) expect((await reading).records).toHaveLength(5000)
      else await expect(reading).rejects.toThrow(/new.pcap.zst: zstd needs Node 22.15 .* `zstd -d`/)
    },
  )
})

describe('pipes', () => {
  const capture = () => folder.write('piped.pcap', shippedBytes('hairpin/bridge'))
  const zipped = () => folder.write('piped.pcap.gz', gzipSync(shippedBytes('hairpin/bridge')))

  test.each([
    ['standard input from a pipe', () => `cat ${capture()} | hoptrace -`, 'stdin'],
    ['standard input from a file', () => `hoptrace - < ${capture()}`, 'stdin'],
    ['gzip through standard input', () => `cat ${zipped()} | hoptrace -`, 'stdin'],
    ['a name for standard input', () => `cat ${zipped()} | hoptrace veth=-`, 'veth'],
    ['/dev/stdin', () => `cat ${capture()} | hoptrace /dev/stdin`, 'stdin'],
    ['process substitution', () => `hoptrace eth0=<(cat ${capture()})`, 'eth0'],
    [
      'a slow writer',
      () => `(head -c 30; sleep 0.3; head -c 900; sleep 0.3; cat) < ${capture()} | hoptrace -`,
      'stdin',
    ],
  ])('%s', async (_, shell, name) => {
    const { records, points, warnings } = await read(shell())
    expect(warnings).toEqual([])
    expect(records).toBe(46)
    expect(points).toEqual([[name, 46]])
  })

  test('six FIFOs whose writers come late and one after the other', async () => {
    const names = [1, 2, 3, 4, 5, 6].map((i) => folder.path(`fifo${i}`))
    for (const name of names) execFileSync('mkfifo', [name])
    const writers = names.map((name) => `sleep 0.1; cat ${capture()} > ${name}`).join('; ')
    const writing = spawn('bash', ['-c', writers])
    const { records, merged } = await readAll(...names)
    expect(records).toHaveLength(6 * 46)
    expect(merged.points.map(({ name }) => name)).toEqual(names.map((_, i) => `fifo${i + 1}`))
    expect(merged.progress().totalBytes).toBeNull()
    await new Promise((resolve) => {
      if (writing.exitCode !== null) resolve(0)
      else writing.on('close', resolve)
    })
  })

  test('a pipe that gives nothing', async () => {
    await expect(read('hoptrace - < /dev/null')).rejects.toThrow('-: empty, not a capture file')
    await expect(read('true | hoptrace -')).rejects.toThrow('-: empty, not a capture file')
    await expect(read('hoptrace <(true)')).rejects.toThrow('empty, not a capture file')
  })
})
