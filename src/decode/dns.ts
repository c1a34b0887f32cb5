/**
 * Reads the question of a DNS message for display; strangers chose these bytes, so that the name comes out
 * harmless.
 */

import { u16 } from './big-endian.ts'
import type { Headers } from './headers.ts'
import { IpProtocol } from './numbers.ts'

/** The first question of a DNS message. */
export interface DnsQuestion {
  /**
   * Printable ASCII without blanks, everything else as `\DDD` (RFC 1035, 5.1); without the final dot, the
   * root is `.`.
   */
  name: string
  /** QTYPE, as a number. */
  type: number
  isResponse: boolean
  /** RCODE: 0 no error, 2 server failure, 3 no such name, 5 refused. */
  responseCode: number
}

const HEADER_LEN = 12
const FLAGS = 2
const QUESTIONS = 4
const IS_RESPONSE = 0x8000
const OPCODE_AND_ZERO = 0x7840
const DNS_PORTS: readonly number[] = [53, 5353]
/** Longest name on the wire, with its length bytes (RFC 1035, 2.3.4). */
const MAX_NAME_LEN = 255
const MAX_LABEL_LEN = 63
const CLASS_INTERNET = 1
/** mDNS takes the upper bit of the class for itself (RFC 6762, 5.4). */
const CLASS_MASK = 0x7fff
/** Records in a message that is taken for DNS on another port; real ones have a handful. */
const MAX_RECORDS = 64

/** The name of the first question of a DNS message over UDP, or null: see `dnsQuestion`. */
export function dnsQuestionName(headers: Headers): string | null {
  return dnsQuestion(headers)?.name ?? null
}

/**
 * The first question of a DNS message over UDP (RFC 1035, 4.1), or null where the payload is none, or was
 * cut. On the ports 53 and 5353 it needs to be well-formed; elsewhere (Docker's resolver answers on random
 * ports) the header must be plausible as well.
 */
export function dnsQuestion(headers: Headers): DnsQuestion | null {
  if (!headers.hasTransport || headers.protocol !== IpProtocol.Udp) return null
  const { bytes, payloadOffset: start } = headers
  const end = Math.min(headers.end, headers.packetEnd)
  if (end - start < HEADER_LEN || u16(bytes, start + QUESTIONS) === 0) return null
  const isDnsPort = DNS_PORTS.includes(headers.srcPort) || DNS_PORTS.includes(headers.dstPort)
  if (!isDnsPort && !looksLikeDns(bytes, start)) return null

  let name = ''
  let at = start + HEADER_LEN
  for (;;) {
    if (at >= end) return null
    const len = bytes[at++]
    if (len === 0) break
    // A pointer could only lead backwards, and nothing but the header is in front of the first question.
    if (len > MAX_LABEL_LEN || at + len > end || at + len - start - HEADER_LEN >= MAX_NAME_LEN) return null
    if (name !== '') name += '.'
    for (const labelEnd = at + len; at < labelEnd; at++) name += escapeNameByte(bytes[at])
  }
  if (end - at < 4) return null
  if (!isDnsPort && (u16(bytes, at + 2) & CLASS_MASK) !== CLASS_INTERNET) return null
  const flags = u16(bytes, start + FLAGS)
  return {
    name: name || '.',
    type: u16(bytes, at),
    isResponse: (flags & IS_RESPONSE) !== 0,
    responseCode: flags & 0x000f,
  }
}

/** A standard query or its answer, with one question and few records. */
function looksLikeDns(bytes: Uint8Array, start: number): boolean {
  const records = u16(bytes, start + 6) + u16(bytes, start + 8) + u16(bytes, start + 10)
  return (
    (u16(bytes, start + FLAGS) & OPCODE_AND_ZERO) === 0 &&
    u16(bytes, start + QUESTIONS) === 1 &&
    records <= MAX_RECORDS
  )
}

function escapeNameByte(byte: number): string {
  if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`
  if (byte > 0x20 && byte < 0x7f) return String.fromCharCode(byte)
  return `\\${byte.toString().padStart(3, '0')}`
}
