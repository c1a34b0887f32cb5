/** Observations: what the frames of a point show beside their flows (checksums, tunnels, fragments), counted. */

import type { CaptureRecord, PointIndex } from '../capture/record.ts'
import { verifyChecksums } from '../decode/checksum.ts'
import { Checksum, type Headers } from '../decode/headers.ts'
import { IpProtocol } from '../decode/numbers.ts'
import { Neighbours } from './neighbours.ts'

/** Record numbers that are kept as evidence. */
const EVIDENCE_FRAMES = 4

/** Summing up every payload of a large file would cost as much as joining it: from here on a sample has to do. */
const VERIFY_ALL = 100_000
const VERIFY_EVERY = 16
/** epb_flags: the kernel says that the checksum is not filled in yet. */
const CHECKSUM_NOT_READY = 1 << 9

/** Counters of one point. */
export class PointObservations {
  /** Frames in which decoding stopped: cut or malformed. */
  undecoded = 0
  unknownLinkType = 0
  /** Frames whose checksums were looked at: all of the first 100,000, then every 16th. */
  checksumsVerified = 0
  /** Those of them with a header of TCP or UDP, whose checksum a sender may leave to the hardware. */
  checksumsOffloadable = 0
  /** Checksums that the sender left to the hardware: harmless. */
  checksumOffloaded = 0
  checksumWrong = 0
  wrongFrames: number[] = []
  fragments = 0
  tunnels = new Map<string, number>()
}

/** Looks at each frame once. */
export class Observations {
  readonly neighbours = new Neighbours()
  readonly #points: PointObservations[] = []

  at(point: PointIndex): PointObservations {
    let counts = this.#points[point]
    if (!counts) {
      counts = new PointObservations()
      this.#points[point] = counts
    }
    return counts
  }

  /** Counts what a frame shows. `flags` are its `epb_flags`. */
  note(point: PointIndex, { frame, timeNs, flags }: CaptureRecord, headers: Headers): void {
    if (headers.isArp || headers.icmpType > 128) this.neighbours.note(point, frame, timeNs, headers)
    const counts = this.at(point)
    if (frame <= VERIFY_ALL || frame % VERIFY_EVERY === 0) {
      verifyChecksums(headers)
      counts.checksumsVerified++
      if (headers.hasTransport && isOffloadable(headers.protocol)) counts.checksumsOffloadable++
      const isWrong = headers.transportChecksum === Checksum.Wrong
      if (headers.transportChecksum === Checksum.Offloaded || (isWrong && isLeftToHardware(headers, flags)))
        counts.checksumOffloaded++
      else if (isWrong || headers.ipChecksum === Checksum.Wrong) {
        counts.checksumWrong++
        if (counts.wrongFrames.length < EVIDENCE_FRAMES) counts.wrongFrames.push(frame)
      }
    }
    if (headers.stopLayer === 'unknown-link-type') counts.unknownLinkType++
    else if (headers.stopLayer !== 'none') {
      counts.undecoded++
    }
    if (headers.moreFragments || headers.fragmentOffset > 0) counts.fragments++
    if (headers.tunnel !== 'none')
      counts.tunnels.set(headers.tunnel, (counts.tunnels.get(headers.tunnel) ?? 0) + 1)
  }
}

function isOffloadable(protocol: number): boolean {
  return protocol === IpProtocol.Tcp || protocol === IpProtocol.Udp
}

/** Is a checksum that does not fit one that is not finished yet? */
function isLeftToHardware(headers: Headers, flags: number): boolean {
  if (flags & CHECKSUM_NOT_READY) return true
  if (!headers.hasInner) return false
  // The outer one is made as if the inner one were there already (Linux: local checksum offload).
  const { inner } = headers
  verifyChecksums(inner)
  return inner.transportChecksum === Checksum.Offloaded
}
