/** Where fields stand in their header: the layouts of RFC 791, 8200, 9293, 768, 792, 4443 and 7348, of Ethernet and Linux cooked. */

import { LinkType } from '../../../capture/link-types.ts'
import type { Layer } from '../../explain/layers.ts'

/** By kind of layer and name of field: offset in the header, and length in bytes. */
const PLACES: Readonly<Record<string, Readonly<Record<string, readonly [number, number]>>>> = {
  Ethernet: { destination: [0, 6], source: [6, 6] },
  IPv4: {
    'DSCP and ECN': [1, 1],
    'total length': [2, 2],
    identification: [4, 2],
    flags: [6, 1],
    'fragment offset': [6, 2],
    TTL: [8, 1],
    protocol: [9, 1],
    checksum: [10, 2],
    source: [12, 4],
    destination: [16, 4],
  },
  IPv6: {
    'traffic class': [0, 2],
    'flow label': [1, 3],
    'payload length': [4, 2],
    'next header': [6, 1],
    'hop limit': [7, 1],
    source: [8, 16],
    destination: [24, 16],
  },
  TCP: {
    'source port': [0, 2],
    'destination port': [2, 2],
    sequence: [4, 4],
    acknowledgment: [8, 4],
    flags: [13, 1],
    window: [14, 2],
    checksum: [16, 2],
  },
  UDP: { 'source port': [0, 2], 'destination port': [2, 2], length: [4, 2], checksum: [6, 2] },
  SCTP: { 'source port': [0, 2], 'destination port': [2, 2] },
  ICMP: { type: [0, 1], code: [1, 1], checksum: [2, 2], identifier: [4, 2], sequence: [6, 2], MTU: [6, 2] },
  ICMPv6: { type: [0, 1], code: [1, 1], checksum: [2, 2], identifier: [4, 2], sequence: [6, 2], MTU: [4, 4] },
  VXLAN: { VNI: [4, 3] },
  Geneve: { carries: [2, 2], VNI: [4, 3] },
  GRE: { carries: [2, 2] },
  'GTP-U': { TEID: [4, 4] },
}
const COOKED: Readonly<Record<number, Readonly<Record<string, readonly [number, number]>>>> = {
  [LinkType.LinuxSll]: { 'packet type': [0, 2], source: [6, 6], type: [14, 2] },
  [LinkType.LinuxSll2]: { type: [0, 2], interface: [4, 4], 'packet type': [10, 1], source: [12, 6] },
}
const TCP_HEADER_LEN = 20
const VLAN_TAG_LEN = 4
const FIRST_VLAN_ID = 14

export interface ByteRange {
  start: number
  end: number
}

/**
 * The bytes of a field in its frame, or null where it has none of its own. `nth` counts fields of this name in the layer,
 * from 0.
 */
export function fieldBytes(layer: Layer, name: string, nth: number, linkType: number): ByteRange | null {
  const { kind, start, end } = layer
  const place = kind === 'Linux cooked' ? COOKED[linkType]?.[name] : PLACES[kind]?.[name]
  const range = place
    ? { start: start + place[0], end: start + place[0] + place[1] }
    : otherBytes(layer, name, nth)
  return range !== null && range.start < end ? { start: range.start, end: Math.min(range.end, end) } : null
}

function otherBytes({ kind, start, end }: Layer, name: string, nth: number): ByteRange | null {
  if (kind === 'TCP' && name === 'options') return { start: start + TCP_HEADER_LEN, end }
  if (kind !== 'Ethernet') return null
  if (name === 'type') return { start: end - 2, end }
  const tag = start + FIRST_VLAN_ID + nth * VLAN_TAG_LEN
  return name === 'VLAN' ? { start: tag, end: tag + 2 } : null
}
