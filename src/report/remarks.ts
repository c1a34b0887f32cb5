/** Remarks on a flow that looks like something else: half of a proxied exchange, or Docker's own DNS. */

import { renderEndpoint } from './endpoint.ts'
import type { FlowReport } from './model.ts'
import { formatBytes, formatDurationNs } from './quantities.ts'

/** Where Docker's resolver answers in each container of a user-defined network. */
const DOCKER_DNS = '127.0.0.11'
const DNS_PORT = 53

/** In a few words, for the table: `proxied to #3`. */
export function shortRemarks(flow: FlowReport): string[] {
  const proxies = (flow.spliced ?? []).map(
    ({ side, flow: other }) => `proxied ${side === 'client' ? 'to' : 'from'} #${other}`,
  )
  if (!isDockerDns(flow)) return proxies
  return [...proxies, "Docker's DNS", ...(hasOwnDnat(flow) ? ['its own DNAT'] : [])]
}

/** As sentences, for the flow in full. */
export function longRemarks(flow: FlowReport): string[] {
  const proxies = (flow.spliced ?? []).map(({ side, flow: other, proxy, matchedBytes, betweenSynsNs }) => {
    const at = renderEndpoint(proxy, flow.protocol)
    const later = `${formatDurationNs(betweenSynsNs)} later`
    const what =
      side === 'client'
        ? `proxied to #${other}: ${at} ends this connection and opens that one ${later}`
        : `proxied from #${other}: the proxy that ends that connection opens this one from ${at}, ${later}`
    const { forward, reverse } = matchedBytes
    return `${what}; both carry the same first ${formatBytes(forward)} → and ${formatBytes(reverse)} ← (no NAT)`
  })
  if (!isDockerDns(flow)) return proxies
  const own = hasOwnDnat(flow)
    ? `: the container asks ${DOCKER_DNS}:${DNS_PORT}, Docker's own DNAT leads to the port where its resolver listens`
    : ''
  return [...proxies, `Docker's DNS${own}`]
}

function isDockerDns(flow: FlowReport): boolean {
  if (flow.server.ip !== DOCKER_DNS) return false
  return flow.server.port === DNS_PORT || hasOwnDnat(flow) || flow.dnsNames.length > 0
}

function hasOwnDnat({ translations }: FlowReport): boolean {
  return translations.some(
    ({ kind, from, to }) =>
      kind === 'dnat' && from.ip === DOCKER_DNS && from.port === DNS_PORT && to.ip === DOCKER_DNS,
  )
}
