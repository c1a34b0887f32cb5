import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TickClock } from '../../src/capture/tick-clock.ts'
import { requireTool } from '../tools.ts'
import { Blocks, frame, join } from './bytes.ts'
import { ourLines, readAll, temporaryFolder, tsharkLines } from './reading.ts'

const folder = temporaryFolder()

/** The definition, in integers of any size. */
function exactNs(ticks: bigint, tsresol: number, offset: bigint, epoch: bigint): bigint {
  const perSecond = (tsresol & 0x80 ? 2n : 10n) ** BigInt(tsresol & 0x7f)
  return (ticks * 1_000_000_000n) / perSecond + (offset - epoch) * 1_000_000_000n
}

/** Uniform bigints are nearly all close to 2^64. */
const ticksOfAnySize = fc
  .tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 63n }))
  .map(([bits, shift]) => bits >> shift)

test('every resolution gives the ns of the definition, for times within 104 days of the epoch', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 255 }),
      fc.bigInt({ min: -(2n ** 39n), max: 2n ** 39n }),
      ticksOfAnySize,
      fc.integer({ min: -8_000_000, max: 8_000_000 }),
      (tsresol, offset, ticks, distance) => {
        const clock = new TickClock(tsresol, offset)
        const high = Number(ticks >> 32n)
        const low = Number(ticks & 0xffffffffn)
        const epoch = clock.secondsOf(high, low) + distance
        // 35,000 years: beyond, even whole seconds pass 2^53 on the way.
        fc.pre(Math.abs(epoch) < 2 ** 40)
        clock.rebase(epoch)
        expect(BigInt(clock.toNs(high, low))).toBe(exactNs(ticks, tsresol, offset, BigInt(epoch)))
      },
    ),
    { numRuns: 20_000 },
  )
})

const RESOLUTIONS: [string, number, bigint][] = [
  ['seconds', 0, 1_700_000_000n],
  ['ms', 3, 1_700_000_000_123n],
  ['µs', 6, 1_700_000_000_123_456n],
  ['100 ns', 7, 17_000_000_001_234_567n],
  ['ns', 9, 1_700_000_000_123_456_789n],
  ['2^-10 s', 0x8a, (1_700_000_000n << 10n) + 1001n],
  ['2^-20 s', 0x94, (1_700_000_000n << 20n) + 1_000_001n],
  ['2^-30 s', 0x9e, (1_700_000_000n << 30n) + 1_000_000_001n],
  ['2^-33 s', 0xa1, (1_700_000_000n << 33n) + 7_000_000_001n],
]

// Finer than 2^-34 s or 10^-10 s Wireshark's own arithmetic overflows: there only the definition above is left.
test.skipIf(!requireTool('tshark')).each(RESOLUTIONS)('tshark agrees on %s', async (_, tsresol, ticks) => {
  const ng = new Blocks()
  const options = (offset: bigint) => [
    ng.option(9, ng.fields([1, tsresol])),
    ng.option(14, ng.fields([8, offset])),
  ]
  const path = folder.write(
    'ticks.pcapng',
    join(
      ng.section(),
      ng.interface(options(0n)),
      ng.interface(options(3600n)),
      ng.interface(options(-86400n)),
      ...[0n, 1n, 2n, 3n].flatMap((more) => [0, 1, 2].map((i) => ng.packet(i, ticks + more, frame(40)))),
    ),
  )
  const { records } = await readAll(path)
  expect(records).toHaveLength(12)
  expect(ourLines(records, true)).toEqual(tsharkLines(path, true))
})
