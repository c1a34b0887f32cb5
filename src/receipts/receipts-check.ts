/**
 * The check of receipts: rebuilds them field by field from JSON that anybody may have written, a file or a helper that
 * looked into strangers' namespaces. What is not of its type is left out, texts are fit to be shown, lists are bounded.
 */

import { isIP } from 'node:net'
import { displayText } from '../capture/display-text.ts'
import { type Fields, fieldsOf, integerOf, listOf } from '../topology/foreign.ts'
import { MAX_ENTRIES } from './conntrack.ts'
import {
  type BeforeAfter,
  type ConntrackEntry,
  type ConntrackReceipts,
  type CounterReceipt,
  type InterfaceReceipt,
  type KernelDrops,
  type Listener,
  type NamespaceReceipts,
  type NeighbourReceipt,
  type NotRead,
  RECEIPTS_SCHEMA,
  type Receipts,
  type RouteReceipt,
  type RuleReceipt,
  type Setting,
  type TraceReceipt,
  type TraceStep,
  type Tuple,
} from './model.ts'
import { MAX_STEPS, MAX_TRACES } from './trace-keeper.ts'

const MAX_LIST = 2000
const MAX_NAMESPACES = 200
const MAX_TEXT_CHARACTERS = 1000
/** A packet is hardly translated more often in one namespace. */
const MAX_FORMS = 4
const BACKENDS = ['iptables', 'iptables-legacy', 'nft'] as const
const FAMILIES = ['ip', 'ip6', 'inet', 'bridge', 'arp', 'netdev'] as const
const CHANGES = ['counted', 'same', 'appeared', 'vanished'] as const

/** The receipts in such a value; null where it is none of this version. */
export function checkedReceipts(value: unknown): Receipts | null {
  const { schema, beginNs, endNs, hostname, kernel, namespaces, drops, notRead } = fieldsOf(value)
  const [from, to] = [timeOf(beginNs), timeOf(endNs)]
  if (schema !== RECEIPTS_SCHEMA || from === null || to === null) return null
  return {
    schema: RECEIPTS_SCHEMA,
    beginNs: from,
    endNs: to,
    hostname: shown(hostname) ?? '',
    kernel: shown(kernel) ?? '',
    namespaces: each(namespaces, namespaceOf, MAX_NAMESPACES),
    drops: each(drops, dropsOf),
    notRead: each(notRead, notReadOf),
  }
}

function namespaceOf(fields: Fields): NamespaceReceipts | null {
  const name = shown(fields.name)
  if (name === null) return null
  return {
    name,
    inode: integerOf(fields.inode),
    points: texts(fields.points),
    rules: each(fields.rules, ruleOf),
    ruleCount: integerOf(fields.ruleCount),
    conntrack: fields.conntrack ? conntrackOf(fieldsOf(fields.conntrack)) : null,
    settings: each(fields.settings, settingOf),
    counters: each(fields.counters, counterOf),
    interfaces: each(fields.interfaces, interfaceOf),
    routes: each(fields.routes, routeOf),
    neighbours: each(fields.neighbours, neighbourOf),
    listeners: each(fields.listeners, listenerOf),
    ...(fields.processes === undefined ? {} : { processes: processesOf(fieldsOf(fields.processes)) }),
    ...(fields.traces === undefined ? {} : { traces: each(fields.traces, traceOf, 2 * MAX_TRACES) }),
  }
}

function traceOf(fields: Fields): TraceReceipt | null {
  const timeNs = timeOf(fields.timeNs)
  const forms = each(fields.forms, tupleOf, MAX_FORMS).map(({ packets: _, ...form }) => form)
  const omitted = integerOf(fields.omitted)
  if (timeNs === null || forms.length === 0) return null
  return {
    ...{ timeNs, forms },
    protocol: shown(fields.protocol) ?? '',
    ipId: integerOf(fields.ipId, 65535),
    tcpFlags: integerOf(fields.tcpFlags, 4095),
    steps: each(fields.steps, traceStepOf, MAX_STEPS),
    ...(omitted === null ? {} : { omitted }),
  }
}

function traceStepOf(fields: Fields): TraceStep | null {
  const { family } = fields
  const [table, chain, verdict] = [shown(fields.table), shown(fields.chain), shown(fields.verdict)]
  if (!isOneOf(FAMILIES, family) || table === null || chain === null || verdict === null) return null
  return {
    ...{ family, table, chain, verdict },
    number: integerOf(fields.number),
    handle: integerOf(fields.handle),
    text: shown(fields.text),
    isPolicy: fields.isPolicy === true,
  }
}

function processesOf({ isFrozen }: Fields): { isFrozen: boolean } | null {
  return typeof isFrozen === 'boolean' ? { isFrozen } : null
}

function ruleOf(fields: Fields): RuleReceipt | null {
  const { backend, family, change } = fields
  const [table, chain, text] = [shown(fields.table), shown(fields.chain), shown(fields.text) ?? '']
  if (!isOneOf(BACKENDS, backend) || !isOneOf(FAMILIES, family) || !isOneOf(CHANGES, change)) return null
  if (table === null || chain === null) return null
  return {
    ...{ backend, family, table, chain, text, change },
    number: integerOf(fields.number),
    handle: integerOf(fields.handle),
    target: shown(fields.target),
    to: shown(fields.to),
    packets: beforeAfterOf(fields.packets),
    bytes: beforeAfterOf(fields.bytes),
  }
}

function conntrackOf({ count, max, stats, entries, omitted }: Fields): ConntrackReceipts {
  return {
    count: beforeAfterOf(count),
    max: integerOf(max),
    stats: each(stats, counterOf),
    entries: each(entries, entryOf, 2 * MAX_ENTRIES),
    omitted: integerOf(omitted) ?? 0,
  }
}

function entryOf(fields: Fields): ConntrackEntry | null {
  const [original, reply] = [tupleOf(fieldsOf(fields.original)), tupleOf(fieldsOf(fields.reply))]
  const protocol = shown(fields.protocol)
  if (original === null || reply === null || protocol === null) return null
  return {
    ...{ protocol, original, reply },
    state: shown(fields.state),
    isReplied: fields.isReplied === true,
    isAssured: fields.isAssured === true,
    zone: integerOf(fields.zone),
    mark: integerOf(fields.mark),
    sinceNs: timeOf(fields.sinceNs),
    isThere: fields.isThere === true,
  }
}

function tupleOf({ src, dst, sport, dport, packets }: Fields): Tuple | null {
  const [from, to] = [addressOf(src), addressOf(dst)]
  if (from === null || to === null) return null
  return {
    src: from,
    dst: to,
    sport: integerOf(sport, 65535),
    dport: integerOf(dport, 65535),
    packets: integerOf(packets),
  }
}

function settingOf(fields: Fields): Setting | null {
  const name = shown(fields.name)
  const [value, before] = [signedOf(fields.value), signedOf(fields.before)]
  if (name === null || value === null) return null
  return before === null ? { name, value } : { name, value, before }
}

function counterOf(fields: Fields): CounterReceipt | null {
  const [group, name] = [shown(fields.group), shown(fields.name)]
  return group === null || name === null ? null : { group, name, ...beforeAfterOf(fields) }
}

function interfaceOf(fields: Fields): InterfaceReceipt | null {
  const [name, index, mtuBefore] = [shown(fields.name), integerOf(fields.index), integerOf(fields.mtuBefore)]
  if (name === null || index === null) return null
  return {
    ...{ name, index },
    kind: shown(fields.kind) ?? 'unknown',
    isUp: fields.isUp === true,
    mtu: integerOf(fields.mtu),
    ...(mtuBefore === null ? {} : { mtuBefore }),
    mac: shown(fields.mac),
    master: shown(fields.master),
    addresses: texts(fields.addresses),
    rpFilter: integerOf(fields.rpFilter),
    forwarding4: switchOf(fields.forwarding4),
    forwarding6: switchOf(fields.forwarding6),
    routeLocalnet: switchOf(fields.routeLocalnet),
    counters: each(fields.counters, counterOf),
    queues: each(fields.queues, counterOf),
  }
}

function routeOf(fields: Fields): RouteReceipt | null {
  const destination = shown(fields.destination)
  const { family } = fields
  if (destination === null || (family !== 'ip' && family !== 'ip6')) return null
  return {
    ...{ destination, family },
    table: shown(fields.table) ?? 'main',
    type: shown(fields.type) ?? 'unicast',
    gateway: shown(fields.gateway),
    interfaceName: shown(fields.interfaceName),
    metric: integerOf(fields.metric),
    source: shown(fields.source),
    mtu: integerOf(fields.mtu),
  }
}

function neighbourOf(fields: Fields): NeighbourReceipt | null {
  const [ip, interfaceName, state] = [addressOf(fields.ip), shown(fields.interfaceName), shown(fields.state)]
  if (ip === null || interfaceName === null || state === null) return null
  return { ip, interfaceName, mac: shown(fields.mac), state }
}

function listenerOf({ protocol, ip, port }: Fields): Listener | null {
  const [address, number] = [addressOf(ip), integerOf(port, 65535)]
  if ((protocol !== 'tcp' && protocol !== 'udp') || address === null || number === null) return null
  return { protocol, ip: address, port: number }
}

function dropsOf(fields: Fields): KernelDrops | null {
  const [reason, packets] = [shown(fields.reason), integerOf(fields.packets)]
  if (reason === null || packets === null) return null
  return {
    ...{ reason, packets },
    location: shown(fields.location) ?? '',
    etherType: integerOf(fields.etherType, 65535) ?? 0,
    timesNs: listOf(fields.timesNs)
      .slice(0, MAX_LIST)
      .flatMap((one) => timeOf(one) ?? []),
  }
}

function notReadOf(fields: Fields): NotRead | null {
  const [what, why] = [shown(fields.what), shown(fields.why)]
  return what === null || why === null ? null : { namespace: shown(fields.namespace), what, why }
}

function beforeAfterOf(value: unknown): BeforeAfter {
  const { before, after } = fieldsOf(value)
  return { before: integerOf(before), after: integerOf(after) }
}

function each<T>(value: unknown, of: (fields: Fields) => T | null, max = MAX_LIST): T[] {
  return listOf(value)
    .slice(0, max)
    .flatMap((entry) => of(fieldsOf(entry)) ?? [])
}

function texts(value: unknown): string[] {
  return listOf(value)
    .slice(0, MAX_LIST)
    .flatMap((entry) => shown(entry) ?? [])
}

/** A text that can do nothing in a terminal. */
function shown(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? displayText(value, MAX_TEXT_CHARACTERS) : null
}

function timeOf(value: unknown): string | null {
  return typeof value === 'string' && /^\d{1,20}$/.test(value) ? value : null
}

function addressOf(value: unknown): string | null {
  return typeof value === 'string' && isIP(value) !== 0 && !value.includes('%') ? value : null
}

function signedOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
}

function switchOf(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null
}

function isOneOf<T extends string>(list: readonly T[], value: unknown): value is T {
  return list.includes(value as T)
}
