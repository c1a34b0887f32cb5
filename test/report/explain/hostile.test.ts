/** Whatever frames and files hold: explaining them ends, and nothing in the output acts in a terminal. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeFrame } from '../../../src/decode/frame.ts'
import { Headers } from '../../../src/decode/headers.ts'
import { HoptraceError } from '../../../src/errors.ts'
import { explainCaptures } from '../../../src/explanation.ts'
import { comparedLayers } from '../../../src/report/explain/compare.ts'
import { firstSteps } from '../../../src/report/explain/first-steps.ts'
import { type Frame, frameOf } from '../../../src/report/explain/layers.ts'
import { renderExplanationMarkdown } from '../../../src/report/explain/markdown.ts'
import { renderExplanationMermaid } from '../../../src/report/explain/mermaid.ts'
import { type Sight, stepsBetween } from '../../../src/report/explain/steps.ts'
import { renderExplanation } from '../../../src/report/explain/text.ts'
import { temporaryFolder } from '../../capture/reading.ts'
import { expectHarmless } from '../../commands/program.ts'
import { SAMPLES } from '../../decode/samples.ts'

const CAPTURES = join(import.meta.dirname, '../../../captures')
const folder = temporaryFolder()
const ALL_SAMPLES = Object.entries(SAMPLES).flatMap(([linkType, list]) =>
  list.map(({ bytes }) => ({ linkType: Number(linkType), bytes })),
)

/** A sample with some bytes changed, cut, and with more or less left on the wire. */
const anyFrame = fc
  .record({
    sample: fc.constantFrom(...ALL_SAMPLES),
    keep: fc.double({ min: 0, max: 1, noNaN: true }),
    changes: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
    more: fc.oneof(fc.constant(0), fc.nat(2000)),
  })
  .map(({ sample: { linkType, bytes }, keep, changes, more }): Frame => {
    const cut = Uint8Array.from(bytes.slice(0, Math.ceil(keep * bytes.length)))
    for (const [at, value] of changes) if (at < cut.length) cut[at] = value
    const headers = new Headers()
    decodeFrame(cut, 0, cut.length, linkType, cut.length + more, headers)
    return frameOf(headers, linkType)
  })

test('any two frames can be told as two stations of a packet', () => {
  const context = { direction: 'forward', protocol: 'tcp', isError: false } as const
  fc.assert(
    fc.property(anyFrame, anyFrame, fc.boolean(), (a, b, isError) => {
      const sight = (frame: Frame): Sight => {
        const { src, dst } = frame.envelopes.at(-1)!
        return {
          point: 'p',
          kind: 'unknown',
          frame,
          frames: 1,
          src: { ip: src, port: 1 },
          dst: { ip: dst, port: 2 },
        }
      }
      const [one, two] = [sight(a), sight(b)]
      const steps = [
        ...firstSteps(one, [two], { ...context, isError }),
        ...stepsBetween(one, two, { ...context, isError }),
      ]
      for (const { text } of steps) expect(text).not.toMatch(/undefined|NaN|null|\[object/)
      for (const { fields } of comparedLayers(b, a))
        for (const { value, note } of fields) expect(`${value} ${note}`).not.toMatch(/NaN|null|\[object/)
    }),
    { numRuns: 2000 },
  )
})

const FILES = ['udp-and-ping', 'embedded-dns', 'any-cooked'].map((scenario) => {
  const name = { 'udp-and-ping': 'uplink', 'embedded-dns': 'lo', 'any-cooked': 'any' }[scenario]
  return new Uint8Array(gunzipSync(readFileSync(join(CAPTURES, scenario, `${name}.pcap.gz`))))
})

test('captures with bytes changed', async () => {
  let explained = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...FILES),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)), {
        minLength: 1,
        maxLength: 30,
      }),
      async (file, changes) => {
        const bytes = file.slice()
        for (const [where, value] of changes) bytes[24 + Math.floor(where * (bytes.length - 24))] = value
        const path = folder.write('changed.pcap', bytes)
        const result = await explainCaptures([path]).catch((error) => {
          if (!(error instanceof HoptraceError)) throw error
          return null
        })
        if (!result) return
        explained++
        const { explanation } = result
        expectHarmless(renderExplanation(explanation, { columns: 80, color: false }))
        expectHarmless(renderExplanationMarkdown(explanation))
        expectHarmless(renderExplanationMermaid(explanation))
      },
    ),
    { numRuns: 100 },
  )
  expect(explained).toBeGreaterThan(10)
})
