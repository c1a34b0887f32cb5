/**
 * What holds for every frame, however damaged: no throw, no read outside, no end too far, nothing left of the
 * frame before.
 */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { natNeutralChecksum, verifyChecksums } from '../../src/decode/checksum.ts'
import { dnsQuestion } from '../../src/decode/dns.ts'
import { decodeFrame } from '../../src/decode/frame.ts'
import { Headers } from '../../src/decode/headers.ts'
import { SAMPLES } from './samples.ts'

interface Frame {
  bytes: number[]
  linkType: number
  originalLenBytes: number
}

const LINK_TYPES = [...Object.keys(SAMPLES).map(Number), 12, 14, 127]
const ALL_SAMPLES = Object.entries(SAMPLES).flatMap(([linkType, list]) =>
  list.map(
    ({ bytes, originalLenBytes }): Frame => ({
      bytes,
      linkType: Number(linkType),
      originalLenBytes: originalLenBytes ?? bytes.length,
    }),
  ),
)

const randomFrame = fc.record({
  bytes: fc.array(fc.nat(255), { maxLength: 120 }),
  linkType: fc.constantFrom(...LINK_TYPES),
  originalLenBytes: fc.oneof(fc.nat(200), fc.constant(0xffffffff)),
})

/** A sample with some bytes changed, cut, and with more or less left on the wire. */
const mutatedFrame = fc
  .record({
    sample: fc.constantFrom(...ALL_SAMPLES),
    changes: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }),
    len: fc.nat(400),
    missing: fc.nat(30),
  })
  .map(({ sample, changes, len, missing }): Frame => {
    const bytes = sample.bytes.slice(0, len)
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
    return { bytes, linkType: sample.linkType, originalLenBytes: bytes.length + missing }
  })
const anyFrame = fc.oneof({ weight: 1, arbitrary: randomFrame }, { weight: 4, arbitrary: mutatedFrame })

/** Decodes the frame from the middle of a buffer that holds `poison` everywhere else. */
function decodePoisoned(frame: Frame, poison: number, headers = new Headers()): Headers {
  const start = 40
  const end = start + frame.bytes.length
  const bytes = new Uint8Array(end + 300).fill(poison)
  bytes.set(frame.bytes, start)
  decodeFrame(bytes, start, end, frame.linkType, frame.originalLenBytes, headers)
  return headers
}

/** All that a reader may look at, and nothing that a layer which was not reached has left behind. */
function meaningful(h: Headers): Record<string, unknown> {
  verifyChecksums(h)
  const fields: Record<string, unknown> = pick(h, [
    ...(['start', 'end', 'packetEnd', 'macOffset', 'etherType', 'vlanCount', 'sllPacketType'] as const),
    ...([
      'sllInterfaceIndex',
      'isArp',
      'ipVersion',
      'hasTransport',
      'icmpType',
      'hasQuoted',
      'tunnel',
    ] as const),
    ...(['hasInner', 'stopLayer', 'stopOffset', 'stopByCapture'] as const),
    ...(['moreFragments', 'fragmentOffset', 'ipChecksum', 'transportChecksum'] as const),
  ])
  if (h.vlanCount > 0) fields.vlanOuter = h.vlanOuter
  if (h.vlanCount > 1) fields.vlanInner = h.vlanInner
  if (h.isArp) Object.assign(fields, pick(h, ['arpOperation', 'arpSenderIpOffset', 'arpTargetIpOffset']))
  if (h.ipVersion !== 0) {
    Object.assign(
      fields,
      pick(h, ['ipOffset', 'ipHeaderLenBytes', 'ipTotalLenBytes', 'trafficClass', 'ipId', 'dontFragment']),
      pick(h, ['ttl', 'protocol', 'srcOffset', 'dstOffset', 'ipv6FlowLabel']),
      pick(h, ['ipv6SegmentsLeft', 'srcPort', 'dstPort', 'payloadOffset', 'payloadLenBytes']),
    )
  }
  if (h.hasTransport) {
    Object.assign(fields, pick(h, ['transportOffset', 'transportChecksumField']))
    if (h.protocol === 6) {
      Object.assign(
        fields,
        pick(h, [
          'tcpSeq',
          'tcpAck',
          'tcpFlags',
          'tcpWindow',
          'tcpMss',
          'tcpWindowScale',
          'tcpSackPermitted',
        ]),
        pick(h, ['tcpSackBlocks', 'tcpSackOffset', 'tcpHasTimestamps']),
      )
      if (h.tcpHasTimestamps) Object.assign(fields, pick(h, ['tcpTsVal', 'tcpTsEcr']))
    }
    if (h.protocol === 17) fields.udpLengthField = h.udpLengthField
    if (h.icmpType >= 0) Object.assign(fields, pick(h, ['icmpCode', 'icmpId', 'icmpSeq', 'icmpMtu']))
    fields.natNeutral = natNeutralChecksum(h)
    fields.dns = dnsQuestion(h)
  }
  if (h.tunnel !== 'none') Object.assign(fields, pick(h, ['tunnelId', 'tunnelProtocol']))
  if (h.hasQuoted) fields.quoted = meaningful(h.quoted)
  if (h.hasInner) fields.inner = meaningful(h.inner)
  return fields
}

function pick<Key extends keyof Headers>(headers: Headers, keys: readonly Key[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, headers[key]]))
}

/** Offsets that may be read must lie inside, and a stop must be named inside or at the end. */
function expectInside(h: Headers): void {
  const { start, end } = h
  if (h.ipVersion !== 0) {
    const len = h.ipVersion === 4 ? 4 : 16
    expect(h.srcOffset).toBeGreaterThanOrEqual(start)
    expect(h.dstOffset + len).toBeLessThanOrEqual(end)
    expect(h.payloadLenBytes).toBeGreaterThanOrEqual(0)
    expect(h.payloadOffset + h.payloadLenBytes).toBeLessThanOrEqual(Math.max(h.packetEnd, h.payloadOffset))
  }
  if (h.macOffset >= 0) expect(h.macOffset + 14).toBeLessThanOrEqual(end)
  if (h.stopLayer === 'none') expect(h.stopOffset).toBe(-1)
  else expect(h.stopOffset).toBeGreaterThanOrEqual(0)
  expect(h.stopOffset).toBeLessThanOrEqual(end - start)
  if (h.hasTransport && h.tcpSackBlocks > 0 && h.protocol === 6) {
    expect(h.tcpSackOffset + 8 * h.tcpSackBlocks).toBeLessThanOrEqual(end)
  }
  if (h.hasQuoted) expectInside(h.quoted)
  if (h.hasInner) expectInside(h.inner)
}

test('bytes outside of the frame make no difference, and every offset lies inside', () => {
  fc.assert(
    fc.property(anyFrame, (frame) => {
      const zeros = decodePoisoned(frame, 0x00)
      const fields = meaningful(zeros)
      expect(meaningful(decodePoisoned(frame, 0xff))).toEqual(fields)
      expect(meaningful(decodePoisoned(frame, 0x45))).toEqual(fields)
      expectInside(zeros)
    }),
    { numRuns: 2000 },
  )
})

test('headers that are used again say the same as fresh ones', () => {
  fc.assert(
    fc.property(anyFrame, anyFrame, (before, frame) => {
      const used = decodePoisoned(before, 0)
      verifyChecksums(used)
      decodePoisoned(frame, 0, used)
      expect(meaningful(used)).toEqual(meaningful(decodePoisoned(frame, 0)))
    }),
    { numRuns: 2000 },
  )
})

test('a frame that is cut says nothing else than the whole one, as far as it goes', () => {
  const KEPT = [
    'srcOffset',
    'dstOffset',
    'ttl',
    'ipTotalLenBytes',
    'payloadOffset',
    'payloadLenBytes',
  ] as const
  fc.assert(
    fc.property(fc.constantFrom(...ALL_SAMPLES), fc.nat(400), (sample, len) => {
      const whole = decodePoisoned(sample, 0)
      const cut = decodePoisoned({ ...sample, bytes: sample.bytes.slice(0, len) }, 0)
      if (cut.stopLayer !== 'none') expect(cut.stopByCapture).toBe(true)
      if (cut.ipVersion === 0 || (!cut.hasTransport && whole.hasTransport)) return
      if (cut.stopLayer !== 'ipv6-extension') expect(pick(cut, KEPT)).toEqual(pick(whole, KEPT))
      expect([cut.srcPort, cut.dstPort]).toEqual([whole.srcPort, whole.dstPort])
    }),
    { numRuns: 2000 },
  )
})
