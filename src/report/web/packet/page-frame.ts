/** One frame of the page: its bytes, and what they decode to. */

import { LinkType } from '../../../capture/link-types.ts'
import { decodeFrame } from '../../../decode/frame.ts'
import { Headers } from '../../../decode/headers.ts'
import { type UdpTunnel, USUAL_TUNNEL_PORTS } from '../../../decode/udp-tunnels.ts'
import { type Frame, frameOf } from '../../explain/layers.ts'
import type { PageFrame } from '../../page-data.ts'

const headers = new Headers()

export function bytesOf({ hex }: PageFrame): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** Decodes the frame; `tunnelPorts` as `PageAbout` has them. Never throws. */
export function decodedFrame(frame: PageFrame, tunnelPorts?: readonly [number, string][]): Frame {
  headers.tunnelPorts = tunnelPorts ? new Map(tunnelPorts as [number, UdpTunnel][]) : USUAL_TUNNEL_PORTS
  const bytes = bytesOf(frame)
  const { linkType = LinkType.Ethernet, lenBytes, checksum } = frame
  decodeFrame(bytes, 0, bytes.length, linkType, lenBytes, headers)
  return frameOf(headers, linkType, checksum)
}
