/** Trace lines: what `nft -a -n monitor trace` prints, one event a line. Foreign text: rules and interfaces have any name. */

import { isIP } from 'node:net'

/** Where packets are when their chain begins. */
export interface TraceHeader {
  readonly src: string
  readonly dst: string
  /** Null where the protocol has none; of an ICMP echo both are its id. */
  readonly sport: number | null
  readonly dport: number | null
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, else its number; empty where the line does not say. */
  readonly protocol: string
  /** Identification of IPv4; null of IPv6. */
  readonly ipId: number | null
  /** Bits of the TCP header. */
  readonly tcpFlags: number | null
  /** What stays the same while a packet goes through a namespace, but for its destination. */
  readonly key: string
}

export interface TraceLine {
  /** Of the packet for a while: the kernel makes it from the buffer's address, and others get it again. */
  readonly id: string
  readonly family: string
  readonly table: string
  readonly chain: string
  readonly event:
    | { readonly kind: 'packet'; readonly header: TraceHeader }
    | {
        readonly kind: 'rule'
        readonly text: string | null
        readonly handle: number | null
        readonly verdict: string
      }
    | { readonly kind: 'policy'; readonly verdict: string }
}

const LINE = /^trace id ([0-9a-f]{8}) (ip|ip6|inet|bridge|arp|netdev) (\S+) (\S+) (.*)$/
const RULE = /^(?:rule (.*?)|unknown rule)(?: # handle (\d+)| handle (\d+))? \(verdict ([^()]*)\)\s*$/s
/** As nft prints counters when it traces: never counted. */
const COUNTER = /(?:^| )counter packets \d+ bytes \d+(?= |$)/
const PROTOCOLS: Readonly<Record<string, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
}

/** Null where a line is nothing of this kind. */
export function parseTraceLine(line: string): TraceLine | null {
  const match = LINE.exec(line)
  if (match === null) return null
  const [, id = '', family = '', table = '', chain = '', rest = ''] = match
  const place = { id, family, table, chain }
  if (rest.startsWith('packet: ')) {
    const header = headerOf(rest)
    return header && { ...place, event: { kind: 'packet', header } }
  }
  // The mark of the packet may follow.
  const policy = /^policy (\w+)(?: meta mark \S+)?\s*$/.exec(rest)
  if (policy) return { ...place, event: { kind: 'policy', verdict: policy[1]! } }
  const rule = RULE.exec(rest)
  // The end of a chain that has no policy: where it returns, the one before goes on.
  if (rule === null) return null
  const [, text, own, unknown, verdict = ''] = rule
  const handle = own ?? unknown
  return {
    ...place,
    event: {
      kind: 'rule',
      text: text === undefined ? null : plainRule(text),
      handle: handle === undefined ? null : Number(handle),
      verdict,
    },
  }
}

/** A rule without its counter. */
export function plainRule(text: string): string {
  return text.replace(COUNTER, '').replace(/ {2,}/g, ' ').trim()
}

function headerOf(text: string): TraceHeader | null {
  const [, src = '', dst = ''] = / ip6? saddr (\S+) ip6? daddr (\S+) /.exec(text) ?? []
  if (isIP(src) === 0 || isIP(dst) === 0) return null
  const number = (pattern: RegExp) => {
    const digits = pattern.exec(text)?.[1]
    return digits === undefined ? null : Number(digits)
  }
  const [, transport, sport, dport] =
    / (tcp|udp|sctp) sport (\d+) (?:tcp|udp|sctp) dport (\d+)/.exec(text) ?? []
  const icmp = / (icmp|icmpv6) type \d+/.exec(text)?.[1]
  const echoId = echoIdOf(number)
  const listed = / (?:ip protocol|ip6 nexthdr) (\d+)/.exec(text)?.[1] ?? ''
  const ipId = number(/ ip id (\d+)/)
  const tcpFlags = number(/ tcp flags == (0x[0-9a-f]+)/)
  const length = number(/ ip6? length (\d+)/)
  const label = / ip6 flowlabel (\S+)/.exec(text)?.[1]
  const rest =
    / icmp(?:v6)? (?:sequence|parameter-problem) (\d+)/.exec(text)?.[1] ?? / tcp window (\d+)/.exec(text)?.[1]
  return {
    src,
    dst,
    sport: sport === undefined ? echoId : Number(sport),
    dport: dport === undefined ? echoId : Number(dport),
    protocol: transport ?? icmp ?? PROTOCOLS[listed] ?? listed,
    ipId,
    tcpFlags,
    key: [src, sport ?? echoId, ipId ?? label, length, tcpFlags, rest].join(' '),
  }
}

/** nft 1.0.6 calls the second word of an ICMPv6 header `parameter-problem`, whatever the type. */
function echoIdOf(number: (pattern: RegExp) => number | null): number | null {
  const word = number(/ icmpv6 type 12[89] .*?icmpv6 parameter-problem (\d+)/)
  return word === null ? number(/ icmp(?:v6)? type (?:8|0|128|129) .*?icmp(?:v6)? id (\d+)/) : word >>> 16
}
