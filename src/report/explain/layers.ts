/** Headers of one frame as layers with named fields, outermost first; values are written as people and tshark know them. */

import { verifyChecksums } from '../../decode/checksum.ts'
import { formatMac } from '../../decode/display.ts'
import { Checksum, type Headers } from '../../decode/headers.ts'
import { IpProtocol } from '../../decode/numbers.ts'
import {
  formatAddress,
  hasChecksum,
  ipChecksumField,
  ipLayers,
  linkLayers,
  questionOf,
  tunnelLayer,
} from './fields.ts'

export interface Field {
  name: string
  value: string
  note?: string
}

export interface Layer {
  /** `Ethernet`, `IPv4`, … */
  kind: string
  fields: Field[]
  /** Where its header begins and ends in the frame, in bytes from the frame's first. */
  start: number
  end: number
}

/** The layers of one packet around, or inside of, another: a frame without tunnels has one envelope. */
export interface Envelope {
  layers: Layer[]
  /** Offsets for whoever compares: see `Frame`. */
  macs: { src: string; dst: string } | null
  ttl: number
  ipVersion: number
  ipChecksum: number
  transportChecksum: number
  isOffloaded: boolean
  src: string
  dst: string
}

/** One decoded frame, kept after its bytes are gone. */
export interface Frame {
  /** Outermost first. */
  envelopes: Envelope[]
  /** What an ICMP error quotes; empty elsewhere. */
  quoted: Layer[]
  linkType: number
  lenBytes: number
  /** What tells one frame of a packet from the others: `seq 1 len 1448`, `fragment at 1480, 20 bytes, the last`. */
  piece: string
  isFragment: boolean
  ipId: number
  /** DNS question, where there is one. */
  question: string | null
  icmpType: number
  tcpFlags: number
  /** Of the transport. */
  payloadLenBytes: number
}

/**
 * Copies what is shown out of `headers`, whose bytes may go afterwards. Never throws. `checksum` is what came of the innermost
 * transport checksum when the whole frame was there.
 */
export function frameOf(headers: Headers, linkType: number, checksum: Checksum = Checksum.Unchecked): Frame {
  const envelopes: Envelope[] = []
  let innermost = headers
  for (; innermost.hasInner; innermost = innermost.inner)
    envelopes.push(envelopeOf(innermost, innermost === headers ? linkType : null, Checksum.Unchecked))
  envelopes.push(envelopeOf(innermost, innermost === headers ? linkType : null, checksum))
  if (headers.stopLayer !== 'none')
    envelopes.at(-1)!.layers.push({
      kind: 'rest',
      start: headers.stopOffset,
      end: headers.end - headers.start,
      fields: [
        {
          name: 'not decoded',
          value: `${headers.stopLayer} from byte ${headers.stopOffset} on`,
          note: headers.stopByCapture ? 'the capture kept no more of the frame' : 'it is malformed',
        },
      ],
    })
  const { fragmentOffset, moreFragments, ipVersion } = innermost
  return {
    envelopes,
    quoted: innermost.hasQuoted ? ipLayers(innermost.quoted, true) : [],
    linkType,
    lenBytes: headers.end - headers.start,
    piece: ipVersion === 0 ? '' : pieceOf(innermost),
    isFragment: moreFragments || fragmentOffset > 0,
    ipId: ipVersion === 0 ? 0 : innermost.hasQuoted ? innermost.quoted.ipId : innermost.ipId,
    question: questionOf(innermost),
    icmpType: innermost.icmpType,
    tcpFlags: innermost.hasTransport && innermost.protocol === IpProtocol.Tcp ? innermost.tcpFlags : 0,
    payloadLenBytes: ipVersion === 0 ? 0 : innermost.payloadLenBytes,
  }
}

function envelopeOf(h: Headers, linkType: number | null, checksum: Checksum): Envelope {
  verifyChecksums(h)
  if (h.transportChecksum === Checksum.Unchecked) h.transportChecksum = checksum
  const layers = [...linkLayers(h, linkType), ...(h.ipVersion === 0 ? [] : ipLayers(h, false))]
  if (h.tunnel !== 'none') layers.push(tunnelLayer(h))
  const hasIp = h.ipVersion !== 0
  return {
    layers,
    macs:
      h.macOffset >= 0
        ? { dst: formatMac(h.bytes, h.macOffset), src: formatMac(h.bytes, h.macOffset + 6) }
        : null,
    ttl: hasIp ? h.ttl : 0,
    ipVersion: h.ipVersion,
    ipChecksum: h.ipVersion === 4 ? ipChecksumField(h) : -1,
    transportChecksum: hasIp && hasChecksum(h) ? h.transportChecksumField : -1,
    isOffloaded: hasIp && h.hasTransport && h.transportChecksum === Checksum.Offloaded,
    src: hasIp ? formatAddress(h, h.srcOffset) : '',
    dst: hasIp ? formatAddress(h, h.dstOffset) : '',
  }
}

function pieceOf(h: Headers): string {
  if (h.moreFragments || h.fragmentOffset > 0) {
    const len = h.packetEnd - h.ipOffset - h.ipHeaderLenBytes
    return `fragment from byte ${h.fragmentOffset} on, ${len} bytes${h.moreFragments ? '' : ', the last'}`
  }
  if (h.hasTransport && h.protocol === IpProtocol.Tcp)
    return `sequence ${h.tcpSeq}, ${h.payloadLenBytes} bytes`
  return `${h.payloadLenBytes} bytes`
}
