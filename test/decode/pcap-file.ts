/**
 * Classic pcap files for the decoder tests, written and read in the plainest way: no part of the program
 * under test.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

export interface TestFrame {
  bytes: Uint8Array
  originalLenBytes: number
}

export interface TestCapture {
  linkType: number
  frames: TestFrame[]
}

export function writePcap(file: string, capture: TestCapture): void {
  const head = Buffer.alloc(24)
  head.writeUInt32LE(0xa1b2c3d4, 0)
  head.writeUInt16LE(2, 4)
  head.writeUInt16LE(4, 6)
  head.writeUInt32LE(262144, 16)
  head.writeUInt32LE(capture.linkType, 20)
  const parts: Uint8Array[] = [head]
  capture.frames.forEach((frame, i) => {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(1_700_000_000, 0)
    record.writeUInt32LE(i, 4)
    record.writeUInt32LE(frame.bytes.length, 8)
    record.writeUInt32LE(frame.originalLenBytes, 12)
    parts.push(record, frame.bytes)
  })
  writeFileSync(file, Buffer.concat(parts))
}

/** Reads a little-endian pcap (µs or ns), gzip'ed or not, as tcpdump writes it here. */
export function readPcap(file: string): TestCapture {
  const raw = readFileSync(file)
  const data = raw[0] === 0x1f ? gunzipSync(raw) : raw
  const frames: TestFrame[] = []
  for (let at = 24; at + 16 <= data.length; ) {
    const capturedLen = data.readUInt32LE(at + 8)
    frames.push({
      bytes: new Uint8Array(data.subarray(at + 16, at + 16 + capturedLen)),
      originalLenBytes: data.readUInt32LE(at + 12),
    })
    at += 16 + capturedLen
  }
  return { linkType: data.readUInt32LE(20), frames }
}
