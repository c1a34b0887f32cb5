/**
 * The receipts helper, seen from the process that captures: a child that reads what the kernel counts before and after.
 * It keeps root where this process gives it up, and is told nothing then but that the end has come.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { eachLine } from '../capture/live/lines.ts'
import type { NotRead, Receipts } from '../receipts/model.ts'
import { checkedReceipts } from '../receipts/receipts-check.ts'
import type { ReceiptNamespace } from '../receipts/receipts-reader.ts'
import type { TraceTask } from '../receipts/tracing.ts'

/** What it is to read: its first line, while we are root; nothing can be added later. */
export interface ReceiptsTask {
  readonly namespaces: readonly ReceiptNamespace[]
  /** Addresses of the captured containers. */
  readonly addresses: readonly string[]
  /** Whose packets to trace through the rules; null: none. */
  readonly trace: TraceTask | null
}

/** The helper's end: the task, then the end; it answers that it has begun, then with the receipts. */
export const RECEIPTS_FD = 3
export const BEGUN = 'begun'
export const END = 'end'

/** A capture does not wait longer for its beginning, in ms: a busy machine, or one with very many rules, takes seconds. */
const BEGIN_PATIENCE_MS = 10_000
/** Nor at its end. */
const END_PATIENCE_MS = 15_000
const LATE: NotRead = {
  namespace: null,
  what: 'the beginning',
  why: `it took more than ${BEGIN_PATIENCE_MS / 1000} s, so packets had come before it`,
}
const MAX_ANSWER_CHARACTERS = 64 << 20
/** It waits most of the time. */
const MEMORY_OPTIONS = ['--max-semi-space-size=1', '--v8-pool-size=0']

/** To be started before root is given up. It ends with this process, however that ends. */
export class ReceiptsHelper {
  readonly #control: Duplex
  readonly #isBegun: Promise<void>
  readonly #receipts: Promise<Receipts | null>
  #isClosed = false
  #isAsked = false
  #isLate = false
  /** There was something to read, and it was not: the process ended, or took too long. */
  hasFailed = false

  /** Starts the process, which gets ready while the capture looks for its places. */
  constructor() {
    const program = fileURLToPath(new URL('./receipts-helper-program.js', import.meta.url))
    const child: ChildProcess = spawn(process.execPath, [...MEMORY_OPTIONS, program], {
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    })
    this.#control = child.stdio[RECEIPTS_FD] as Duplex
    let takeBegun = () => {}
    let take: (receipts: Receipts | null) => void = () => {}
    this.#isBegun = new Promise((resolve) => {
      takeBegun = resolve
    })
    this.#receipts = new Promise((resolve) => {
      take = resolve
    })
    const end = () => {
      takeBegun()
      take(null)
    }
    child.on('error', end)
    this.#control.on('error', end).on('close', end)
    eachLine(this.#control, MAX_ANSWER_CHARACTERS, (line) => {
      if (line === BEGUN) takeBegun()
      else take(parsed(line))
    })
    // The capture decides how long this process lives.
    child.unref()
    ;(this.#control as Duplex & { unref(): void }).unref()
  }

  /** Resolves when the beginning was read, or it takes too long to wait for. */
  async begin(task: ReceiptsTask): Promise<void> {
    this.#isAsked = true
    this.#control.write(`${JSON.stringify(task)}\n`)
    const inTime = this.#isBegun.then(() => true)
    this.#isLate = !(await within(inTime, BEGIN_PATIENCE_MS, false))
  }

  /** What the kernel counted since; null where the helper can't tell. */
  async end(): Promise<Receipts | null> {
    if (!this.#isAsked) return null
    if (!this.#isClosed) this.#control.write(`${END}\n`)
    const receipts = await within(this.#receipts, END_PATIENCE_MS, null)
    this.hasFailed = receipts === null
    this.close()
    return receipts && this.#isLate ? { ...receipts, notRead: [...receipts.notRead, LATE] } : receipts
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#control.destroy()
  }
}

/** What `promise` resolves with, or `otherwise` after so long. Keeps the process alive meanwhile. */
async function within<T>(promise: Promise<T>, patienceMs: number, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function parsed(line: string): Receipts | null {
  try {
    return checkedReceipts(JSON.parse(line))
  } catch {
    return null
  }
}
