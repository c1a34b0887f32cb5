/** Further scenarios: other protocols, sizes, and networks that are not docker0. */

import { ECHO, INTERNET, LAN, PAGE, type Scenario, WAN } from './scenario.ts'

export const FURTHER_SCENARIOS: readonly Scenario[] = [
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
