/** Refusals: nobody answers, somebody says no, or a connection ends with a reset; and by whom. */

import { isRefusal } from '../correlate/flow-reader.ts'
import type { FlowSigns, IcmpErrorSummary, JoinedFlow, Station } from '../correlate/joined-flow.ts'
import type { NamespaceReceipts } from '../receipts/model.ts'
import type { Cause } from './cause.ts'
import { expectsAnswer, isLoopback, show } from './endpoints.ts'
import { counted, type Finding, finding } from './finding.ts'
import { formsOf } from './forms.ts'
import { lossCauses } from './loss-causes.ts'
import { lossesOnTheWay } from './losses.ts'
import { inNamespace, quoted, type ReceiptReader, ruleCheck, ruleLabel } from './receipt-reader.ts'
import { tracedCauses, tracedPackets } from './rule-paths.ts'

export function refused(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  if (flow.state !== 'refused') return []
  const error = flow.icmpErrors.find(isRefusal)
  const reset = flow.signs?.reset
  const by = error
    ? `${error.from} answered ICMP ${error.name}`
    : `${flow.server.ip} answered with RST${reset ? `, first seen at ${reset.point}` : ''}`
  const frames = error ? error.frames : reset ? { [reset.point]: [reset.frame] } : null
  return [
    finding(
      'connection-refused',
      flow.id,
      `${show(flow.server, flow)} refused: ${by}`,
      { ...(frames ? { frames } : {}), by: error ? error.from : (reset?.point ?? flow.server.ip) },
      refusalCauses(flow, reader, error ?? null),
    ),
  ]
}

function refusalCauses(
  flow: JoinedFlow,
  reader: ReceiptReader | null,
  error: IcmpErrorSummary | null,
): Cause[] {
  const last = flow.forward.path.at(-1)
  const port = last?.dst.port ?? flow.server.port
  const namespace = last && reader ? reader.namespaceOf(last.point) : null
  const forms = formsOf(flow, 'forward')
  const traced = reader ? tracedCauses(tracedPackets(flow, 'forward', reader)) : []
  const byCounter: Cause[] = (
    reader?.rules(reader.receipts.namespaces, /^reject$/i, forms, flow.forward.packets) ?? []
  )
    .filter(({ packets }) => packets > 0)
    .map((rule) => ({
      id: 'rule',
      what: `${ruleLabel(rule)} rejects it`,
      isConfirmed: true,
      receipt: `+${rule.packets} during the capture`,
      check: ruleCheck(rule),
    }))
  const causes = [...traced, ...byCounter.filter(({ what }) => !traced.some((one) => one.what === what))]
  if (causes.length > 0) return causes
  const isPort = error === null || (error.name === 'port unreachable' && flow.protocol !== 'tcp')
  if (!isPort) return /prohibited|port/.test(error.name) ? rejecting(flow, error) : unreachable(error, reader)
  const { protocol } = flow
  if (namespace && reader!.isOwn(namespace, last!.dst.ip) && (protocol === 'tcp' || protocol === 'udp'))
    causes.push(...listenerCauses(flow, reader!, namespace, port))
  if (causes.some(({ isConfirmed }) => isConfirmed)) return causes
  return [
    ...causes,
    {
      id: 'no-listener',
      what: `nothing listens on port ${port} of ${last?.dst.ip ?? flow.server.ip}`,
      isConfirmed: false,
      confirm: `no socket there has this port, or only one at 127.0.0.1`,
      check: namespace ? inNamespace(namespace, listing(flow.protocol)) : listing(flow.protocol),
    },
  ]
}

/** TCP answers with a RST where nothing listens; whoever writes ICMP instead is a firewall. */
function rejecting({ client }: JoinedFlow, { from }: IcmpErrorSummary): Cause[] {
  return [
    {
      id: 'rule',
      what: `a firewall rule of ${from} rejects it`,
      isConfirmed: false,
      confirm: 'the counter of a REJECT rule there rises with every try',
      check: `${client.ip.includes(':') ? 'ip6tables' : 'iptables'}-save -c | grep REJECT`,
    },
  ]
}

/** A router has no way to go, or nobody answers at the end of it. */
function unreachable({ from, name }: IcmpErrorSummary, reader: ReceiptReader | null): Cause[] {
  const namespace = reader?.receipts.namespaces.find((it) => reader.isOwn(it, from))
  const silent: Cause[] = (namespace ? reader!.silentNeighbours([namespace]) : []).map(
    ({ ip, interfaceName }) => ({
      id: 'neighbour-silent',
      what: `the next hop ${ip} does not answer at ${interfaceName} of ${namespace!.name}`,
      isConfirmed: true,
      receipt: 'neighbour FAILED',
      check: inNamespace(namespace!, `ip neigh show ${ip}`),
    }),
  )
  // Of several that are silent, none is sure.
  if (silent.length === 1) return silent
  return [
    {
      id: 'unreachable',
      what: /host|address/.test(name)
        ? `nobody answers where ${from} would hand it over: the host is down, or its address is wrong`
        : `${from} has no route to it`,
      isConfirmed: false,
      confirm: 'the neighbour entry there is FAILED, or the route is missing',
      check: 'ip neigh; ip route',
    },
  ]
}

/** Who listens in the namespace in which the packet arrived? */
function listenerCauses(
  flow: JoinedFlow,
  reader: ReceiptReader,
  namespace: NamespaceReceipts,
  port: number,
): Cause[] {
  if (!reader.wasRead(namespace, /listeners|proc/)) return []
  const there = reader.listeners(namespace, flow.protocol, port)
  const check = inNamespace(namespace, listing(flow.protocol))
  if (there.length === 0)
    return [
      {
        id: 'no-listener',
        what: `nothing listens on ${flow.protocol} port ${port} in ${namespace.name}`,
        isConfirmed: true,
        receipt: otherPorts(namespace, flow.protocol),
        check,
      },
    ]
  if (there.every(({ ip }) => isLoopback(ip)))
    return [
      {
        id: 'loopback-listener',
        what: `the program in ${namespace.name} listens on ${there[0]!.ip} only, where nobody from outside reaches it`,
        isConfirmed: true,
        receipt: `listens on ${there.map(({ ip }) => show({ ip, port }, flow)).join(', ')}`,
        check,
      },
    ]
  return []
}

function otherPorts({ listeners }: NamespaceReceipts, protocol: string): string {
  const some = listeners.filter((it) => it.protocol === protocol).slice(0, 5)
  if (some.length === 0) return 'no socket listens there'
  return `sockets there: ${some.map((it) => show(it, { protocol })).join(', ')}`
}

function listing(protocol: string): string {
  return protocol === 'udp' ? 'ss -lunp' : 'ss -ltnp'
}

/** A request that is answered in due course may take its time: long polling does, in ns. */
const LONG_SILENCE_NS = 10e9

export function noReply(flow: JoinedFlow, reader: ReceiptReader | null): Finding[] {
  const last = flow.forward.path.at(-1)
  if (!last) return []
  if (flow.signs?.silence) return silentServer(flow, flow.signs.silence, last, reader)
  if (!expectsAnswer(flow)) return []
  // Mid-stream, or a connection that acknowledges what only the other direction could have sent.
  if (flow.protocol === 'tcp' && flow.state !== 'syn-only') return []
  if (flow.reverse.packets > 0 || flow.icmpErrors.length > 0) return []
  if (lossesOnTheWay(flow, reader).length > 0) return []
  return [
    finding(
      'no-reply',
      flow.id,
      `${counted(flow.forward.packets, 'packet')} to ${show(flow.server, flow)} reached ${last.point} and nothing came back`,
      { lastPoint: last.point },
      [
        ...diedHere(flow, last, reader),
        {
          id: 'beyond',
          what: `it died behind ${last.point}, or the answer did: the server is down, a firewall drops it, or there is no way back`,
          isConfirmed: false,
          confirm: 'a capture further on shows the request, and whether it is answered',
          check: `tcpdump -ni any host ${last.dst.ip}`,
        },
      ],
    ),
  ]
}

/** Where the last point is the packet's own host, that may have dropped it right behind it. */
function diedHere(flow: JoinedFlow, { point, dst }: Station, reader: ReceiptReader | null): Cause[] {
  const namespace = reader?.namespaceOf(point)
  if (!namespace || !reader!.isOwn(namespace, dst.ip)) return []
  const loss = { direction: 'forward', between: [point, point], packets: flow.forward.packets } as const
  return lossCauses(flow, loss, reader).filter(({ isConfirmed }) => isConfirmed)
}

/** The kernel took the request and said so; the program did not answer it, and nobody waits any more, or for long. */
function silentServer(
  flow: JoinedFlow,
  { forNs, hasGivenUp }: NonNullable<FlowSigns['silence']>,
  last: Station,
  reader: ReceiptReader | null,
): Finding[] {
  const namespace = reader?.namespaceOf(last.point) ?? null
  const who = namespace && reader!.isOwn(namespace, last.dst.ip) ? namespace.name : last.dst.ip
  const state = namespace && namespace.name === who ? namespace.processes : null
  if (!hasGivenUp && forNs < LONG_SILENCE_NS && !state?.isFrozen) return []
  const seconds = `${Number((forNs / 1e9).toPrecision(2))} s`
  const until = hasGivenUp ? `within ${seconds}, when the client ended it` : `in the ${seconds} until the end`
  const found = finding(
    'no-reply',
    flow.id,
    `${show(flow.server, flow)} accepted the connection and acknowledged the request, but its program did not answer ${until}`,
    { lastPoint: last.point, silentNs: forNs },
    [
      ...(state?.isFrozen
        ? [
            {
              id: 'paused',
              what: `${who} is paused`,
              isConfirmed: true,
              receipt: 'its cgroup is frozen',
              check: `docker inspect -f {{.State.Status}} ${quoted(who)}`,
            },
          ]
        : []),
      {
        id: 'program-stuck',
        what: `the program in ${who} hangs, is paused, or waits for something else`,
        isConfirmed: false,
        confirm: 'its socket has unread bytes (Recv-Q), or the container is paused',
        check: `docker ps --filter status=paused; ss -tn`,
      },
    ],
  )
  return [found]
}

export function reset(flow: JoinedFlow): Finding[] {
  const by = flow.signs?.reset
  if (flow.state !== 'reset' || by?.isUsual) return []
  const usual = by && flow[by.direction].path.find(({ point }) => point === by.point)
  // Who answers in another's name is mostly nearer or farther than that one.
  const isForeign = usual !== undefined && usual.packets > 1 && usual.ttl !== by!.ttl
  const who = by?.direction === 'forward' ? flow.client.ip : flow.server.ip
  const told = by ? ` by ${who}, first seen at ${by.point}` : ''
  const doubt = isForeign
    ? `; its TTL is ${by!.ttl} and not ${usual!.ttl}: somebody else may have sent it`
    : ''
  return [
    finding(
      'reset-by-peer',
      flow.id,
      `the connection to ${show(flow.server, flow)} ended with a reset${told}${doubt}`,
      by ? { frames: { [by.point]: [by.frame] }, direction: by.direction, ttl: by.ttl } : {},
    ),
  ]
}
