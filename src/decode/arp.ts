/** Decodes ARP for IPv4 over Ethernet; ARP for other protocols is recognised only. */

import { u16 } from './big-endian.ts'
import type { Headers } from './headers.ts'
import { EtherType } from './numbers.ts'

const FIXED_LEN = 8
const PROTOCOL_TYPE = 2
const HARDWARE_LEN = 4
const PROTOCOL_LEN = 5
const OPERATION = 6
const IPV4_LEN = 28
const SENDER_IP = 14
const TARGET_IP = 24

/**
 * Fills `out` from the ARP packet at `start` (RFC 826); returns where it ends, or -1 with `out.stopLayer`
 * set.
 */
export function decodeArp(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < FIXED_LEN) return out.stopShort('arp', start + FIXED_LEN)
  out.isArp = true
  out.arpOperation = u16(bytes, start + OPERATION)
  out.arpSenderIpOffset = -1
  out.arpTargetIpOffset = -1
  const isIpv4 = u16(bytes, start + PROTOCOL_TYPE) === EtherType.Ipv4
  if (!isIpv4 || bytes[start + HARDWARE_LEN] !== 6 || bytes[start + PROTOCOL_LEN] !== 4)
    return start + FIXED_LEN
  if (end - start < IPV4_LEN) return out.stopShort('arp', start + IPV4_LEN)
  out.arpSenderIpOffset = start + SENDER_IP
  out.arpTargetIpOffset = start + TARGET_IP
  return start + IPV4_LEN
}
