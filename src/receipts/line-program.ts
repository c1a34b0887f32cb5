/** The line program: one of the system's tools whose output is taken line by line as it comes, never held as a whole. */

import { type ChildProcess, spawn } from 'node:child_process'
import { eachLine } from '../capture/live/lines.ts'

/** How it ended; `why` is null where it ended well, or because we told it to. */
export interface LineProgramEnd {
  readonly missing: boolean
  readonly why: string | null
}

const MAX_LINE_CHARACTERS = 1 << 16
/** A program that was told to end has so long, in ms. */
const PATIENCE_MS = 500

export class LineProgram {
  readonly ended: Promise<LineProgramEnd>
  readonly #child: ChildProcess
  #isStopped = false

  /**
   * Starts it in the network namespace at `netnsPath` (null: the own one). It ends with us, however we end, and after
   * `timeoutMs` where that is given.
   */
  constructor(
    netnsPath: string | null,
    words: readonly string[],
    take: (line: string) => void,
    timeoutMs?: number,
  ) {
    const enter = netnsPath === null ? [] : ['nsenter', `--net=${netnsPath}`]
    // Ctrl-C in a terminal is not for it: we end it.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...enter, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` },
      detached: true,
    })
    let said = ''
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 1000) said += text
    })
    eachLine(this.#child.stdout!, MAX_LINE_CHARACTERS, take)
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs)
    this.ended = new Promise((resolve) => {
      this.#child.on('error', (error: NodeJS.ErrnoException) =>
        resolve({ missing: error.code === 'ENOENT', why: 'setpriv is not installed (package util-linux)' }),
      )
      this.#child.on('close', (code) => {
        clearTimeout(timer)
        if (code === 0 || this.#isStopped) return resolve({ missing: false, why: null })
        const [line = ''] = said.trim().split('\n')
        const missing = /failed to execute .*No such file/.test(line)
        resolve({ missing, why: line || (code === null ? 'it took too long' : `it failed (${code})`) })
      })
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Ends it. */
  async stop(): Promise<LineProgramEnd> {
    this.#isStopped = true
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS)
    const end = await this.ended
    clearTimeout(timer)
    return end
  }
}
