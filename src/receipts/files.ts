/** Files of the kernel in /proc and /sys, which may be missing and may be long: what cannot be read is not there. */

import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

/** Listening sockets stand in front of a table that may be as long as it likes. */
const MAX_HEAD_BYTES = 1 << 20

export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** The number that a file holds. */
export function numberIn(path: string): number | null {
  const text = readText(path)?.trim()
  return text === undefined || !/^\d{1,15}$/.test(text) ? null : Number(text)
}

/** The beginning of a file. */
export function readHead(path: string): string {
  let fd = -1
  try {
    fd = openSync(path, 'r')
    const bytes = Buffer.alloc(MAX_HEAD_BYTES)
    let length = 0
    for (let count = -1; count !== 0 && length < bytes.length; length += count)
      count = readSync(fd, bytes, length, bytes.length - length, null)
    return bytes.toString('latin1', 0, length)
  } catch {
    return ''
  } finally {
    if (fd >= 0) closeSync(fd)
  }
}
