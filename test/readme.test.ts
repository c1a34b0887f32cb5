/** The README shows what the program really prints. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../src/analysis.ts'
import { renderText } from '../src/report/text.ts'

const ROOT = join(import.meta.dirname, '..')

test('the output in README.md is that of the command above it', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const shown = /```console\n\$ npx hoptrace analyze (\S+)\n(.*?)```/s.exec(readme)
  expect(shown).not.toBeNull()
  const { report } = await analyze([join(ROOT, shown![1]!)])
  expect(renderText(report, { columns: 80, color: false })).toBe(shown![2])
})
