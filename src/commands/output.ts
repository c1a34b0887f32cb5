/** Output: where commands write, in large pieces; a reader that closes the pipe early is no error. */

import { constants, createWriteStream, fstatSync, ftruncateSync, openSync, statSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { WriteStream as TerminalStream } from 'node:tty'
import { displayText } from '../capture/display-text.ts'
import { isCapture } from '../capture/inputs.ts'
import { HoptraceError } from '../errors.ts'

/** Width for output that is no terminal. */
const DEFAULT_COLUMNS = 80
/** Lines are gathered to about this length: a system call for each line would be most of the work. */
const PIECE_CHARS = 65_536

/** Longer than any message of ours; what the user typed may be longer still. */
const MESSAGE_CHARACTERS = 2000

export interface Output {
  /** Width in columns: the terminal's, `COLUMNS`, or 80. */
  readonly columns: number
  readonly isTerminal: boolean
  /** Only on a terminal, and never with NO_COLOR. */
  readonly color: boolean
  /** Whoever read has seen enough (`hoptrace … | head`): what is written now goes nowhere. */
  readonly closed: boolean
  /** Rejects with a `HoptraceError` where the device is full or broken. */
  write(text: string): Promise<void>
  /** Resolves when what was written so far is with the reader. */
  flush(): Promise<void>
  /** Resolves when all is written. */
  end(): Promise<void>
}

export function standardOutput(): Output {
  return outputTo(process.stdout, 'standard output')
}

/**
 * Opens `path` for writing; what is there stays until something is written, or the end: a run that fails before destroys
 * nothing. Rejects with a `HoptraceError` where that is not possible, and where a capture lies
 * there: captures are what people can't make again, and `--journeys *.pcap` is soon typed.
 */
export async function outputFile(path: string, option: string): Promise<Output> {
  const shown = displayText(path, 400)
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() && (await isCapture(path)))
      throw new HoptraceError(`${shown}: is a capture, not overwritten: give ${option} another file`)
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT)
    return outputTo(createWriteStream(path, { fd }), shown, () => {
      if (fstatSync(fd).isFile()) ftruncateSync(fd)
    })
  } catch (error) {
    if (error instanceof HoptraceError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new HoptraceError(
      `${shown}: cannot be written (${code}): give ${option} a file in a folder that you may write to`,
    )
  }
}

function outputTo(stream: Writable, name: string, onBegin = () => {}): Output {
  let pending = ''
  let hasBegun = false
  let closed = false
  let failure: HoptraceError | null = null
  const note = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' && stream === process.stdout) closed = true
    else
      failure ??= new HoptraceError(
        `${name}: cannot be written (${error.code}): is there room, and a reader?`,
      )
  }
  stream.on('error', note)
  const flush = async () => {
    const text = pending
    pending = ''
    if (!hasBegun) onBegin()
    hasBegun = true
    if (text !== '' && !closed && !failure) {
      await new Promise<void>((resolve) => {
        const written = (error?: Error | null) => {
          if (error) note(error)
          resolve()
        }
        // Standard output that is a file writes at once, and throws.
        try {
          stream.write(text, written)
        } catch (error) {
          written(error as Error)
        }
      })
    }
    if (failure) throw failure
  }
  const terminal = stream instanceof TerminalStream ? stream : null
  return {
    columns: terminal?.columns || Number(process.env.COLUMNS) || DEFAULT_COLUMNS,
    isTerminal: terminal !== null,
    color: terminal !== null && !process.env.NO_COLOR && terminal.hasColors(),
    get closed() {
      return closed
    },
    async write(text) {
      pending += text
      if (pending.length >= PIECE_CHARS) await flush()
    },
    flush,
    async end() {
      await flush()
      if (stream !== process.stdout) await new Promise<void>((resolve) => stream.end(() => resolve()))
      if (failure) throw failure
    },
  }
}

/** One line for the user on stderr, safe to be shown. */
export function complain(line: string): void {
  process.stderr.write(`hoptrace: ${displayText(line.replace(/\n+/g, ' '), MESSAGE_CHARACTERS)}\n`)
}
