/** The frames of a packet, decoded from the bytes that the page has of them. */

import { LinkType } from '../../capture/link-types.ts'
import { decodeFrame } from '../../decode/frame.ts'
import { Headers } from '../../decode/headers.ts'
import type { UdpTunnel } from '../../decode/udp-tunnels.ts'
import { type Frame, frameOf } from '../explain/layers.ts'
import type { PageFrame, PagePacket } from '../page-data.ts'
import { source } from './state.ts'

const headers = new Headers()

/** By sighting, the frames of each. */
export function framesOf({ bytes }: PagePacket): Frame[][] {
  return bytes.map((frames) => frames.map(decoded))
}

export function bytesOf({ hex }: PageFrame): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

function decoded(frame: PageFrame): Frame {
  const ports = source.peek()?.about.tunnelPorts
  if (ports) headers.tunnelPorts = new Map(ports as [number, UdpTunnel][])
  const bytes = bytesOf(frame)
  const { linkType = LinkType.Ethernet, lenBytes, checksum } = frame
  decodeFrame(bytes, 0, bytes.length, linkType, lenBytes, headers)
  return frameOf(headers, linkType, checksum)
}
