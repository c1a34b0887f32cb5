/** First steps: how a packet was made, as far as its first station shows. */

import { renderEnds } from '../endpoint.ts'
import { innermost } from './compare.ts'
import type { Step } from './model.ts'
import type { Sight, StepContext } from './steps.ts'

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
  const system = {
    64: 'Linux',
    128: 'Windows',
    255: 'routers, and of Linux for ICMP errors of its own making',
  }[start]
  const isWhole = ttl === start && !(start === 255 && !isError)
  const steps: Step[] = []
  if (ttl <= 16 && ipVersion !== 0)
    steps.push({
      actor: 'sender',
      text: `${src} sent it with ${name} ${ttl}, far below the usual 64: so few routers can it pass${ttl === 1 ? ': none' : ''}.`,
    })
  else if (isWhole)
    steps.push({
      actor: 'sender',
      text: `${src} made it. ${name} ${ttl} is where ${system} begin${start === 255 ? '' : 's'}: no router has had it yet.`,
    })
  else if (ipVersion !== 0)
    steps.push({
      actor: 'sender',
      text: `${src} made it. ${name} ${ttl} is ${start - ttl} below ${start}, where senders usually begin: ${start - ttl} router${start - ttl === 1 ? '' : 's'} had it before this point.`,
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
