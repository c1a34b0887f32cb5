/** Sites: hosts with containers, as their points and the routes through them, for generated traffic. */

import type { Hop, Nat } from './model.ts'
import type { Random } from './random.ts'

export type Version = 4 | 6

/** A way that conversations take through a site. */
export interface Route {
  /** Points from the client's side to the server's. */
  path: readonly string[]
  routed: readonly Hop[]
  /** Echo requests, which have no ports, can take it. */
  forEcho: boolean
  /** Addresses as the client's side sees them. */
  client(random: Random, version: Version): string
  server(random: Random, version: Version): string
  /** Each translation on the way; ports are chosen by whoever opens the conversation. */
  nat: readonly { kind: Nat['kind']; between: Hop; to: (random: Random, version: Version) => string }[]
}

export interface Site {
  /** From the containers outwards. */
  points: readonly string[]
  /** The point from which on, outwards, packets are cut into segments of one MTU. */
  wire: string
  routes: readonly Route[]
}

const HOST = { 4: '192.168.7.2', 6: '2001:db8:7::2' } as const
const ROUTER = { 4: '198.51.100.1', 6: '2001:db8:51::1' } as const
const GATEWAY = { 4: '172.17.0.1', 6: '2001:db8:17::1' } as const

const container = (random: Random, version: Version) =>
  `${version === 6 ? '2001:db8:17::' : '172.17.0.'}${random.integer(2, 5)}`
const outside = (random: Random, version: Version) =>
  `${version === 6 ? '2001:db8:9::' : '203.0.113.'}${random.integer(1, 3)}`
const host = (_: Random, version: Version) => HOST[version]
const router = (_: Random, version: Version) => ROUTER[version]
const gateway = (_: Random, version: Version) => GATEWAY[version]
const neighbour = (random: Random, version: Version) =>
  `${version === 6 ? '2001:db8:17::' : '172.17.0.'}${random.integer(6, 8)}`

const INSIDE = ['container', 'veth', 'bridge']

/** One host: masquerade on the way out, published ports on the way in. */
const HOST_SITE: Site = {
  points: [...INSIDE, 'uplink', 'peer'],
  wire: 'uplink',
  routes: [
    {
      path: [...INSIDE, 'uplink', 'peer'],
      routed: [['bridge', 'uplink']],
      forEcho: true,
      ...{ client: container, server: outside },
      nat: [{ kind: 'snat', between: ['bridge', 'uplink'], to: host }],
    },
    {
      path: ['peer', 'uplink', ...INSIDE.toReversed()],
      routed: [['uplink', 'bridge']],
      forEcho: false,
      ...{ client: outside, server: host },
      nat: [{ kind: 'dnat', between: ['uplink', 'bridge'], to: container }],
    },
  ],
}

/** A host behind a router that translates as well, both ways. */
const DOUBLE_SITE: Site = {
  points: [...INSIDE, 'uplink', 'isp', 'peer'],
  wire: 'isp',
  routes: [
    {
      path: [...INSIDE, 'uplink', 'isp', 'peer'],
      routed: [
        ['bridge', 'uplink'],
        ['uplink', 'isp'],
        ['isp', 'peer'],
      ],
      forEcho: true,
      ...{ client: container, server: outside },
      nat: [
        { kind: 'snat', between: ['bridge', 'uplink'], to: host },
        { kind: 'snat', between: ['uplink', 'isp'], to: router },
      ],
    },
    {
      path: ['peer', 'isp', 'uplink', ...INSIDE.toReversed()],
      routed: [
        ['peer', 'isp'],
        ['isp', 'uplink'],
        ['uplink', 'bridge'],
      ],
      forEcho: false,
      ...{ client: outside, server: router },
      nat: [
        { kind: 'dnat', between: ['isp', 'uplink'], to: host },
        { kind: 'dnat', between: ['uplink', 'bridge'], to: container },
      ],
    },
  ],
}

/** Containers of one host that talk to each other: directly, and through a published port (hairpin). */
const HAIRPIN_SITE: Site = {
  points: [...INSIDE, 'veth2', 'container2', 'uplink'],
  wire: 'uplink',
  routes: [
    {
      path: [...INSIDE, 'bridge', 'veth2', 'container2'],
      routed: [2],
      forEcho: false,
      ...{ client: container, server: host },
      nat: [
        { kind: 'dnat', between: 2, to: neighbour },
        { kind: 'snat', between: 2, to: gateway },
      ],
    },
    {
      path: [...INSIDE, 'veth2', 'container2'],
      routed: [],
      forEcho: true,
      ...{ client: container, server: neighbour },
      nat: [],
    },
    {
      path: [...INSIDE, 'uplink'],
      routed: [['bridge', 'uplink']],
      forEcho: true,
      ...{ client: container, server: outside },
      nat: [{ kind: 'snat', between: ['bridge', 'uplink'], to: host }],
    },
  ],
}

export const SITES: readonly Site[] = [HOST_SITE, DOUBLE_SITE, HAIRPIN_SITE]
