/** The whole terminal for one picture that is drawn again and again, and given back as it was however the program ends. */

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { emitKeypressEvents, type Key } from 'node:readline'
import { HoptraceError } from '../errors.ts'
import { displayWidth } from '../report/width.ts'

export interface ScreenListener {
  /**
   * A key by its name (`q`, `up`, `pagedown`, `ctrl-l`). Ctrl-C, Ctrl-Z and Ctrl-\ do not come here: they become the
   * signals that they are on any other terminal.
   */
  onKey(key: string): void
  /** Another size, or back from being suspended: time to draw. */
  onResize(): void
}

/** Alternate screen, no cursor, no wrapping of what is too wide; and back. */
const TAKE = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J'
const GIVE_BACK = '\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l'
/** The terminal shows all that stands between the two at once. */
const FRAME_BEGIN = '\x1b[?2026h'
const FRAME_END = '\x1b[?2026l'
const ERASE_REST = '\x1b[0m\x1b[K'
const STDOUT = 1
const RETRY_MS = 30
/** After that long we were not stopped, or are back. */
const STOPPED_MS = 50
/** What ends a program that does not listen. */
const FATAL_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGALRM'] as const
const KEY_SIGNALS: Readonly<Record<string, NodeJS.Signals>> = {
  'ctrl-c': 'SIGINT',
  'ctrl-z': 'SIGTSTP',
  'ctrl-\\': 'SIGQUIT',
}

/** Throws a `HoptraceError` where standard output is no terminal, or none that can place text. */
export function requireTerminal(): void {
  if (!process.stdout.isTTY)
    throw new HoptraceError('--watch needs a terminal: standard output is none, so leave --watch out')
  const { TERM } = process.env
  if (TERM === undefined || TERM === '' || TERM === 'dumb')
    throw new HoptraceError(
      `--watch needs a terminal: TERM=${TERM ?? ''} cannot place text, so leave --watch out`,
    )
}

/** There is one terminal, so at most one of these may be open. */
export class FullScreen {
  readonly #listener: ScreenListener
  /** Writing to it never waits: a terminal that stands still must not hold up the capture. */
  readonly #output: number
  readonly #hasKeys = process.stdin.isTTY === true
  #isTaken = false
  #isClosed = false
  #drawn: string[] = []
  /** What the terminal has not taken yet of the last frame, and the frame to draw after it. */
  #unsent: Uint8Array | null = null
  #waiting: string | null = null
  #retry: NodeJS.Timeout | null = null

  /** Takes over the terminal. Throws a `HoptraceError` where standard output is none, or none that can do this. */
  static open(listener: ScreenListener): FullScreen {
    requireTerminal()
    return new FullScreen(listener)
  }

  private constructor(listener: ScreenListener) {
    this.#listener = listener
    this.#output = openWithoutWaiting()
    process.on('exit', this.#giveBack)
    for (const signal of FATAL_SIGNALS) process.on(signal, this.#onFatal)
    process.on('SIGTSTP', this.#suspend)
    process.on('SIGCONT', this.#resume)
    process.stdout.on('resize', this.#redraw)
    // A terminal that has gone is told by SIGHUP: reading from it fails as well.
    process.stdin.on('error', ignore)
    if (this.#hasKeys) {
      emitKeypressEvents(process.stdin)
      process.stdin.on('keypress', this.#onKeypress)
    }
    this.#take()
  }

  get columns(): number {
    return process.stdout.columns || 80
  }

  get rows(): number {
    return process.stdout.rows || 24
  }

  /** Whether keys can be read: standard input may be something else than the terminal. */
  get hasKeys(): boolean {
    return this.#hasKeys
  }

  /** Shows these lines from the top on; only those that are new are sent. Drops a picture that comes too fast. */
  draw(text: string): void {
    if (!this.#isTaken) return
    if (this.#unsent) this.#waiting = text
    else this.#send(text)
  }

  /** Gives the terminal back as it was; may be called again. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#giveBack()
    process.off('exit', this.#giveBack)
    for (const signal of FATAL_SIGNALS) process.off(signal, this.#onFatal)
    process.off('SIGTSTP', this.#suspend)
    process.off('SIGCONT', this.#resume)
    process.stdout.off('resize', this.#redraw)
    process.stdin.off('error', ignore)
    if (this.#hasKeys) {
      process.stdin.off('keypress', this.#onKeypress)
      process.stdin.pause()
    }
    if (this.#output !== STDOUT) closeSync(this.#output)
  }

  #take(): void {
    // First of all: in the background this is where the terminal stops us, with nothing written yet.
    if (this.#hasKeys) process.stdin.setRawMode(true)
    this.#isTaken = true
    this.#drawn = []
    writeAll(TAKE)
    if (this.#hasKeys) process.stdin.resume()
  }

  readonly #giveBack = (): void => {
    if (!this.#isTaken) return
    this.#isTaken = false
    this.#unsent = null
    this.#waiting = null
    if (this.#retry) clearTimeout(this.#retry)
    writeAll(GIVE_BACK)
    try {
      if (this.#hasKeys) process.stdin.setRawMode(false)
    } catch {
      // The terminal has gone.
    }
  }

  /** Without another listener the signal would have ended the program, so it does. Else that listener closes in time. */
  readonly #onFatal = (signal: NodeJS.Signals): void => {
    if (process.listenerCount(signal) > 1) return
    this.close()
    process.kill(process.pid, signal)
  }

  /** Stops as any program does: not by SIGSTOP, which nothing would wake us from where there is no shell above. */
  readonly #suspend = (): void => {
    this.#giveBack()
    process.off('SIGTSTP', this.#suspend)
    process.kill(process.pid, 'SIGTSTP')
    setTimeout(() => {
      if (!(this.#isTaken || this.#isClosed)) this.#resume()
    }, STOPPED_MS)
  }

  /** After SIGSTOP, which nobody sees coming, the terminal may have been set to anything meanwhile. */
  readonly #resume = (): void => {
    this.#giveBack()
    process.off('SIGTSTP', this.#suspend).on('SIGTSTP', this.#suspend)
    this.#take()
    this.#listener.onResize()
  }

  readonly #redraw = (): void => {
    this.#drawn = []
    if (this.#isTaken) this.#listener.onResize()
  }

  readonly #onKeypress = (text: string | undefined, key: Key): void => {
    const name = key.name ?? text ?? ''
    const pressed = key.ctrl ? `ctrl-${name}` : (CONTROLS[key.sequence ?? ''] ?? name)
    const signal = KEY_SIGNALS[pressed]
    // To all of the foreground job, as the terminal itself sends it.
    if (signal) process.kill(0, signal)
    else if (pressed === 'ctrl-l') this.#redraw()
    else if (pressed !== '') this.#listener.onKey(pressed)
  }

  #send(text: string): void {
    const lines = text.split('\n').slice(0, this.rows)
    while (lines.length < this.rows) lines.push('')
    const { columns } = this
    let frame = ''
    lines.forEach((line, i) => {
      // Behind a line that fills its row, erasing would take its last character away.
      if (line !== this.#drawn[i])
        frame += `\x1b[${i + 1};1H${line}${displayWidth(line) < columns ? ERASE_REST : '\x1b[0m'}`
    })
    this.#drawn = lines
    if (frame === '') return
    this.#unsent = Buffer.from(FRAME_BEGIN + frame + FRAME_END)
    this.#flush()
  }

  #flush(): void {
    this.#retry = null
    try {
      while (this.#unsent && this.#unsent.length > 0)
        this.#unsent = this.#unsent.subarray(writeSync(this.#output, this.#unsent))
      this.#unsent = null
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
        this.#retry = setTimeout(() => this.#flush(), RETRY_MS)
        return
      }
      // The terminal has gone: SIGHUP says what is to be done.
      this.#unsent = null
    }
    const next = this.#waiting
    this.#waiting = null
    if (next !== null) this.#send(next)
  }
}

/** Ctrl with keys to which readline gives no name. */
const CONTROLS: Readonly<Record<string, string>> = { '\x1c': 'ctrl-\\' }

function ignore(): void {}

/** The terminal once more, as O_NONBLOCK would be there for the shell as well on the one that we share with it. */
function openWithoutWaiting(): number {
  try {
    return openSync(`/proc/self/fd/${STDOUT}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return STDOUT
  }
}

/** Writes to the end, in the middle of exiting too. What cannot be written to a terminal that has gone is lost. */
function writeAll(text: string): void {
  let bytes: Uint8Array = Buffer.from(text)
  for (let tries = 0; bytes.length > 0 && tries < 1000; tries++) {
    try {
      bytes = bytes.subarray(writeSync(STDOUT, bytes))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
