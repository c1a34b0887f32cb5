/** The page of some flows only: whoever passes on one flow does not want to pass on who else was talking meanwhile. */

import type { NamespaceReceipts, Receipts, Tuple } from '../receipts/model.ts'
import { type FlowFilter, isEmpty, selectFlows } from '../report/filter.ts'
import { ipVersion } from '../report/ip-address.ts'
import type { FindingReport, FlowReport, StreamedReport } from '../report/model.ts'

/** What separates addresses from other text in sentences and JSON. */
const NO_ADDRESS = /[^\da-f.:]+/i

/** The report with these flows, as `selectFlows` makes it, and `withoutOthers`. */
export function selectForPage(report: StreamedReport, filter: FlowFilter): StreamedReport {
  return withoutOthers(selectFlows(report, filter), filter)
}

/**
 * What `selectFlows` made with this filter, without the names, connection table, neighbours, listeners and
 * traces of others, and without findings about the run that tell of other addresses only. What is left besides the flows is
 * about the host and its captures: points, rules, routes, counters.
 */
export function withoutOthers(report: StreamedReport, filter: FlowFilter): StreamedReport {
  if (isEmpty(filter)) return report
  const { names, receipts } = report
  const ends = new Ends(report.flows)
  return {
    ...report,
    findings: report.findings.filter((one) => one.flow !== null || ends.areAmong(one)),
    ...(names ? { names: Object.fromEntries(Object.entries(names).filter(([ip]) => ends.hasIp(ip))) } : {}),
    ...(receipts ? { receipts: receipts.map((one) => receiptsOf(one, ends)) } : {}),
  }
}

/** Addresses and ports of flows, as they are at any point. */
class Ends {
  readonly #ips = new Set<string>()
  readonly #ports = new Set<number>()
  readonly #both = new Set<string>()

  constructor(flows: Iterable<FlowReport>) {
    for (const { forward, reverse, icmpErrors } of flows) {
      for (const { src, dst } of [...forward.path, ...reverse.path])
        for (const { ip, port } of [src, dst]) {
          this.#ips.add(ip)
          this.#ports.add(port)
          this.#both.add(`${ip} ${port}`)
        }
      for (const { from } of icmpErrors) this.#ips.add(from)
    }
  }

  hasIp(ip: string): boolean {
    return this.#ips.has(ip)
  }

  hasPort(port: number): boolean {
    return this.#ports.has(port)
  }

  /** Both ends: the server's alone is that of others, too. */
  hasTuple({ src, sport, dst, dport }: Omit<Tuple, 'packets'>): boolean {
    return this.#both.has(`${src} ${sport ?? 0}`) && this.#both.has(`${dst} ${dport ?? 0}`)
  }

  /** Whether a finding tells of one of the addresses, or of none. */
  areAmong({ summary, evidence, causes }: FindingReport): boolean {
    const words = `${summary} ${JSON.stringify([evidence, causes ?? []])}`.split(NO_ADDRESS)
    const ips = words.map((word) => word.replace(/[.:]$/, '')).filter((word) => ipVersion(word) !== 0)
    return ips.length === 0 || ips.some((ip) => this.hasIp(ip))
  }
}

function receiptsOf(receipts: Receipts, ends: Ends): Receipts {
  return { ...receipts, namespaces: receipts.namespaces.map((one) => namespaceOf(one, ends)) }
}

function namespaceOf(namespace: NamespaceReceipts, ends: Ends): NamespaceReceipts {
  const { conntrack, neighbours, listeners, traces } = namespace
  const isTheirs = ({ original, reply }: { original: Tuple; reply: Tuple }) =>
    ends.hasTuple(original) || ends.hasTuple(reply)
  return {
    ...namespace,
    conntrack: conntrack && { ...conntrack, entries: conntrack.entries.filter(isTheirs) },
    neighbours: neighbours.filter(({ ip }) => ends.hasIp(ip)),
    listeners: listeners.filter(({ port }) => ends.hasPort(port)),
    ...(traces ? { traces: traces.filter(({ forms }) => forms.some((form) => ends.hasTuple(form))) } : {}),
  }
}
