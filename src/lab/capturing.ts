/** Capturing a scenario: `hoptrace capture` as a child in the host's network, while the scenario's traffic is made. */

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { displayText } from '../capture/display-text.ts'
import { type ExitCode, HoptraceError } from '../errors.ts'
import { spawnAt } from './programs.ts'
import type { Scenario, ScenarioPoint } from './scenario.ts'
import { engineAddress, hasEngine, type LabNames, stationPathOf } from './stations.ts'
import { makeTraffic } from './traffic.ts'

/** What is still under way when the traffic has been made is waited for so long, in ms. */
const SETTLE_MS = 400
const PATIENCE_MS = 60_000
const MAX_CHARACTERS = 100_000
const BEGUN = /^hoptrace: captures on .*\n/m
/** Runs a program as one that finds itself on a machine called `host`. */
const ON_HOST = ['unshare', '--uts', 'sh', '-c', 'echo host >/proc/sys/kernel/hostname; exec "$0" "$@"']

/**
 * Runs a scenario and captures it into `file`, which belongs to whoever called sudo if it `isKept`. `program` is hoptrace as
 * words of a command line. Resolves to what came of the traffic, and to what the capture remarked, a line each. Rejects with a
 * `HoptraceError` where the capture fails, in its words.
 */
export async function captureScenario(
  names: LabNames,
  scenario: Scenario,
  program: readonly string[],
  file: string,
  isKept: boolean,
): Promise<{ traffic: string[]; remarks: string[] }> {
  const owner = isKept ? callerOf() : {}
  const capture = startCapture(names, [...program, ...captureWords(names, scenario, file)], owner)
  try {
    await capture.begun
    const traffic = await makeTraffic(names, scenario.steps, scenario.isTogether)
    await sleep(SETTLE_MS)
    return { traffic, remarks: await capture.end() }
  } finally {
    capture.kill()
  }
}

/** Arguments of `hoptrace` that capture a scenario, for a program in the host's network. A real engine is asked for its containers. */
export function captureWords(names: LabNames, scenario: Scenario, file: string): string[] {
  const { containers, points } = scenario
  return [
    'capture',
    ...containers.flatMap((station) =>
      hasEngine(names) ? ['--container', station] : ['--netns', stationPathOf(names, station)],
    ),
    ...points.flatMap((point) => ['--point', `${point.name}=${placeOf(names, point)}`]),
    '--no-join',
    ...['-w', resolve(file)],
  ]
}

function placeOf(names: LabNames, { station, interfaceName }: ScenarioPoint): string {
  return station === 'host' ? interfaceName : `${stationPathOf(names, station)}:${interfaceName}`
}

function startCapture(names: LabNames, words: readonly string[], owner: Record<string, string>) {
  const child = spawnAt(names, 'host', [...ON_HOST, ...words], {
    env: { ...owner, DOCKER_HOST: engineAddress(names) },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  let hasEnded = false
  const begun = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(failure(said, null)), PATIENCE_MS)
    const settle = (then: () => void) => {
      clearTimeout(timer)
      then()
    }
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < MAX_CHARACTERS) said += text
      if (BEGUN.test(said)) settle(resolve)
    })
    child.on('error', (error) => settle(() => reject(new HoptraceError(`the lab: ${error.message}`))))
    child.on('close', (code) => settle(() => reject(failure(said, code))))
  })
  const ended = new Promise<number | null>((resolve) =>
    child.on('close', (code) => {
      hasEnded = true
      resolve(code)
    }),
  )
  // Where it fails to begin, nobody waits for it any more.
  begun.catch(() => {})
  const kill = () => {
    if (!hasEnded) child.kill('SIGKILL')
  }
  return {
    begun,
    kill,
    async end() {
      child.kill('SIGINT')
      const timer = setTimeout(kill, PATIENCE_MS)
      const code = await ended
      clearTimeout(timer)
      if (code !== 0) throw failure(said, code)
      return remarksIn(said)
    },
  }
}

/** Who called sudo, for the program that writes the file: else that has root, and its own folder. */
function callerOf(): Record<string, string> {
  const { SUDO_UID, SUDO_GID } = process.env
  return SUDO_UID === undefined || SUDO_GID === undefined ? {} : { SUDO_UID, SUDO_GID }
}

/** What it said after it had begun, but for its counts. */
function remarksIn(said: string): string[] {
  const lines = said.split(BEGUN).at(-1)!.split('\n').filter(Boolean)
  return lines
    .map((line) => line.replace(/^hoptrace: /, ''))
    .filter((line) => !/^frames written: /.test(line))
}

function failure(said: string, code: number | null): HoptraceError {
  const last =
    said
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^hoptrace: /, '') || 'it ended without a word'
  const exitCode: ExitCode = code === 3 ? 3 : 2
  return new HoptraceError(`the lab's capture: ${displayText(last, 500)}`, exitCode)
}
