/** Passes a pcap stream through as a host would have written it whose clock is off: `node shifted-clock.mjs OFFSET_MS PPM`. */

const [offsetMs, ppm] = process.argv.slice(2).map(Number)
let bytes = Buffer.alloc(0)
let hasHeader = false
let firstMicros = 0

process.stdin.on('data', (chunk) => {
  bytes = Buffer.concat([bytes, chunk])
  let end = 0
  if (!hasHeader) {
    if (bytes.length < 24) return
    hasHeader = true
    end = 24
  }
  while (bytes.length >= end + 16 && bytes.length >= end + 16 + bytes.readUInt32LE(end + 8)) {
    const micros = bytes.readUInt32LE(end) * 1e6 + bytes.readUInt32LE(end + 4)
    firstMicros ||= micros
    const shown = Math.round(micros + offsetMs * 1e3 + (micros - firstMicros) * ppm * 1e-6)
    bytes.writeUInt32LE(Math.floor(shown / 1e6), end)
    bytes.writeUInt32LE(shown % 1e6, end + 4)
    end += 16 + bytes.readUInt32LE(end + 8)
  }
  process.stdout.write(bytes.subarray(0, end))
  bytes = bytes.subarray(end)
})
