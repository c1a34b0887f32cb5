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
 * interfaces, negations) does not exclude it.
 */
export function mayMatch(text: string, forms: readonly Form[]): boolean {
  const wanted = conditionsOf(text)
  return forms.some((form) => wanted.every((holds) => holds(form)))
}

type Condition = (form: Form) => boolean

/** Of `iptables-save` (`-p tcp -s 10.0.0.0/8 --dport 80`), and of nft (`ip saddr 10.0.0.0/8 tcp dport 80`). */
const PATTERNS: readonly [RegExp, (value: string) => Condition][] = [
  [
    /(?:^|\s)-p (\S+)/,
    (name) =>
      ({ protocol }) =>
        isProtocol(name, protocol),
  ],
  [
    /(?:^|\s)(?:meta l4proto|ip protocol|ip6 nexthdr) (\w+)/,
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
    /(?:^|\s)(?:-s|ip6? saddr) ([\da-f.:/]+)/i,
    (net) =>
      ({ src }) =>
        isIn(src.ip, net),
  ],
  [
    /(?:^|\s)(?:-d|ip6? daddr) ([\da-f.:/]+)/i,
    (net) =>
      ({ dst }) =>
        isIn(dst.ip, net),
  ],
  [
    /(?:--dports?|\bdport) (?:\{ )?([\d:-]+(?:, ?[\d:-]+)*)/,
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

function conditionsOf(text: string): Condition[] {
  // Of a negation only the words behind it are left out.
  const plain = text.replace(/!\s*(--?[\w-]+)\s+\S+/g, '').replace(/(\w+ \w+) != \S+/g, '')
  return PATTERNS.flatMap(([pattern, condition]) => {
    const value = pattern.exec(plain)?.[1]
    return value === undefined ? [] : [condition(value)]
  })
}

function isProtocol(name: string, protocol: string): boolean {
  if (name === 'all') return true
  return (
    name === protocol ||
    (name === 'ipv6-icmp' && protocol === 'icmpv6') ||
    (name === 'icmp6' && protocol === 'icmpv6')
  )
}

function hasPort(ports: string, port: number): boolean {
  return ports
    .split(',')
    .map((range) => range.trim().split(/[:-]/).map(Number))
    .some(([from, to = from]) => port >= from! && port <= to!)
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
