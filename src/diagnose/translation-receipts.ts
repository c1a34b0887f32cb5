/** Translation receipts: which rule made a translation, and which entry of connection tracking remembers it. */

import type { Endpoint, JoinedFlow, RuleName, Translation } from '../correlate/joined-flow.ts'
import type { ConntrackEntry, NamespaceReceipts } from '../receipts/model.ts'
import { formsOf } from './forms.ts'
import type { CountedRule, ReceiptReader } from './receipt-reader.ts'
import { countedRule, tracedPackets } from './rule-paths.ts'

const TARGETS = {
  snat: /^(MASQUERADE|SNAT|NETMAP|SNPT|masquerade|snat)$/,
  dnat: /^(DNAT|REDIRECT|NETMAP|DNPT|dnat|redirect)$/,
} as const

/** Adds to a flow's translations what the receipts know of them. */
export function addReceipts(flow: JoinedFlow, reader: ReceiptReader): void {
  for (const translation of flow.translations) {
    const namespaces = reader.between(...translation.between)
    const rule = ruleOf(flow, translation, namespaces, reader)
    if (rule) translation.rule = rule
    const entry = namespaces
      .flatMap(({ conntrack }) => conntrack?.entries ?? [])
      .find((it) => it.protocol === flow.protocol && remembers(it, translation, flow))
    if (entry) translation.conntrack = entry
  }
}

/** Only a rule that counted, and where its target says so, one that rewrites to this. */
function ruleOf(
  flow: JoinedFlow,
  { kind, to }: Translation,
  namespaces: readonly NamespaceReceipts[],
  reader: ReceiptReader,
): RuleName | null {
  const fitting = reader
    .rules(namespaces, TARGETS[kind], formsOf(flow, 'forward'))
    .filter(({ packets, rule }) => packets > 0 && (rule.to === null || leadsTo(rule.to, to)))
  // Of several that fit, none is sure, unless a packet was traced to it.
  const [one, another] = fitting.length > 1 ? fitting.filter((it) => isTraced(it, flow, reader)) : fitting
  if (!one || another) return null
  const { backend, family, table, chain, number, handle, text } = one.rule
  return {
    namespace: one.namespace.name,
    backend,
    family,
    table,
    chain,
    number,
    handle,
    text,
    packets: one.packets,
  }
}

function isTraced({ rule, namespace }: CountedRule, flow: JoinedFlow, reader: ReceiptReader): boolean {
  return tracedPackets(flow, 'forward', reader)
    .filter((packet) => packet.namespace === namespace)
    .some(({ trace }) => trace.steps.some((step) => countedRule(step, namespace).rule === rule))
}

/** `172.17.0.2:80`, `[fd00::2]:80`, `192.0.2.1-192.0.2.9:1024-2047`, `:8080`. */
function leadsTo(target: string, { ip, port }: Endpoint): boolean {
  const [, address = '', ports = ''] = /^(\[[^\]]*\]|[\d.-]*|[\da-f:]*)(?::([\d-]+))?$/i.exec(target) ?? []
  const plain = address.replace(/[[\]]/g, '')
  if (plain !== '' && !plain.includes('-') && plain !== ip) return false
  if (ports === '') return true
  const [from, to = from] = ports.split('-').map(Number)
  return port >= from! && port <= to!
}

/** The entry's two tuples differ by just this rewrite. */
function remembers(
  { original, reply }: ConntrackEntry,
  { kind, from, to }: Translation,
  flow: JoinedFlow,
): boolean {
  const isEcho = flow.protocol.startsWith('icmp')
  const is = (ip: string, port: number | null, end: Endpoint) =>
    ip === end.ip && (isEcho || port === null || port === end.port)
  if (kind === 'snat') return is(original.src, original.sport, from) && is(reply.dst, reply.dport, to)
  return is(original.dst, original.dport, from) && is(reply.src, reply.sport, to)
}
