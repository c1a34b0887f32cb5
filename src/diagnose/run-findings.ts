/** Run findings: what only all flows together show, and what the receipts say by themselves. */

import { PATIENCE_NS } from '../correlate/flow-reader.ts'
import type { Endpoint, JoinedFlow } from '../correlate/joined-flow.ts'
import { type Finding, finding } from './finding.ts'
import { conntrackFull } from './loss-causes.ts'
import type { ReceiptReader } from './receipt-reader.ts'

/** So many connections to one server that never came to be, and hardly one that did, are no accident. */
const FLOOD_FLOWS = 100
const FLOOD_SHARE = 0.9
/** A hop is slow that takes so long, and so many times longer than all other hops together. */
const SLOW_NS = 1e6
const SLOW_FACTOR = 5
const SLOW_PACKETS = 5

interface ServerFlows {
  server: Endpoint
  /** Numbers of the flows that never came to be, in the order of time, and who began them. */
  half: number[]
  sources: Set<string>
  firstNs: string
  lastNs: string
  whole: number
}

/** Looks for servers that are flooded, in flows that are noted one after the other. */
export class SynFloods {
  readonly #byServer = new Map<string, ServerFlows>()
  readonly #endNs: bigint

  /** `endNs` is the time of the last record of all, ns since 1970. */
  constructor(endNs: bigint) {
    this.#endNs = endNs
  }

  note(flow: JoinedFlow): void {
    if (flow.protocol !== 'tcp') return
    const { server, firstNs } = flow
    // Connections that have just begun are no flood, nor are they proof against one.
    if (this.#endNs - BigInt(firstNs) < BigInt(PATIENCE_NS)) return
    const key = `${server.ip} ${server.port}`
    let seen = this.#byServer.get(key)
    if (!seen) {
      seen = { server, half: [], sources: new Set(), firstNs: '', lastNs: '', whole: 0 }
      this.#byServer.set(key, seen)
    }
    if (!isHalfOpen(flow)) {
      seen.whole++
      return
    }
    if (seen.half.length === 0) Object.assign(seen, { server, firstNs })
    seen.half.push(flow.id)
    seen.sources.add(flow.client.ip)
    seen.lastNs = firstNs
  }

  /** One finding for each flooded server, and the flows that it stands for. */
  found(): { finding: Finding; flows: number[] }[] {
    return [...this.#byServer.values()]
      .filter(isFlooded)
      .map(({ server, half, sources, firstNs, lastNs, whole }) => {
        const seconds = Number(BigInt(lastNs) - BigInt(firstNs)) / 1e9
        const text = `${half.length} connections to ${server.ip} port ${server.port} from ${sources.size} ${sources.size === 1 ? 'address' : 'addresses'} within ${seconds.toPrecision(2)} s were begun and never completed, ${whole} were: a SYN flood, or a server that is cut off`
        return {
          flows: half,
          finding: finding('syn-flood', null, text, {
            server,
            flows: half.length,
            sources: [...sources].slice(0, 16),
          }),
        }
      })
  }
}

function isFlooded({ half: { length }, whole }: ServerFlows): boolean {
  return length >= FLOOD_FLOWS && length >= FLOOD_SHARE * (length + whole)
}

/** One SYN, and a SYN-ACK at the most, which nobody took. Who means it asks again; and what dies on its way floods nobody. */
function isHalfOpen({ state, forward, lost, icmpErrors }: JoinedFlow): boolean {
  const isBegun = state === 'syn-only' || state === 'established'
  return isBegun && forward.packets === 1 && lost.length === 0 && icmpErrors.length === 0
}

/** Full connection tables: new connections die, whether or not one of them was captured. */
export function fullTables(reader: ReceiptReader | null): Finding[] {
  return (reader?.receipts.namespaces ?? []).flatMap((namespace) =>
    conntrackFull(namespace).map((cause) =>
      finding(
        'conntrack-full',
        null,
        `connection tracking dropped packets in ${namespace.name}`,
        { namespace: namespace.name, count: namespace.conntrack!.count, max: namespace.conntrack!.max },
        [cause],
      ),
    ),
  )
}

/** Packets that went one way through a hop, and the mean of their flows' medians. */
interface Passing {
  packets: number
  medianNs: number
}

interface Hop {
  /** From the client's side to the server's, of the first flow. */
  between: [string, string]
  there: Passing
  back: Passing
}

/**
 * The hop that costs most of the time, where there is such a one: by the medians of the flows, weighted with their packets.
 * Of hops that were passed in both directions only, and half of there and back: whatever two clocks differ by is not in it.
 */
export class SlowHops {
  readonly #hops = new Map<string, Hop>()

  note({ latency }: JoinedFlow): void {
    for (const { between, direction, medianNs, packets } of latency) {
      const [a, b] = direction === 'forward' ? between : [between[1], between[0]]
      // The next flow's client may be on the other side.
      const key = JSON.stringify([a, b].sort())
      const none = (): Passing => ({ packets: 0, medianNs: 0 })
      const hop = this.#hops.get(key) ?? { between: [a, b], there: none(), back: none() }
      this.#hops.set(key, hop)
      const way = between[0] === hop.between[0] ? hop.there : hop.back
      way.medianNs = (way.medianNs * way.packets + medianNs * packets) / (way.packets + packets)
      way.packets += packets
    }
  }

  found(): Finding[] {
    return slowestOf([...this.#hops.values()])
  }
}

function slowestOf(hops: readonly Hop[]): Finding[] {
  const [slowest, ...rest] = hops
    .filter(({ there, back }) => there.packets > 0 && back.packets > 0)
    .map(({ between, there, back }) => ({
      between,
      medianNs: Math.max(0, (there.medianNs + back.medianNs) / 2),
      packets: there.packets + back.packets,
    }))
    .sort((a, b) => b.medianNs - a.medianNs)
  if (!slowest || rest.length === 0 || slowest.packets < SLOW_PACKETS || slowest.medianNs < SLOW_NS) return []
  const others = rest.reduce((sum, { medianNs }) => sum + medianNs, 0)
  if (slowest.medianNs < SLOW_FACTOR * others) return []
  const [a, b] = slowest.between
  const share = Math.round((100 * slowest.medianNs) / (slowest.medianNs + others))
  return [
    finding(
      'slow-hop',
      null,
      `${a} ── ${b} costs ${share} % of the time on the way: ${(slowest.medianNs / 1e6).toPrecision(3)} ms in the median`,
      { between: slowest.between, medianNs: Math.round(slowest.medianNs), packets: slowest.packets },
    ),
  ]
}
