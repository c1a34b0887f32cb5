/** Inputs that are no files: they end when whoever writes them ends, and Ctrl-C is meant for that one. */

import { statSync } from 'node:fs'
import { complain } from './output.ts'

/** Standard input, a FIFO or the like: it ends when whoever writes it ends. */
export function isLive(input: string): boolean {
  const path = input.slice(input.indexOf('=') + 1)
  const stat = statSync(path, { throwIfNoEntry: false })
  return path === '-' || (stat !== undefined && !stat.isFile() && !stat.isDirectory())
}

/** Ctrl-C reaches the program that captures as well: when that has ended, the report is due, and not lost. */
export function reportOnInterrupt(): void {
  let interrupts = 0
  process.on('SIGINT', () => {
    if (++interrupts > 1) process.exit(130)
    complain('the report follows when the input ends; Ctrl-C again gives up')
  })
}
