/** The file of an HTML page: who writes one says in one line what is in it. */

import type { CaptureInput } from '../capture/inputs.ts'
import type { ReportPage } from '../page/html-report.ts'
import { formatBytes, formatCount, formatCounted } from '../report/quantities.ts'
import type { Output } from './output.ts'
import { progressBar } from './progress.ts'

/** Writes the page; resolves to what was written: `1.2 MB, 2 flows, 100,000 of 120,000 packets`. */
export async function writePage(
  page: ReportPage,
  inputs: readonly CaptureInput[],
  file: Output,
): Promise<string> {
  const bar = progressBar('writing')
  let lenBytes = 0
  let pieces = 0
  try {
    for await (const piece of page.pieces(inputs)) {
      lenBytes += Buffer.byteLength(piece)
      await file.write(piece)
      if (file.closed) break
      bar.update(++pieces, page.pieceCount)
    }
    await file.end()
  } finally {
    bar.stop()
  }
  const { flows, allFlows, packets, allPackets } = page.counts
  return `${formatBytes(lenBytes)}, ${ofAll(flows, allFlows, 'flow')}, ${ofAll(packets, allPackets, 'packet')}`
}

function ofAll(count: number, all: number, noun: string): string {
  return count === all ? formatCounted(all, noun) : `${formatCount(count)} of ${formatCounted(all, noun)}`
}
