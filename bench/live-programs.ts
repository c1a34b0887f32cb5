/** Programs that run while the live bench measures: what they have said, and what they have cost so far. Linux. */

import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Netns } from '../test/live/docker-host.ts'
import { peakOf } from './measure.ts'

/** In /proc/PID/stat; the kernel shows all programs this unit, whatever it counts in itself. */
const TICKS_PER_SECOND = 100
const LOOK_EVERY_MS = 10
const PATIENCE_MS = 120_000

export interface Cost {
  /** User and system time of all threads. */
  cpuSeconds: number
  peakRssBytes: number
}

/** What a program said until its end. */
export interface Said {
  stdout: string
  stderr: string
}

export class Program {
  readonly #command: string[]
  readonly #child: ChildProcess
  readonly #said: Said = { stdout: '', stderr: '' }
  readonly #closed: Promise<unknown>
  #cost: Cost = { cpuSeconds: 0, peakRssBytes: 0 }
  #hasEnded = false

  /** Starts it in this namespace, whose end is its own at the latest. */
  constructor(host: Netns, command: string[]) {
    this.#command = command
    this.#child = host.spawn(...command)
    this.#child.stdin!.end()
    for (const name of ['stdout', 'stderr'] as const)
      this.#child[name]!.setEncoding('utf8').on('data', (text: string) => {
        this.#said[name] += text
      })
    this.#closed = new Promise((resolve) => {
      const end = (why: unknown) => {
        this.#hasEnded = true
        resolve(why)
      }
      this.#child.on('error', (error) => end(error.message))
      this.#child.on('close', (code, signal) => end(code ?? signal))
    })
  }

  /** What it has cost so far; after its end what it had cost when it was last looked at. */
  cost(): Cost {
    if (!this.#hasEnded)
      this.#cost = {
        cpuSeconds: Math.max(this.#cost.cpuSeconds, cpuSecondsOf(`/proc/${this.#child.pid}`)),
        peakRssBytes: Math.max(this.#cost.peakRssBytes, peakOf(`/proc/${this.#child.pid}/status`)),
      }
    return this.#cost
  }

  /** Waits until it has said this; rejects with what it said instead. */
  async untilSaid(pattern: RegExp): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (!pattern.test(this.#said.stdout + this.#said.stderr)) {
      if (this.#hasEnded || Date.now() > deadline) throw this.#failure(`never said ${pattern}`)
      await sleep(LOOK_EVERY_MS)
    }
  }

  /** Waits for its end, which has to be a good one. */
  async untilEnded(): Promise<Said> {
    const timer = setTimeout(() => this.kill(), PATIENCE_MS)
    const code = await this.#closed
    clearTimeout(timer)
    if (code !== 0) throw this.#failure(`ended with ${code}`)
    return this.#said
  }

  /** Ends it as Ctrl-C does, and looks at its cost until it is gone. */
  async end(): Promise<Said> {
    const timer = setInterval(() => this.cost(), LOOK_EVERY_MS)
    this.#child.kill('SIGINT')
    try {
      return await this.untilEnded()
    } finally {
      clearInterval(timer)
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #failure(what: string): Error {
    const { stdout, stderr } = this.#said
    return new Error(`${this.#command.join(' ')}: ${what}\n${stdout.slice(-1000)}${stderr.slice(-1000)}`)
  }
}

/** What all of them have cost together so far; their peaks are added up. */
export function costOf(programs: readonly Program[]): Cost {
  const costs = programs.map((program) => program.cost())
  return {
    cpuSeconds: sum(costs.map(({ cpuSeconds }) => cpuSeconds)),
    peakRssBytes: sum(costs.map(({ peakRssBytes }) => peakRssBytes)),
  }
}

/** How many cores the machine is busy with, looked at for half a second. */
export async function busyCores(): Promise<number> {
  const [from, began] = [busyTicks(), performance.now()]
  await sleep(500)
  return (busyTicks() - from) / TICKS_PER_SECOND / ((performance.now() - began) / 1000)
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/**
 * User and system time of all threads so far; 0 where the process is gone. Both sources are lower bounds: ticks are
 * rounded down, which is much of what a tcpdump takes, but only they know of threads that have ended.
 */
function cpuSecondsOf(process: string): number {
  const stat = read(`${process}/stat`)
  // The name, in parentheses, may hold anything.
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number)
  const threads = list(`${process}/task`).map((thread) => read(`${process}/task/${thread}/schedstat`))
  const nanoseconds = sum(threads.map((text) => Number(text.split(' ', 1)[0])))
  return Math.max((user + system) / TICKS_PER_SECOND, nanoseconds / 1e9)
}

/** User, nice, system, irq, softirq and steal, but neither idle nor iowait. */
function busyTicks(): number {
  const [, user, nice, system, , , irq, softirq, steal] = read('/proc/stat')
    .split('\n', 1)[0]
    .split(/\s+/)
    .map(Number)
  return sum([user, nice, system, irq, softirq, steal])
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
