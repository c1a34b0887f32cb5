/** Output: where commands write, with back pressure; a reader that closes the pipe early ends the program quietly. */

import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { WriteStream as TerminalStream } from 'node:tty'

/** Width for output that is no terminal. */
const DEFAULT_COLUMNS = 80

export interface Output {
  /** Width in columns: the terminal's, `COLUMNS`, or 80. */
  readonly columns: number
  /** Only on a terminal, and never with NO_COLOR. */
  readonly color: boolean
  write(text: string): Promise<void>
  writeAll(pieces: Iterable<string>): Promise<void>
  /** Resolves when all is written. */
  end(): Promise<void>
}

export function standardOutput(): Output {
  return outputTo(process.stdout)
}

export function outputTo(stream: Writable): Output {
  let broken: NodeJS.ErrnoException | null = null
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // `hoptrace … | head` is no error: whoever reads has seen enough.
    if (error.code === 'EPIPE' && stream === process.stdout) process.exit(process.exitCode ?? 0)
    broken = error
  })
  const write = async (text: string) => {
    if (broken) throw broken
    if (!stream.write(text)) await once(stream, 'drain')
  }
  const terminal = stream instanceof TerminalStream ? stream : null
  return {
    columns: terminal?.columns || Number(process.env.COLUMNS) || DEFAULT_COLUMNS,
    color: terminal !== null && !process.env.NO_COLOR && terminal.hasColors(),
    write,
    async writeAll(pieces) {
      for (const piece of pieces) await write(piece)
    },
    async end() {
      stream.end()
      await once(stream, 'close')
    },
  }
}
