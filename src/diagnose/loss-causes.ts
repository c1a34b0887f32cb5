/** Loss causes: why packets may have died between two points, in the order in which they are worth checking. */

import type { JoinedFlow, Loss } from '../correlate/joined-flow.ts'
import type { ConntrackReceipts, NamespaceReceipts } from '../receipts/model.ts'
import { type Cause, inOrder } from './cause.ts'
import { formsOf } from './forms.ts'
import {
  type CountedRule,
  inNamespace,
  moved,
  quoted,
  type ReceiptReader,
  ruleCheck,
  ruleLabel,
} from './receipt-reader.ts'
import { type Form, isIn } from './rule-match.ts'
import { tracedCauses, tracedPackets } from './rule-paths.ts'

const FORWARDING = { 4: 'net.ipv4.ip_forward', 6: 'net.ipv6.conf.all.forwarding' } as const
/** Counters of `/proc/net/snmp` and the like that count packets without a way to go. */
const NO_ROUTE = ['InNoRoutes', 'OutNoRoutes'] as const
/** Link and queue counters that count what a full queue or buffer lost. */
const LINK_DROPS = /^(rx|tx)_(dropped|missed_errors|over_errors|fifo_errors|errors|carrier_errors)$/

/** The kernel's clock for its drops and that of the frames are read apart. */
const CLOCK_SLACK_NS = 50_000_000n

/** What the kernel's own drop reasons mean (`enum skb_drop_reason`). */
const REASONS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    NETFILTER_DROP: 'a netfilter rule drops it',
    IP_RPFILTER: 'reverse path filtering drops it',
    IP_INNOROUTES: 'there is no route for it',
    IP_OUTNOROUTES: 'there is no route for it',
    IP_INADDRERRORS: 'its address is not acceptable here, or forwarding is off',
    IP_LOCALNET: 'an address of 127.0.0.0/8 is not routed (route_localnet)',
    PKT_TOO_BIG: 'it is larger than the MTU of the next link',
    NEIGH_FAILED: 'the next hop does not answer ARP',
    NEIGH_QUEUEFULL: 'the next hop does not answer ARP',
    QDISC_DROP: 'a full queue drops it',
    TC_INGRESS: 'a tc filter drops it',
    TC_EGRESS: 'a tc filter drops it',
    XDP: 'an XDP program drops it',
    FULL_RING: 'a full ring of an interface loses it',
    CPU_BACKLOG: 'the processor is too busy: its backlog is full',
  }),
)
/** Causes of one loss that are told: a host may have thousands of rules. */
const MAX_CAUSES = 8

/** `reader` is null where there are no receipts: then the causes are those that are usual, none confirmed. */
export function lossCauses(
  flow: JoinedFlow,
  loss: Pick<Loss, 'direction' | 'packets'> & { readonly between: readonly [string, string] },
  reader: ReceiptReader | null,
): Cause[] {
  const isIpv6 = flow.client.ip.includes(':')
  if (!reader) return usualCauses(isIpv6)
  const namespaces = reader.between(...loss.between)
  if (namespaces.length === 0) return usualCauses(isIpv6)
  const forms = formsOf(flow, loss.direction)
  // What was traced is sure; that a counter rose may be another packet's doing.
  const traced = tracedPackets(flow, loss.direction, reader)
  const causes = tracedCauses(traced.filter(({ namespace }) => namespaces.includes(namespace)))
  const fitting = reader
    .rules(namespaces, /^(DROP|REJECT|drop|reject)$/, forms, loss.packets)
    .filter((counted) => counted.packets > 0 && isOnTheWay(reader, counted, forms, isIpv6))
  // Of what counted less than was lost, some other packets may be meant.
  const enough = fitting.filter(({ packets }) => packets >= loss.packets)
  for (const counted of fitting) {
    if (causes.length >= MAX_CAUSES) break
    if (causes.some(({ what }) => what.startsWith(ruleLabel(counted)))) continue
    const rose = `${counted.packets === 1 ? '+1 packet' : `+${counted.packets} packets`} during the capture`
    const isConfirmed = enough.includes(counted) && (enough.length === 1 || isUnderstood(counted.rule.text))
    causes.push({
      id: 'rule',
      what: `${ruleLabel(counted)} ${/reject/i.test(counted.rule.target!) ? 'rejects' : 'drops'} it`,
      isConfirmed,
      ...(isConfirmed ? { receipt: rose } : { confirm: `it counts every packet that is lost (${rose})` }),
      check: ruleCheck(counted),
    })
  }
  for (const namespace of namespaces)
    causes.push(...settingCauses(reader, namespace, isIpv6, loss.packets), ...routeCauses(namespace, forms))
  const destinations = forms.map(({ dst }) => dst.ip)
  for (const namespace of namespaces)
    causes.push(...counterCauses(reader, namespace, destinations, loss.packets, namespaces.length > 1))
  causes.push(...kernelCauses(reader, flow, loss.packets))
  const usual = usualCauses(isIpv6).filter(({ id }) => id !== 'forwarding-off')
  return causes.length > 0 ? inOrder(causes).slice(0, MAX_CAUSES) : usual
}

/** Of the chains for what comes to the host itself or from it, only those count that this packet can meet. */
function isOnTheWay(
  reader: ReceiptReader,
  { rule, namespace }: CountedRule,
  forms: readonly Form[],
  isIpv6: boolean,
): boolean {
  if (rule.family === (isIpv6 ? 'ip' : 'ip6')) return false
  if (/^input$/i.test(rule.chain)) return forms.some(({ dst }) => reader.isOwn(namespace, dst.ip))
  if (/^output$/i.test(rule.chain)) return forms.some(({ src }) => reader.isOwn(namespace, src.ip))
  const [, incoming] = /(?:^|[^!] )-i (\S+)/.exec(rule.text) ?? []
  return incoming === undefined || namespace.interfaces.some(({ name }) => couldBe(name, incoming))
}

/** Does the rule ask for nothing but what `mayMatch` looks at? */
function isUnderstood(text: string): boolean {
  return !/--tcp-flags|-m (?!tcp|udp|icmp6?|multiport|comment)\S|[io]ifname|\b(?:ct|meta mark|limit|fib|th|tcp flags)\b|@/.test(
    text,
  )
}

/** `eth+` is every name that begins like that. */
function couldBe(name: string, pattern: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/** Routes that take packets to nowhere. */
function routeCauses(namespace: NamespaceReceipts, forms: readonly Form[]): Cause[] {
  return namespace.routes
    .filter(
      ({ type, destination }) => /^(blackhole|unreachable|prohibit)$/.test(type) && destination !== 'default',
    )
    .filter(({ destination }) => forms.some(({ dst }) => isIn(dst.ip, destination)))
    .map(({ type, destination }) => ({
      id: 'no-route',
      what: `a route of ${namespace.name} leads it to nowhere`,
      isConfirmed: true,
      receipt: `${type} ${destination}`,
      check: inNamespace(namespace, 'ip route'),
    }))
}

/** Forwarding, reverse path filtering and the connection table, where their counters or settings say it. */
function settingCauses(
  reader: ReceiptReader,
  namespace: NamespaceReceipts,
  isIpv6: boolean,
  packets: number,
): Cause[] {
  const causes: Cause[] = []
  const setting = FORWARDING[isIpv6 ? 6 : 4]
  const links = namespace.interfaces.filter(({ kind, isUp }) => kind !== 'loopback' && isUp)
  // Who has one interface has nothing to forward.
  if (links.length > 1 && reader.setting(namespace, setting) === 0)
    causes.push({
      id: 'forwarding-off',
      what: `forwarding is off in ${namespace.name}`,
      isConfirmed: true,
      receipt: `${setting} = 0`,
      check: inNamespace(namespace, `sysctl ${setting}`),
    })
  const reversed = reader.counter(namespace, 'IPReversePathFilter')
  if (reversed >= packets) {
    const strict = namespace.interfaces.filter(({ rpFilter }) => rpFilter === 1).map(({ name }) => name)
    const where = strict.length > 0 ? ` (rp_filter = 1 at ${strict.join(', ')})` : ''
    causes.push({
      id: 'rp-filter',
      what: `reverse path filtering drops it, as the way back to its source leads elsewhere${where}`,
      isConfirmed: true,
      receipt: `IPReversePathFilter +${reversed}`,
      check: inNamespace(namespace, `nstat -az TcpExtIPReversePathFilter`),
    })
  }
  causes.push(...conntrackFull(namespace, packets))
  return causes
}

/** The connection table of a namespace, where it was full for as many packets at least. */
export function conntrackFull(namespace: NamespaceReceipts, packets = 1): Cause[] {
  const { conntrack } = namespace
  if (!conntrack) return []
  // Packets that lost a race for an entry are counted as both.
  const dropped = moves(conntrack, 'drop') - moves(conntrack, 'insert_failed')
  if (dropped < packets) return []
  const { count, max } = conntrack
  return [
    {
      id: 'conntrack-full',
      what: `the connection table of ${namespace.name} is full${max === null ? '' : ` (nf_conntrack_max = ${max}, entries ${count.after ?? count.before ?? '?'})`}`,
      isConfirmed: true,
      receipt: `nf_conntrack drop +${dropped}`,
      check: inNamespace(namespace, 'conntrack -S'),
    },
  ]
}

/** Two packets of one flow at the same time, such as the two questions of a resolver: only one gets an entry. */
function conntrackRace(namespace: NamespaceReceipts, packets: number): Cause[] {
  const failed = namespace.conntrack ? moves(namespace.conntrack, 'insert_failed') : 0
  if (failed < packets) return []
  return [
    {
      id: 'conntrack-race',
      what: `connection tracking of ${namespace.name} dropped packets that raced with others of the same flow for an entry`,
      isConfirmed: true,
      receipt: `nf_conntrack insert_failed +${failed}`,
      check: inNamespace(namespace, 'conntrack -S'),
    },
  ]
}

function moves({ stats }: ConntrackReceipts, counter: string): number {
  return stats.filter(({ name }) => name === counter).reduce((sum, it) => sum + moved(it), 0)
}

/** `isBetweenHosts`: the packet left one namespace and came into another, where an interface may have lost it too. */
function counterCauses(
  reader: ReceiptReader,
  namespace: NamespaceReceipts,
  destinations: readonly string[],
  packets: number,
  isBetweenHosts: boolean,
): Cause[] {
  const causes: Cause[] = conntrackRace(namespace, packets)
  const gateways = namespace.routes.flatMap(({ gateway }) => gateway ?? [])
  for (const { ip, interfaceName } of reader.silentNeighbours([namespace]))
    if (destinations.includes(ip) || gateways.includes(ip))
      causes.push({
        id: 'neighbour-silent',
        what: `the next hop ${ip} does not answer at ${interfaceName} of ${namespace.name}`,
        isConfirmed: true,
        receipt: 'neighbour FAILED',
        check: inNamespace(namespace, `ip neigh show ${ip}`),
      })
  for (const name of NO_ROUTE) {
    const unrouted = reader.counter(namespace, name)
    if (unrouted >= packets)
      causes.push({
        id: 'no-route',
        what: `${namespace.name} has no route for it`,
        isConfirmed: true,
        receipt: `${name} +${unrouted}`,
        check: inNamespace(namespace, `ip route get ${destinations.at(-1)}`),
      })
  }
  const tooBig = reader.counter(namespace, 'FragFails')
  if (tooBig >= packets) {
    const narrow = narrowest(namespace)
    causes.push({
      id: 'mtu',
      what: `packets are larger than the next link takes${narrow ? ` (MTU ${narrow.mtu} of ${narrow.name})` : ''}`,
      isConfirmed: true,
      receipt: `FragFails +${tooBig}`,
      check: inNamespace(namespace, 'ip link'),
    })
  }
  for (const { name, counters, queues } of namespace.interfaces)
    for (const counter of [...counters.filter((it) => LINK_DROPS.test(it.name)), ...queues])
      if (moved(counter) >= packets && (isBetweenHosts || !counter.name.startsWith('rx_')))
        causes.push({
          id: 'link-drop',
          what: `${name} of ${namespace.name} lost packets`,
          isConfirmed: true,
          receipt: `${counter.name} +${moved(counter)}`,
          check: inNamespace(namespace, `ip -s -s link show ${quoted(name)}`),
        })
  return causes
}

/** The interface with the smallest MTU, where they differ. */
export function narrowest({ interfaces }: NamespaceReceipts): { name: string; mtu: number } | null {
  const known = interfaces.flatMap(({ name, mtu, isUp, kind }) =>
    mtu && isUp && kind !== 'loopback' ? [{ name, mtu }] : [],
  )
  known.sort((a, b) => a.mtu - b.mtu)
  return known.length > 1 && known[0]!.mtu < known.at(-1)!.mtu ? known[0]! : null
}

/** The kernel does not say of which packets: they have to be as many, of the family, and dropped while the flow lasted. */
function kernelCauses(
  reader: ReceiptReader,
  { client, firstNs, lastNs }: JoinedFlow,
  packets: number,
): Cause[] {
  const etherType = client.ip.includes(':') ? 0x86dd : 0x0800
  const [from, to] = [BigInt(firstNs) - CLOCK_SLACK_NS, BigInt(lastNs) + CLOCK_SLACK_NS]
  return reader.receipts.drops
    .filter((drop) => drop.etherType === etherType && REASONS.has(drop.reason))
    .filter(({ packets: dropped, timesNs }) => {
      const meanwhile = timesNs.filter((time) => BigInt(time) >= from && BigInt(time) <= to).length
      return dropped - timesNs.length + meanwhile >= packets
    })
    .sort((a, b) => Math.abs(a.packets - packets) - Math.abs(b.packets - packets))
    .map(({ reason, location, packets }) => ({
      id: 'kernel-drop',
      what: `the kernel says ${reason}: ${REASONS.get(reason)}`,
      isConfirmed: true,
      receipt: `${packets} in ${location}`,
      check: reason === 'NETFILTER_DROP' ? 'hoptrace capture --trace-rules …' : 'perf trace -e skb:kfree_skb',
    }))
}

function usualCauses(isIpv6: boolean): Cause[] {
  const [tables, forwarding] = isIpv6 ? ['ip6tables', FORWARDING[6]] : ['iptables', FORWARDING[4]]
  return [
    {
      id: 'rule',
      what: 'a netfilter rule drops it, in DOCKER-USER or FORWARD',
      isConfirmed: false,
      confirm: 'its counter rises with every packet that is lost',
      check: `${tables}-save -c | grep -E 'DROP|REJECT'`,
    },
    {
      id: 'forwarding-off',
      what: 'forwarding is off',
      isConfirmed: false,
      confirm: `${forwarding} is 0`,
      check: `sysctl ${forwarding}`,
    },
    {
      id: 'rp-filter',
      what: 'reverse path filtering drops it',
      isConfirmed: false,
      confirm: 'IPReversePathFilter rises, and rp_filter is 1 where it came in',
      check: 'nstat -az TcpExtIPReversePathFilter',
    },
    {
      id: 'conntrack-full',
      what: 'the connection table is full',
      isConfirmed: false,
      confirm: 'nf_conntrack_count is at nf_conntrack_max, and drop rises',
      check: 'conntrack -S; sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max',
    },
  ]
}
