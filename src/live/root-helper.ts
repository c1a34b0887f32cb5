/**
 * The root helper, seen from the process that has given up root: a child that keeps it, and opens places again. It is
 * asked with names of points only, and answers with open sockets of the places that this run was started for.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { receiveDescriptor } from '../capture/live/descriptor-passing.ts'
import { eachLine } from '../capture/live/lines.ts'
import type { CapturePlace } from '../capture/live/place.ts'
import type { RingSocket } from '../capture/live/ring-socket.ts'
import { SystemCallError, systemCalls } from '../capture/live/system.ts'
import type { Follower } from './follower.ts'
import type { FixedSelection } from './place-finder.ts'

/** What it is to look after, on its standard input while we are root; nothing can be added later. */
export interface HelperTask {
  readonly selection: FixedSelection
  readonly held: readonly CapturePlace[]
  /** Names of points that have no place. */
  readonly taken: readonly string[]
  readonly snapLenBytes: number
  readonly bpf: string | null
  readonly bufferBytes: number
  readonly promiscuous: boolean
}

/** A line of JSON, sent when the socket's descriptor is on its way. */
export interface HelperAnswer {
  readonly place: CapturePlace
  readonly socket: Omit<RingSocket, 'fd'>
  /** Address → name, as they are now. */
  readonly names: readonly (readonly [string, string])[]
}

export interface HelperEvents {
  /** The socket is the receiver's to close. */
  onSocket(answer: HelperAnswer, socket: RingSocket): void
  /** It has ended although nobody told it to: lost places stay lost. */
  onEnd(): void
}

/** The helper's ends: requests and answers, and the socket that descriptors go through. */
export const CONTROL_FD = 3
export const DESCRIPTORS_FD = 4

/** To be started before root is given up. It ends with this process, however that ends: its sockets close. */
export class RootHelper implements Follower {
  readonly #events: HelperEvents
  readonly #control: Duplex
  readonly #descriptors: number
  #isClosed = false

  constructor(task: HelperTask, events: HelperEvents) {
    this.#events = events
    const [ours, theirs] = systemCalls().socketpair()
    this.#descriptors = ours
    const program = fileURLToPath(new URL('./root-helper-program.js', import.meta.url))
    let child: ChildProcess
    try {
      child = spawn(process.execPath, [...MEMORY_OPTIONS, program], {
        stdio: ['pipe', 'ignore', 'inherit', 'pipe', theirs],
      })
    } finally {
      closeSync(theirs)
    }
    this.#control = child.stdio[CONTROL_FD] as Duplex
    child.on('error', () => this.#end())
    child.stdin!.on('error', () => {}).end(JSON.stringify(task))
    this.#control.on('error', () => {}).on('close', () => this.#end())
    eachLine(this.#control, MAX_ANSWER_CHARACTERS, (line) => this.#take(JSON.parse(line) as HelperAnswer))
    // The capture decides how long this process lives.
    child.unref()
    ;(this.#control as Duplex & { unref(): void }).unref()
  }

  miss(name: string): void {
    if (!this.#isClosed) this.#control.write(`${name}\n`)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#control.destroy()
    closeSync(this.#descriptors)
  }

  #take(answer: HelperAnswer): void {
    if (this.#isClosed) return
    const fd = this.#receive()
    if (fd !== null) this.#events.onSocket(answer, { ...answer.socket, fd })
  }

  #receive(): number | null {
    try {
      return receiveDescriptor(this.#descriptors)
    } catch (error) {
      // Too many are open here: the next one may find room.
      if (error instanceof SystemCallError) return null
      throw error
    }
  }

  #end(): void {
    if (this.#isClosed) return
    this.close()
    this.#events.onEnd()
  }
}

const MAX_ANSWER_CHARACTERS = 4 << 20
/** It waits most of the time: little memory is better than speed. */
const MEMORY_OPTIONS = ['--max-semi-space-size=1', '--v8-pool-size=0']
