/** Decodes one frame into fresh headers, for tests that look at single fields. */

import { decodeFrame } from '../../src/decode/frame.ts'
import { Headers } from '../../src/decode/headers.ts'
import type { Bytes } from './frames.ts'

/** LINKTYPE_EN10MB where nothing else is said; `originalLenBytes` where the capture cut the frame. */
export function decoded(bytes: Bytes | Uint8Array, linkType = 1, originalLenBytes = bytes.length): Headers {
  const headers = new Headers()
  decodeFrame(Uint8Array.from(bytes), 0, bytes.length, linkType, originalLenBytes, headers)
  return headers
}

/** Where decoding stopped, in one line: `tcp 40 cut` or `udp 38 malformed`. */
export function stopOf(headers: Headers): string {
  if (headers.stopLayer === 'none') return 'none'
  return `${headers.stopLayer} ${headers.stopOffset} ${headers.stopByCapture ? 'cut' : 'malformed'}`
}
