/** Scenarios of TCP and NAT: out, in, around, and through two of them. */

import { CLIENT, INTERNET, LAN, PAGE, PUBLISHED, type Scenario, WAN } from './scenario.ts'

export const NAT_SCENARIOS: readonly Scenario[] = [
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
    withEngine: {
      lookFor: [
        'No DNAT here: the engine’s rules leave out what comes from docker0 (chain DOCKER of the table nat), as docker-proxy is there.',
        'docker-proxy, a program of the host, takes the connection and opens a second one, back to the container: the same bytes.',
        'The server sees 172.17.0.1, the bridge, as its client. With userland-proxy off, or without --docker, NAT does it.',
      ],
      expect: [
        'flow(tcp and port 8080): path=container,veth,bridge',
        'flow(tcp and port 80): path=bridge,veth,container',
        'every flow: not nat',
        'flow(tcp): state=closed',
        'finding=proxy-splice',
        'flows==2',
        'lost==0',
      ],
    },
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
]
