/** Decodes the TCP header and those options that tell segments, windows and paths apart. */

import { i32, u16 } from './big-endian.ts'
import { Checksum, type Headers } from './headers.ts'

const MIN_LEN = 20
const DST_PORT = 2
const SEQ = 4
const ACK = 8
const DATA_OFFSET = 12
const FLAGS = 13
const WINDOW = 14
const CHECKSUM = 16

const END_OF_OPTIONS = 0
const NO_OPERATION = 1
const MSS = 2
const WINDOW_SCALE = 3
const SACK_PERMITTED = 4
const SACK = 5
const TIMESTAMPS = 8
/** NOP, NOP, Timestamps, 10: how nearly every segment of an established connection begins its options. */
const ALIGNED_TIMESTAMPS = 0x0101080a

/**
 * Fills `out` from the TCP header at `start` (RFC 9293, 3.1; options: RFC 7323, RFC 2018); returns where the
 * payload begins, or -1 with `out.stopLayer` set. Damage in the options leaves the fixed header, and the
 * options in front of it, in place.
 */
export function decodeTcp(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < MIN_LEN) return out.stopShort('tcp', start + MIN_LEN)
  const headerLen = (bytes[start + DATA_OFFSET] >> 4) * 4
  const payload = start + headerLen
  if (headerLen < MIN_LEN || payload > out.packetEnd) return out.stopMalformed('tcp', start + DATA_OFFSET)

  out.hasTransport = true
  out.transportOffset = start
  out.srcPort = u16(bytes, start)
  out.dstPort = u16(bytes, start + DST_PORT)
  out.tcpSeq = i32(bytes, start + SEQ) >>> 0
  out.tcpAck = i32(bytes, start + ACK) >>> 0
  out.tcpFlags = bytes[start + FLAGS]
  out.tcpWindow = u16(bytes, start + WINDOW)
  out.transportChecksumField = u16(bytes, start + CHECKSUM)
  out.transportChecksum = Checksum.Unchecked
  clearTcpOptions(out)
  out.payloadOffset = payload
  out.payloadLenBytes = out.packetEnd - payload
  if (headerLen === 32 && payload <= end && i32(bytes, start + MIN_LEN) === ALIGNED_TIMESTAMPS) {
    readTimestamps(bytes, start + MIN_LEN + 2, out)
    return payload
  }
  return headerLen === MIN_LEN ? payload : decodeTcpOptions(bytes, start + MIN_LEN, payload, end, out)
}

/** Sets the option fields to what they are in a segment without options. */
export function clearTcpOptions(out: Headers): void {
  out.tcpMss = -1
  out.tcpWindowScale = -1
  out.tcpSackPermitted = false
  out.tcpSackBlocks = 0
  out.tcpSackOffset = -1
  out.tcpHasTimestamps = false
}

function decodeTcpOptions(bytes: Uint8Array, start: number, optionsEnd: number, end: number, out: Headers) {
  let at = start
  while (at < optionsEnd) {
    if (at >= end) return out.stopShort('tcp', optionsEnd)
    const kind = bytes[at]
    if (kind === END_OF_OPTIONS) break
    if (kind === NO_OPERATION) {
      at++
      continue
    }
    if (at + 1 >= optionsEnd) return out.stopMalformed('tcp', at)
    if (at + 1 >= end) return out.stopShort('tcp', optionsEnd)
    const len = bytes[at + 1]
    if (at + len > optionsEnd || !isRightLen(kind, len)) return out.stopMalformed('tcp', at)
    if (at + len > end) return out.stopShort('tcp', optionsEnd)
    if (kind === MSS) out.tcpMss = u16(bytes, at + 2)
    else if (kind === WINDOW_SCALE) out.tcpWindowScale = bytes[at + 2]
    else if (kind === SACK_PERMITTED) out.tcpSackPermitted = true
    else if (kind === TIMESTAMPS) readTimestamps(bytes, at, out)
    else if (kind === SACK) {
      out.tcpSackBlocks = (len - 2) >> 3
      out.tcpSackOffset = at + 2
    }
    at += len
  }
  return optionsEnd > end ? out.stopShort('tcp', optionsEnd) : optionsEnd
}

function isRightLen(kind: number, len: number): boolean {
  switch (kind) {
    case MSS:
      return len === 4
    case WINDOW_SCALE:
      return len === 3
    case SACK_PERMITTED:
      return len === 2
    case SACK:
      return len >= 10 && (len - 2) % 8 === 0
    case TIMESTAMPS:
      return len === 10
    default:
      return len >= 2
  }
}

function readTimestamps(bytes: Uint8Array, option: number, out: Headers): void {
  out.tcpHasTimestamps = true
  out.tcpTsVal = i32(bytes, option + 2) >>> 0
  out.tcpTsEcr = i32(bytes, option + 6) >>> 0
}
