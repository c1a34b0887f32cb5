/** The child program: one that writes a capture on its standard output; started without a shell, never left behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { HoptraceError } from '../../errors.ts'
import { displayText } from '../display-text.ts'

/** How long a program has to write out what it holds and end, before it is killed, in ms. */
const PATIENCE_MS = 2000
/** A process that was killed is gone within this time, in ms; who else holds the pipe is waited for no longer. */
const KILL_MS = 200
/** What a program said last is read to its end for so long after it has ended, in ms. */
const LAST_WORDS_MS = 200
/** Characters of a line on stderr that are kept. */
const LINE_CHARACTERS = 1000
/** tcpdump says so when it ends, since pcap has no place for it. */
const TCPDUMP_DROPS = /^(\d{1,15}) packets? dropped by kernel$/

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Runs something synchronous, such as inside a network namespace. */
export type Enter = <T>(open: () => T) => T

/** Programs that run; killed when we end, whatever the reason that lets us say so. */
const running = new Set<ChildProgram>()

/** A process by number and start time: numbers are used again. */
interface ProcessIdentity {
  readonly pid: number
  readonly startTime: string
}

/**
 * A running program. It stays in our session and process group: in one of its own, ssh and sudo could not ask for a
 * password on the terminal. So Ctrl-C reaches the program too, which then ends as it would by `terminate()`.
 */
export class ChildProgram {
  readonly stdout: Readable
  /** Null while it runs. */
  exit: Exit | null = null
  /** Resolves when it has ended and its last words have been read. */
  readonly exited: Promise<void>
  /** The last line on stderr that is not empty, fit for a terminal. */
  lastLine = ''
  /** Frames that the program said to have lost, or null. */
  drops: number | null = null
  /** It was told to end. */
  isTerminated = false
  readonly #process: ChildProcess
  /** What was told to end with it: children outlive a parent that obeys. */
  #told: ProcessIdentity[] = []
  #line = ''

  /**
   * Starts a program; `source` names it in messages. It is started inside `enter`, whose network namespace it inherits.
   * Rejects with a `HoptraceError` where that is not possible.
   */
  static async start(
    words: readonly string[],
    source: string,
    enter: Enter = (open) => open(),
  ): Promise<ChildProgram> {
    if (words.length === 0)
      throw new HoptraceError(`${source}: names no program: write exec:PROGRAM ARGUMENTS`)
    const child = enter(() => spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] }))
    // It can fail later too, where a signal can't be sent: without a listener that would end us.
    child.on('error', () => {})
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (error) => reject(startError(source, error)))
    })
    return new ChildProgram(child)
  }

  private constructor(child: ChildProcess) {
    this.#process = child
    this.stdout = child.stdout!
    child.stderr!.setEncoding('utf8').on('data', (text: string) => this.#listen(text))
    if (running.size === 0) process.on('exit', killAll)
    running.add(this)
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.exit = { code, signal }
        if (!this.isTerminated) this.#forget()
        if (child.stderr!.closed) return resolve()
        // A process of its own making may hold stderr for ever.
        setTimeout(resolve, LAST_WORDS_MS)
        child.stderr!.once('close', resolve)
      })
    })
  }

  /** Tells it and the processes that it has started to end; kills them after 2 s, and then closes the pipe. */
  terminate(): void {
    if (this.isTerminated) return
    this.isTerminated = true
    if (this.exit === null) this.#told = processTree(this.#process.pid!)
    for (const one of this.#told) signal(one, 'SIGTERM')
    setTimeout(() => {
      this.kill()
      this.#forget()
      setTimeout(() => this.stdout.destroy(), KILL_MS).unref()
    }, PATIENCE_MS).unref()
  }

  /** Kills it and what it has started, at once. */
  kill(): void {
    const tree = this.exit === null ? processTree(this.#process.pid!) : []
    for (const one of [...this.#told, ...tree]) signal(one, 'SIGKILL')
  }

  #forget(): void {
    running.delete(this)
    if (running.size === 0) process.off('exit', killAll)
  }

  #listen(text: string): void {
    const lines = (this.#line + text).split(/[\r\n]+/)
    this.#line = lines.pop()!.slice(0, LINE_CHARACTERS)
    for (const line of [...lines, this.#line]) {
      const trimmed = line.trim()
      if (trimmed === '') continue
      this.lastLine = displayText(trimmed, 300)
      const drops = TCPDUMP_DROPS.exec(trimmed)
      if (drops !== null) this.drops = Number(drops[1])
    }
  }
}

function startError(source: string, error: Error): HoptraceError {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT')
    return new HoptraceError(`${source}: no such program: install it, or give the path to it`)
  if (code === 'EACCES')
    return new HoptraceError(`${source}: may not be run (permission denied): make it executable`)
  return new HoptraceError(`${source}: can't be started (${code ?? displayText(error.message)})`)
}

function killAll(): void {
  for (const program of running) program.kill()
}

/** Sends a signal, if the process is still the same one. */
function signal({ pid, startTime }: ProcessIdentity, name: NodeJS.Signals): void {
  try {
    if (startTimeOf(pid) === startTime) process.kill(pid, name)
  } catch {
    // It has ended, or is another user's by now; then it ends when it writes to the pipe that we close.
  }
}

/** A process and all that it has started and that did not detach from it, itself first. */
function processTree(pid: number): ProcessIdentity[] {
  const tree: ProcessIdentity[] = []
  const pids = [pid]
  for (let next = pids.pop(); next !== undefined; next = pids.pop()) {
    tree.push({ pid: next, startTime: startTimeOf(next) })
    pids.push(...childrenOf(next))
  }
  return tree
}

function childrenOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'))
    return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
  } catch {
    return []
  }
}

/** Field 22 of proc(5)'s `stat`, behind the name in parentheses, which may hold anything; '' where there is none. */
export function startTimeOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return ''
  }
}
