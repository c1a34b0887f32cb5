/** Reads and decodes captures, merged by time, and does nothing else: what the reader and the decoders cost alone. */

import { resolveInputs } from '../src/capture/inputs.ts'
import { MergedRecords } from '../src/capture/merge.ts'
import { decodeFrame } from '../src/decode/frame.ts'
import { Headers } from '../src/decode/headers.ts'

const { inputs } = await resolveInputs(process.argv.slice(2))
const merged = await MergedRecords.open(inputs)
const headers = new Headers()
let records = 0
let tcp = 0
while (!merged.done) {
  while (merged.advance()) {
    const { bytes, start, end, linkType, originalLenBytes } = merged.record
    decodeFrame(bytes, start, end, linkType, originalLenBytes, headers)
    records++
    if (headers.hasTransport && headers.tcpHasTimestamps) tcp++
  }
  if (!merged.done) await merged.fill()
}
await merged.close()
console.log(`${records} records, ${tcp} of them TCP with timestamps`)
if (tcp !== records) throw new Error('each generated frame is TCP with timestamps')
