/** Run findings: what only all flows together show, and what the receipts say by themselves. */

import type { JoinedFlow } from '../correlate/joined-flow.ts'
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

/** One finding for each flooded server, and the flows that it stands for. */
export function synFloods(flows: readonly JoinedFlow[]): { finding: Finding; flows: number[] }[] {
  const byServer = new Map<string, { half: JoinedFlow[]; whole: number }>()
  for (const flow of flows) {
    if (flow.protocol !== 'tcp') continue
    const server = `${flow.server.ip} ${flow.server.port}`
    const seen = byServer.get(server) ?? { half: [], whole: 0 }
    byServer.set(server, seen)
    if (isHalfOpen(flow)) seen.half.push(flow)
    else seen.whole++
  }
  return [...byServer.values()]
    .filter(
      ({ half, whole }) => half.length >= FLOOD_FLOWS && half.length >= FLOOD_SHARE * (half.length + whole),
    )
    .map(({ half, whole }) => {
      const { server } = half[0]!
      const sources = new Set(half.map(({ client }) => client.ip))
      const seconds = Number(BigInt(half.at(-1)!.firstNs) - BigInt(half[0]!.firstNs)) / 1e9
      const text = `${half.length} connections to ${server.ip} port ${server.port} from ${sources.size} ${sources.size === 1 ? 'address' : 'addresses'} within ${seconds.toPrecision(2)} s were begun and never completed, ${whole} were: a SYN flood, or a server that is cut off`
      return {
        flows: half.map(({ id }) => id),
        finding: finding('syn-flood', null, text, {
          server,
          flows: half.length,
          sources: [...sources].slice(0, 16),
        }),
      }
    })
}

/** Only SYNs, or a SYN-ACK that nobody took. */
function isHalfOpen({ state, forward }: JoinedFlow): boolean {
  return state === 'syn-only' || (state === 'established' && forward.packets <= 1)
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

interface Hop {
  between: [string, string]
  packets: number
  medianNs: number
}

/** The hop that costs most of the time, where there is such a one: by the medians of the flows, weighted with their packets. */
export function slowHops(flows: readonly JoinedFlow[]): Finding[] {
  const hops = new Map<string, Hop>()
  for (const { latency } of flows)
    for (const { between, direction, medianNs, packets } of latency) {
      const [a, b] = direction === 'forward' ? between : [between[1], between[0]]
      const key = JSON.stringify([a, b])
      const hop = hops.get(key) ?? { between: [a, b], packets: 0, medianNs: 0 }
      hops.set(key, hop)
      hop.medianNs = (hop.medianNs * hop.packets + Math.max(0, medianNs) * packets) / (hop.packets + packets)
      hop.packets += packets
    }
  const [slowest, ...rest] = [...hops.values()].sort((a, b) => b.medianNs - a.medianNs)
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
