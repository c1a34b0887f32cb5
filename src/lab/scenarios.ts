/** Scenarios: what travels, where it is captured, what to look for, and what has to come out, in the words of `--expect`. */

import { HoptraceError } from '../errors.ts'
import type { Station } from './stations.ts'
import type { Step } from './traffic.ts'

/** A point beside those that a container brings along. */
export interface ScenarioPoint {
  readonly name: string
  readonly station: Station
  readonly interfaceName: string
}

export interface Scenario {
  readonly name: string
  readonly title: string
  /** One sentence each. */
  readonly lookFor: readonly string[]
  /** Captured with their other ends, their bridges and the uplink. */
  readonly containers: readonly Station[]
  readonly points: readonly ScenarioPoint[]
  readonly steps: readonly Step[]
  /** All steps at once. */
  readonly isTogether?: boolean
  /** What holds of the report where nothing is broken. */
  readonly expect: readonly string[]
  /** What the kernel has to have. */
  readonly needs?: 'VXLAN' | 'macvlan'
}

const PAGE = ['203.0.113.10', 80] as const
const ECHO = ['203.0.113.10', 7] as const
const PUBLISHED = ['192.168.78.100', 8080] as const
const LAN: ScenarioPoint = { name: 'router-lan', station: 'router', interfaceName: 'lan0' }
const WAN: ScenarioPoint = { name: 'router-wan', station: 'router', interfaceName: 'wan0' }
const INTERNET: ScenarioPoint = { name: 'internet', station: 'internet', interfaceName: 'eth0' }
const CLIENT: ScenarioPoint = { name: 'client', station: 'host2', interfaceName: 'eth0' }

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'outbound',
    title: 'Outbound: a container asks the internet for a page',
    lookFor: [
      'Between bridge and uplink the source changes from 172.17.0.2 to the host’s 192.168.78.100: MASQUERADE.',
      'There, and only there, the TTL falls by one: the host is a router for its containers.',
      'The answer comes to the host’s address, and connection tracking turns it back.',
    ],
    containers: ['container1'],
    points: [],
    steps: [{ at: 'container1', actions: [{ get: PAGE }] }],
    expect: [
      'flow(tcp): snat=192.168.78.100',
      'flow(tcp): ttl-drop==1',
      'flow(tcp): path=container,veth,bridge,uplink',
      'flow(tcp): state=closed',
      'lost==0',
    ],
  },
  {
    name: 'published',
    title: 'Published port: another machine asks for port 8080 of the host',
    lookFor: [
      'Between uplink and bridge the destination changes from 192.168.78.100:8080 to 172.17.0.2:80: DNAT, by the rule in the chain DOCKER.',
      'The source stays: the container sees who asks.',
      'The client never learns the container’s address: answers leave with that of the host.',
    ],
    containers: ['container1'],
    points: [CLIENT],
    steps: [{ at: 'host2', actions: [{ get: PUBLISHED }] }],
    expect: [
      'flow(tcp): dnat=172.17.0.2:80',
      'flow(tcp): no-snat',
      'flow(tcp): path=client,uplink,bridge,veth,container',
      'flow(tcp): state=closed',
      'lost==0',
    ],
  },
  {
    name: 'bridge',
    title: 'Container to container: two neighbours on docker0',
    lookFor: [
      'Nothing is rewritten and the TTL stays 64: a bridge is a switch, no router.',
      'Each container learns the other’s MAC address by ARP; look at the frames in Wireshark.',
    ],
    containers: ['container1', 'container2'],
    points: [],
    steps: [{ at: 'container2', actions: [{ get: ['172.17.0.2', 80] }] }],
    expect: [
      'flow(tcp): not nat',
      'flow(tcp): ttl-drop==0',
      'flow(tcp): via=bridge',
      'flow(tcp): not via=uplink',
      'lost==0',
    ],
  },
  {
    name: 'hairpin',
    title: 'Hairpin: a container asks for its own published port',
    lookFor: [
      'The packet passes veth and bridge twice: out to the host’s address, and back in to the container.',
      'Both ends are rewritten: DNAT to 172.17.0.2:80, and MASQUERADE, as the container would not take a packet from itself.',
      'The server sees 172.17.0.1, the bridge, as its client.',
    ],
    containers: ['container1'],
    points: [],
    steps: [{ at: 'container1', actions: [{ get: PUBLISHED }] }],
    expect: [
      'flow(tcp): dnat=172.17.0.2:80',
      'flow(tcp): snat=172.17.0.1',
      'flow(tcp): state=closed',
      'finding=hairpin',
      'lost==0',
    ],
  },
  {
    name: 'double-nat',
    title: 'Double NAT: the router translates once more',
    lookFor: [
      'Two SNATs: 172.17.0.2 → 192.168.78.100 at the host, → 203.0.113.1 at the router. The server sees only the last.',
      'Two routers, so the TTL arrives as 62.',
      'Each keeps a table of its own; neither knows of the other.',
    ],
    containers: ['container1'],
    points: [LAN, WAN, INTERNET],
    steps: [{ at: 'container1', actions: [{ get: PAGE }] }],
    expect: [
      'flow(tcp): snat=192.168.78.100',
      'flow(tcp): snat=203.0.113.1',
      'flow(tcp): ttl-drop==2',
      'flow(tcp): via=internet',
      'flow(tcp): state=closed',
      'lost==0',
    ],
  },
  {
    name: 'forwarded',
    title: 'Port forwarding: the internet asks for port 8080 of the router',
    lookFor: [
      'Two DNATs: 203.0.113.1:8080 → 192.168.78.100:8080 at the router, → 172.17.0.2:80 at the host.',
      'The container sees the client’s own address, 203.0.113.10: nobody has rewritten the source.',
    ],
    containers: ['container1'],
    points: [INTERNET, WAN, LAN],
    steps: [{ at: 'internet', actions: [{ get: ['203.0.113.1', 8080] }] }],
    expect: [
      'flow(tcp): dnat=192.168.78.100:8080',
      'flow(tcp): dnat=172.17.0.2:80',
      'flow(tcp): no-snat',
      'flow(tcp): ttl-drop==2',
      'flow(tcp): state=closed',
      'lost==0',
    ],
  },
  {
    name: 'port-collision',
    title: 'Port collision: two containers use the same source port',
    lookFor: [
      'Both ask from port 40000. Behind NAT they have one address, so one of them has to get another port.',
      'The mapping stands in the flow: 172.17.0.x:40000 → 192.168.78.100:other.',
      'The answer finds the right container by that port alone.',
    ],
    containers: ['container1', 'container2'],
    points: [],
    steps: [
      { at: 'container1', actions: [{ get: PAGE, from: 40_000, holdMs: 1200 }] },
      { at: 'container2', actions: [{ get: PAGE, from: 40_000, holdMs: 1200 }] },
    ],
    isTogether: true,
    expect: [
      'flow(tcp): snat=192.168.78.100',
      'flows==2',
      'any flow(tcp): snat=192.168.78.100:40000',
      'finding=port-remapped',
      'lost==0',
    ],
  },
  {
    name: 'udp-ping',
    title: 'UDP and ping: NAT without connections',
    lookFor: [
      'UDP has no SYN: the first datagram makes the mapping, and time ends it (conntrack -L shows how much is left).',
      'A ping has no ports: its identifier takes their place, and is what NAT may rewrite.',
    ],
    containers: ['container1'],
    points: [],
    steps: [{ at: 'container1', actions: [{ send: ECHO, lenBytes: 32 }], ping: '203.0.113.10' }],
    expect: [
      'flow(udp): snat=192.168.78.100',
      'flow(icmp): snat=192.168.78.100',
      'every flow: ttl-drop==1',
      'lost==0',
    ],
  },
  {
    name: 'dns',
    title: 'DNS inside of the container: 127.0.0.11',
    lookFor: [
      'The container asks 127.0.0.11:53, and NAT inside of its own namespace leads that to the port of Docker’s DNS server.',
      'A container’s name is answered at once; www.example.com is asked onward, through the bridge and out.',
      'On lo the addresses change without any router: NAT does not need one.',
    ],
    containers: ['container3'],
    points: [{ name: 'container3-lo', station: 'container3', interfaceName: 'lo' }],
    steps: [
      {
        at: 'container3',
        actions: [
          { lookUp: 'container3', server: '127.0.0.11' },
          { lookUp: 'www.example.com', server: '127.0.0.11' },
        ],
      },
    ],
    expect: [
      'any flow(udp and host 203.0.113.10): snat=192.168.78.100',
      'flow(udp and host 127.0.0.11): via=container3-lo',
      'lost==0',
    ],
  },
  {
    name: 'fragments',
    title: 'Fragmentation: a datagram that is larger than the MTU',
    lookFor: [
      '4000 bytes do not fit into 1500: the container sends three fragments with one identification.',
      'Only the first has ports, so connection tracking puts them together before NAT, and they are cut again afterwards.',
    ],
    containers: ['container1'],
    points: [INTERNET],
    steps: [{ at: 'container1', actions: [{ send: ECHO, lenBytes: 4000 }] }],
    expect: ['flow(udp): snat=192.168.78.100', 'flow(udp): via=internet', 'finding=fragmented', 'lost==0'],
  },
  {
    name: 'upload',
    title: 'Path MTU: a larger upload',
    lookFor: [
      'Segments of TCP are as large as the MSS of the handshake allows, and may not be fragmented (DF).',
      'Where a link on the way is smaller, an ICMP error has to come back and say so; look for one.',
    ],
    containers: ['container1'],
    points: [],
    steps: [{ at: 'container1', actions: [{ upload: PAGE, lenBytes: 16_000 }] }],
    expect: ['flow(tcp): snat=192.168.78.100', 'flow(tcp): state=closed', 'lost==0'],
  },
  {
    name: 'overlay',
    title: 'Overlay: containers on two hosts, through VXLAN',
    lookFor: [
      'On the way between the hosts the whole frame travels inside of a UDP datagram to port 4789.',
      'The containers notice nothing: same network, TTL 64 on both sides, no NAT.',
      'The MTU is 1450: outer headers take 50 bytes.',
    ],
    containers: [],
    points: [
      { name: 'overlay1', station: 'overlay1', interfaceName: 'eth0' },
      { name: 'vxlan1', station: 'ov1', interfaceName: 'vxlan0' },
      { name: 'host', station: 'host', interfaceName: 'eth0' },
      { name: 'host2', station: 'host2', interfaceName: 'eth0' },
      { name: 'overlay2', station: 'overlay2', interfaceName: 'eth0' },
    ],
    steps: [{ at: 'overlay1', actions: [{ get: ['10.0.1.3', 80] }] }],
    expect: [
      'flow(tcp): not nat',
      'flow(tcp): ttl-drop==0',
      'flow(tcp): via=host',
      'flow(tcp): via=overlay2',
      'finding=encapsulated',
      'lost==0',
    ],
    needs: 'VXLAN',
  },
  {
    name: 'macvlan',
    title: 'Macvlan: a container with an address of the local network',
    lookFor: [
      'No docker0, no NAT of the host: the container is a machine beside the host, with a MAC address of its own.',
      'The first router that it meets is that of the network; only there its source changes.',
    ],
    containers: [],
    points: [
      { name: 'macvlan1', station: 'macvlan1', interfaceName: 'eth0' },
      { name: 'uplink', station: 'host', interfaceName: 'eth0' },
      LAN,
      WAN,
    ],
    steps: [{ at: 'macvlan1', actions: [{ get: PAGE }] }],
    expect: [
      'flow(tcp): snat=203.0.113.1',
      'flow(tcp): ttl-drop==1',
      'flow(tcp): path=macvlan1,uplink,router-lan,router-wan',
      'lost==0',
    ],
    needs: 'macvlan',
  },
  {
    name: 'proxy',
    title: 'Loopback and docker-proxy: the host asks 127.0.0.1:8081',
    lookFor: [
      'What is sent to 127.0.0.1 is not for NAT: docker-proxy, a program, takes the connection.',
      'It opens a second one to the container, from 172.17.0.1: two connections, the same bytes.',
    ],
    containers: ['container2'],
    points: [{ name: 'lo', station: 'host', interfaceName: 'lo' }],
    steps: [{ at: 'host', actions: [{ get: ['127.0.0.1', 8081] }] }],
    expect: [
      'flow(tcp and port 8081): via=lo',
      'flow(tcp and port 80): via=container',
      'finding=proxy-splice',
      'flows==2',
      'lost==0',
    ],
  },
  {
    name: 'ttl',
    title: 'TTL expiry: how traceroute finds the routers',
    lookFor: [
      'TTL 1 ends at the host, TTL 2 at the router; TTL 3 arrives.',
      'Whoever throws a packet away sends an ICMP error that quotes it; NAT translates the quoted addresses as well.',
    ],
    containers: ['container1'],
    points: [LAN, INTERNET],
    steps: [
      {
        at: 'container1',
        actions: [
          { send: ECHO, lenBytes: 16, ttl: 1, expectsNothing: true },
          { send: ECHO, lenBytes: 16, ttl: 2, expectsNothing: true },
          { send: ECHO, lenBytes: 16, ttl: 3 },
        ],
      },
    ],
    expect: ['finding=ttl-expired', 'any flow(udp): via=internet'],
  },
]

/** Throws a `HoptraceError` that says where they are listed, where `text` is none of them. */
export function scenarioNamed(text: string): Scenario {
  const scenario = SCENARIOS.find(({ name }) => name === text)
  if (scenario === undefined)
    throw new HoptraceError(
      `there is no scenario of that name: choose one of ${SCENARIOS.map(({ name }) => name).join(', ')}`,
    )
  return scenario
}
