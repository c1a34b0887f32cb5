/**
 * Decodes Ethernet II, 802.3 with LLC/SNAP, and stacks of VLAN tags; what follows is named by `etherType`.
 */

import { u16, u24 } from './big-endian.ts'
import type { Headers } from './headers.ts'
import { EtherType } from './numbers.ts'

const HEADER_LEN = 14
const ETHER_TYPE = 12
const VLAN_TAG_LEN = 4
/** From here on the field is an EtherType, up to 1500 it is a length (IEEE 802.3, 3.2.6). */
export const FIRST_ETHER_TYPE = 0x0600
const LLC_LEN = 3
const SNAP_LEN = 8
const SNAP_SAPS = 0xaaaa
const UNNUMBERED_INFORMATION = 0x03
/** The OUIs whose protocol id is an EtherType: RFC 1042, and 802.1H for bridged frames. */
const OUI_ETHERNET = 0x000000
const OUI_BRIDGED = 0x0000f8

/**
 * Fills `out` from the Ethernet header at `start`; returns where the payload begins, or -1 with
 * `out.stopLayer` set.
 */
export function decodeEthernet(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < HEADER_LEN) return out.stopShort('ethernet', start + HEADER_LEN)
  out.macOffset = start
  const type = u16(bytes, start + ETHER_TYPE)
  if (type === EtherType.Ipv4) {
    out.etherType = type
    return start + HEADER_LEN
  }
  return decodeEtherType(bytes, start + HEADER_LEN, end, type, out)
}

/**
 * Skips VLAN tags (IEEE 802.1Q, 9.3) and LLC at `start`, behind the EtherType or 802.3 length `type`.
 * Returns where the payload begins, or -1 with `out.stopLayer` set.
 */
export function decodeEtherType(
  bytes: Uint8Array,
  start: number,
  end: number,
  type: number,
  out: Headers,
): number {
  let at = start
  while (type === EtherType.Vlan || type === EtherType.ServiceVlan || type === EtherType.OldServiceVlan) {
    if (end - at < VLAN_TAG_LEN) return out.stopShort('vlan', at + VLAN_TAG_LEN)
    const vid = u16(bytes, at) & 0x0fff
    if (out.vlanCount === 0) out.vlanOuter = vid
    else if (out.vlanCount === 1) out.vlanInner = vid
    out.vlanCount++
    type = u16(bytes, at + 2)
    at += VLAN_TAG_LEN
  }
  if (type >= FIRST_ETHER_TYPE) {
    out.etherType = type
    return at
  }
  out.packetEnd = Math.min(out.packetEnd, at + type)
  return decodeLlc(bytes, at, Math.min(end, out.packetEnd), out)
}

/**
 * Fills `etherType` from the LLC and SNAP headers at `start` (IEEE 802.2; RFC 1042), 0 where there is no SNAP
 * header. Returns where the payload begins, or -1 with `out.stopLayer` set.
 */
export function decodeLlc(bytes: Uint8Array, start: number, end: number, out: Headers): number {
  if (end - start < LLC_LEN) return out.stopShort('llc', start + LLC_LEN)
  if (u16(bytes, start) !== SNAP_SAPS || bytes[start + 2] !== UNNUMBERED_INFORMATION) return start + LLC_LEN
  if (end - start < SNAP_LEN) return out.stopShort('llc', start + SNAP_LEN)
  const oui = u24(bytes, start + 3)
  if (oui === OUI_ETHERNET || oui === OUI_BRIDGED) out.etherType = u16(bytes, start + 6)
  return start + SNAP_LEN
}
