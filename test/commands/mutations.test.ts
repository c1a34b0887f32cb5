import { readFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { HoptraceError } from '../../src/errors.ts'
import { renderFlowDetail } from '../../src/report/flow-detail.ts'
import { renderJourneyLine } from '../../src/report/journey-lines.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderPacketLine } from '../../src/report/packet-line.ts'
import { renderText } from '../../src/report/text.ts'
import { Blocks, join } from '../capture/bytes.ts'
import { shippedCaptures, temporaryFolder } from '../capture/reading.ts'
import { expectHarmless, recordsOf } from './program.ts'

const folder = temporaryFolder()
const RUNS = 150
/** Far more than any of these takes, with another test beside it. */
const LIMIT_MS = 10_000
/** The large captures hold nothing that the small ones lack, except for time. */
const MAX_BYTES = 100_000

const FILES = shippedCaptures()
  .map((path) => new Uint8Array(gunzipSync(readFileSync(path))))
  .filter((file) => file.length <= MAX_BYTES)

/** The same records in one pcapng, two interfaces by turns. */
function asPcapng(file: Uint8Array): Uint8Array {
  const blocks = new Blocks()
  const { records } = recordsOf(file)
  return join(
    blocks.section(),
    blocks.interface([blocks.option(2, 'veth0')]),
    blocks.interface([blocks.option(2, 'eth0'), blocks.option(9, Uint8Array.of(9))]),
    ...records.map((record, i) => {
      const view = new DataView(record.buffer, record.byteOffset)
      const ticks = BigInt(view.getUint32(0, true)) * (i % 2 ? 1_000_000_000n : 1_000_000n)
      return blocks.packet(i % 2, ticks, record.subarray(16))
    }),
    blocks.statistics(0, blocks.option(5, new Uint8Array(8))),
  )
}

type Mutation = (file: Uint8Array) => Uint8Array
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const at = (file: Uint8Array, where: number) => Math.floor(where * file.length)

const flip = fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(
  ([where, bit]): Mutation =>
    (file) => {
      const out = file.slice()
      out[at(file, where)] ^= 1 << bit
      return out
    },
)
const insert = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 40 })).map(
  ([where, more]): Mutation =>
    (file) => {
      const split = at(file, where)
      return join(file.subarray(0, split), more, file.subarray(split))
    },
)
const overwrite = fc
  .tuple(
    place,
    fc.constantFrom(0, 1, 0x7f, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff),
    fc.constantFrom(1, 2, 4),
  )
  .map(
    ([where, value, size]): Mutation =>
      (file) => {
        const out = file.slice()
        for (let i = 0; i < size; i++) out[at(file, where) + i] = value >>> (8 * i)
        return out
      },
  )
const remove = fc.tuple(place, fc.nat({ max: 60 })).map(
  ([where, count]): Mutation =>
    (file) => {
      const split = at(file, where)
      return join(file.subarray(0, split), file.subarray(split + count))
    },
)
const cut = place.map(
  (where): Mutation =>
    (file) =>
      file.subarray(0, at(file, where)),
)
const double = fc.constant<Mutation>((file) => join(file, file))
/** A field of one record's header, or one early byte of its frame, where lengths and types are. */
const recordByte = fc.tuple(place, fc.nat({ max: 90 }), fc.nat({ max: 255 })).map(
  ([where, offset, value]): Mutation =>
    (file) => {
      const out = file.slice()
      let start = 24
      const target = at(file, where)
      const view = new DataView(out.buffer)
      for (;;) {
        if (start + 16 > out.length) return out
        const next = start + 16 + view.getUint32(start + 8, true)
        if (next > target) break
        start = next
      }
      if (start + offset < out.length) out[start + offset] = value
      return out
    },
)
const swap = fc.tuple(place, place, fc.nat({ max: 200 })).map(
  ([a, b, count]): Mutation =>
    (file) => {
      const out = file.slice()
      out.set(
        file.subarray(at(file, a), at(file, a) + count).subarray(0, out.length - at(file, b)),
        at(file, b),
      )
      return out
    },
)
const mutation = fc.oneof(
  flip,
  insert,
  overwrite,
  remove,
  swap,
  { arbitrary: recordByte, weight: 4 },
  { arbitrary: cut, weight: 1 },
  double,
)
const capture = fc
  .record({
    file: fc.constantFrom(...FILES),
    pcapng: fc.boolean(),
    mutations: fc.array(mutation, { minLength: 0, maxLength: 8 }),
    form: fc.constantFrom('plain', 'gzip', 'damaged gzip'),
    gzipMutation: flip,
  })
  .map(({ file, pcapng, mutations, form, gzipMutation }) => {
    let bytes = pcapng ? asPcapng(file) : file
    for (const mutate of mutations) bytes = mutate(bytes)
    if (form === 'plain') return bytes
    const zipped = new Uint8Array(gzipSync(bytes, { level: 1 }))
    return form === 'gzip' ? zipped : gzipMutation(zipped)
  })

test(
  `mutated captures: no crash, no hang, nothing raw in the output (${RUNS} runs)`,
  async () => {
    let joined = 0
    await fc.assert(
      fc.asyncProperty(fc.array(capture, { minLength: 1, maxLength: 4 }), async (captures) => {
        const begunAt = Date.now()
        const paths = captures.map((bytes, i) => folder.write(`p${i}.pcap`, bytes))
        try {
          const { report, journeys } = await analyze(paths, { journeys: true })
          const options = { columns: 80, color: false }
          expectHarmless(renderText(report, options))
          expectHarmless(renderJson(report))
          for (const flow of report.flows) expectHarmless(renderFlowDetail(report, flow, options))
          const firstNs = new Map(report.flows.map((flow) => [flow.id, flow.firstNs]))
          for (const journey of journeys()) {
            expectHarmless(renderJourneyLine(journey))
            expectHarmless(renderPacketLine(journey, { ...options, flowFirstNs: firstNs.get(journey.flow)! }))
          }
          joined += report.flows.length
        } catch (error) {
          if (!(error instanceof HoptraceError)) throw error
          expect(error.message).not.toContain('\n')
        }
        expect(Date.now() - begunAt).toBeLessThan(LIMIT_MS)
      }),
      { numRuns: RUNS },
    )
    // Else the mutations would be so harsh that nothing behind the readers is reached.
    expect(joined).toBeGreaterThan(RUNS / 4)
  },
  RUNS * LIMIT_MS,
)
