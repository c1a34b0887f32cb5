/** The heads of pipes: what is given on standard input or by FIFOs is looked into before it is read. */

import { statSync } from 'node:fs'
import { descriptorOf } from './byte-source.ts'
import type { CaptureInput } from './inputs.ts'
import { PipeHead } from './pipe-head.ts'

/** What is looked at of each pipe, and of all of them, in bytes. */
const HEAD_BYTES = 1 << 23
const TOTAL_BYTES = 1 << 25

/** A file, which can be read as often as one likes. */
export function isRereadable({ path }: CaptureInput): boolean {
  try {
    return descriptorOf(path) < 0 && statSync(path).isFile()
  } catch {
    return false
  }
}

/**
 * Opens the pipes among `inputs`, and waits until all have ended, or one has filled its head: from there on its writer
 * would have to wait for us. Resolves to the inputs with their heads; what can't be opened stays as it is.
 */
export async function openPipeHeads(inputs: readonly CaptureInput[]): Promise<CaptureInput[]> {
  const pipes = inputs.filter((input) => !isRereadable(input))
  if (pipes.length === 0) return [...inputs]
  const enoughBytes = Math.min(HEAD_BYTES, Math.floor(TOTAL_BYTES / pipes.length))
  const heads = await Promise.all(pipes.map(({ path }) => PipeHead.open(path, enoughBytes).catch(() => null)))
  const open = heads.filter((head) => head !== null)
  await new Promise<void>((resolve) => {
    let left = open.length
    if (left === 0) resolve()
    for (const head of open)
      void head.settled.then(() => {
        left--
        if (left === 0 || head.isFull) resolve()
      })
  })
  return inputs.map((input) => {
    const head = heads[pipes.indexOf(input)]
    return head ? { ...input, opened: head } : input
  })
}
