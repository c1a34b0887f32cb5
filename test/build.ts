/** Builds `dist/` before the tests, where it is older than `src/`: tests of the command line run the real program. */

import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

export default function build(): void {
  if (isBuilt()) return
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', join(ROOT, 'tsconfig.build.json')],
    { encoding: 'utf8' },
  )
  if (status === 0) return
  const message = `the build says:\n${stdout}${stderr}`
  // tsc writes JavaScript all the same: a type that does not fit yet need not keep other tests from running.
  if (process.env.CI === 'true' || !isBuilt()) throw new Error(message)
  console.warn(message)
}

/** Whether each source has its JavaScript, and a newer one. */
function isBuilt(): boolean {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  return sources
    .filter((name) => name.endsWith('.ts'))
    .every((name) => {
      const made = statSync(join(ROOT, 'dist', name.replace(/\.ts$/, '.js')), { throwIfNoEntry: false })
      return made !== undefined && made.mtimeMs >= statSync(join(ROOT, 'src', name)).mtimeMs
    })
}
