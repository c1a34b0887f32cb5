/** Rule match: could this netfilter rule have met this packet? Read from the rule's text, which may say more than is understood here. */

import { BlockList, isIP } from 'node:net'

/** A packet as some station shows it; NAT makes several of one. */
export interface Form {
  protocol: string
  src: { ip: string; port: number }
  dst: { ip: string; port: number }
}

/**
 * False where the rule certainly does not fit any form of the packet. What is not understood (sets, marks, states,
 * interfaces) does not exclude it.
 */
export function mayMatch(text: string, forms: readonly Form[]): boolean {
  const wanted = conditionsOf(text)
  return forms.some((form) => wanted.every((holds) => holds(form)))
}

/** Does the rule name this destination port, alone, in a list or in a range? */
export function namesPort(text: string, port: number): boolean {
  const ports = DESTINATION_PORTS.exec(plainOf(text))?.[1]
  return ports !== undefined && hasPort(ports, port)
}

type Condition = (form: Form) => boolean

const DESTINATION_PORTS = /(?:--dports?|\bdport) (?:\{ )?([\d:-]+(?:, ?[\d:-]+)*)/

/** Of `iptables-save` (`-p tcp -s 10.0.0.0/8 --dport 80`), and of nft (`ip saddr 10.0.0.0/8 tcp dport 80`). */
const PATTERNS: readonly [RegExp, (value: string) => Condition][] = [
  [
    /(?:^|\s)-p (\S+)/,
    (name) =>
      ({ protocol }) =>
        isProtocol(name, protocol),
  ],
  [
    /(?:^|\s)(?:meta l4proto|ip protocol|ip6 nexthdr) ([\w-]+)/,
    (name) =>
      ({ protocol }) =>
        isProtocol(name, protocol),
  ],
  [
    /(?:^|\s)(tcp|udp|icmp|icmpv6|sctp) (?:dport|sport|type|flags)\b/,
    (name) =>
      ({ protocol }) =>
        isProtocol(name, protocol),
  ],
  [
    /(?:^|\s)(?:-s|ip6? saddr) ([\da-f.:/]+)(?![\da-f.:/-])/i,
    (net) =>
      ({ src }) =>
        !isNetwork(net) || isIn(src.ip, net),
  ],
  [
    /(?:^|\s)(?:-d|ip6? daddr) ([\da-f.:/]+)(?![\da-f.:/-])/i,
    (net) =>
      ({ dst }) =>
        !isNetwork(net) || isIn(dst.ip, net),
  ],
  [
    DESTINATION_PORTS,
    (ports) =>
      ({ dst }) =>
        hasPort(ports, dst.port),
  ],
  [
    /(?:--sports?|\bsport) (?:\{ )?([\d:-]+(?:, ?[\d:-]+)*)/,
    (ports) =>
      ({ src }) =>
        hasPort(ports, src.port),
  ],
]

/** Rules are compared with each flow. */
const conditions = new Map<string, Condition[]>()
const MAX_KEPT = 4096

function conditionsOf(text: string): Condition[] {
  let known = conditions.get(text)
  if (known === undefined) {
    if (conditions.size >= MAX_KEPT) conditions.clear()
    known = [...negationsIn(text), ...conditionsIn(plainOf(text))]
    conditions.set(text, known)
  }
  return known
}

/** Without comments and other strings, which may look like anything. */
function withoutStrings(text: string): string {
  return text.replace(/"(?:[^"\\]|\\[\s\S])*"?/g, '""').replace(/--comment \S+/g, '')
}

/** And without negations and the words behind them. */
function plainOf(text: string): string {
  return withoutStrings(text)
    .replace(/! ?(--?[\w-]+) \S+/g, '')
    .replace(/\b(?:ip6?|tcp|udp|sctp|th|icmp|icmpv6|meta) \w+ != (?:\{[^}]*\}?|\S+)/g, '')
}

/** `! -s NET`, `! --dport N` and the like, and nft's `ip saddr != NET`: what the packet must not be. */
const NEGATIONS: readonly [RegExp, (value: string) => Condition][] = [
  [
    /! -p (\S+)/,
    (name) =>
      ({ protocol }) =>
        PROTOCOLS[name] !== protocol && name !== protocol,
  ],
  [
    /(?:! -s|\bip6? saddr !=) ([\da-f.:/]+)(?![\da-f.:/-])/i,
    (net) =>
      ({ src }) =>
        !isNetwork(net) || !isIn(src.ip, net),
  ],
  [
    /(?:! -d|\bip6? daddr !=) ([\da-f.:/]+)(?![\da-f.:/-])/i,
    (net) =>
      ({ dst }) =>
        !isNetwork(net) || !isIn(dst.ip, net),
  ],
  [
    /(?:! --dports?|\bdport !=) ([\d:,-]+)/,
    (ports) =>
      ({ dst }) =>
        !hasPort(ports, dst.port),
  ],
  [
    /(?:! --sports?|\bsport !=) ([\d:,-]+)/,
    (ports) =>
      ({ src }) =>
        !hasPort(ports, src.port),
  ],
]

function negationsIn(text: string): Condition[] {
  const plain = withoutStrings(text)
  return NEGATIONS.flatMap(([pattern, condition]) => {
    const value = pattern.exec(plain)?.[1]
    return value === undefined ? [] : [condition(value)]
  })
}

function conditionsIn(plain: string): Condition[] {
  return PATTERNS.flatMap(([pattern, condition]) => {
    const value = pattern.exec(plain)?.[1]
    return value === undefined ? [] : [condition(value)]
  })
}

/** Other names than those of the flows, and numbers (IANA). */
const PROTOCOLS: Readonly<Record<string, string>> = {
  ...{ '1': 'icmp', '6': 'tcp', '17': 'udp', '58': 'icmpv6', '132': 'sctp' },
  ...{ 'ipv6-icmp': 'icmpv6', icmp6: 'icmpv6' },
}

function isProtocol(name: string, protocol: string): boolean {
  const usual = PROTOCOLS[name] ?? name
  return usual === 'all' || usual === protocol || !/^(tcp|udp|sctp|icmp|icmpv6)$/.test(usual)
}

function hasPort(ports: string, port: number): boolean {
  return ports
    .split(',')
    .map((range) => range.trim().split(/[:-]/).map(Number))
    .some(([from, to = from]) => port >= from! && port <= to!)
}

/** Something that `isIn` can tell of: no mask with holes, no half of an address. */
function isNetwork(text: string): boolean {
  const [address, length = '0', ...more] = text.split('/')
  return isIP(address!) !== 0 && /^\d{1,3}$/.test(length) && more.length === 0
}

/** Is an address in a network such as `172.17.0.0/16`, or the very one? */
export function isIn(ip: string, network: string): boolean {
  const [address, length] = network.split('/')
  const family = isIP(address!)
  if (family === 0 || isIP(ip) !== family) return false
  const name = family === 4 ? 'ipv4' : 'ipv6'
  const bits = length === undefined ? (family === 4 ? 32 : 128) : Number(length)
  if (!Number.isInteger(bits) || bits < 0 || bits > (family === 4 ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(address!, bits, name)
  return list.check(ip, name)
}
