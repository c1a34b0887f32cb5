/** Steps: what was done to a packet between two stations, one sentence each: who did it, why, and what it means for the reply. */

import { sameEndpoint } from '../endpoint.ts'
import { formatCount } from '../quantities.ts'
import { changedFields, comparedLayers, innermost } from './compare.ts'
import { hex } from './fields.ts'
import type { Frame } from './layers.ts'
import type { DirectionName, Endpoint, Step } from './model.ts'
import { natSteps } from './nat-steps.ts'
import type { PlaceKind } from './places.ts'

/** A packet at one station. */
export interface Sight {
  /** Harmless and short. */
  point: string
  kind: PlaceKind
  frame: Frame
  frames: number
  src: Endpoint
  dst: Endpoint
}

export interface StepContext {
  direction: DirectionName
  protocol: string
  /** An ICMP error of which this packet is the quote's carrier. */
  isError: boolean
}

/** What happened between the station `a` and the next one, `b`. */
export function stepsBetween(a: Sight, b: Sight, context: StepContext): Step[] {
  const steps: Step[] = []
  const [before, after] = [innermost(a.frame), innermost(b.frame)]
  const isTranslated = !sameEndpoint(a.src, b.src) || !sameEndpoint(a.dst, b.dst)
  const hops = before.ttl - after.ttl
  const hopsOutside = outerHops(a.frame, b.frame)
  if (before.ipVersion !== after.ipVersion && before.ipVersion !== 0 && after.ipVersion !== 0)
    return [familyStep(a, b)]
  if (
    hops === 0 &&
    !isTranslated &&
    b.frame.envelopes.length === a.frame.envelopes.length &&
    hopsOutside === 0
  )
    steps.push(passage(a, b))
  if (a.point === b.point)
    steps.push({
      actor: 'router',
      text: `The packet comes past ${b.point} a second time: it turned round (hairpin), as its destination is behind the interface that it came from.`,
    })
  const isEntering = b.frame.envelopes.length > a.frame.envelopes.length
  if (!isEntering) steps.push(...tunnelSteps(a, b))
  if (hopsOutside > 0)
    steps.push({
      actor: 'router',
      text: `${routers(hopsOutside)} between the ends of the tunnel: only the outer header changes (TTL −${hopsOutside}, its checksum, the outer MAC addresses); the inner packet is payload to it.`,
    })
  // Destinations change before the routing decision, sources after it: so they are told.
  const [early, late] = natSteps(a, b, context, hops)
  steps.push(...early)
  if (hops !== 0) steps.push(...routerSteps(a, b, hops))
  steps.push(...late)
  // A packet is routed and translated before it is put into a tunnel, and comes out of one before.
  if (isEntering) steps.push(...tunnelSteps(a, b))
  if (isTranslated && hops === 0 && before.ipChecksum >= 0 && before.ipChecksum !== after.ipChecksum)
    steps.push({
      actor: 'netfilter',
      text: `The checksum of the IPv4 header covers the addresses, so it is computed anew: ${change(before.ipChecksum, after.ipChecksum)}.`,
    })
  if (isTranslated) steps.push(...transportChecksumSteps(a, b))
  if (context.isError && isTranslated)
    steps.push({
      actor: 'conntrack',
      text: 'The header that the error quotes is translated back as well: only so does the sender find the socket that it is about.',
    })
  steps.push(...offloadSteps(a, b, isTranslated))
  steps.push(...otherChanges(a, b))
  return steps
}

/** Is a packet at one of them several, or a part of one, at the other? */
function isCutDifferently(a: Sight, b: Sight): boolean {
  return a.frames !== b.frames || a.frame.payloadLenBytes !== b.frame.payloadLenBytes
}

/** `A router is`, `3 routers are`. */
function routers(count: number): string {
  return count === 1 ? 'A router is' : `${count} routers are`
}

/** Nothing that is in the IP header changed: a cable, a bridge. */
function passage(a: Sight, b: Sight): Step {
  const kinds = [a.kind, b.kind]
  const isSame = !innermost(a.frame).macs || sameMacs(a, b)
  if (!isSame)
    return {
      actor: 'unknown',
      text: 'The MAC addresses changed and the TTL did not: the frame was handed on within one computer (macvlan, ipvlan, a tap), or by a device that does not route.',
    }
  if (kinds.includes('any') && a.point !== b.point)
    return {
      actor: 'bridge',
      text: 'The next interface of the same computer sees the same packet: nothing in its headers is touched, so a bridge or a veth cable is between the two.',
    }
  if (kinds.includes('veth') && kinds.includes('container'))
    return {
      actor: 'cable',
      text: 'A veth pair is a cable with two ends, one in each namespace: what goes in at one end comes out at the other, the same to the last bit. Here the packet changes its namespace, and nothing else.',
    }
  if (kinds.includes('bridge') && (kinds.includes('veth') || kinds.includes('container')))
    return {
      actor: 'bridge',
      text: 'A bridge is a switch: it looks at the destination MAC only, finds the port in its table, and keeps both MACs, the TTL and the addresses. For the reply it has noted behind which port the source MAC is.',
    }
  return {
    actor: 'cable',
    text: 'Both MAC addresses and the TTL are the same, so no router is in between: a cable, or a switch or bridge, which keep the frame as it is.',
  }
}

function routerSteps(a: Sight, b: Sight, hops: number): Step[] {
  const [before, after] = [innermost(a.frame), innermost(b.frame)]
  const ttl = after.ipVersion === 6 ? 'hop limit' : 'TTL'
  if (hops < 0)
    return [
      {
        actor: 'unknown',
        text: `The ${ttl} is larger than before (${before.ttl} → ${after.ttl}), which no router does: a rule of the mangle table set it, or a proxy made the packet anew.`,
      },
    ]
  const covers =
    sameEndpoint(a.src, b.src) && sameEndpoint(a.dst, b.dst) ? 'covers it' : 'covers it and the addresses'
  const sum =
    after.ipVersion === 6
      ? 'IPv6 has no header checksum, so nothing else changes with it.'
      : `The checksum of the IPv4 header ${covers}, so it is computed anew: ${change(before.ipChecksum, after.ipChecksum)}.`
  const steps: Step[] = [
    {
      actor: 'router',
      text: `${routers(hops)} in between${hops === 1 && isHost(a, b) ? ', here the host’s own kernel' : ''}: ${hops === 1 ? 'it' : 'each'} takes 1 off the ${ttl} (${before.ttl} → ${after.ttl}), so that no packet goes round in circles for ever. ${sum}`,
    },
  ]
  if (before.macs && after.macs && !sameMacs(a, b))
    steps.push({
      actor: 'router',
      text: `MAC addresses reach no further than the next hop, so a router writes new ones: the source is now its own interface, ${after.macs.src}, the destination whoever is next, ${after.macs.dst} (by ${after.ipVersion === 6 ? 'neighbor discovery' : 'ARP'}). For the reply it does the same the other way round.`,
    })
  return steps
}

/** Points that are all on a Docker host. */
function isHost(a: Sight, b: Sight): boolean {
  const host: readonly PlaceKind[] = ['bridge', 'veth', 'uplink', 'any']
  return host.includes(a.kind) && host.includes(b.kind)
}

function familyStep(a: Sight, b: Sight): Step {
  const [from, to] = [innermost(a.frame), innermost(b.frame)]
  return {
    actor: 'router',
    text: `The packet is translated from IPv${from.ipVersion} to IPv${to.ipVersion} (NAT64): a new IP header is made, ${from.src} → ${from.dst} becomes ${to.src} → ${to.dst}; what the transport carries stays. The reply is translated back.`,
  }
}

function tunnelSteps(a: Sight, b: Sight): Step[] {
  const added = b.frame.envelopes.length - a.frame.envelopes.length
  if (added === 0) return []
  const [few, many] = added > 0 ? [a.frame, b.frame] : [b.frame, a.frame]
  const outer = many.envelopes.slice(0, many.envelopes.length - few.envelopes.length)
  const names = outer.map((envelope) => envelope.layers.at(-1)?.kind ?? 'a tunnel').join(' in ')
  const { src, dst } = outer[0]!
  return [
    {
      actor: 'tunnel',
      text:
        added > 0
          ? `The packet is put into a tunnel (${names}): whole, it becomes the payload of a new packet from ${src} to ${dst}. The network in between sees only these two; the reply comes back in a tunnel of its own.`
          : `The packet comes out of its tunnel (${names}): the outer headers, ${src} → ${dst}, have done their work and are taken off; the inner packet is as it was put in.`,
    },
  ]
}

/** By how much the outer TTL falls where tunnels stay as they are. */
function outerHops(a: Frame, b: Frame): number {
  if (a.envelopes.length !== b.envelopes.length || a.envelopes.length < 2) return 0
  return Math.max(0, a.envelopes[0]!.ttl - b.envelopes[0]!.ttl)
}

function transportChecksumSteps(a: Sight, b: Sight): Step[] {
  const [before, after] = [innermost(a.frame), innermost(b.frame)]
  const from = before.transportChecksum
  const to = after.transportChecksum
  if (from <= 0 || to <= 0 || from === to || isCutDifferently(a, b)) return []
  const isIcmp = b.frame.icmpType >= 0
  const covers = isIcmp
    ? 'The checksum of ICMP covers the identifier and what is quoted'
    : 'The transport’s checksum covers addresses (its pseudo-header) and ports too'
  const how = after.isOffloaded ? ' (still unfinished: only the pseudo-header’s sum)' : ''
  return [{ actor: 'netfilter', text: `${covers}: ${change(from, to)}${how}.` }]
}

function offloadSteps(a: Sight, b: Sight, isTranslated: boolean): Step[] {
  const steps: Step[] = []
  const [before, after] = [innermost(a.frame), innermost(b.frame)]
  if (isCutDifferently(a, b))
    steps.push({
      actor: 'offload',
      text: b.frame.isFragment
        ? `Here the packet is ${formatCount(b.frames)} fragments: it was larger than the next link takes. Only the first has the ports; the receiver puts them together.`
        : a.frame.isFragment
          ? 'Here the packet is whole again: conntrack puts fragments together before NAT, as only the first of them has the ports.'
          : `Here the bytes come in ${framesText(b)}, before in ${framesText(a)}: offload (GSO, TSO, GRO) takes large super-packets through the kernel, and cuts them to the link’s size, or joins them, as late as it can. The bytes are the same; lengths and checksums are those of the frame.`,
    })
  else if (before.isOffloaded && !after.isOffloaded && after.transportChecksum >= 0 && !isTranslated)
    steps.push({
      actor: 'offload',
      text: `The transport’s checksum is finished here (${change(before.transportChecksum, after.transportChecksum)}): the kernel or the network card does that as late as possible.`,
    })
  return steps
}

/** `one frame with 1,448 bytes`, `3 frames`. */
function framesText({ frames, frame }: Sight): string {
  return frames === 1
    ? `one frame with ${formatCount(frame.payloadLenBytes)} bytes`
    : `${formatCount(frames)} frames`
}

/** What neither routers nor NAT nor offload change. */
function otherChanges(a: Sight, b: Sight): Step[] {
  if (isCutDifferently(a, b) || a.frame.linkType !== b.frame.linkType) return []
  const usual =
    /^(source|destination|source port|destination port|TTL|hop limit|checksum|identifier|type|packet type|interface|VNI|key|TEID)$/
  return changedFields(comparedLayers(b.frame, a.frame))
    .filter(([layer, field]) => !usual.test(field.name) && !layer.isNew && !layer.name.startsWith('outer'))
    .filter(([layer]) => !layer.name.startsWith('quoted'))
    .map(([layer, { name, before = 'nothing', value }]): Step => {
      const what = `${layer.name} ${name}: ${before} → ${value}.`
      if (name === 'options' && /MSS/.test(before) && /MSS/.test(value))
        return {
          actor: 'netfilter',
          text: `${what} If the MSS is smaller: TCPMSS of the mangle table clamps it to what the path can carry.`,
        }
      if (name === 'DSCP and ECN')
        return {
          actor: 'netfilter',
          text: `${what} The mangle table (DSCP, TOS), or a queue that marks congestion, set it.`,
        }
      if (name === 'VLAN') return { actor: 'bridge', text: `${what} A switch put the tag on or took it off.` }
      return {
        actor: 'unknown',
        text: `${what} Neither bridges nor routers change that: a rule of the mangle table, offload or a proxy did.`,
      }
    })
}

function sameMacs(a: Sight, b: Sight): boolean {
  const [before, after] = [a.frame.envelopes[0]!.macs, b.frame.envelopes[0]!.macs]
  return before === null || after === null || (before.src === after.src && before.dst === after.dst)
}

function change(from: number, to: number): string {
  return `${hex(from, 4)} → ${hex(to, 4)}`
}
