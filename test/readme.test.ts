/** The README shows what the program really prints. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../src/analysis.ts'
import { explainCaptures } from '../src/explanation.ts'
import { withExpectations } from '../src/report/expectations/evaluate.ts'
import { parseExpectation } from '../src/report/expectations/parse.ts'
import { renderExpectationSection } from '../src/report/expectations/text.ts'
import { renderExplanation } from '../src/report/explain/text.ts'
import { renderText } from '../src/report/text.ts'

const ROOT = join(import.meta.dirname, '..')

test('the expectations in README.md come to what stands there', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [, input, options, shown] =
    /```console\n\$ npx hoptrace analyze (\S+) (--expect .*)\n…\n(Expectations.*?)```/s.exec(readme)!
  const { report } = await analyze([join(ROOT, input!)])
  const expectations = [...options!.matchAll(/--expect '(.*?)'/g)].map(([, it]) => parseExpectation(it!))
  const judged = withExpectations(report, expectations)
  expect(renderExpectationSection(judged, { columns: 80, color: false })).toBe(shown)
})

test('the output in README.md is that of the command above it', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const shown = /```console\n\$ npx hoptrace analyze (\S+)\n(.*?)```/s.exec(readme)
  expect(shown).not.toBeNull()
  const { report } = await analyze([join(ROOT, shown![1]!)])
  expect(renderText(report, { columns: 80, color: false })).toBe(shown![2])
})

test('each piece of an explanation in README.md is what explain prints there', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [, input, shown] = /```console\n\$ npx hoptrace explain (\S+)\n(.*?)```/s.exec(readme)!
  const { explanation } = await explainCaptures([join(ROOT, input!)])
  const text = renderExplanation(explanation, { columns: 80, color: false })
  const pieces = shown!.split('…\n').filter((piece) => piece !== '')
  expect(pieces).toHaveLength(3)
  for (const piece of pieces) expect(text).toContain(`\n${piece}`)
})
