/** The original length of a frame that was cut, where nothing but the frame itself says it. */

import { LinkType } from '../link-types.ts'

const ETHERTYPE_IPV4 = 0x0800
const ETHERTYPE_IPV6 = 0x86dd
const VLAN_TAGS = [0x8100, 0x88a8]
const IPV6_HEADER_BYTES = 40

/**
 * The length that the IP header of a frame claims, with the headers in front of it, in bytes; the captured length where
 * it is no IP, claims less, or leaves the length open (0: segmentation offload, jumbograms). Padding and what follows
 * IP in the frame is not counted: it is an estimate, and never less than what was captured.
 */
export function originalLength(frame: Uint8Array, capturedBytes: number, linkType: number): number {
  const start = networkStart(frame, linkType)
  if (start < 0 || start + 6 > capturedBytes) return capturedBytes
  const version = frame[start] >> 4
  const totalBytes = (frame[start + 2] << 8) | frame[start + 3]
  const payloadBytes = (frame[start + 4] << 8) | frame[start + 5]
  if (version === 4 && totalBytes > 0) return Math.max(capturedBytes, start + totalBytes)
  if (version === 6 && payloadBytes > 0)
    return Math.max(capturedBytes, start + IPV6_HEADER_BYTES + payloadBytes)
  return capturedBytes
}

/** Where IP begins, or -1 where it does not. */
function networkStart(frame: Uint8Array, linkType: number): number {
  if (linkType === LinkType.Raw) return 0
  if (linkType !== LinkType.Ethernet && linkType !== LinkType.LinuxSll) return -1
  let at = linkType === LinkType.Ethernet ? 12 : 14
  let etherType = (frame[at] << 8) | frame[at + 1]
  while (VLAN_TAGS.includes(etherType)) {
    at += 4
    etherType = (frame[at] << 8) | frame[at + 1]
  }
  return etherType === ETHERTYPE_IPV4 || etherType === ETHERTYPE_IPV6 ? at + 2 : -1
}
