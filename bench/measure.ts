/** Runs other programs and takes their wall time and the peak of their memory. */

import { spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Something to measure: one process, or several one after the other whose times are added up. */
export interface Command {
  name: string
  runs: string[][]
}

export interface Measured {
  seconds: number
  /** Largest of the command's processes; 0 where it could not be seen. */
  peakRssBytes: number
  /** What the last process printed, where asked for. */
  output: string
}

const PRELOAD = pathToFileURL(join(import.meta.dirname, 'peak-rss.js')).href

/** A Node process that reports its own peak of memory. */
export function node(...args: string[]): string[] {
  return [process.execPath, '--import', PRELOAD, ...args]
}

export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined
}

/** Runs the command once; `folder` takes its output. Throws where it fails, with what it said. */
export async function measure(command: Command, folder: string, keepOutput = false): Promise<Measured> {
  const measured: Measured = { seconds: 0, peakRssBytes: 0, output: '' }
  for (const run of command.runs) {
    const out = join(folder, 'stdout')
    const errors = join(folder, 'stderr')
    const peakFile = join(folder, 'peak-rss')
    const outFd = keepOutput ? openSync(out, 'w') : openSync('/dev/null', 'w')
    const errorFd = openSync(errors, 'w')
    const began = process.hrtime.bigint()
    const child = spawn(run[0], run.slice(1), {
      stdio: ['ignore', outFd, errorFd],
      env: { ...process.env, PEAK_RSS_FILE: peakFile },
    })
    // Peers cannot be asked at their end, so they are looked at now and then.
    const watch = setInterval(() => {
      measured.peakRssBytes = Math.max(measured.peakRssBytes, peakOf(`/proc/${child.pid}/status`))
    }, 25)
    const code = await new Promise((resolve) => {
      child.on('error', (error) => resolve(error.message))
      child.on('exit', (exitCode, signal) => resolve(exitCode ?? signal))
    })
    measured.seconds += Number(process.hrtime.bigint() - began) / 1e9
    clearInterval(watch)
    closeSync(outFd)
    closeSync(errorFd)
    if (code !== 0) {
      throw new Error(`${command.name}: ended with ${code}\n${readFileSync(errors, 'utf8').slice(-2000)}`)
    }
    measured.peakRssBytes = Math.max(measured.peakRssBytes, ownPeak(peakFile))
    if (keepOutput) measured.output = readFileSync(out, 'utf8')
  }
  return measured
}

/** Runs all commands `times` times by turns, so that a slow moment of the machine hits all; returns the medians. */
export async function alternate(
  commands: Command[],
  times: number,
  folder: string,
): Promise<Map<string, Measured>> {
  const all = new Map<string, Measured[]>()
  for (let time = 0; time < times; time++) {
    for (const command of commands) {
      const known = all.get(command.name) ?? []
      known.push(await measure(command, folder))
      all.set(command.name, known)
    }
  }
  return new Map([...all].map(([name, results]) => [name, median(results)]))
}

function median(results: Measured[]): Measured {
  const seconds = results.map((result) => result.seconds).sort((a, b) => a - b)
  const upper = seconds[seconds.length >> 1]
  const middle = seconds.length % 2 === 1 ? upper : (seconds[(seconds.length >> 1) - 1] + upper) / 2
  const peakRssBytes = Math.max(...results.map((result) => result.peakRssBytes))
  return { seconds: middle, peakRssBytes, output: '' }
}

function ownPeak(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return 0
  } finally {
    rmSync(file, { force: true })
  }
}

/** The peak of a running process's resident memory, in bytes; 0 where it cannot be seen. */
export function peakOf(statusFile: string): number {
  try {
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(statusFile, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
