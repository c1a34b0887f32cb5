/** The clock witness: takes from records what tells one packet from all others, for comparing the clocks that saw it. */

import type { CaptureRecord } from './capture/record.ts'
import type { ClockSampler } from './correlate/clock-samples.ts'
import { Identity } from './correlate/identity.ts'
import { reasonNotJoined } from './correlate/not-joined.ts'
import { decodeFrame } from './decode/frame.ts'
import { Headers } from './decode/headers.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'

/** Selection of packets and estimates are the same in each run. */
const SEED = 0x7c10c5

export class ClockWitness {
  readonly #headers = new Headers()
  readonly #identity = new Identity(SEED)

  constructor(tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined) {
    if (tunnelPorts) this.#headers.tunnelPorts = tunnelPorts
  }

  /** Bytes of payload that take part: where it has become less, records before do not compare with those after. */
  get bodyBytes(): number {
    return this.#identity.bodyBytes
  }

  /** Adds the packet of a record that the clock with this number saw, if it can be told from others. */
  take(
    sampler: ClockSampler,
    clock: number,
    place: number,
    record: CaptureRecord,
    snapLenBytes: number,
  ): void {
    const frame = this.#headers
    const identity = this.#identity
    identity.limitTo(snapLenBytes)
    decodeFrame(record.bytes, record.start, record.end, record.linkType, record.originalLenBytes, frame)
    let headers = frame
    while (headers.hasInner && headers.inner.ipVersion !== 0) headers = headers.inner
    const isPiece = headers.moreFragments || headers.fragmentOffset > 0
    if (headers.hasQuoted || isPiece || reasonNotJoined(headers) !== null) return
    if (!headers.hasTransport || Number.isNaN(record.timeNs)) return
    identity.of(headers)
    if (identity.weak) return
    const where = (place << 26) ^ mixedIndex(record.interfaceIndex, frame.sllInterfaceIndex)
    sampler.add(clock, where, record.timeNs, headers, identity)
  }
}

/** An interface of a file, or one of those that an SLL2 interface stands for. */
function mixedIndex(interfaceIndex: number, sllInterfaceIndex: number): number {
  return (interfaceIndex << 20) ^ sllInterfaceIndex
}
