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
  'page',
  'serve',
  'commands',
]

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
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

test('the lab stands beside the way: it knows how to enter namespaces, and only commands know of it', () => {
  const wrong: string[] = []
  for (const file of sources(SRC)) {
    const name = relative(SRC, file)
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      const to = relative(SRC, join(file, '..', target!))
      const allowed = name.startsWith('lab/')
        ? /^(lab|capture|topology)\/|^errors\.ts$/.test(to)
        : !to.startsWith('lab/') || name.startsWith('commands/')
      if (!allowed) wrong.push(`${name} imports ${target}`)
    }
  }
  expect(sources(join(SRC, 'lab')).length).toBeGreaterThan(5)
  expect(wrong).toEqual([])
})

test('the page stands by itself: only the build knows of it', () => {
  const wrong: string[] = []
  for (const file of sources(SRC)) {
    const name = relative(SRC, file)
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      const to = relative(SRC, join(file, '..', target!))
      if (to.startsWith('report/web/') && !name.startsWith('report/web/'))
        wrong.push(`${name} imports ${target}`)
    }
  }
  expect(sources(join(SRC, 'report/web')).length).toBeGreaterThan(5)
  expect(wrong).toEqual([])
})
