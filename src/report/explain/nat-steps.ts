/** NAT in words: which hook of netfilter rewrote which address, why, and what that means for the reply. */

import { renderEndpoint, sameEndpoint } from '../endpoint.ts'
import { harmless } from '../harmless.ts'
import type { Step } from './model.ts'
import type { Sight, StepContext } from './steps.ts'

/** Addresses that are no use outside (RFC 1918, RFC 6598, RFC 4193, loopback and link-local). */
const PRIVATE =
  /^(10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd]|fe[89ab]|::1$)/i

/** What is rewritten before the routing decision and what after it. `hops` is by how much the TTL falls. */
export function natSteps(
  a: Sight,
  b: Sight,
  { direction, protocol, isError }: StepContext,
  hops: number,
): [Step[], Step[]] {
  const show = (end: Sight['src']) => harmless(renderEndpoint(end, isError ? '' : protocol))
  const early: Step[] = []
  const late: Step[] = []
  const isRouted = hops > 0
  const destination = `${show(a.dst)} → ${show(b.dst)}`
  const source = `${show(a.src)} → ${show(b.src)}`
  if (!sameEndpoint(a.dst, b.dst))
    early.push(
      direction === 'forward'
        ? {
            actor: 'netfilter',
            text: `DNAT rewrites the destination, ${destination}, ${dnatHook(a, isRouted)}. Docker does so for published ports (-p). The reply will come from ${show(b.dst)}, and its source is written back on its way.`,
          }
        : {
            actor: 'conntrack',
            text: `${isError ? 'conntrack finds the connection by what the error quotes (it is RELATED to it)' : 'This is a reply: conntrack knows it by its addresses and ports'}, and undoes the SNAT at PREROUTING, before routing: destination ${destination}. No rule is looked at; rules of the nat table are for a connection’s first packet only.`,
          },
    )
  if (!sameEndpoint(a.src, b.src))
    late.push(
      direction === 'forward'
        ? {
            actor: 'netfilter',
            text: `SNAT (as MASQUERADE it takes the address of the interface that it leaves by) rewrites the source, ${source}, at POSTROUTING: after the routing decision, as only then that interface is known. ${portText(a, b, protocol)}${PRIVATE.test(a.src.ip) && !PRIVATE.test(b.dst.ip) ? `Nobody out there has a route to ${harmless(a.src.ip)}: the` : 'The'} reply will be sent to ${show(b.src)}, and translated back.`,
          }
        : {
            actor: 'conntrack',
            text: `${isError ? 'The error' : 'The reply'} gets the source that the client knows: conntrack undoes the DNAT at POSTROUTING, ${source}. From another address than the one that it asked, the client would not take it.`,
          },
    )
  if (!isRouted && (early.length > 0 || late.length > 0)) late.push(...withoutRouting(a, b))
  return [early, late]
}

function dnatHook(a: Sight, isRouted: boolean): string {
  if (isRouted) return 'at PREROUTING: before the routing decision, so that routing leads to the new one'
  if (a.kind === 'loopback') return 'at OUTPUT, as the packet was made on this computer'
  return 'at PREROUTING or, if the packet was made here, OUTPUT: before the routing decision'
}

function portText(a: Sight, b: Sight, protocol: string): string {
  const what = protocol.startsWith('icmp') ? 'identifier' : 'port'
  if (a.src.port === 0 && b.src.port === 0) return ''
  return a.src.port === b.src.port
    ? `The ${what} stays, as it was free there. `
    : `The ${what} changes as well: ${a.src.port} was taken there (or the rule asks for others). `
}

function withoutRouting(a: Sight, b: Sight): Step[] {
  const inBridge = [a.kind, b.kind].includes('bridge')
  return [
    {
      actor: 'netfilter',
      text: inBridge
        ? 'The TTL stays: netfilter did this inside the bridge, which hands frames to it (bridge-nf-call-iptables=1), not on the way through a router.'
        : 'The TTL stays: the address was rewritten on the computer that made or takes the packet, not by a router in between.',
    },
  ]
}
