/**
 * The receipts: what the kernel counted between the beginning and the end of a capture, per network namespace. Plain JSON,
 * schema `hoptrace.receipts/1`: only what moved, and what explains how packets go. Counts are packets unless they say
 * otherwise. Of files it is foreign text: names and rules are fit to be shown only after `displayText`.
 */

export const RECEIPTS_SCHEMA = 'hoptrace.receipts/1'

export interface Receipts {
  readonly schema: typeof RECEIPTS_SCHEMA
  /**
   * When the reading of the beginning was over, in ns since 1970, as a decimal string: before the first packet, unless `notRead`
   * has `the beginning`.
   */
  readonly beginNs: string
  /** When the reading of the end began, likewise. */
  readonly endNs: string
  readonly hostname: string
  /** Release of the kernel, as `uname -r`. */
  readonly kernel: string
  /** The host's first. */
  readonly namespaces: readonly NamespaceReceipts[]
  /** What the kernel says itself about packets that it dropped, on the whole machine: it does not tell namespaces apart. */
  readonly drops: readonly KernelDrops[]
  /** What could not be read, and why; what is told here is missing above, and nothing follows from that. */
  readonly notRead: readonly NotRead[]
}

export interface NotRead {
  /** Name of the namespace; null for the whole machine. */
  readonly namespace: string | null
  /** `iptables-save`, `conntrack -L`, `tracefs`, `rules`, … */
  readonly what: string
  readonly why: string
}

export interface NamespaceReceipts {
  /** `host`, the container's name, or the namespace's as `hoptrace points` has it. */
  readonly name: string
  /** Inode of the namespace. */
  readonly inode: number | null
  /** Names of the points that are captured in it. */
  readonly points: readonly string[]
  /** Rules that moved, came or went, all that translate or drop, and those of DOCKER-USER; see `RuleReceipt.change`. */
  readonly rules: readonly RuleReceipt[]
  /** How many rules and policies there are at the end, told or not; null where they could not be read. */
  readonly ruleCount: number | null
  readonly conntrack: ConntrackReceipts | null
  readonly settings: readonly Setting[]
  /** Counters that moved. */
  readonly counters: readonly CounterReceipt[]
  /** Captured ones first. */
  readonly interfaces: readonly InterfaceReceipt[]
  /** Of all tables, without those of own and broadcast addresses; default routes first. */
  readonly routes: readonly RouteReceipt[]
  /** Those that do not answer first. */
  readonly neighbours: readonly NeighbourReceipt[]
  readonly listeners: readonly Listener[]
  /** Of containers; null where that cannot be read. */
  readonly processes?: { readonly isFrozen: boolean } | null
  /** Ways of single packets through the rules, in the order of time; not there unless they were asked for. */
  readonly traces?: readonly TraceReceipt[]
}

/** The way of one packet through the chains of a namespace, as the kernel traced it. */
export interface TraceReceipt {
  /** When that was read, in ns since 1970 as a decimal string: some milliseconds later. */
  readonly timeNs: string
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, else its number, or empty. */
  readonly protocol: string
  /** Identification of IPv4; null of IPv6. */
  readonly ipId: number | null
  readonly tcpFlags: number | null
  /** How it looks: when it comes into the namespace, then as it is translated. Of an ICMP echo both ports are its id. */
  readonly forms: readonly Omit<Tuple, 'packets'>[]
  readonly steps: readonly TraceStep[]
  /** Steps that are not told, in front of the last one. */
  readonly omitted?: number
}

/** A rule that a packet met and that matched, or the policy of a chain. */
export interface TraceStep {
  readonly family: RuleReceipt['family']
  readonly table: string
  readonly chain: string
  /** 1-based, as `RuleReceipt.number`; null for policies, and where the rule is gone. */
  readonly number: number | null
  readonly handle: number | null
  /** As nft spells it; null for policies, and where the rule is gone. */
  readonly text: string | null
  readonly isPolicy: boolean
  /** `accept`, `drop`, `continue`, `return`, `jump NAME`, `goto NAME`, `queue`, … */
  readonly verdict: string
}

/** A count at the beginning and at the end; null where there was none, as the rule or interface was not there. */
export interface BeforeAfter {
  readonly before: number | null
  readonly after: number | null
}

export interface RuleReceipt {
  readonly backend: 'iptables' | 'iptables-legacy' | 'nft'
  readonly family: 'ip' | 'ip6' | 'inet' | 'bridge' | 'arp' | 'netdev'
  readonly table: string
  readonly chain: string
  /** 1-based, as `iptables -L --line-numbers` counts; at the end, or at the beginning for one that vanished; null for policies. */
  readonly number: number | null
  /** Of nft, for `nft delete rule … handle N`; null elsewhere. */
  readonly handle: number | null
  /** As `iptables-save` spells it behind `-A CHAIN`, or about as nft does; `policy DROP` for a policy. */
  readonly text: string
  /** DROP, REJECT, MASQUERADE, DNAT, ACCEPT, name of a chain, …; null where it only counts. */
  readonly target: string | null
  /** Where SNAT and DNAT rewrite to, as written there: `172.17.0.2:80`; null elsewhere. */
  readonly to: string | null
  /** `counted`: it moved. `same`: it did not, or has no counter. */
  readonly change: 'counted' | 'same' | 'appeared' | 'vanished'
  /** Null, both: without a counter. */
  readonly packets: BeforeAfter
  readonly bytes: BeforeAfter
}

export interface ConntrackReceipts {
  /** Entries in the table (`nf_conntrack_count`); null where that cannot be read. */
  readonly count: BeforeAfter
  /** `nf_conntrack_max`, at the end. */
  readonly max: number | null
  /** `/proc/net/stat/nf_conntrack` summed over processors, columns that moved: `drop`, `early_drop`, `insert_failed`, … */
  readonly stats: readonly CounterReceipt[]
  /** At the end, and those that came and went meanwhile; of the containers' addresses first, at most 4096. */
  readonly entries: readonly ConntrackEntry[]
  /** Further entries that are not told. */
  readonly omitted: number
}

export interface ConntrackEntry {
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, …; the number where conntrack knows no name. */
  readonly protocol: string
  /** Of TCP and SCTP: `SYN_SENT`, `ESTABLISHED`, …; null elsewhere. */
  readonly state: string | null
  /** As sent. */
  readonly original: Tuple
  /** As the answer has to look: where it is not the reverse of `original`, there is a translation. */
  readonly reply: Tuple
  readonly isReplied: boolean
  readonly isAssured: boolean
  readonly zone: number | null
  readonly mark: number | null
  /** When it was made, in ns since 1970 as a decimal string; null where that was not seen. */
  readonly sinceNs: string | null
  /** Whether it was in the table at the end. */
  readonly isThere: boolean
}

export interface Tuple {
  readonly src: string
  readonly dst: string
  /** Null where the protocol has none; of an ICMP echo both are its id. */
  readonly sport: number | null
  readonly dport: number | null
  /** Null where the kernel does not count them (`nf_conntrack_acct`). */
  readonly packets: number | null
}

/** One number of `/proc/sys`, such as `net.ipv4.ip_forward`. */
export interface Setting {
  readonly name: string
  /** At the end. */
  readonly value: number
  /** At the beginning, only where that was another. */
  readonly before?: number
}

export interface CounterReceipt extends BeforeAfter {
  /** `Ip`, `Icmp`, `Tcp`, `Udp`, `IpExt`, `TcpExt`, `Ip6`, `Icmp6`, `Udp6`, `nf_conntrack`, `softnet` (whole machine, told of the host). */
  readonly group: string
  /** As the kernel spells it: `InNoRoutes`, `ListenDrops`; of IPv6 without the group in front. */
  readonly name: string
}

export interface InterfaceReceipt {
  readonly name: string
  readonly index: number
  /** Driver (`veth`, `bridge`, …), else `loopback`, `ether` and the like. */
  readonly kind: string
  readonly isUp: boolean
  readonly mtu: number | null
  /** MTU at the beginning, only where that was another. */
  readonly mtuBefore?: number
  readonly mac: string | null
  readonly master: string | null
  readonly addresses: readonly string[]
  /** What holds there: the larger one of `conf.all` and its own: 0 off, 1 strict, 2 loose; null where it cannot be read. */
  readonly rpFilter: number | null
  readonly forwarding4: boolean | null
  readonly forwarding6: boolean | null
  readonly routeLocalnet: boolean | null
  /** Drops and errors that moved: `rx_dropped`, `tx_errors`, `rx_missed_errors`, `tx_carrier_errors`, …; group `link`. */
  readonly counters: readonly CounterReceipt[]
  /** Its queues that dropped; name is the kind, such as `fq_codel`; group `qdisc`. */
  readonly queues: readonly CounterReceipt[]
}

export interface RouteReceipt {
  /** `default`, `172.17.0.0/16`, … */
  readonly destination: string
  readonly family: 'ip' | 'ip6'
  /** `main` unless otherwise. */
  readonly table: string
  /** `unicast`, `blackhole`, `unreachable`, `prohibit`, … */
  readonly type: string
  readonly gateway: string | null
  readonly interfaceName: string | null
  readonly metric: number | null
  readonly source: string | null
  readonly mtu: number | null
}

export interface NeighbourReceipt {
  readonly ip: string
  readonly interfaceName: string
  readonly mac: string | null
  /** `REACHABLE`, `STALE`, `FAILED`, `INCOMPLETE`, … */
  readonly state: string
}

/** A socket that takes connections or datagrams. */
export interface Listener {
  readonly protocol: 'tcp' | 'udp'
  /** `0.0.0.0` and `::` are all addresses; `::` mostly those of IPv4 too. */
  readonly ip: string
  readonly port: number
}

export interface KernelDrops {
  /** The kernel's own reason (`skb_drop_reason`): `NETFILTER_DROP`, `IP_RPFILTER`, `NO_SOCKET`, … */
  readonly reason: string
  /** Function of the kernel in which it was dropped: `nf_hook_slow`. */
  readonly location: string
  /** EtherType of the packet: 2048 IPv4, 34525 IPv6, 2054 ARP. */
  readonly etherType: number
  readonly packets: number
  /** When, in ns since 1970 as decimal strings; the first 64. */
  readonly timesNs: readonly string[]
}
