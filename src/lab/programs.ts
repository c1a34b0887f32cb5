/** Programs that the lab runs: in a station's namespace or on the machine, marked so that a crash leaves none unfound. */

import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { HoptraceError } from '../errors.ts'
import { type LabNames, netnsPathOf, type Station } from './stations.ts'

const TIMEOUT_MS = 20_000
/** What the lab cannot be built without, with the Debian package of each. */
const NEEDED = { ip: 'iproute2', nsenter: 'util-linux', 'iptables-restore': 'iptables' } as const
/** What it needs beside that for an engine of its own. */
const NEEDED_BY_ENGINE = {
  dockerd: 'docker.io',
  containerd: 'containerd',
  runc: 'runc',
  unshare: 'util-linux',
} as const
/** In the environment of each process of a lab: which one it belongs to. */
export const MARK = 'HOPTRACE_LAB'
/** Which station's server a process is. */
export const SERVICE_MARK = 'HOPTRACE_LAB_SERVICE'

/** Throws a `HoptraceError` where this user may not build namespaces (exit code 3), or a program is missing (2). */
export function requireLab(): void {
  if (process.platform !== 'linux')
    throw new HoptraceError('the lab is made of network namespaces: it needs Linux')
  if (process.geteuid?.() !== 0)
    throw new HoptraceError('the lab needs root, to make network namespaces: sudo hoptrace lab …', 3)
  requirePrograms('the lab', NEEDED)
}

/** Throws a `HoptraceError` (exit code 2) where a program is missing that an engine is made of. */
export function requireEngine(): void {
  requirePrograms('lab up --docker', NEEDED_BY_ENGINE)
}

function requirePrograms(who: string, needed: Readonly<Record<string, string>>): void {
  for (const [program, debian] of Object.entries(needed)) {
    if (findProgram([program]) === null)
      throw new HoptraceError(`${who} needs the program ${program}: install it (Debian: ${debian})`)
  }
}

/** The first of these programs that is installed. */
export function findProgram(names: readonly string[]): string | null {
  return (
    names.find((name) => {
      try {
        execFileSync('sh', ['-c', 'command -v "$0"', name], { env: { PATH: searchPath() }, stdio: 'ignore' })
        return true
      } catch {
        return false
      }
    }) ?? null
  )
}

/** Runs a program to its end and gives its stdout; throws a `HoptraceError` with what it said where it fails. */
export function run(names: LabNames, words: readonly string[], input = ''): string {
  const [program, ...args] = words
  try {
    return execFileSync(program!, args, {
      encoding: 'utf8',
      env: environment(names),
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    })
  } catch (error) {
    const { stderr = '', code } = error as { stderr?: string; code?: string }
    const said = stderr.trim().split('\n').join('; ') || code || 'it was ended'
    throw new HoptraceError(`the lab: ${words.join(' ')}: ${said}`, /not permitted/.test(said) ? 3 : 2)
  }
}

/** As `run`, in the network of a station. */
export function runAt(names: LabNames, station: Station, words: readonly string[], input = ''): string {
  return run(names, [...entering(names, station), ...words], input)
}

/** Starts a program in the network of a station. */
export function spawnAt(
  names: LabNames,
  station: Station,
  words: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const [program, ...args] = [...entering(names, station), ...words]
  return spawn(program!, args, { ...options, env: { ...environment(names), ...options.env } })
}

function entering(names: LabNames, station: Station): string[] {
  return ['nsenter', `--net=${netnsPathOf(names, station)}`]
}

function environment({ base }: LabNames): Record<string, string> {
  const { HOME = '/', TERM, SHELL, LANG } = process.env
  const kept = Object.entries({ TERM, SHELL, LANG }).flatMap(([key, value]) => (value ? [[key, value]] : []))
  return { ...Object.fromEntries(kept), HOME, PATH: searchPath(), [MARK]: base }
}

/** Under sudo and su, the folders of the system's programs may be missing. */
function searchPath(): string {
  return `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`
}
