import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import pcapParser from 'pcap-parser'
import { describe, expect, test } from 'vitest'
import { requireTool, run } from '../tools.ts'
import { frame, type PcapOptions, pcap } from './bytes.ts'
import { ourLines, readAll, shippedBytes, shippedCaptures, temporaryFolder, tsharkLines } from './reading.ts'

const folder = temporaryFolder()
const RECORDS = [
  { seconds: 1_700_000_000, fraction: 999_999, bytes: frame(60, 1) },
  { seconds: 1_700_000_001, fraction: 0, bytes: frame(61, 2), original: 1500 },
  { seconds: 1_700_000_001, fraction: 5, bytes: new Uint8Array(0), original: 60 },
  { seconds: 4_294_967_295, fraction: 1, bytes: frame(200, 3) },
]
const MAGICS = [0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34]
const VARIANTS: PcapOptions[] = MAGICS.flatMap((magic) => [
  { magic, littleEndian: true },
  { magic, littleEndian: false },
])

describe.each(VARIANTS)('magic $magic, little-endian $littleEndian', (options) => {
  test('every record comes out as it went in', async () => {
    const { records, warnings } = await readAll(folder.write('variant.pcap', pcap(RECORDS, options)))
    const nsPerFraction = options.magic === 0xa1b23c4d ? 1n : 1000n
    expect(warnings).toEqual([])
    expect(records.map(({ captured }) => captured)).toEqual(RECORDS.map(({ bytes }) => bytes))
    expect(records.map(({ original }) => original)).toEqual([60, 1500, 60, 200])
    // The last is 82 years behind the epoch: float64 is no longer exact there.
    expect(records.slice(0, 3).map(({ timeNs }) => timeNs)).toEqual(
      RECORDS.slice(0, 3).map(
        ({ seconds, fraction }) => BigInt(seconds) * 10n ** 9n + BigInt(fraction) * nsPerFraction,
      ),
    )
  })

  test.skipIf(!requireTool('tshark'))('tshark reads the same', async () => {
    const path = folder.write('variant.pcap', pcap(RECORDS.slice(0, 3), options))
    const { records } = await readAll(path)
    expect(ourLines(records, false)).toEqual(tsharkLines(path, false))
  })
})

describe.skipIf(!requireTool('tshark'))('tshark reads the same in', () => {
  const some = shippedCaptures().filter((path) =>
    /(hairpin|snaplen|many-flows).bridge|cooked.any|dns.lo/.test(path),
  )
  test.each(some)('%s', async (path) => {
    const { records, warnings } = await readAll(path)
    expect(warnings).toEqual([])
    expect(ourLines(records, false)).toEqual(tsharkLines(path, false))
  })
})

test.skipIf(!requireTool('capinfos'))(
  'capinfos counts the same packets and bytes in every capture',
  async () => {
    const captures = shippedCaptures()
    expect(captures.length).toBeGreaterThan(60)
    const [, ...rows] = run('capinfos', '-T', '-M', '-c', '-d', ...captures)
      .trimEnd()
      .split('\n')
    for (const [i, path] of captures.entries()) {
      const { merged } = await readAll(path)
      const sum = (of: 'packets' | 'bytes') => merged.points.reduce((all, point) => all + point[of], 0)
      expect([path, String(sum('packets')), String(sum('bytes'))]).toEqual(rows[i].split('\t'))
    }
  },
)

/** What pcap-parser, which has other authors, makes of a µs file. */
function witness(
  path: string,
): Promise<{ seconds: number; micros: number; data: Buffer; original: number }[]> {
  return new Promise((resolve, reject) => {
    const seen: { seconds: number; micros: number; data: Buffer; original: number }[] = []
    const parser = pcapParser.parse(createReadStream(path))
    parser.on('packet', ({ header, data }) => {
      const { timestampSeconds, timestampMicroseconds, originalLength } = header
      seen.push({
        seconds: timestampSeconds,
        micros: timestampMicroseconds,
        data: Buffer.from(data),
        original: originalLength,
      })
    })
    parser.on('end', () => resolve(seen))
    parser.on('error', reject)
  })
}

describe('pcap-parser as an independent witness', () => {
  const names = [
    'microseconds-snaplen/bridge',
    'microseconds-snaplen/uplink',
    'microseconds-snaplen/container',
  ]
  const files = names.map((name) => [basename(name), () => shippedBytes(name)] as const)
  const made = [true, false].map((littleEndian) => {
    return [`little-endian ${littleEndian}`, () => pcap(RECORDS, { littleEndian })] as const
  })

  test.each([...files, ...made])('%s', async (_, bytes) => {
    const path = folder.write('witness.pcap', bytes())
    const { records } = await readAll(path)
    const theirs = await witness(path)
    expect(records.length).toBeGreaterThan(0)
    expect(records.map(({ captured }) => Buffer.from(captured))).toEqual(theirs.map(({ data }) => data))
    expect(records.map(({ original }) => original)).toEqual(theirs.map(({ original }) => original))
    const near = (ns: bigint) => ns < 2n * 10n ** 18n
    expect(records.map(({ timeNs }) => timeNs).filter(near)).toEqual(
      theirs.map(({ seconds, micros }) => BigInt(seconds) * 10n ** 9n + BigInt(micros) * 1000n).filter(near),
    )
  })
})

test('the bits above the link type tell of checksums and are not part of it', async () => {
  const { merged } = await readAll(folder.write('fcs.pcap', pcap(RECORDS, { linkType: 0x2400_0001 })))
  expect(merged.points[0].linkType).toBe(1)
})

test('a snaplen above the ordinary bound allows longer records', async () => {
  const bytes = new Uint8Array(400_000).fill(7)
  const long = [RECORDS[0], { seconds: 1_700_000_000, fraction: 0, bytes }, RECORDS[1]]
  const ordinary = await readAll(folder.write('long.pcap', pcap(long)))
  expect(ordinary.records).toHaveLength(1)
  expect(ordinary.warnings[0]).toMatch(
    /^long.pcap: damaged: record 2 claims 400000 bytes, at byte 100: the record/,
  )
  const declared = await readAll(folder.write('long.pcap', pcap(long, { snapLen: 1 << 20 })))
  expect(declared.records.map(({ captured }) => captured)).toEqual(long.map((record) => record.bytes))
  expect(declared.warnings).toEqual([])
})

test('an unknown version is an error that names it', async () => {
  const path = folder.write('version.pcap', pcap(RECORDS, { major: 3 }))
  await expect(readAll(path)).rejects.toThrow('version.pcap: pcap version 3.4 is not known (expected 2.4)')
})

test('counters of a point: packets, bytes, snapped records, times and their reversals', async () => {
  const { merged } = await readAll(folder.write('count.pcap', pcap([RECORDS[1], RECORDS[0], RECORDS[2]])))
  expect(merged.points).toEqual([
    {
      index: 0,
      name: 'count',
      source: 'count.pcap',
      linkType: 1,
      next: null,
      clock: null,
      gaps: [],
      packets: 3,
      bytes: 1620,
      firstNs: -1_000,
      lastNs: 5_000,
      captureDrops: null,
      timeReversals: 1,
      largestReversalNs: 1_000,
      snapped: 2,
      ended: true,
    },
  ])
})

test('a file with a header and no record is a point without packets', async () => {
  const { merged, warnings } = await readAll(folder.write('quiet.pcap', pcap([])))
  expect(warnings).toEqual([])
  expect(merged.points).toMatchObject([{ name: 'quiet', packets: 0, firstNs: Number.NaN, ended: true }])
  expect(merged.epoch.toUnixNs(0)).toBe(0n)
})
