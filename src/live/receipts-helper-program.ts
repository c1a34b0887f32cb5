/**
 * The receipts helper's program: reads what the kernel counts when it gets its task, and again when it is told that the
 * end has come. Of the other side, which may have given root up, it takes nothing but that.
 */

import { Socket } from 'node:net'
import { eachLine } from '../capture/live/lines.ts'
import { KernelDropReader } from '../receipts/kernel-drops.ts'
import { openReceipts, type ReceiptsReader } from '../receipts/receipts-reader.ts'
import { BEGUN, END, RECEIPTS_FD, type ReceiptsTask } from './receipts-helper.ts'

const MAX_TASK_CHARACTERS = 1 << 20

// Ctrl-C and a closing terminal reach this process too; the end is read after them.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

/** The first thing, while the other process still looks for its places. */
const drops = KernelDropReader.begin()
let reader: ReceiptsReader | null = null
let isBegun: Promise<void> | null = null
let isEnding = false

const control = new Socket({ fd: RECEIPTS_FD })
// The other process has ended, or does not want to know any more.
control.on('error', leave).on('close', leave)
process.on('exit', () => {
  if (reader !== null) reader.close()
  else if (typeof drops !== 'string') drops.close()
})
eachLine(control, MAX_TASK_CHARACTERS, (line) => {
  if (isBegun === null) isBegun = begin(JSON.parse(line) as ReceiptsTask)
  else if (line === END && !isEnding) void end(isBegun)
})

async function begin({ namespaces, addresses, trace }: ReceiptsTask): Promise<void> {
  reader = openReceipts(namespaces, { addresses, drops, trace })
  await reader.begin()
  control.write(`${BEGUN}\n`)
}

async function end(begun: Promise<void>): Promise<void> {
  isEnding = true
  await begun
  const receipts = await reader!.end()
  control.end(`${JSON.stringify(receipts)}\n`)
}

function leave(): void {
  process.exit()
}
