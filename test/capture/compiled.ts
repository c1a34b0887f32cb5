/** `src/capture` as plain JavaScript, for tests that need a process of their own: standard input, memory. */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { run } from '../tools.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Reads the inputs it is given, then prints one line of JSON. */
const PROGRAM = `
import { resolveInputs } from './capture/inputs.js'
import { MergedRecords } from './capture/merge.js'
const { inputs, warnings } = await resolveInputs(process.argv.slice(2))
const merged = await MergedRecords.open(inputs)
let records = 0
let bytes = 0
while (!merged.done) {
  while (merged.advance()) {
    records++
    bytes += merged.record.end - merged.record.start
  }
  if (!merged.done) await merged.fill()
}
const points = merged.points.map(({ name, packets }) => [name, packets])
const peakMb = process.resourceUsage().maxRSS / 1024
console.log(JSON.stringify({ records, bytes, points, peakMb, warnings: [...warnings, ...merged.warnings] }))
`

export interface ReadByChild {
  records: number
  bytes: number
  points: [string, number][]
  peakMb: number
  warnings: string[]
}

/** Gives a function that reads captures in a child process, with its standard input from a shell redirection. */
export function childReader(): (shell: string) => Promise<ReadByChild> {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hoptrace-compiled-'))
    const config = {
      extends: join(ROOT, 'tsconfig.build.json'),
      compilerOptions: {
        rootDir: join(ROOT, 'src'),
        outDir: folder,
        declaration: false,
        typeRoots: [join(ROOT, 'node_modules/@types')],
      },
      include: [join(ROOT, 'src/capture'), join(ROOT, 'src/errors.ts')],
    }
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    writeFileSync(join(folder, 'read.js'), PROGRAM)
    run(join(ROOT, 'node_modules/.bin/tsc'), '-p', folder)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return (shell) =>
    new Promise((resolve, reject) => {
      // `hoptrace` in the command line stands for the program above.
      const command = `hoptrace() { "${process.execPath}" "${join(folder, 'read.js')}" "$@"; }; ${shell}`
      const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] })
      let out = ''
      let err = ''
      child.stdout.setEncoding('utf8').on('data', (text) => {
        out += text
      })
      child.stderr.setEncoding('utf8').on('data', (text) => {
        err += text
      })
      child.on('error', reject)
      child.on('close', () => {
        if (out === '') reject(new Error(err))
        else resolve(JSON.parse(out))
      })
    })
}
