import { describe, expect, test } from 'vitest'
import { requireTool, run } from '../tools.ts'
import { Blocks, fields, frame, join } from './bytes.ts'
import { ourLines, readAll, shippedBytes, shippedCaptures, temporaryFolder, tsharkLines } from './reading.ts'

const folder = temporaryFolder()
const withTshark = requireTool('tshark', 'editcap', 'mergecap')
const T0 = 1_700_000_000n
const le = new Blocks(true)
const be = new Blocks(false)

/** Writes a file and holds it against tshark. */
async function readLikeTshark(...blocks: Uint8Array[]) {
  const path = folder.write('made.pcapng', join(...blocks))
  const seen = await readAll(path)
  if (withTshark) {
    // Lines without an interface are blocks that Wireshark numbers as frames.
    const packets = tsharkLines(path, true).filter((line) => !line.endsWith('\t'))
    expect(ourLines(seen.records, true)).toEqual(packets)
  }
  return seen
}

describe.skipIf(!withTshark)('files that the Wireshark programs write', () => {
  const source = () => folder.write('source.pcap', shippedBytes('hairpin/bridge'))

  test.each(['pcapng', 'nsecpcap', 'pcap'])('editcap -F %s', async (format) => {
    const path = folder.path(`converted.${format}`)
    run('editcap', '-F', format, source(), path)
    const { records, warnings } = await readAll(path)
    expect(warnings).toEqual([])
    expect(records).toHaveLength(46)
    expect(ourLines(records, format === 'pcapng')).toEqual(tsharkLines(path, format === 'pcapng'))
  })

  test('mergecap: an interface for each file, a point for each interface', async () => {
    const path = folder.path('merged.pcapng')
    const parts = shippedCaptures().filter((name) => name.includes('outbound-masquerade'))
    run('mergecap', '-I', 'none', '-w', path, ...parts)
    const { records, merged, warnings } = await readAll(path)
    expect(warnings).toEqual([])
    expect(ourLines(records, true)).toEqual(tsharkLines(path, true))
    expect(merged.points.map(({ name, packets }) => [name, packets])).toEqual([
      ['merged:0', 24],
      ['merged:1', 24],
      ['merged:2', 25],
      ['merged:3', 24],
    ])
    // The points together are what the files are one by one.
    const alone = await readAll(...parts)
    expect(alone.records.map(({ timeNs }) => timeNs)).toEqual(records.map(({ timeNs }) => timeNs))
  })
})

describe.each([le, be])('little-endian $littleEndian', (ng) => {
  test('enhanced, simple and obsolete packets', async () => {
    const { records, merged, warnings } = await readAll(
      folder.write(
        'kinds.pcapng',
        join(
          ng.section(ng.option(4, 'a test')),
          ng.interface([ng.option(2, 'eth0')], 1, 50),
          ng.packet(0, T0 * 1_000_000n + 5n, frame(50), [ng.option(2, ng.fields([4, 0x21]))], 99),
          ng.simple(frame(50), 1400),
          ng.simple(frame(33)),
          ng.obsolete(0, 3, T0 * 1_000_000n + 6n, frame(21)),
          ng.obsolete(0, 0xffff, T0 * 1_000_000n + 7n, frame(22)),
          ng.packet(0, T0 * 1_000_000n + 8n, frame(23), [ng.option(4, ng.fields([8, 4]))]),
        ),
      ),
    )
    expect(warnings).toEqual([])
    expect(records.map(({ captured }) => captured)).toEqual(
      [50, 50, 33, 21, 22, 23].map((size) => frame(size)),
    )
    expect(records.map(({ original }) => original)).toEqual([99, 1400, 33, 21, 22, 23])
    expect(records.map(({ timeNs }) => timeNs - T0 * 10n ** 9n)).toEqual([
      5000n,
      5000n,
      5000n,
      6000n,
      7000n,
      8000n,
    ])
    expect(records.map(({ flags }) => flags)).toEqual([0x21, 0, 0, 0, 0, 0])
    expect(merged.points).toMatchObject([{ name: 'kinds', packets: 6, snapped: 2, captureDrops: 7 }])
  })

  test('tshark reads the same packets', async () => {
    const { records } = await readLikeTshark(
      ng.section(),
      ng.interface([], 1, 50),
      ng.interface([ng.option(9, ng.fields([1, 9]))]),
      ng.packet(0, T0 * 1_000_000n + 5n, frame(50), [], 99),
      ng.packet(1, T0 * 1_000_000_000n + 7n, frame(60)),
      ng.obsolete(0, 3, T0 * 1_000_000n + 6n, frame(21)),
    )
    expect(records).toHaveLength(3)
  })

  test('blocks that nothing is read of are stepped over', async () => {
    const { records, warnings } = await readLikeTshark(
      ng.section(),
      ng.interface(),
      ng.block(9, new TextEncoder().encode('MESSAGE=hello\n__REALTIME_TIMESTAMP=1000\n')),
      ng.block(0x0000000a, ng.fields([4, 0x544c534b], [4, 4], [4, 0x41424344])),
      ng.packet(0, T0 * 1_000_000n, frame(40, 1)),
      ng.block(0x00000bad, ng.fields([4, 32473]), new Uint8Array(300_000)),
      ng.packet(0, T0 * 1_000_000n, frame(41, 1)),
      ng.block(0x80001234, new Uint8Array(8)),
      ng.block(0x40000bad, ng.fields([4, 32473])),
      ng.packet(0, T0 * 1_000_000n, frame(42, 1)),
    )
    expect(warnings).toEqual([])
    expect(records.map(({ captured }) => captured.length)).toEqual([40, 41, 42])
  })

  test('statistics give the drops, names give names', async () => {
    const v6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    const text = (name: string) => new TextEncoder().encode(`${name}\0other\0`)
    const { merged, warnings } = await readAll(
      folder.write(
        'drops.pcapng',
        join(
          ng.section(),
          ng.interface([ng.option(2, 'a')]),
          ng.interface([ng.option(2, 'b')]),
          ng.interface([ng.option(2, 'c')]),
          ng.names(
            ng.option(1, join(Uint8Array.of(10, 0, 0, 1), text('web'))),
            ng.option(2, join(v6, text('db\u202e'))),
            ng.option(7, Uint8Array.of(1, 2, 3)),
            ng.option(1, Uint8Array.of(10, 0)),
          ),
          ng.packet(0, T0, frame(40), [ng.option(4, ng.fields([8, 99]))]),
          ng.statistics(0, ng.option(5, ng.fields([8, 5])), ng.option(7, ng.fields([8, 2]))),
          ng.statistics(1, ng.option(4, ng.fields([8, 5]))),
          ng.statistics(2, ng.option(5, ng.fields([8, 0]))),
          ng.statistics(77, ng.option(5, ng.fields([8, 1]))),
        ),
      ),
    )
    expect(warnings).toEqual([])
    expect(merged.points.map(({ captureDrops }) => captureDrops)).toEqual([7, null, 0])
    expect([...merged.names]).toEqual([
      ['10.0.0.1', 'web'],
      ['2001:db8::1', 'db\\u{202E}'],
    ])
  })
})

test('sections of both byte orders in a row: their interfaces are counted on', async () => {
  const { records, merged, warnings } = await readAll(
    folder.write(
      'sections.pcapng',
      join(
        ...[le, be, le].flatMap((ng, i) => [
          ng.section(),
          ng.interface([ng.option(2, `if${i}`)]),
          ng.packet(0, T0 * 1_000_000n + BigInt(i), frame(40, i)),
        ]),
      ),
    ),
  )
  expect(warnings).toEqual([])
  expect(records.map(({ interfaceIndex, point }) => [interfaceIndex, point])).toEqual([
    [0, 'sections'],
    [1, 'if1'],
    [2, 'if2'],
  ])
  expect(merged.points).toHaveLength(3)
})

test('a packet larger than the buffers is whole, and what follows it too', async () => {
  const sizes = [40, 300_000, 41, 3_000_001, 131_000, 131_072, 131_073, 42]
  const { records, warnings } = await readAll(
    folder.write(
      'large.pcapng',
      join(
        le.section(),
        le.interface(),
        ...sizes.map((size, i) => le.packet(0, T0 * 1_000_000n, new Uint8Array(size).fill(i + 1))),
      ),
    ),
  )
  expect(warnings).toEqual([])
  expect(records.map(({ captured }) => [captured.length, captured[0], captured.at(-1)])).toEqual(
    sizes.map((size, i) => [size, i + 1, i + 1]),
  )
})

describe('damage: what was whole is kept, one line says where it ends', () => {
  const start = [le.section(), le.interface(), le.packet(0, T0 * 1_000_000n, frame(40))]
  const at = join(...start).length
  const cases: [string, Uint8Array, RegExp][] = [
    [
      'a trailing length that differs',
      join(fields(true, [4, 6], [4, 36], [8, 0], [8, 0], [8, 0], [4, 32])),
      /36 in front and 32 behind/,
    ],
    ['a length that is no multiple of four', fields(true, [4, 6], [4, 37], [8, 0]), /type 6 claims 37 bytes/],
    [
      'a length below the fixed fields',
      fields(true, [4, 6], [4, 28], [8, 0], [8, 0], [4, 28]),
      /type 6 claims 28 bytes/,
    ],
    ['a packet of 4 GB', fields(true, [4, 6], [4, 0xfffffffc], [8, 0]), /type 6 claims 4294967292 bytes/],
    [
      'a captured length beyond the block',
      le.block(6, le.fields([4, 0], [8, 0], [4, 5], [4, 5])),
      /record 2 claims 5 bytes/,
    ],
    [
      'an interface that is not described',
      le.packet(1, 0n, frame(40)),
      /interface 1, which is not described/,
    ],
    [
      'an unknown block of 4 GB',
      fields(true, [4, 99], [4, 0xfffffffc], [8, 0]),
      /cut in the middle of a block/,
    ],
    [
      'an unknown block with another length behind',
      join(fields(true, [4, 99], [4, 400_000]), new Uint8Array(400_000)),
      /400000 in front and 0 behind/,
    ],
    [
      'a section without byte order',
      fields(true, [4, 0x0a0d0d0a], [4, 28], [8, 0], [8, 0], [4, 28]),
      /a section without a byte order/,
    ],
    ['a block header that is cut', fields(true, [4, 6], [4, 60]), /cut in the middle of a block/],
    ['a packet that is cut', le.packet(0, T0, frame(40)).subarray(0, 50), /cut in the middle of record 2/],
  ]

  test.each(cases)('%s', async (_, bytes, cause) => {
    const { records, warnings, merged } = await readAll(folder.write('bad.pcapng', join(...start, bytes)))
    expect(records).toHaveLength(1)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(cause)
    expect(warnings[0]).toContain(`at byte ${at}: the record before it was read`)
    expect(merged.damages).toEqual([
      { source: 'bad.pcapng', byteOffset: at, records: 1, message: warnings[0] },
    ])
  })
})

test('a file without an interface has no point, and says so', async () => {
  const { merged, warnings } = await readAll(folder.write('none.pcapng', le.section()))
  expect(merged.points).toEqual([])
  expect(warnings).toEqual(['none.pcapng: describes no interface: there is no point in it'])
})

test('simple packets alone have no time', async () => {
  const { records, merged } = await readAll(
    folder.write(
      'simple.pcapng',
      join(le.section(), le.interface(), le.simple(frame(40)), le.simple(frame(41))),
    ),
  )
  expect(records.map(({ captured }) => captured.length)).toEqual([40, 41])
  expect(merged.epoch.seconds).toBe(0)
})
