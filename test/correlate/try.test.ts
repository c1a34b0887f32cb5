import { test } from 'vitest'
import { mixedTrace } from '../trace/mixed.ts'
import { analyzeTrace, difference } from './compare.ts'

test('try', async () => {
  let right = 0,
    wrong = 0,
    missed = 0,
    total = 0
  for (let seed = 1; seed <= Number(process.env.SEEDS ?? 10); seed++) {
    const c = await analyzeTrace(mixedTrace(seed, JSON.parse(process.env.OPT ?? '{}')))
    right += c.right
    wrong += c.wrong.length
    missed += c.missed.length
    total += c.truth.journeys.filter((j) => j.sightings.length).length
    if (process.env.SHOW && (c.wrong.length || c.missed.length))
      console.log(seed, 'WRONG', c.wrong.slice(0, 3), 'MISSED', c.missed.slice(0, 4))
    const d = difference(
      c.report.flows.flatMap((f) =>
        f.translations.map((t) => ({ kind: t.kind, between: t.between, from: t.from, to: t.to })),
      ),
      c.truth.flows
        .filter((f) => f.forward.path.filter((s) => s.packets > 0).length >= 4)
        .flatMap((f) =>
          f.translations.map((t) => ({ kind: t.kind, between: t.between, from: t.from, to: t.to })),
        ),
    )
    const l = difference(
      c.report.flows.flatMap((f) =>
        f.lost.map((l) => ({ d: l.direction, b: l.between, p: l.packets, c: f.client })),
      ),
      c.truth.flows.flatMap((f) =>
        f.lost.map((l) => ({ d: l.direction, b: l.between, p: l.packets, c: f.client })),
      ),
    )
    const nf = c.truth.flows.length
    console.log(
      seed,
      'flows',
      c.report.flows.length,
      nf,
      'right',
      c.right,
      'wrong',
      c.wrong.length,
      'missed',
      c.missed.length,
      'trans',
      d.extra.length,
      d.lacking.length,
      'loss',
      l.extra.slice(0, 2),
      l.lacking.slice(0, 2),
      'amb',
      c.report.flows.reduce((s, f) => s + f.ambiguous, 0),
    )
  }
  console.log({ right, wrong, missed, total })
})
