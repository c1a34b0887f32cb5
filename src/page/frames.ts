/** The frames of a page: the first bytes of each, copied out of their records. */

import { LinkType } from '../capture/link-types.ts'
import type { CaptureRecord } from '../capture/record.ts'
import { verifyChecksums } from '../decode/checksum.ts'
import type { Checksum, Headers } from '../decode/headers.ts'
import type { PageFrame } from '../report/page-data.ts'
import { Slab, type SlabPlace } from './slab.ts'

/** Of a packet's payload so much is shown where nothing else is said, in bytes. */
export const PAYLOAD_BYTES = 64
/** Headers of one frame are never more than this: they are not endless, whatever they say. */
const MAX_HEADER_BYTES = 512
/** In front of the bytes: length on the wire (4), LINKTYPE_ (2), checksum (1). */
const HEAD_BYTES = 7
const NO_CHECKSUM = 0xff

export class PageFrames {
  readonly #slab = new Slab()
  readonly #payloadBytes: number

  /** `payloadBytes` is how much is kept behind the headers. */
  constructor(payloadBytes: number) {
    this.#payloadBytes = payloadBytes
  }

  /** Copies what is shown of a record, which was decoded into `headers`. */
  add(record: CaptureRecord, headers: Headers): SlabPlace {
    const { bytes, start, end, originalLenBytes, linkType } = record
    const { stop, checksum } = shownPart(record, headers, this.#payloadBytes)
    const place = this.#slab.reserve(HEAD_BYTES + stop - start)
    const piece = this.#slab.piece(place)
    piece.writeUInt32LE(originalLenBytes, 0)
    piece.writeUInt16LE(linkType & 0xffff, 4)
    piece[6] = stop < end ? checksum : NO_CHECKSUM
    for (let at = start, to = HEAD_BYTES; at < stop; at++, to++) piece[to] = bytes[at]!
    return place
  }

  at(place: SlabPlace): PageFrame {
    const piece = this.#slab.piece(place)
    const linkType = piece.readUInt16LE(4)
    const checksum = piece[6]!
    return {
      lenBytes: piece.readUInt32LE(0),
      hex: piece.toString('hex', HEAD_BYTES),
      ...(linkType === LinkType.Ethernet ? {} : { linkType }),
      ...(checksum === NO_CHECKSUM ? {} : { checksum: checksum as Checksum }),
    }
  }
}

/** What is shown of one record that was decoded into `headers`. */
export function pageFrameOf(record: CaptureRecord, headers: Headers, payloadBytes: number): PageFrame {
  const { bytes, start, end, originalLenBytes, linkType } = record
  const { stop, checksum } = shownPart(record, headers, payloadBytes)
  return {
    lenBytes: originalLenBytes,
    hex: Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString('hex'),
    ...(linkType === LinkType.Ethernet ? {} : { linkType }),
    ...(stop < end ? { checksum } : {}),
  }
}

/** Up to where its bytes are shown, and what came of the checksum. */
function shownPart(
  { start, end }: CaptureRecord,
  headers: Headers,
  payloadBytes: number,
): { stop: number; checksum: Checksum } {
  verifyChecksums(headers)
  const innermost = innermostOf(headers)
  const headersEnd = Math.min(headersEndOf(innermost, start), start + MAX_HEADER_BYTES)
  const stop = Math.max(start, Math.min(end, headersEnd + payloadBytes))
  return { stop, checksum: innermost.transportChecksum }
}

/** The last packet in the tunnels; where what they carry is no IP, the one that carries it. */
function innermostOf(headers: Headers): Headers {
  let innermost = headers
  while (innermost.hasInner && innermost.inner.ipVersion !== 0) innermost = innermost.inner
  return innermost
}

/** Where the payload begins; of what is no IP nothing is known, so it all is payload. */
function headersEndOf({ ipVersion, payloadOffset }: Headers, start: number): number {
  return ipVersion === 0 ? start : payloadOffset
}
