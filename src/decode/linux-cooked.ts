/** Decodes the pseudo link headers of Linux' "any" device: LINUX_SLL and LINUX_SLL2. */

import { i32, u16 } from './big-endian.ts'
import { decodeEtherType, decodeLlc, FIRST_ETHER_TYPE } from './ethernet.ts'
import type { Headers } from './headers.ts'

const SLL_LEN = 16
const SLL_PACKET_TYPE = 0
const SLL_ADDRESS_LEN = 4
const SLL_ADDRESS = 6
const SLL_PROTOCOL = 14

const SLL2_LEN = 20
const SLL2_PROTOCOL = 0
const SLL2_INTERFACE_INDEX = 4
const SLL2_PACKET_TYPE = 10
const SLL2_ADDRESS_LEN = 11
const SLL2_ADDRESS = 12
/** Of Ethernet, in bytes. */
const MAC_LEN = 6

/** Linux' own protocol number for a frame that begins with an LLC header (ETH_P_802_2). */
const PROTOCOL_LLC = 0x0004

/**
 * Fills `out` from the LINUX_SLL header at `start`; returns where the payload begins, or -1 with
 * `out.stopLayer` set.
 */
export function decodeLinuxSll(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < SLL_LEN) return out.stopShort('linux-sll', start + SLL_LEN)
  out.sllPacketType = u16(bytes, start + SLL_PACKET_TYPE)
  return decodeProtocol(bytes, start + SLL_LEN, end, u16(bytes, start + SLL_PROTOCOL), out)
}

/**
 * Fills `out` from the LINUX_SLL2 header at `start`; returns where the payload begins, or -1 with
 * `out.stopLayer` set.
 */
export function decodeLinuxSll2(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < SLL2_LEN) return out.stopShort('linux-sll2', start + SLL2_LEN)
  out.sllInterfaceIndex = i32(bytes, start + SLL2_INTERFACE_INDEX) >>> 0
  out.sllPacketType = bytes[start + SLL2_PACKET_TYPE]
  return decodeProtocol(bytes, start + SLL2_LEN, end, u16(bytes, start + SLL2_PROTOCOL), out)
}

/** Offset of the sender's MAC address (6 bytes) in a frame that was decoded as LINUX_SLL or SLL2, else -1. */
export function cookedSourceOffset({ bytes, start, sllPacketType, sllInterfaceIndex }: Headers): number {
  if (sllPacketType < 0) return -1
  if (sllInterfaceIndex >= 0) return bytes[start + SLL2_ADDRESS_LEN] === MAC_LEN ? start + SLL2_ADDRESS : -1
  return u16(bytes, start + SLL_ADDRESS_LEN) === MAC_LEN ? start + SLL_ADDRESS : -1
}

/**
 * Numbers that are no EtherType are Linux' own (if_ether.h): of these only LLC leads to something that we
 * decode.
 */
function decodeProtocol(
  bytes: Uint8Array,
  start: number,
  end: number,
  protocol: number,
  out: Headers,
): number {
  if (protocol >= FIRST_ETHER_TYPE) return decodeEtherType(bytes, start, end, protocol, out)
  return protocol === PROTOCOL_LLC ? decodeLlc(bytes, start, end, out) : start
}
