/** Programs that tests take as oracles: whether they are there, and running them. */

import { execFileSync, spawnSync } from 'node:child_process'

const found = new Map<string, boolean>()

/**
 * Whether all of these programs can be run, for `describe.skipIf(!requireTool('tshark'))`. A missing one is named in
 * one line; under CI=true it is an error, so that no oracle goes missing unnoticed.
 */
export function requireTool(...names: string[]): boolean {
  return names.map(isThere).every((there) => there)
}

function isThere(name: string): boolean {
  const known = found.get(name)
  if (known !== undefined) return known
  const there = spawnSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' }).status === 0
  found.set(name, there)
  if (!there) {
    const line = `${name} is not installed: the tests that compare with it`
    if (process.env.CI === 'true') throw new Error(`${line} cannot run`)
    console.warn(`${line} are skipped`)
  }
  return there
}

/** Whether we are root, by the same rule: for tests that make network namespaces of their own. */
export function requireRoot(): boolean {
  if (process.getuid?.() === 0) return true
  const line = 'not root: the tests with network namespaces'
  if (process.env.CI === 'true') throw new Error(`${line} cannot run`)
  console.warn(`${line} are skipped`)
  return false
}

/** Runs a program to its end and gives what it printed on stdout; throws where it fails. */
export function run(program: string, ...args: string[]): string {
  const env = { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' }
  return execFileSync(program, args, {
    encoding: 'utf8',
    env,
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}
