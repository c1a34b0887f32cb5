/** Filters: which flows of a report the user asked for; an address or port matches at any point. */

import { HoptraceError } from '../errors.ts'
import type { Endpoint, FlowReport, Report } from './model.ts'

/** Each list that is not empty must be met by one of its values. */
export interface FlowFilter {
  hosts: readonly string[]
  ports: readonly number[]
  protocols: readonly string[]
  /** Flow ids. */
  ids: readonly number[]
}

/** The report with only these flows and the findings about them or about none. Throws where a flow id does not exist. */
export function selectFlows(report: Report, filter: FlowFilter): Report {
  for (const id of filter.ids)
    if (!report.flows.some((flow) => flow.id === id))
      throw new HoptraceError(`--flow ${id}: there are only flows 1 to ${report.flows.length}`)
  const flows = report.flows.filter((flow) => matches(flow, filter))
  if (flows.length === report.flows.length) return report
  const ids = new Set(flows.map((flow) => flow.id))
  return {
    ...report,
    flows,
    findings: report.findings.filter((finding) => finding.flow === null || ids.has(finding.flow)),
  }
}

function matches(flow: FlowReport, { hosts, ports, protocols, ids }: FlowFilter): boolean {
  if (ids.length > 0 && !ids.includes(flow.id)) return false
  if (protocols.length > 0 && !protocols.some((name) => name.toLowerCase() === flow.protocol)) return false
  const ends = endpoints(flow)
  // Asking for an address and a port means an end that has both.
  if (hosts.length === 0 && ports.length === 0) return true
  return ends.some(
    ({ ip, port }) =>
      (hosts.length === 0 || hosts.includes(ip)) && (ports.length === 0 || ports.includes(port)),
  )
}

function endpoints(flow: FlowReport): Endpoint[] {
  return [...flow.forward.path, ...flow.reverse.path].flatMap(({ src, dst }) => [src, dst])
}
