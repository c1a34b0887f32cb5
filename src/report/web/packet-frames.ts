/** The frames of a packet, decoded from the bytes that the page has of them. */

import type { Frame } from '../explain/layers.ts'
import type { PagePacket } from '../page-data.ts'
import { decodedFrame } from './packet/page-frame.ts'
import { source } from './state.ts'

export { bytesOf } from './packet/page-frame.ts'

/** By sighting, the frames of each. */
export function framesOf({ bytes }: PagePacket): Frame[][] {
  const ports = source.peek()?.about.tunnelPorts
  return bytes.map((frames) => frames.map((frame) => decodedFrame(frame, ports)))
}
