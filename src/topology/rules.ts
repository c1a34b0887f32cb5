/** Which rules of the packet filter may touch a container's packets, whatever tool they were read with. */

import { BlockList, isIP } from 'node:net'
import type { EngineNetwork } from './docker-objects.ts'
import type { Container, Rule } from './topology.ts'

/** One end of what a rule matches: only conditions that are not negated. */
export interface Side {
  /** Addresses and networks: `172.17.0.2`, `172.17.0.0/16`. */
  readonly networks: readonly string[]
  /** Interface names; a `+` or `*` at the end stands for anything. */
  readonly interfaces: readonly string[]
}

export interface ParsedRule {
  readonly rule: Rule
  /** Chain that it goes on in. */
  readonly jump: string | null
  readonly source: Side
  /** With the address that DNAT rewrites to. */
  readonly destination: Side
  /** By which nft knows the rule in its table; null where there is none. */
  readonly handle: number | null
}

export interface RuleSet {
  readonly rules: readonly ParsedRule[]
  /** Hook (`prerouting`, `input`, `forward`, `output`, `postrouting`) of each chain that the kernel calls, by `chainKey`. */
  readonly hooks: ReadonlyMap<string, string>
}

/** What is a container's own on the host, and what is others'. */
export interface Concern {
  readonly addresses: readonly string[]
  readonly interfaces: readonly string[]
  readonly otherNetworks: readonly string[]
  readonly otherInterfaces: readonly string[]
  /** The hooks that its packets pass on the host. */
  readonly hooks: readonly string[]
}

const FORWARDED = ['prerouting', 'forward', 'postrouting']
const LOCAL = ['prerouting', 'input', 'output', 'postrouting']
const TABLE_ORDER = ['raw', 'mangle', 'nat', 'filter', 'security']
/** They send on, give up or count, but do nothing to a packet. */
const IDLE_TARGETS = ['RETURN', 'CONTINUE', null]

export function chainKey({ family, table, chain }: { family: string; table: string; chain: string }): string {
  return `${family} ${table} ${chain}`
}

export function concernOf(
  { interfaces, ports }: Pick<Container, 'interfaces' | 'ports'>,
  networks: readonly EngineNetwork[],
  isHostNetwork: boolean,
): Concern {
  const own = interfaces.flatMap(({ peer }) =>
    peer?.netnsPath === null ? [peer.interfaceName, peer.bridge ?? []] : [],
  )
  const names = own.flat()
  const isForwarded =
    names.length > 0 || interfaces.some(({ driver, peer }) => driver === 'bridge' && peer === null)
  const bridges = networks.flatMap(({ bridge }) => bridge ?? [])
  const ownNetworks = interfaces.flatMap(({ network }) => network ?? [])
  const ownBridges = networks.flatMap(({ name, bridge }) =>
    ownNetworks.includes(name) && bridge ? bridge : [],
  )
  const mine = isForwarded ? [...new Set([...names, ...ownBridges])] : []
  return {
    addresses: isForwarded ? interfaces.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)) : [],
    interfaces: mine,
    otherNetworks: networks.flatMap(({ subnets }) => subnets),
    otherInterfaces: bridges.filter((name) => !mine.includes(name)),
    hooks: isHostNetwork
      ? LOCAL
      : isForwarded
        ? ports.length > 0
          ? [...FORWARDED, 'output']
          : FORWARDED
        : [],
  }
}

/** The rules that may touch its packets, in the order in which tables are passed. */
export function rulesFor({ rules, hooks }: RuleSet, concern: Concern): Rule[] {
  if (concern.hooks.length === 0) return []
  const reached = reachedChains(rules, hooks)
  const hasIpv6 = concern.addresses.some((ip) => isIP(ip) === 6)
  const kept = rules.filter((parsed) => {
    const { rule, source, destination, jump } = parsed
    if (rule.family === 'ip6' && concern.addresses.length > 0 && !hasIpv6) return false
    const via = reached.get(chainKey(rule))
    if (!via) return false
    const passes = concern.hooks.some((hook) => via.has(hook))
    if (rule.target === 'DNAT')
      return whose(destination, concern) === 'own' || (passes && destination.networks.length === 0)
    const from = whose(source, concern)
    const to = whose(destination, concern)
    if (from === 'own' || to === 'own')
      return from !== 'others' || destination.interfaces.length + destination.networks.length > 0
    // What keeps its network apart from the others names only them.
    if (rule.chain.includes('ISOLATION') && rule.target === 'DROP') return passes
    if (from === 'others' || to === 'others' || !passes) return false
    return jump === null && (rule.chain === 'DOCKER-USER' || !IDLE_TARGETS.includes(rule.target))
  })
  const order = ({ table }: Rule) => (TABLE_ORDER.indexOf(table) + TABLE_ORDER.length) % TABLE_ORDER.length
  return kept.map(({ rule }) => rule).sort((a, b) => order(a) - order(b))
}

/** The hooks from which each chain is reached: a chain that nothing jumps to does nothing. */
function reachedChains(
  rules: readonly ParsedRule[],
  hooks: ReadonlyMap<string, string>,
): Map<string, Set<string>> {
  const jumps = new Map<string, Set<string>>()
  for (const { rule, jump } of rules) {
    if (jump === null) continue
    const from = chainKey(rule)
    jumps.set(from, (jumps.get(from) ?? new Set()).add(chainKey({ ...rule, chain: jump })))
  }
  const reached = new Map<string, Set<string>>()
  for (const [start, hook] of hooks) {
    const queue = [start]
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const via = reached.get(chain) ?? new Set()
      if (via.has(hook)) continue
      reached.set(chain, via.add(hook))
      queue.push(...(jumps.get(chain) ?? []))
    }
  }
  return reached
}

/** Whose an end is; an address says more than an interface. */
function whose(side: Side, concern: Concern): 'own' | 'others' | 'any' {
  const networks = side.networks.filter((network) => !network.endsWith('/0'))
  if (networks.length > 0) {
    if (networks.some((network) => concern.addresses.some((ip) => contains(network, ip)))) return 'own'
    if (networks.every((network) => isPartOf(network, concern.otherNetworks))) return 'others'
  }
  if (side.interfaces.some((name) => concern.interfaces.some((one) => matchesName(name, one)))) return 'own'
  if (side.interfaces.some((name) => concern.otherInterfaces.some((one) => matchesName(name, one))))
    return 'others'
  return 'any'
}

function matchesName(pattern: string, name: string): boolean {
  return /[+*]$/.test(pattern) ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

function contains(network: string, ip: string): boolean {
  const [base = '', length] = network.split('/')
  const family = isIP(base)
  if (family === 0 || family !== isIP(ip)) return false
  const bits = length === undefined ? (family === 4 ? 32 : 128) : Number(length)
  if (!Number.isInteger(bits) || bits < 0 || bits > (family === 4 ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(base, bits, family === 4 ? 'ipv4' : 'ipv6')
  return list.check(ip, family === 4 ? 'ipv4' : 'ipv6')
}

function isPartOf(network: string, wholes: readonly string[]): boolean {
  const [base = '', length = '128'] = network.split('/')
  return wholes.some((whole) => contains(whole, base) && Number(whole.split('/')[1]) <= Number(length))
}
