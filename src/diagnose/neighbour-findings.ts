/** Neighbour findings: addresses that nobody answers for, and addresses that two hosts claim. */

import type { Point } from '../capture/record.ts'
import type { JoinedFlow } from '../correlate/joined-flow.ts'
import type { Neighbour } from '../correlate/neighbours.ts'
import type { Cause } from './cause.ts'
import { type Finding, finding } from './finding.ts'
import { inNamespace, type ReceiptReader } from './receipt-reader.ts'

/** Linux asks three times, once a second, before it gives up (mcast_solicit). */
const MIN_REQUESTS = 3
const MIN_SPAN_NS = 1.5e9
/** More than so many silent addresses are a scan: one finding for all. */
const MAX_SILENT = 4
export function neighbourFindings(
  neighbours: readonly Neighbour[],
  points: readonly Point[],
  flows: Iterable<JoinedFlow>,
  reader: ReceiptReader | null,
): Finding[] {
  const byIp = new Map<string, Neighbour[]>()
  for (const neighbour of neighbours) byIp.set(neighbour.ip, [...(byIp.get(neighbour.ip) ?? []), neighbour])
  const silent = [...byIp.values()].filter((seen) => isSilent(seen) && isOurs(seen, points, flows, reader))
  return [
    ...(silent.length > MAX_SILENT
      ? [scan(silent, points)]
      : silent.map((seen) => unanswered(seen, points, reader))),
    ...neighbours.filter(isContested).map((seen) => claimedTwice(seen, points)),
  ]
}

/** A, B and A again: two hosts, and not one that was replaced. */
function isContested({ macs }: Neighbour): boolean {
  return new Set(macs).size < macs.length
}

/**
 * Asked for again and again, as nobody does who has got an answer, and at no point any word from it. An answer goes to
 * the asker alone: a point that did not see one proves nothing.
 */
function isSilent(seen: readonly Neighbour[]): boolean {
  return (
    seen.every(({ replies, macs }) => replies === 0 && macs.length === 0) &&
    seen.some(({ retries }) => retries.requests >= MIN_REQUESTS && retries.spanNs >= MIN_SPAN_NS)
  )
}

/**
 * Others on the same network look for hosts that are switched off, all day long. Ours are the askers whose namespace was
 * captured in; without receipts those whose requests came by several points, or who are clients there, and all where
 * there is nothing else.
 */
function isOurs(
  seen: readonly Neighbour[],
  points: readonly Point[],
  flows: Iterable<JoinedFlow>,
  reader: ReceiptReader | null,
): boolean {
  const askers = new Set(seen.map(({ askedBy }) => askedBy))
  if (reader)
    return reader.receipts.namespaces.some((namespace) =>
      [...askers].some((ip) => reader.isOwn(namespace, ip)),
    )
  if (seen.length > 1) return true
  const { name } = points[seen[0]!.point]!
  let isAlone = true
  for (const { forward, client } of flows) {
    if (!forward.path.some(({ point }) => point === name)) continue
    if (askers.has(client.ip)) return true
    isAlone = false
  }
  return isAlone
}

function unanswered(
  seen: readonly Neighbour[],
  points: readonly Point[],
  reader: ReceiptReader | null,
): Finding {
  const most = seen.reduce((a, b) => (b.requests > a.requests ? b : a))
  const { ip, askedBy, requests } = most
  const name = ip.includes(':') ? 'neighbor solicitations' : 'ARP requests'
  const where = seen.map(({ point }) => points[point]!.name).join(', ')
  return finding(
    'arp-unanswered',
    null,
    `${askedBy} asked for ${ip} in ${requests} ${name} (seen at ${where}), and nobody answered: nothing can be sent there`,
    {
      frames: Object.fromEntries(seen.map(({ point, frames }) => [points[point]!.name, frames])),
      ip,
      askedBy,
      requests,
    },
    silenceCauses(most, reader),
  )
}

function silenceCauses({ ip, askedBy }: Neighbour, reader: ReceiptReader | null): Cause[] {
  const causes: Cause[] = []
  for (const namespace of reader?.receipts.namespaces ?? []) {
    if (!reader!.isOwn(namespace, askedBy)) continue
    const route = namespace.routes.find(({ gateway }) => gateway === ip)
    if (route)
      causes.push({
        id: 'wrong-gateway',
        what: `the ${route.destination === 'default' ? 'default route' : `route to ${route.destination}`} of ${namespace.name} leads to ${ip}, and no host there has this address`,
        isConfirmed: true,
        receipt: `${route.destination} via ${ip}${route.interfaceName ? ` dev ${route.interfaceName}` : ''}`,
        check: inNamespace(namespace, 'ip route'),
      })
  }
  return [
    ...causes,
    {
      id: 'host-down',
      what: `no host has ${ip}: it is down, gone, or the address is wrong`,
      isConfirmed: false,
      confirm: 'its neighbour entry is FAILED',
      check: `ip neigh show ${ip}`,
    },
  ]
}

function scan(silent: readonly Neighbour[][], points: readonly Point[]): Finding {
  const all = silent.flat()
  const most = all.reduce((a, b) => (b.requests > a.requests ? b : a))
  return finding(
    'arp-unanswered',
    null,
    `${silent.length} addresses were asked for and nobody answered, such as ${most.ip}, asked for by ${most.askedBy}`,
    {
      frames: { [points[most.point]!.name]: most.frames },
      addresses: silent.slice(0, 16).map(([first]) => first!.ip),
    },
  )
}

function claimedTwice({ ip, macs, point, frames }: Neighbour, points: readonly Point[]): Finding {
  const two = [...new Set(macs)]
  return finding(
    'duplicate-address',
    null,
    `${two.join(' and ')} both claim ${ip} at ${points[point]!.name}: two hosts have this address`,
    { frames: { [points[point]!.name]: frames }, ip, macs: two },
    [
      {
        id: 'duplicate-address',
        what: 'two hosts or containers were given the same address',
        isConfirmed: false,
        confirm: 'both MACs answer',
        check: `arping -D -I docker0 ${ip}`,
      },
    ],
  )
}
