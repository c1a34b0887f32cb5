/** The topology: what `discover` (discover.ts) has found out about a host and its containers. Plain data, JSON as it stands. */

export interface Topology {
  readonly host: Host
  /** The containers and namespaces that were asked for, else all of the engine's. */
  readonly containers: readonly Container[]
  /** All of the engine's containers in short, to give names to addresses. */
  readonly known: readonly KnownContainer[]
  /** What could not be read, each a sentence for people. */
  readonly notes: readonly string[]
}

/** The network namespace that the program runs in. */
export interface Host {
  readonly hostname: string
  /** Inode of the network namespace; null where it cannot be read. */
  readonly netns: number | null
  /** Whether packets are forwarded; null where that cannot be read. */
  readonly forwarding: { readonly ipv4: boolean | null; readonly ipv6: boolean | null }
  /** Interfaces of the default routes, best metric first, each once. */
  readonly uplinks: readonly Uplink[]
  readonly links: readonly Link[]
}

export interface Uplink {
  readonly interfaceName: string
  /** Next hops of the default routes through it, IPv4 first. */
  readonly gateways: readonly string[]
}

/** A network interface as its namespace sees it. */
export interface Link {
  readonly index: number
  readonly name: string
  /** Driver (`veth`, `bridge`, `vxlan`, `macvlan`, …), else `loopback`, `ether` and the like. */
  readonly kind: string
  readonly mac: string | null
  readonly mtu: number | null
  readonly isUp: boolean
  readonly addresses: readonly Address[]
  /** Bridge or bond that it is a port of. */
  readonly master: string | null
  /** Its other end or parent (`iflink`): index of the interface, in the namespace with the id `linkNetnsId`. */
  readonly linkIndex: number | null
  /** Namespace of the other end as this namespace counts them; null where it is this namespace. */
  readonly linkNetnsId: number | null
  /** Network identifier of a VXLAN device, id of a VLAN device. */
  readonly vni: number | null
}

export interface Address {
  readonly ip: string
  readonly prefixLength: number
}

export type ContainerState = 'running' | 'paused' | 'restarting' | 'created' | 'exited' | 'dead' | 'unknown'

/** How a container is connected; `namespace`: asked for with --pid or --netns, no engine says how. */
export type NetworkMode =
  | 'bridge'
  | 'user-defined'
  | 'host'
  | 'none'
  | 'container'
  | 'macvlan'
  | 'ipvlan'
  | 'overlay'
  | 'namespace'
  | 'other'

export interface Container {
  /** The engine's id; `pid:123` or `netns:/run/netns/blue` where no engine was asked. */
  readonly id: string
  /** The engine's name; `pid-123` or `blue` where no engine was asked. Foreign text. */
  readonly name: string
  readonly image: string | null
  readonly state: ContainerState
  /** When it was started, or when it ended: RFC 3339. */
  readonly since: string | null
  /** Its first process as the program's own /proc shows it; null where it does not run. */
  readonly pid: number | null
  readonly mode: NetworkMode
  /** Name of the container whose network namespace it shares (mode `container`). */
  readonly sharesNetworkWith: string | null
  /** Path of its network namespace: null for the host's, or where it cannot be entered. */
  readonly netnsPath: string | null
  /** Inode of its network namespace. */
  readonly netns: number | null
  readonly namespaces: readonly Namespace[]
  /** Without `lo`; the one of the default route first. In host mode there are none. */
  readonly interfaces: readonly ContainerInterface[]
  readonly ports: readonly PublishedPort[]
  /** One sentence that says where its frames can be seen. */
  readonly sees: string
  /** Rules of the packet filter that may touch its packets, in the order in which tables are passed. */
  readonly rules: readonly Rule[]
}

export type NamespaceKind = 'net' | 'pid' | 'mnt' | 'uts' | 'ipc' | 'user' | 'cgroup'

export interface Namespace {
  readonly kind: NamespaceKind
  readonly inode: number | null
  readonly isHost: boolean
  /** Names of the other containers that share it. */
  readonly sharedWith: readonly string[]
}

export interface ContainerInterface {
  /** `?` where only the engine could be asked. */
  readonly name: string
  readonly index: number | null
  readonly kind: string
  readonly mac: string | null
  readonly mtu: number | null
  readonly isUp: boolean
  readonly addresses: readonly Address[]
  /** Next hops of the default routes through it, else what the engine says. */
  readonly gateways: readonly string[]
  /** The engine's network, its driver, and the names that its DNS answers to there. */
  readonly network: string | null
  readonly driver: string | null
  readonly dnsNames: readonly string[]
  /** The other end of a veth pair, verified from both ends. */
  readonly peer: Peer | null
  /** Interface below a macvlan or ipvlan. */
  readonly parent: Place | null
  /** Bridge and VXLAN device in the namespace of an overlay network. */
  readonly overlay: Overlay | null
}

/** An interface and the namespace that it is in. */
export interface Place {
  /** Path of the namespace; null for the host's. */
  readonly netnsPath: string | null
  readonly interfaceName: string
  readonly index: number
  readonly kind: string
}

export interface Peer extends Place {
  /** Whose namespace it is in: `host`, `overlay`, or the name of a container or namespace. */
  readonly owner: string
  /** Bridge that it is a port of, in the same namespace. */
  readonly bridge: string | null
}

export interface Overlay {
  readonly netnsPath: string
  readonly bridge: string
  readonly vxlan: string | null
  readonly vni: number | null
}

export interface PublishedPort {
  readonly hostIp: string
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: string
}

/** One rule of iptables or nftables. */
export interface Rule {
  /** Where it stands: `host`, or `container` for its own namespace. */
  readonly where: 'host' | 'container'
  readonly family: 'ip' | 'ip6' | 'inet' | 'bridge' | 'arp' | 'netdev'
  readonly table: string
  readonly chain: string
  /** As `iptables-save` or nft writes it, without chain and counters; `policy DROP` for a policy. */
  readonly text: string
  /** MASQUERADE, DNAT, ACCEPT, DROP, …: what it does. */
  readonly target: string | null
  /** Null where the rule has no counter. */
  readonly packets: number | null
  readonly bytes: number | null
}

export interface KnownContainer {
  readonly id: string
  readonly name: string
  readonly image: string | null
  readonly state: ContainerState
  /** As the engine says, e.g. `Exited (0) 3 hours ago`. */
  readonly status: string | null
  readonly addresses: readonly string[]
  /** Next hops that the engine gave it, with the bridge's name where there is a bridge. */
  readonly gateways: readonly { readonly ip: string; readonly name: string }[]
}
