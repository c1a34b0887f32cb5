/**
 * `npm run accuracy`: precision and recall of hoptrace over generated traces whose truth is known packet by packet. The aims
 * stand beside the figures; only a wrong match in a mix where there may be none makes it exit with 1. What the
 * figures mean stands in `score.ts`.
 *
 *   npm run accuracy -- [--packets N] [--seed N] [--mix NAME]... [--show N] [--keep FOLDER]
 *
 * `--packets` is for each mix. `--show N` prints the first N faults of each kind and each trace, with its seed and size;
 * `--trace SEED:PACKETS` measures that trace alone, and `--keep` leaves its captures in a folder.
 */

import { parseArgs } from 'node:util'
import { measureTrace } from './measure.ts'
import { MIXES, type Mix, tracesOf } from './mixes.ts'
import { addScore, emptyScore, type Faults } from './score.ts'
import { HEADER, row } from './table.ts'

const { values: options } = parseArgs({
  options: {
    packets: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    mix: { type: 'string', multiple: true },
    show: { type: 'string', default: '0' },
    trace: { type: 'string' },
    keep: { type: 'string' },
  },
})

const chosen = MIXES.filter(({ name }) => options.mix?.includes(name) ?? true)
const unknown = options.mix?.find((name) => !MIXES.some((mix) => mix.name === name))
if (unknown !== undefined) {
  console.error(`--mix ${unknown}: there are ${MIXES.map(({ name }) => name).join(', ')}`)
  process.exitCode = 2
} else await measure(chosen)

async function measure(mixes: readonly Mix[]): Promise<void> {
  console.log(HEADER)
  for (const mix of mixes) {
    const sum = emptyScore()
    for (const trace of traces()) {
      const { score, faults } = await measureTrace(
        trace.seed,
        { ...mix.options, packets: trace.packets },
        options.keep,
      )
      addScore(sum, score)
      show(`${mix.name} --trace ${trace.seed}:${trace.packets}`, faults)
    }
    console.log(row(mix, sum))
    if (mix.aim?.precision === 1 && sum.wrong > 0) process.exitCode = 1
  }
}

function traces(): Iterable<{ seed: number; packets: number }> {
  const [seed, packets] = options.trace?.split(':').map(Number) ?? []
  if (seed !== undefined && packets !== undefined) return [{ seed, packets }]
  return tracesOf(Number(options.packets), Number(options.seed))
}

function show(trace: string, faults: Faults): void {
  for (const [kind, lines] of Object.entries(faults))
    for (const line of (lines as string[]).slice(0, Number(options.show)))
      console.log(`${trace} ${kind}: ${line}`)
}
