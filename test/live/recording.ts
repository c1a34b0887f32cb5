/** Recordings: tcpdump at several points of a site at once, begun and ended so that nothing is missing in between. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { Running } from './capturing.ts'
import { baseOf } from './docker-host.ts'

/** tcpdumps at several points. */
export class Recording {
  /** Where the files are. */
  readonly folder: string
  readonly #programs = new Map<string, Running>()
  readonly #interfaceOf: (point: string) => { netns: string; iface: string }

  private constructor(interfaceOf: (point: string) => { netns: string; iface: string }) {
    this.folder = mkdtempSync(join(tmpdir(), baseOf(process.pid, 'recording-')))
    this.#interfaceOf = interfaceOf
    onTestFinished(() => {
      for (const { child } of this.#programs.values()) child.kill('SIGKILL')
      rmSync(this.folder, { recursive: true, force: true })
    })
  }

  static async start(
    points: readonly string[],
    interfaceOf: (point: string) => { netns: string; iface: string },
  ): Promise<Recording> {
    const recording = new Recording(interfaceOf)
    await recording.begin(...points)
    return recording
  }

  /** Begins at further points. */
  async begin(...points: string[]): Promise<void> {
    for (const point of points) {
      const { netns, iface } = this.#interfaceOf(point)
      const options = ['-i', iface, '-n', '--immediate-mode', '--time-stamp-precision=nano', '-Z', 'root']
      const args = ['tcpdump', ...options, '-w', this.file(point), '(ip or ip6) and not igmp']
      this.#programs.set(point, new Running(spawnIn(netns, ...args)))
    }
    await Promise.all(points.map((point) => this.#programs.get(point)!.untilSaid(/listening on/)))
  }

  /** Ends at these points, once all that came there so far is in the files. */
  async end(...points: string[]): Promise<void> {
    await Promise.all(points.map((point) => finish(this.#programs.get(point)!)))
    for (const point of points) this.#programs.delete(point)
  }

  /** Ends everywhere. */
  endAll(): Promise<void> {
    return this.end(...this.#programs.keys())
  }

  file(point: string): string {
    return join(this.folder, `${point}.pcap`)
  }
}

/**
 * Ends a tcpdump when it has taken all that its socket has received, as it says itself when asked by SIGUSR1. What came
 * before its filter was set is received, too, and never taken: that stays as it is.
 */
export async function finish(program: Running): Promise<void> {
  const answers = () => [
    ...program.stderr.matchAll(/(\d+) packets? captured[\s\S]*?(\d+) packets? received/g),
  ]
  let same = 0
  for (let asked = 1; same < 5; asked++) {
    program.child.kill('SIGUSR1')
    await program.until(() => answers().length >= asked)
    const [before, now] = answers()
      .slice(-2)
      .map(([, ...counts]) => counts.join())
    const [, captured, received] = answers().at(-1)!
    if (captured === received) break
    same = before === now ? same + 1 : 0
    await sleep(20)
  }
  await program.end()
}

/** Starts a program in a namespace; it ends with this process, however this one ends. */
export function spawnIn(netns: string, ...args: string[]): ChildProcess {
  const enter = ['--pdeathsig', 'KILL', 'nsenter', `--net=/run/netns/${netns}`]
  return spawn('setpriv', [...enter, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
}
