/** Losses: packets that died on their way: dropped between points, too large for a link, at the end of their TTL. */

import type { DirectionName, JoinedFlow, Loss } from '../correlate/joined-flow.ts'
import type { Cause } from './cause.ts'
import { show } from './endpoints.ts'
import { counted, type Finding, finding } from './finding.ts'
import { formsOf } from './forms.ts'
import { lossCauses, narrowest } from './loss-causes.ts'
import { inNamespace, moved, type ReceiptReader, ruleCheck, ruleLabel } from './receipt-reader.ts'

export function dropped(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  return lossesOnTheWay(flow, reader)
    .filter(({ direction }) => direction !== flow.signs?.stuck?.direction)
    .map((loss) => {
      const { direction, between, packets, frames } = loss
      const [from, to] = between
      const what = counted(packets, flow.state === 'syn-only' && direction === 'forward' ? 'SYN' : 'packet')
      return finding(
        'dropped-between-points',
        flow.id,
        `${what} ${whose(flow, direction)} reached ${from} and never ${to}: dropped in between`,
        { frames: { [frames.point]: frames.frames }, direction, between, packets },
        lossCauses(flow, loss, reader),
      )
    })
}

/** Without packets that got where they were sent to: the next point is not on the way of what is for the host itself. */
export function lossesOnTheWay(flow: JoinedFlow, reader: ReceiptReader | null): Loss[] {
  const last = flow.forward.path.at(-1)
  const namespace = last && reader ? reader.namespaceOf(last.point) : null
  if (!namespace || !reader!.isOwn(namespace, last!.dst.ip)) return flow.lost
  return flow.lost.filter(({ direction, between }) => direction !== 'forward' || between[0] !== last!.point)
}

/** Packets up to some size come through, larger ones never do, and nobody tells the sender (RFC 2923, section 2.1). */
export function mtuBlackhole(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  const stuck = flow.signs?.stuck
  if (!stuck) return []
  const loss = flow.lost.find(({ direction }) => direction === stuck.direction)
  const last = flow[stuck.direction].path.at(-1)?.point
  const where = loss ? `between ${loss.between[0]} and ${loss.between[1]}` : `behind ${last}`
  const sender = stuck.direction === 'forward' ? flow.client.ip : flow.server.ip
  const told = flow.icmpErrors.find(({ mtu, direction }) => mtu > 0 && direction === stuck.direction)
  const untold = told
    ? `${told.from} says so (MTU ${told.mtu}), but ${sender} does not send smaller ones`
    : `no ICMP "fragmentation needed" reached ${sender}`
  return [
    finding(
      'mtu-blackhole',
      flow.id,
      `packets of ${stuck.lenBytes} bytes ${whose(flow, stuck.direction)} were sent ${stuck.times + 1} times and died ${where}, smaller ones came through; ${untold}`,
      {
        ...(loss ? { frames: { [loss.frames.point]: loss.frames.frames }, between: loss.between } : {}),
        direction: stuck.direction,
        lenBytes: stuck.lenBytes,
        times: stuck.times,
      },
      mtuCauses(flow, stuck.direction, loss, reader),
    ),
  ]
}

function mtuCauses(
  flow: JoinedFlow,
  direction: DirectionName,
  loss: Loss | undefined,
  reader: ReceiptReader | null,
): Cause[] {
  const points = loss?.between ?? flow[direction].path.map(({ point }) => point)
  const namespaces = reader?.between(points[0]!, points.at(-1)!) ?? []
  const causes: Cause[] = []
  for (const namespace of namespaces) {
    const narrow = narrowest(namespace)
    const tooBig = reader!.counter(namespace, 'FragFails')
    // The errors go back to the sender: rules about them name ICMP, and addresses turned around.
    const icmp = formsOf(flow, direction).map(({ src, dst }) => ({ protocol: 'icmp', src: dst, dst: src }))
    for (const rule of reader!.rules([namespace], /^(DROP|REJECT|drop|reject)$/, icmp))
      if (rule.packets > 0 && /icmp/.test(rule.rule.text))
        causes.push({
          id: 'icmp-blocked',
          what: `${narrow ? `MTU ${narrow.mtu} of ${narrow.name} in ${namespace.name} is too small, and ` : ''}${ruleLabel(rule)} keeps the ICMP error from the sender`,
          isConfirmed: true,
          receipt: `+${rule.packets} during the capture`,
          check: ruleCheck(rule),
        })
    if (tooBig > 0)
      causes.push({
        id: 'mtu',
        what: narrow
          ? `MTU ${narrow.mtu} of ${narrow.name} in ${namespace.name} is too small for them`
          : `a link of ${namespace.name} is too small for them`,
        isConfirmed: true,
        receipt: `FragFails +${tooBig}`,
        check: inNamespace(namespace, 'ip link'),
      })
  }
  return [
    ...causes,
    {
      id: 'mtu',
      what: 'a link on the way has a smaller MTU, and its ICMP errors are blocked',
      isConfirmed: false,
      confirm: 'pings of this size with DF are lost, and smaller ones answered',
      check: `ping -M do -s ${(flow.signs?.stuck?.lenBytes ?? 1500) - 28} ${direction === 'forward' ? flow.server.ip : flow.client.ip}`,
    },
    {
      id: 'mss',
      what: 'clamping the MSS to the path MTU would help',
      isConfirmed: false,
      confirm: 'the connection works with a smaller MSS',
      check: 'iptables -t mangle -nvL FORWARD',
    },
  ]
}

export function ttlExpired(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  return flow.icmpErrors.flatMap(({ from, name, packets, frames, direction }) => {
    if (name !== 'time to live exceeded' && name !== 'hop limit exceeded') return []
    const to = direction === 'forward' ? flow.server : flow.client
    const first = flow[direction].path[0]
    const sent = first ? ` (${first.ttl} at ${first.point})` : ''
    return [
      finding(
        'ttl-expired',
        flow.id,
        `TTL${sent} of ${counted(packets, 'packet')} to ${show(to, flow)} expired: ${from} answered ${name}`,
        { frames, from, ...(first ? { ttl: first.ttl, point: first.point } : {}) },
        first ? ttlCauses(flow, direction, reader) : [],
      ),
    ]
  })
}

/** What a sender that is no traceroute would use, at the least. */
const USUAL_TTL = 30

function ttlCauses(flow: JoinedFlow, direction: DirectionName, reader: ReceiptReader | null): Cause[] {
  const { point, ttl } = flow[direction].path[0]!
  if (ttl > USUAL_TTL)
    return [
      {
        id: 'loop',
        what: 'routers pass the packet on in a circle',
        isConfirmed: false,
        confirm: 'traceroute shows the same routers again and again',
        check: `traceroute -n ${(direction === 'forward' ? flow.server : flow.client).ip}`,
      },
    ]
  const namespace = reader?.namespaceOf(point)
  const setting = namespace ? reader!.setting(namespace, 'net.ipv4.ip_default_ttl') : null
  const causes: Cause[] = []
  if (namespace && setting !== null && setting <= USUAL_TTL)
    causes.push({
      id: 'default-ttl',
      what: `the sender's default TTL is ${setting}`,
      isConfirmed: true,
      receipt: `net.ipv4.ip_default_ttl = ${setting} in ${namespace.name}`,
      check: inNamespace(namespace, 'sysctl net.ipv4.ip_default_ttl'),
    })
  for (const rule of reader?.rules(reader.receipts.namespaces, /^(TTL|HL)$/, formsOf(flow, direction)) ?? [])
    if (moved(rule.rule.packets) > 0)
      causes.push({
        id: 'ttl-rule',
        what: `${ruleLabel(rule)} sets it`,
        isConfirmed: true,
        receipt: `+${rule.packets} during the capture`,
        check: ruleCheck(rule),
      })
  return [
    ...causes,
    {
      id: 'small-ttl',
      what: `the sender used TTL ${ttl} on purpose, as traceroute does`,
      isConfirmed: false,
      confirm: 'the program asks for it (IP_TTL, or ping -t)',
      check: 'sysctl net.ipv4.ip_default_ttl',
    },
  ]
}

function whose(flow: JoinedFlow, direction: DirectionName): string {
  return direction === 'forward' ? `to ${show(flow.server, flow)}` : `back to ${show(flow.client, flow)}`
}
