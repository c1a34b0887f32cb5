/** Traffic of a scenario: what which station does; bounded, and over when `makeTraffic` resolves. */

import { fileURLToPath } from 'node:url'
import { HoptraceError } from '../errors.ts'
import { findProgram, spawnAt } from './programs.ts'
import type { LabNames, Station } from './stations.ts'

type Target = readonly [host: string, port: number]

/** What `traffic-program` does. */
export type NodeAction =
  | { readonly get: Target; readonly path?: string; readonly from?: number; readonly holdMs?: number }
  | {
      readonly send: Target
      readonly lenBytes: number
      readonly ttl?: number
      readonly expectsNothing?: boolean
    }
  | { readonly upload: Target; readonly lenBytes: number }
  | { readonly lookUp: string; readonly server: string }

/** One after the other in a station. `ping` sends two echo requests. */
export interface Step {
  readonly at: Station
  readonly actions?: readonly NodeAction[]
  readonly ping?: string
}

const PROGRAM = fileURLToPath(new URL('./traffic-program.js', import.meta.url))
const TIMEOUT_MS = 20_000
const MAX_CHARACTERS = 10_000

/** Makes all of it, one step after the other or together; resolves to what came of it, a line each. */
export async function makeTraffic(
  names: LabNames,
  steps: readonly Step[],
  isTogether = false,
): Promise<string[]> {
  const results: string[][] = []
  if (isTogether) results.push(...(await Promise.all(steps.map((step) => take(names, step)))))
  else for (const step of steps) results.push(await take(names, step))
  return results.flat()
}

async function take(names: LabNames, step: Step): Promise<string[]> {
  const { at, actions, ping } = step
  const lines: string[] = []
  if (actions !== undefined)
    lines.push(...(await lined(names, at, [process.execPath, PROGRAM, JSON.stringify(actions)])))
  if (ping !== undefined) {
    const said = await lined(names, at, [...pingWords(), '-c', '2', '-W', '2', ping])
    const [, count = '0'] = /(\d+) (?:packets )?received/.exec(said.join('\n')) ?? []
    lines.push(`ping ${ping} → ${count} of 2 answered`)
  }
  return lines.map((line) => `${at}: ${line}`)
}

function pingWords(): string[] {
  const program = findProgram(['ping', 'busybox'])
  if (program === null)
    throw new HoptraceError('this scenario needs the program ping: install it (Debian: iputils-ping)')
  return program === 'ping' ? ['ping'] : ['busybox', 'ping']
}

/** Lines that a program in a station prints; it has a time limit. */
function lined(names: LabNames, station: Station, words: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawnAt(names, station, words, {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    let text = ''
    child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
      if (text.length < MAX_CHARACTERS) text += piece
    })
    child.on('error', (error) => reject(new HoptraceError(`the lab: ${words[0]}: ${error.message}`)))
    child.on('close', () => resolve(text.split('\n').filter((line) => line !== '')))
  })
}
