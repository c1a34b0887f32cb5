/** First steps: how a packet was made, as far as its first station shows. */

import { renderEnds } from '../endpoint.ts'
import { innermost } from './compare.ts'
import type { Step } from './model.ts'
import type { Sight, StepContext } from './steps.ts'

/** What only traceroute and the like use; and link-local protocols. */
const SMALL_TTL = 16

/** How the packet was made, as the first station shows it. */
export function firstSteps(
  first: Sight,
  later: readonly Sight[],
  { protocol, isError }: StepContext,
): Step[] {
  const { frame } = first
  const { ttl, ipVersion, macs, isOffloaded } = innermost(frame)
  const name = ipVersion === 6 ? 'hop limit' : 'TTL'
  const [src] = renderEnds(first.src, first.dst, isError ? '' : protocol)
  const start = [64, 128, 255].find((usual) => usual >= ttl)!
  const system = { 64: 'Linux begins', 128: 'Windows begins', 255: 'many routers begin' }[start]
  const steps: Step[] = []
  if (ttl <= SMALL_TTL && ipVersion !== 0)
    steps.push({
      actor: 'sender',
      text: `${src} sent it with ${name} ${ttl}, far below the usual 64: ${ttl <= 1 ? 'the first router has to drop it' : `no more than ${counted(ttl - 1)} can pass it on`}.`,
    })
  else if (ttl === start)
    steps.push({
      actor: 'sender',
      text: `${src} made it. ${name} ${ttl} is where ${system}: no router has had it yet.`,
    })
  else if (ipVersion !== 0)
    steps.push({
      actor: 'sender',
      text: `${src} made it. ${name} ${ttl} is ${start - ttl} below ${start}, where senders usually begin: ${counted(start - ttl)} had it before this point.`,
    })
  if (macs && /^[0:]+$/.test(macs.src + macs.dst))
    steps.push({
      actor: 'sender',
      text: 'The loopback interface has no MAC addresses (all zero): what goes over it never leaves its network namespace.',
    })
  const isRouted = later.some((sight) => innermost(sight.frame).ttl !== ttl)
  if (macs && isRouted)
    steps.push({
      actor: 'sender',
      text: `The destination MAC, ${macs.dst}, is the next hop’s (asked for by ${ipVersion === 6 ? 'neighbor discovery' : 'ARP'}); the destination IP address is already the far end’s.`,
    })
  if (isOffloaded)
    steps.push({
      actor: 'offload',
      text: 'The transport’s checksum is unfinished, and that is no damage: the kernel writes the pseudo-header’s sum and leaves the rest to the network card; on a virtual cable nobody ever needs it.',
    })
  return steps
}

function counted(routers: number): string {
  return routers === 1 ? '1 router' : `${routers} routers`
}
