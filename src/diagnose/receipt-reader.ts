/** The receipt reader: what the receipts of a capture say about a packet: rules that it may have met, settings, counters. */

import type {
  CounterReceipt,
  Listener,
  NamespaceReceipts,
  NeighbourReceipt,
  Receipts,
  RuleReceipt,
  TraceReceipt,
} from '../receipts/model.ts'
import { type Form, mayMatch } from './rule-match.ts'

/** A rule, where it is, and how many packets it counted during the capture. */
export interface CountedRule {
  rule: RuleReceipt
  namespace: NamespaceReceipts
  packets: number
}

/** Rules of one kind that are looked at, those first that counted most. */
const MAX_RULES = 200

export class ReceiptReader {
  readonly #rules = new Map<NamespaceReceipts, Map<string, readonly RuleReceipt[]>>()
  /** Of all hosts that were captured on. */
  readonly receipts: Pick<Receipts, 'namespaces' | 'drops' | 'notRead'>

  #traces: ReturnType<typeof tracesByPair> | null = null

  constructor(all: readonly Receipts[]) {
    this.receipts = {
      namespaces: all.flatMap(({ namespaces }) => namespaces),
      drops: all.flatMap(({ drops }) => drops),
      notRead: all.flatMap(({ notRead }) => notRead),
    }
  }

  /** The namespace in which a point is captured. */
  namespaceOf(point: string): NamespaceReceipts | null {
    return this.receipts.namespaces.find(({ points }) => points.includes(point)) ?? null
  }

  /** The namespaces that a packet is in between two points, without repetition. */
  between(from: string, to: string): NamespaceReceipts[] {
    const both = [this.namespaceOf(from), this.namespaceOf(to)].flatMap((namespace) => namespace ?? [])
    return [...new Set(both)]
  }

  /** Rules with one of these targets that may have met the packet, those that counted most like `packets` first. */
  rules(
    namespaces: readonly NamespaceReceipts[],
    targets: RegExp,
    forms: readonly Form[],
    packets = 0,
  ): CountedRule[] {
    const found = namespaces.flatMap((namespace) =>
      this.#rulesOf(namespace, targets)
        .filter(({ text }) => mayMatch(text, forms))
        .filter(({ change }) => change !== 'vanished')
        .map((rule) => ({ rule, namespace, packets: moved(rule.packets) })),
    )
    return found.sort((a, b) => Math.abs(a.packets - packets) - Math.abs(b.packets - packets))
  }

  /** At most so many: a host may have very many rules, and each is compared with each flow that lost something. */
  #rulesOf(namespace: NamespaceReceipts, targets: RegExp): readonly RuleReceipt[] {
    const key = String(targets)
    let byTargets = this.#rules.get(namespace)
    if (!byTargets) {
      byTargets = new Map()
      this.#rules.set(namespace, byTargets)
    }
    let found = byTargets.get(key)
    if (!found) {
      found = namespace.rules
        .filter(({ target }) => target !== null && targets.test(target))
        .sort((a, b) => moved(b.packets) - moved(a.packets))
        .slice(0, MAX_RULES)
      byTargets.set(key, found)
    }
    return found
  }

  /** How much a counter moved in a namespace; 0 where it did not, or was not read. */
  counter(namespace: NamespaceReceipts, name: string): number {
    return namespace.counters
      .filter((counter) => counter.name === name)
      .reduce((sum, it) => sum + moved(it), 0)
  }

  setting(namespace: NamespaceReceipts, name: string): number | null {
    return namespace.settings.find((setting) => setting.name === name)?.value ?? null
  }

  /** Sockets that listen on a port in a namespace. */
  listeners(namespace: NamespaceReceipts, protocol: string, port: number): Listener[] {
    return namespace.listeners.filter((it) => it.protocol === protocol && it.port === port)
  }

  /** A neighbour that does not answer. */
  silentNeighbours(namespaces: readonly NamespaceReceipts[]): NeighbourReceipt[] {
    return namespaces.flatMap(({ neighbours }) =>
      neighbours.filter(({ state }) => /FAILED|INCOMPLETE/.test(state)),
    )
  }

  get hasTraces(): boolean {
    return this.receipts.namespaces.some(({ traces }) => traces !== undefined)
  }

  /** Traced packets that look like one of these somewhere on their way, in the order of time. */
  traced(forms: readonly Form[]): { namespace: NamespaceReceipts; trace: TraceReceipt }[] {
    this.#traces ??= tracesByPair(this.receipts.namespaces)
    const found = new Set(forms.flatMap((form) => this.#traces!.get(pairOf(form)) ?? []))
    return [...found].sort((a, b) => (BigInt(a.trace.timeNs) < BigInt(b.trace.timeNs) ? -1 : 1))
  }

  /** Is this one of the namespace's own addresses? */
  isOwn(namespace: NamespaceReceipts, ip: string): boolean {
    return namespace.interfaces.some(({ addresses }) => addresses.some((own) => own.split('/')[0] === ip))
  }

  /** Was this read? What was not read says nothing by being absent. */
  wasRead(namespace: NamespaceReceipts, what: RegExp): boolean {
    return !this.receipts.notRead.some(
      (missing) =>
        (missing.namespace === null || missing.namespace === namespace.name) && what.test(missing.what),
    )
  }
}

function tracesByPair(namespaces: readonly NamespaceReceipts[]) {
  const pairs = new Map<string, { namespace: NamespaceReceipts; trace: TraceReceipt }[]>()
  for (const namespace of namespaces)
    for (const trace of namespace.traces ?? []) {
      const packet = { namespace, trace }
      for (const { src, dst, sport, dport } of trace.forms) {
        const { protocol } = trace
        const key = pairOf({
          protocol,
          src: { ip: src, port: sport ?? 0 },
          dst: { ip: dst, port: dport ?? 0 },
        })
        pairs.set(key, [...(pairs.get(key) ?? []), packet])
      }
    }
  return pairs
}

function pairOf({ protocol, src, dst }: Form): string {
  return `${protocol} ${src.ip} ${src.port} ${dst.ip} ${dst.port}`
}

/** By how much a counter moved; what appeared meanwhile counts from 0. */
export function moved({ before, after }: Pick<CounterReceipt, 'before' | 'after'>): number {
  return after === null ? 0 : after - (before ?? 0)
}

/** `rule 1 of DOCKER-USER (-p tcp --dport 80 -j DROP)`, with the table where it is not `filter`, and the namespace where it is not the host. */
export function ruleLabel({ rule, namespace }: Pick<CountedRule, 'rule' | 'namespace'>): string {
  const table =
    rule.table === 'filter' && rule.backend !== 'nft'
      ? ''
      : ` in ${rule.backend === 'nft' ? `${rule.family} ` : ''}${rule.table}`
  const family = rule.family === 'ip6' && rule.backend !== 'nft' ? ' (IPv6)' : ''
  const where = namespace.name === 'host' ? '' : ` of ${namespace.name}`
  const name = rule.number === null ? `policy of ${rule.chain}` : `rule ${rule.number} of ${rule.chain}`
  return `${name}${table}${family}${where} (${rule.text})`
}

/** The command that shows a rule and its counters. */
export function ruleCheck({ rule, namespace }: Pick<CountedRule, 'rule' | 'namespace'>): string {
  if (rule.backend === 'nft')
    return inNamespace(
      namespace,
      `nft -a list chain ${rule.family} ${quoted(rule.table)} ${quoted(rule.chain)}`,
    )
  const program = rule.family === 'ip6' ? 'ip6tables' : rule.backend
  const table = rule.table === 'filter' ? '' : `-t ${quoted(rule.table)} `
  return inNamespace(namespace, `${program} ${table}-nvL ${quoted(rule.chain)} --line-numbers`)
}

/** A command as it is to be typed on the host for another namespace. */
export function inNamespace(namespace: NamespaceReceipts, command: string): string {
  return namespace.name === 'host'
    ? command
    : `nsenter -t $(docker inspect -f {{.State.Pid}} ${quoted(namespace.name)}) -n ${command}`
}

/** A name in a command that somebody may paste into a shell. */
export function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`
}
