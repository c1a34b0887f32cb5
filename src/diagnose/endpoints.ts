/** Endpoints: how findings write them, and what kind of address they have. */

import type { Endpoint, JoinedFlow } from '../correlate/joined-flow.ts'

/** `ip:port`, `[ip6]:port`, or the address alone where there is no port (an ICMP echo id is none). */
export function show({ ip, port }: Endpoint, { protocol }: Pick<JoinedFlow, 'protocol'>): string {
  if (port === 0 || protocol.startsWith('icmp')) return ip
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}

/** RFC 1918, RFC 6598 and RFC 4193 addresses: not routed on the Internet. */
export function isPrivate(ip: string): boolean {
  return (
    /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|127\.|169\.254\.)/.test(
      ip,
    ) || /^(f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1$)/.test(ip)
  )
}

/** Multicast and broadcast. */
export function isGroup(ip: string): boolean {
  return /^(2(2[4-9]|3\d)\.|255\.255\.255\.255$|ff[0-9a-f]{2}:)/.test(ip)
}

/** Is it certain that the server has to answer? Of UDP that is known of DNS only; of a group nobody has to. */
export function expectsAnswer({ protocol, server }: Pick<JoinedFlow, 'protocol' | 'server'>): boolean {
  return (protocol === 'tcp' || protocol.startsWith('icmp') || server.port === 53) && !isGroup(server.ip)
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1'
}
