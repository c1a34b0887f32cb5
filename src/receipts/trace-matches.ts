/**
 * Trace matches: which packets are traced, as far as a filter expression can be told as matches of nft; and the table that
 * marks them. Nothing gets into the text for nft but numbers and addresses that were checked here.
 */

import { isIP } from 'node:net'
import { MARK_CHAIN } from './trace-keeper.ts'

/** All of it has to hold at either side of a packet; what is empty or null holds for each. */
export interface TraceMatch {
  /** Number of the IP protocol. */
  readonly protocol: number | null
  /** Each is the address or network of some side. */
  readonly hosts: readonly string[]
  /** Each is the port of some side. */
  readonly ports: readonly (readonly [from: number, to: number])[]
  /** To a port that the host publishes: its destination is one of the host's addresses. */
  readonly isPublished?: boolean
}

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmp6: 58,
  icmpv6: 58,
  sctp: 132,
}
const WITH_PORTS = [6, 17, 33, 132, 136]
const MAX_MATCHES = 64
const MAX_RULES = 128
const MAX_SIDES = 3
/** Packets that are traced, at most, in each namespace. */
export const TRACES_PER_SECOND = 200

/**
 * What `expression` (of `--filter` or `--bpf`) wants, as alternatives; null where it can't be told so: then it has `not`,
 * parentheses, names or other words. Sides (`src`, `dst`) are left out, as answers are wanted too.
 */
export function traceMatchesOf(expression: string): TraceMatch[] | null {
  const words = expression.toLowerCase().replace(/&&/g, ' and ').replace(/\|\|/g, ' or ').trim().split(/\s+/)
  let alternatives: TraceMatch[] = []
  let operator = 'or'
  let before: { kind: string; protocol: number | null } | null = null
  for (let at = 0; ; at++) {
    let protocol: number | null = null
    let kind = ''
    const first = at
    if (PROTOCOLS[words[at]!] !== undefined) protocol = PROTOCOLS[words[at++]!]!
    while (words[at] === 'src' || words[at] === 'dst') at++
    if (/^(host|net|port|portrange)$/.test(words[at] ?? '')) kind = words[at++]!
    const hasValue = at < words.length && words[at] !== 'and' && words[at] !== 'or'
    if (!hasValue && (kind !== '' || protocol === null)) return null
    // `port 80 or 443`: the second one is a port as well.
    if (hasValue && kind === '' && at === first && before !== null) ({ kind, protocol } = before)
    const term = hasValue
      ? termOf(kind || 'host', words[at++]!, protocol)
      : { protocol, hosts: [], ports: [] }
    if (term === null) return null
    if (hasValue) before = { kind: kind || 'host', protocol }
    if (operator === 'or') alternatives.push(term)
    else {
      const both = alternatives.flatMap((one) => joined(one, term))
      if (both.some(hasTooMany)) return null
      alternatives = both
    }
    if (alternatives.length > MAX_MATCHES) return null
    if (at >= words.length) return alternatives.length > 0 ? alternatives : null
    operator = words[at]!
    if (operator !== 'and' && operator !== 'or') return null
  }
}

/** Of alternatives that say neither address nor port, only what also is one of `others`. */
export function narrowed(matches: readonly TraceMatch[], others: readonly TraceMatch[]): TraceMatch[] {
  return matches.flatMap((one) =>
    one.hosts.length + one.ports.length > 0 || others.length === 0
      ? one
      : others.flatMap((other) =>
          joined(one, other).map((both) => ({ ...both, isPublished: other.isPublished === true })),
        ),
  )
}

/** Commands for `nft -i` that make the table, whose owner is that process: with it, the kernel removes the table. */
export function traceTable(name: string, matches: readonly TraceMatch[]): string {
  const table = `inet ${name}`
  const rules = [...new Set(matches.flatMap(rulesOf))].slice(0, MAX_RULES)
  return [
    `create table ${table} { flags owner; }`,
    `add chain ${table} ${MARK_CHAIN}`,
    `add rule ${table} ${MARK_CHAIN} limit rate ${TRACES_PER_SECOND}/second burst 50 packets meta nftrace set 1`,
    // Behind the reassembly of fragments, in front of all that iptables has.
    ...['prerouting', 'output'].flatMap((hook) => [
      `add chain ${table} ${hook} { type filter hook ${hook} priority -350; }`,
      ...rules.map((rule) => `add rule ${table} ${hook} ${rule} goto ${MARK_CHAIN}`),
    ]),
    // On one line, it is all or nothing.
  ].join('; ')
}

function termOf(kind: string, value: string, protocol: number | null): TraceMatch | null {
  if (kind === 'host')
    return isIP(value) !== 0 && isNetwork(value) ? { protocol, hosts: [value], ports: [] } : null
  if (kind === 'net') return isNetwork(value) ? { protocol, hosts: [value], ports: [] } : null
  const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(value)
  if (range === null || (range[2] !== undefined && kind !== 'portrange')) return null
  const [from, to] = [Number(range[1]), Number(range[2] ?? range[1])]
  return isRange([from, to]) ? { protocol, hosts: [], ports: [[from, to]] } : null
}

/** What meets both; nothing where no packet does. */
function joined(a: TraceMatch, b: TraceMatch): TraceMatch[] {
  if (a.protocol !== null && b.protocol !== null && a.protocol !== b.protocol) return []
  const hosts = [...new Set([...a.hosts, ...b.hosts])]
  const isMixed = new Set(hosts.map((host) => host.includes(':'))).size > 1
  return isMixed ? [] : [{ protocol: a.protocol ?? b.protocol, hosts, ports: [...a.ports, ...b.ports] }]
}

function hasTooMany({ hosts, ports }: TraceMatch): boolean {
  return hosts.length + ports.length > MAX_SIDES
}

/** Each host and port at either side. None where something in it is no number or address. */
function rulesOf(match: TraceMatch): string[] {
  const { protocol, hosts, ports, isPublished } = match
  const areGood = hosts.every(isNetwork) && ports.every(isRange) && !hasTooMany(match)
  const isGood = protocol === null || (Number.isInteger(protocol) && protocol >= 0 && protocol < 256)
  if (!areGood || !isGood) return []
  const head: string[] = []
  if (protocol !== null) head.push(`meta l4proto ${protocol}`)
  else if (ports.length > 0) head.push(`meta l4proto { ${WITH_PORTS.join(', ')} }`)
  if (isPublished) return [[...head, ...sided(hosts, ports, () => 'd'), 'fib daddr type local'].join(' ')]
  const count = hosts.length + ports.length
  return Array.from({ length: 1 << count }, (_, bits) =>
    [...head, ...sided(hosts, ports, (i) => ((bits >> i) & 1 ? 'd' : 's'))].join(' '),
  ).filter((rule) => rule !== '')
}

function sided(
  hosts: TraceMatch['hosts'],
  ports: TraceMatch['ports'],
  sideOf: (i: number) => 's' | 'd',
): string[] {
  return [
    ...hosts.map((host, i) => `${host.includes(':') ? 'ip6' : 'ip'} ${sideOf(i)}addr ${host}`),
    ...ports.map(
      ([from, to], i) => `th ${sideOf(hosts.length + i)}port ${from === to ? from : `${from}-${to}`}`,
    ),
  ]
}

function isNetwork(text: string): boolean {
  if (typeof text !== 'string' || text.includes('%')) return false
  const [address = '', length, more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more !== undefined) return false
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (version === 4 ? 32 : 128))
}

function isRange(range: readonly [number, number]): boolean {
  const [from, to] = range
  return [from, to].every((port) => Number.isInteger(port) && port >= 0 && port <= 0xffff) && from <= to
}
