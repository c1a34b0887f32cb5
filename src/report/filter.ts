/** Filters: which flows of a report the user asked for; an address or port matches at any point. */

import { BlockList, isIPv6 } from 'node:net'
import { SparseCounts } from '../correlate/columns.ts'
import { HoptraceError } from '../errors.ts'
import { harmless } from './harmless.ts'
import type { Endpoint, FlowReport, StreamedReport } from './model.ts'
import { formatCounted } from './quantities.ts'

/** Characters of an expression that a message repeats. */
const MAX_SHOWN = 100

/** Each list that is not empty must be met by one of its values, and the expression, where there is one. */
export interface FlowFilter {
  /** IP addresses, in any of their spellings. */
  hosts: readonly string[]
  ports: readonly number[]
  protocols: readonly string[]
  /** Flow ids. */
  ids: readonly number[]
  /** As `parseFilterExpression` makes it, and what it was made of. */
  expression?: { text: string; matches(flow: FlowReport): boolean } | undefined
}

/** Flows that meet the expression; all, where there is none. */
export function filterBy(expression: FlowFilter['expression']): FlowFilter {
  return { hosts: [], ports: [], protocols: [], ids: [], expression }
}

/** The report with only these flows and the findings about them or about none. Throws where a flow id does not exist. */
export function selectFlows(report: StreamedReport, filter: FlowFilter): StreamedReport {
  for (const id of filter.ids)
    if (!report.flows.some((flow) => flow.id === id))
      throw new HoptraceError(`--flow ${id}: ${flowRange(report.flows.length)}`)
  if (isEmpty(filter)) return report
  const flows = report.flows.filter(flowTest(filter))
  if (flows.length === report.flows.length) return report
  const isAmong = new SparseCounts()
  for (const { id } of flows) isAmong.set(id, 1)
  return {
    ...report,
    flows,
    findings: report.findings.filter(({ flow }) => flow === null || isAmong.get(flow) > 0),
  }
}

/** Does every flow meet it? */
export function isEmpty({ hosts, ports, protocols, ids, expression }: FlowFilter): boolean {
  return hosts.length + ports.length + protocols.length + ids.length === 0 && !expression
}

/** Whether a flow meets the filter. */
export function flowTest(filter: FlowFilter): (flow: FlowReport) => boolean {
  const hosts = hostList(filter.hosts)
  return (flow) => matches(flow, filter, hosts)
}

/** The sentence for a filter that no flow of the report meets. */
export function renderNoMatch(report: StreamedReport, filter: FlowFilter): string {
  const asked = [
    ...filter.hosts.map((host) => `--host ${host}`),
    ...filter.ports.map((port) => `--port ${port}`),
    ...filter.protocols.map((name) => `--proto ${name}`),
    ...filter.ids.map((id) => `--flow ${id}`),
    ...(filter.expression ? [`--filter '${harmless(filter.expression.text, MAX_SHOWN)}'`] : []),
  ]
  const counts = new Map<string, number>()
  for (const { protocol } of report.flows) counts.set(protocol, (counts.get(protocol) ?? 0) + 1)
  const there = [...counts].map(([protocol, flows]) => `${flows} ${protocol}`).join(', ')
  return `No flow matches ${asked.join(' ')}, out of ${formatCounted(report.flows.length, 'flow')} (${there})`
}

function flowRange(flows: number): string {
  if (flows === 0) return 'there are no flows'
  return flows === 1 ? 'there is only flow 1' : `there are only flows 1 to ${flows}`
}

function matches(flow: FlowReport, filter: FlowFilter, list: BlockList): boolean {
  const { hosts, ports, protocols, ids, expression } = filter
  if (ids.length > 0 && !ids.includes(flow.id)) return false
  if (protocols.length > 0 && !protocols.some((name) => name.toLowerCase() === flow.protocol)) return false
  if (expression && !expression.matches(flow)) return false
  if (hosts.length === 0 && ports.length === 0) return true
  // As in tcpdump, the address and the port may be those of different ends: a client's address, the server's port.
  const ends = endpoints(flow)
  return (
    (hosts.length === 0 || ends.some(({ ip }) => list.check(ip, familyOf(ip)))) &&
    (ports.length === 0 || ends.some(({ port }) => ports.includes(port)))
  )
}

/** Compares addresses and not texts: an IPv6 address has many spellings. */
function hostList(hosts: readonly string[]): BlockList {
  const list = new BlockList()
  for (const host of hosts) list.addAddress(host, familyOf(host))
  return list
}

function familyOf(ip: string): 'ipv4' | 'ipv6' {
  return isIPv6(ip) ? 'ipv6' : 'ipv4'
}

function endpoints(flow: FlowReport): Endpoint[] {
  return [...flow.forward.path, ...flow.reverse.path].flatMap(({ src, dst }) => [src, dst])
}
