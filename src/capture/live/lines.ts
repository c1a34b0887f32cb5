/** Lines of text from a stream that another process writes, bounded in length. */

import type { Readable } from 'node:stream'

/** Calls `take` for each complete line; one that is longer ends the stream. */
export function eachLine(stream: Readable, maxCharacters: number, take: (line: string) => void): void {
  let pending = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (pending + text).split('\n')
    pending = lines.pop()!
    if (pending.length > maxCharacters) stream.destroy()
    else for (const line of lines) take(line)
  })
}
