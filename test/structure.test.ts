import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'

const SRC = join(import.meta.dirname, '../src')
/** Each folder may import from itself, the folders in front of it, and the files beside them. */
const ORDER = [
  'capture',
  'topology',
  'receipts',
  'live',
  'decode',
  'correlate',
  'diagnose',
  'report',
  'commands',
]

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

test('a folder imports only from folders before it in the way of the data', () => {
  const wrong: string[] = []
  let imports = 0
  for (const file of sources(SRC)) {
    const from = ORDER.indexOf(relative(SRC, file).split('/')[0]!)
    if (from < 0) continue
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      imports++
      const to = ORDER.indexOf(relative(SRC, join(file, '..', target!)).split('/')[0]!)
      if (to > from) wrong.push(`${relative(SRC, file)} imports ${target}`)
    }
  }
  expect(imports).toBeGreaterThan(20)
  expect(wrong).toEqual([])
})
