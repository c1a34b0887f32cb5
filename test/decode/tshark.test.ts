/**
 * Field-by-field agreement with tshark on every recorded capture and on frames of every protocol that we
 * decode.
 *
 * On malformed frames, which are not compared here, tshark is more lenient by design: it follows the version
 * nibble instead of the EtherType, shows TCP and IP headers whose own length is too short, goes on behind a
 * TCP option of the wrong length, into tunnels behind a wrong UDP length and into GRE of any version. Here
 * the malformed layer is where decoding stops. It writes odd bytes of DNS names as they are; here they are
 * escaped.
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { decodeFrame } from '../../src/decode/frame.ts'
import { Headers } from '../../src/decode/headers.ts'
import { FIELDS, headerFields, OFFLOADED } from './header-fields.ts'
import { readPcap, type TestCapture, writePcap } from './pcap-file.ts'
import { SAMPLES } from './samples.ts'
import { hasTshark, tsharkFields } from './tshark.ts'

const CAPTURES = join(import.meta.dirname, '../../captures')
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
const folder = mkdtempSync(join(tmpdir(), 'hoptrace-decode-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Fields that say something about our fields under another name. */
const MORE_FIELDS = ['ieee8021ad.id']

/**
 * tshark's values in our notion:
 * - fragment offsets count 8 bytes there, bytes here;
 * - the tags of 802.1ad have a field of their own there, here they are VLAN tags like the others;
 * - the upper bits of the TCP flags (AE and reserved) are not decoded here;
 * - flags of a DNS message without a question (or of bytes on port 53 that are none) are not given here.
 */
function translated(field: string, theirs: Map<string, string[]>): string[] {
  const values = theirs.get(field)!
  switch (field) {
    case 'ip.frag_offset':
    case 'ipv6.fraghdr.offset':
      return values.map((value) => String(8 * Number(value)))
    case 'vlan.id':
      return [...theirs.get('ieee8021ad.id')!, ...values]
    case 'tcp.flags':
      return values.map((value) => `0x00${value.slice(-2)}`)
    case 'dns.flags.response':
    case 'dns.flags.rcode':
      return theirs.get('dns.qry.name')!.length > 0 ? values : []
    default:
      return values
  }
}

/**
 * tshark takes a quote's length and checksum from what was quoted, and names its sequence number in ICMPv6
 * only.
 */
const UNSURE_IN_QUOTES: readonly string[] = ['tcp.len', 'tcp.checksum.status', 'tcp.seq_raw']
/** tshark shows what there is of a header that the capture cut; here it counts as missing. */
const UNSURE_IN_CUT_HEADERS: readonly string[] = ['tcp.srcport', 'tcp.dstport']

function isComparable(field: string, headers: Headers): boolean {
  const hasQuoted = headers.hasQuoted || (headers.hasInner && headers.inner.hasQuoted)
  if (hasQuoted && UNSURE_IN_QUOTES.includes(field)) return false
  return headers.hasTransport || headers.stopLayer === 'none' || !UNSURE_IN_CUT_HEADERS.includes(field)
}

/** Offload is no notion of tshark's: it must only not call such a checksum good. */
function agree(ours: string, theirs: string): boolean {
  return ours === OFFLOADED ? theirs === '0' || theirs === '2' : ours === theirs
}

/** Decodes every frame and returns what differs from tshark, one line a field. */
function differences(file: string, capture: TestCapture, label: (frame: number) => string): string[] {
  const headers = new Headers()
  const theirs = tsharkFields(file, [...FIELDS, ...MORE_FIELDS])
  expect(theirs.length).toBe(capture.frames.length)
  return capture.frames.flatMap((frame, i) => {
    decodeFrame(frame.bytes, 0, frame.bytes.length, capture.linkType, frame.originalLenBytes, headers)
    const ours = headerFields(headers)
    return FIELDS.filter((field) => isComparable(field, headers)).flatMap((field) => {
      const our = ours.get(field)!
      const their = translated(field, theirs[i]!)
      const isSame = our.length === their.length && our.every((value, k) => agree(value, their[k]!))
      return isSame ? [] : [`${label(i)}: ${field} ours ${our} tshark ${their}`]
    })
  })
}

describe.skipIf(!hasTshark())('agrees with tshark (skipped where tshark is not installed)', () => {
  // One run of tshark for each folder: starting it takes longer than its work.
  test.each(SCENARIOS)('captures/%s', (scenario) => {
    const names = readdirSync(join(CAPTURES, scenario)).filter((name) => name.endsWith('.pcap.gz'))
    const labels: string[] = []
    const all: TestCapture = { linkType: -1, frames: [] }
    for (const name of names) {
      const { linkType, frames } = readPcap(join(CAPTURES, scenario, name))
      expect([linkType, -1], 'one link type in a folder').toContain(all.linkType)
      all.linkType = linkType
      frames.forEach((frame, i) => {
        all.frames.push(frame)
        labels.push(`${name} frame ${i + 1}`)
      })
    }
    expect(names.length).toBeGreaterThan(0)
    const file = join(folder, `${scenario}.pcap`)
    writePcap(file, all)
    expect(differences(file, all, (i) => labels[i]!)).toEqual([])
  })

  test.each(Object.keys(SAMPLES).map(Number))('samples of link type %d', (linkType) => {
    const samples = SAMPLES[linkType]!
    const file = join(folder, `${linkType}.pcap`)
    const capture = {
      linkType,
      frames: samples.map(({ bytes, originalLenBytes }) => ({
        bytes: Uint8Array.from(bytes),
        originalLenBytes: originalLenBytes ?? bytes.length,
      })),
    }
    writePcap(file, capture)
    expect(differences(file, capture, (i) => samples[i]!.name)).toEqual([])
  })
})
