/** How an address and port are written: `172.17.0.3:80`, `[2001:db8::1]:80`, `172.17.0.3 id 20843` for ICMP echo. */

import type { Endpoint } from './model.ts'

/** Writes one endpoint of a flow of `protocol`. */
export function renderEndpoint(end: Endpoint, protocol: string): string {
  if (end.port === 0) return end.ip
  if (isIcmp(protocol)) return `${end.ip} id ${end.port}`
  return end.ip.includes(':') ? `[${end.ip}]:${end.port}` : `${end.ip}:${end.port}`
}

/** Writes the two ends of a packet; an echo id that both share stands once. */
export function renderEnds(src: Endpoint, dst: Endpoint, protocol: string): [string, string] {
  const shared = isIcmp(protocol) && src.port === dst.port
  return [renderEndpoint(src, protocol), shared ? dst.ip : renderEndpoint(dst, protocol)]
}

/** Whether two endpoints are the same address and port. */
export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.ip === b.ip && a.port === b.port
}

function isIcmp(protocol: string): boolean {
  return protocol.startsWith('icmp')
}
