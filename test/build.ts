/** Builds `dist/` before the tests, where it is older than `src/`: tests of the command line run the real program. */

import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const WEB = 'report/web/'

export default function build(): void {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(ROOT, 'src', name)).isFile(),
  )
  const hasProgram = () => sources.every((name) => name.startsWith(WEB) || isMade(name, jsOf(name)))
  // The page is one file, made of all that it imports from other folders as well.
  const hasPage = () => sources.every((name) => isMade(name, 'web/page.js'))
  if (!hasProgram()) make(['typescript/bin/tsc', '-p', 'tsconfig.build.json'], hasProgram)
  if (!hasPage()) make(['vite/bin/vite.js', 'build', '--config', 'src/report/web/vite.config.ts'], hasPage)
}

function make(command: readonly string[], isBuilt: () => boolean): void {
  const [program, ...args] = command
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules', program!), ...args],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, NODE_ENV: 'production' } },
  )
  if (status === 0) return
  const message = `the build says:\n${stdout}${stderr}`
  // tsc writes JavaScript all the same: a type that does not fit yet need not keep other tests from running.
  if (process.env.CI === 'true' || !isBuilt()) throw new Error(message)
  console.warn(message)
}

function jsOf(name: string): string {
  return name.replace(/\.ts$/, '.js')
}

/** Whether what is made of a source is there, and not older. */
function isMade(source: string, made: string): boolean {
  const { mtimeMs } = statSync(join(ROOT, 'src', source))
  return (statSync(join(ROOT, 'dist', made), { throwIfNoEntry: false })?.mtimeMs ?? -1) >= mtimeMs
}
