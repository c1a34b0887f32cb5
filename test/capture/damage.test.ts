import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ByteSource } from '../../src/capture/byte-source.ts'
import { ByteWindow } from '../../src/capture/byte-window.ts'
import { PcapReader } from '../../src/capture/pcap.ts'
import { PcapngReader } from '../../src/capture/pcapng.ts'
import type { RecordReader } from '../../src/capture/reader.ts'
import { Epoch } from '../../src/capture/record.ts'
import { HoptraceError } from '../../src/errors.ts'
import { Blocks, fields, frame, join, pcap } from './bytes.ts'
import { readAll, shippedBytes, temporaryFolder } from './reading.ts'

const folder = temporaryFolder()

/** Gives bytes in pieces of the sizes told, over and over: pipes may cut anywhere. */
class PieceSource implements ByteSource {
  readonly compression = null
  readonly sizeBytes = null
  consumedBytes = 0
  private turn = 0
  private readonly bytes: Uint8Array
  private readonly pieces: readonly number[]

  constructor(bytes: Uint8Array, pieces: readonly number[]) {
    this.bytes = bytes
    this.pieces = pieces
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const size = Math.min(this.pieces[this.turn++ % this.pieces.length], into.length - offset)
    const piece = this.bytes.subarray(this.consumedBytes, this.consumedBytes + size)
    into.set(piece, offset)
    this.consumedBytes += piece.length
    return piece.length
  }

  async close(): Promise<void> {}
}

/** All frames' numbers, offsets and bytes, through a window with tiny chunks. */
async function readPieces(bytes: Uint8Array, pieces: readonly number[] = [1 << 20], chunkBytes = 64) {
  const window = new ByteWindow(new PieceSource(bytes, pieces), chunkBytes)
  await window.fill(28)
  const isPcapng = bytes[0] === 0x0a
  const reader: RecordReader = isPcapng
    ? new PcapngReader('x', window, new Epoch(), new Map())
    : new PcapReader('x', window, new Epoch())
  const seen: { fileOffset: number; captured: string }[] = []
  let turns = 0
  while (!reader.ended) {
    if (reader.advance()) {
      const { record } = reader
      const captured = Buffer.from(record.bytes.subarray(record.start, record.end)).toString('latin1')
      seen.push({ fileOffset: record.fileOffset, captured })
    } else if (reader.needsBytes) await reader.fill()
    if (turns++ > bytes.length + 1000) throw new Error('does not come to an end')
  }
  return { seen, reader }
}

const ng = new Blocks()
const PCAPNG = join(
  ng.section(ng.option(4, 'test')),
  ng.interface([ng.option(2, 'eth0'), ng.option(9, ng.fields([1, 9]))]),
  ...Array.from({ length: 12 }, (_, i) =>
    ng.packet(0, 1_700_000_000_000_000_000n + BigInt(i), frame(40 + i, i)),
  ),
  ng.names(ng.option(1, Uint8Array.of(10, 0, 0, 1, 97, 0))),
  ng.simple(frame(60)),
  ng.statistics(0, ng.option(5, ng.fields([8, 5]))),
  ng.section(),
  ng.interface([ng.option(2, 'eth1')]),
  ng.obsolete(0, 1, 1_700_000_000_000_000n, frame(60)),
)
const SAMPLES: [string, Uint8Array][] = [
  ['pcap of ns', shippedBytes('hairpin/bridge')],
  ['pcap of µs with a snaplen', shippedBytes('microseconds-snaplen/bridge')],
  ['cooked pcap', shippedBytes('any-cooked/any')],
  ['pcapng', PCAPNG],
]

describe.each(SAMPLES)('%s', (_, bytes) => {
  const headerBytes = bytes[0] === 0x0a ? 28 : 24

  test('pieces of any size give the same records', async () => {
    const { seen: whole } = await readPieces(bytes)
    expect(whole.length).toBeGreaterThan(10)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 5000 }),
        async (pieces, chunkBytes) => {
          const { seen, reader } = await readPieces(bytes, pieces, chunkBytes)
          expect(seen).toEqual(whole)
          expect(reader.damage).toBeNull()
        },
      ),
      { numRuns: 50 },
    )
  })

  test('cut at any byte, exactly the whole records before it are read', async () => {
    const { seen: whole } = await readPieces(bytes)
    const ends = whole.map(({ fileOffset, captured }) => endOf(bytes, fileOffset, captured.length))
    for (let cut = headerBytes; cut < bytes.length; cut += bytes.length > 3000 ? 7 : 1) {
      const { seen, reader } = await readPieces(bytes.subarray(0, cut), [1 << 20], 1 << 16)
      const kept = ends.filter((end) => end <= cut).length
      expect(seen).toEqual(whole.slice(0, kept))
      if (reader.damage !== null) {
        expect(reader.damage.records).toBe(kept)
        expect(reader.damage.message).toContain(`at byte ${reader.damage.byteOffset}: `)
        expect(reader.damage.byteOffset).toBeLessThanOrEqual(cut)
      } else if (headerBytes === 24) {
        expect([24, ...ends]).toContain(cut)
      }
    }
  })

  test('changed bytes: no crash, no hang, and what comes is inside the file', async () => {
    const change = fc.record({
      at: fc.nat(bytes.length - 1),
      value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 0x7f, 0x80, 0xff)),
      run: fc.integer({ min: 1, max: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
        const mutated = Uint8Array.from(bytes)
        for (const { at, value, run } of changes) mutated.fill(value, at, at + run)
        mutated.set(bytes.subarray(0, 4))
        const { seen, reader } = await readPieces(mutated, [1 << 20], 1 << 12).catch((error) => {
          if (error instanceof HoptraceError) return { seen: [], reader: null }
          throw error
        })
        const total = seen.reduce((sum, { captured }) => sum + captured.length, 0)
        expect(total).toBeLessThanOrEqual(mutated.length)
        if (reader?.damage) expect(reader.damage.message).not.toMatch(/\n|undefined|NaN/)
      }),
      { numRuns: 400 },
    )
  })
})

/** Where a record ends in the file: pcapng blocks say it themselves. */
function endOf(bytes: Uint8Array, at: number, captured: number): number {
  return bytes[0] === 0x0a
    ? at + new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 4, true)
    : at + 16 + captured
}

test('any bytes behind a magic: no crash, no hang', async () => {
  const magics = [0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34].map((magic) => pcap([], { magic }))
  const heads = [...magics, join(ng.section(), ng.interface())]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 500 }), async (head, rest) => {
      await readPieces(join(head, rest))
    }),
    { numRuns: 1000 },
  )
})

describe('the line that says where a file breaks off', () => {
  const record = { seconds: 1, fraction: 0, bytes: frame(60) }

  test.each([
    [
      'in a record',
      pcap([record, record, record]).subarray(0, 200),
      'in the middle of record 3, which begins at byte 176: the 2 records before it were read',
    ],
    [
      'in a record header',
      pcap([record]).subarray(0, 30),
      'in the middle of record 1, which begins at byte 24: no record before it',
    ],
    [
      'behind one record',
      pcap([record, record]).subarray(0, 101),
      'in the middle of record 2, which begins at byte 100: the record before it was read',
    ],
  ])('%s', async (_, bytes, line) => {
    const { warnings } = await readAll(folder.write('cut.pcap', bytes))
    expect(warnings).toEqual([`cut.pcap: cut ${line}`])
  })

  test('a record of 4 GB', async () => {
    const huge = fields(true, [4, 1], [4, 0], [4, 0xffffffff], [4, 0xffffffff])
    const { warnings, records } = await readAll(
      folder.write('huge.pcap', join(pcap([record]), huge, frame(60))),
    )
    expect(records).toHaveLength(1)
    expect(warnings).toEqual([
      'huge.pcap: damaged: record 2 claims 4294967295 bytes, at byte 100: the record before it was read',
    ])
  })

  test('4 GB and a snaplen that would allow them', async () => {
    const huge = fields(true, [4, 1], [4, 0], [4, 0xffffffff], [4, 0xffffffff])
    const bytes = join(pcap([record], { snapLen: 0xffffffff }), huge, frame(60))
    const { warnings } = await readAll(folder.write('huge.pcap', bytes))
    expect(warnings[0]).toContain('record 2 claims 4294967295 bytes')
  })
})

describe('files that are no capture', () => {
  test.each([
    [
      'notes.pcap',
      new TextEncoder().encode('hello world, these are notes'),
      'begins with "hello wor…" (expected pcap, pcapng or gzip): give a file that',
    ],
    ['esc.pcap', Uint8Array.of(0x1b, 0x5b, 0x33, 0x31, 0x6d, 0xff), 'begins with ".[31m." (expected'],
    [
      'a.xz',
      Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0),
      'compressed with xz: decompress it with `xz -d`',
    ],
    ['a.zip', Uint8Array.of(0x50, 0x4b, 3, 4, 0), 'it is a zip archive: unpack it'],
    ['tiny.pcap', Uint8Array.of(0xd4, 0xc3), 'begins with ".."'],
    ['header.pcap', pcap([]).subarray(0, 23), 'the file is cut inside its header, 23 of 24 bytes are there'],
    ['section.pcapng', ng.section().subarray(0, 20), 'the file is cut inside its section header'],
    ['empty.pcap', new Uint8Array(0), 'empty.pcap: empty, not a capture file'],
  ])('%s', async (name, bytes, message) => {
    const path = folder.write(name, bytes)
    const error = await readAll(path).catch((caught) => caught)
    expect(error).toBeInstanceOf(HoptraceError)
    expect(error.message).toContain(message)
    expect(error.message.startsWith(`${name}: `)).toBe(true)
    expect(error.exitCode).toBe(2)
  })
})
