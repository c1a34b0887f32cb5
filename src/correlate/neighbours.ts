/** Neighbours: who was asked for by ARP (RFC 826) or Neighbor Discovery (RFC 4861), and who answered, at each point. */

import type { PointIndex } from '../capture/record.ts'
import { formatIpv4, formatIpv6, formatMac } from '../decode/display.ts'
import type { Headers } from '../decode/headers.ts'

const ARP_REQUEST = 1
const ARP_REPLY = 2
const NEIGHBOR_SOLICITATION = 135
const NEIGHBOR_ADVERTISEMENT = 136
/** Where the target's address stands in both. */
const TARGET_OFFSET = 8
const MAC_BYTES = 6
/** Addresses that are kept at the most: a scan asks for more. */
const MAX_ADDRESSES = 4096
const EVIDENCE_FRAMES = 4
/** Who has got an answer does not ask again so soon, in ns; who has not does each second (RFC 4861; Linux, ARP too). */
const RETRY_NS = 3e9

/** What a point saw about one address. */
export interface Neighbour {
  ip: string
  point: PointIndex
  /** Requests for it, first few record numbers, and from when to when in ns of the run. */
  requests: number
  frames: number[]
  firstNs: number
  lastNs: number
  /** Who asked first, or in the longest run. */
  askedBy: string
  /** The longest run of requests by one asker who did not wait: how many, and over how long. */
  retries: { requests: number; spanNs: number }
  /** Answers, and any word of it that shows its MAC. */
  replies: number
  /** MACs that claimed the address, in turn: where one is there twice, two hosts have it. */
  macs: string[]
}

/** Requests by one asker, one soon after the other. */
interface Run {
  askedBy: string
  requests: number
  firstNs: number
  lastNs: number
}

export class Neighbours {
  readonly #runs = new Map<Neighbour, Run>()
  readonly #all = new Map<string, Neighbour>()

  /** Takes an ARP packet or a message of Neighbor Discovery; other packets are ignored. */
  note(point: PointIndex, frame: number, timeNs: number, headers: Headers): void {
    if (headers.isArp) this.#noteArp(point, frame, timeNs, headers)
    else if (headers.icmpType === NEIGHBOR_SOLICITATION || headers.icmpType === NEIGHBOR_ADVERTISEMENT)
      this.#noteDiscovery(point, frame, timeNs, headers)
  }

  list(): readonly Neighbour[] {
    return [...this.#all.values()]
  }

  #noteArp(point: PointIndex, frame: number, timeNs: number, headers: Headers): void {
    const { bytes, arpSenderIpOffset: sender, arpTargetIpOffset: target, arpOperation } = headers
    if (sender < 0) return
    const senderIp = formatIpv4(bytes, sender)
    // Who probes whether an address is free has none yet (RFC 5227), and hopes for no answer.
    if (senderIp === '0.0.0.0') return
    const claimed = this.#at(point, senderIp, vlanOf(headers))
    if (claimed) {
      noteMac(claimed, formatMac(bytes, sender - MAC_BYTES))
      if (arpOperation === ARP_REPLY) claimed.replies++
    }
    const targetIp = formatIpv4(bytes, target)
    if (arpOperation === ARP_REQUEST && targetIp !== senderIp)
      this.#noteRequest(point, vlanOf(headers), targetIp, senderIp, frame, timeNs)
  }

  #noteDiscovery(point: PointIndex, frame: number, timeNs: number, headers: Headers): void {
    const { bytes, transportOffset, end } = headers
    const target = transportOffset + TARGET_OFFSET
    if (transportOffset < 0 || target + 16 > end) return
    const targetIp = formatIpv6(bytes, target)
    if (headers.icmpType === NEIGHBOR_ADVERTISEMENT) {
      const answered = this.#at(point, targetIp, vlanOf(headers))
      if (answered) answered.replies++
      return
    }
    const source = formatIpv6(bytes, headers.srcOffset)
    // Duplicate Address Detection (RFC 4862).
    if (source !== '::') this.#noteRequest(point, vlanOf(headers), targetIp, source, frame, timeNs)
  }

  #noteRequest(
    point: PointIndex,
    vlan: number,
    ip: string,
    askedBy: string,
    frame: number,
    timeNs: number,
  ): void {
    const asked = this.#at(point, ip, vlan)
    if (!asked) return
    if (asked.requests++ === 0) {
      asked.firstNs = timeNs
      asked.askedBy = askedBy
    }
    asked.lastNs = timeNs
    this.#noteRun(asked, askedBy, timeNs)
    if (asked.frames.length < EVIDENCE_FRAMES) asked.frames.push(frame)
  }

  #noteRun(asked: Neighbour, askedBy: string, timeNs: number): void {
    let run = this.#runs.get(asked)
    if (!run || run.askedBy !== askedBy || timeNs - run.lastNs > RETRY_NS) {
      run = { askedBy, requests: 0, firstNs: timeNs, lastNs: timeNs }
      this.#runs.set(asked, run)
    }
    run.requests++
    run.lastNs = timeNs
    if (run.requests <= asked.retries.requests) return
    asked.retries = { requests: run.requests, spanNs: timeNs - run.firstNs }
    asked.askedBy = askedBy
  }

  /** Each VLAN has hosts of its own. */
  #at(point: PointIndex, ip: string, vlan: number): Neighbour | null {
    const key = `${point} ${vlan} ${ip}`
    let known = this.#all.get(key)
    if (!known && this.#all.size < MAX_ADDRESSES) {
      known = {
        ...{ ip, point, requests: 0, frames: [], firstNs: 0, lastNs: 0, askedBy: '' },
        ...{ retries: { requests: 0, spanNs: 0 }, replies: 0, macs: [] },
      }
      this.#all.set(key, known)
    }
    return known ?? null
  }
}

function vlanOf({ vlanCount, vlanOuter }: Headers): number {
  return vlanCount > 0 ? vlanOuter : 0
}

/** Each change of the MAC counts, up to a few. */
function noteMac(neighbour: Neighbour, mac: string): void {
  if (neighbour.macs.at(-1) !== mac && neighbour.macs.length < EVIDENCE_FRAMES) neighbour.macs.push(mac)
}
