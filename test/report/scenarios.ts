/** Reports made by hand in the likeness of the recorded scenarios. */

import type {
  DirectionName,
  DirectionReport,
  Encapsulation,
  Endpoint,
  FindingReport,
  FlowReport,
  LossReport,
  Report,
  Station,
  TranslationReport,
} from '../../src/report/model.ts'

const BASE_NS = 1_795_300_329_142_743_000n

/** `172.17.0.3:80`, `[2001:db8::1]:80`. */
export function end(text: string): Endpoint {
  const colon = text.lastIndexOf(':')
  return { ip: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}

/** One station a line of `point src dst ttl`. */
export function way(packets: number, ...stations: string[]): DirectionReport {
  const path: Station[] = stations.map((text) => {
    const [point, src, dst, ttl] = text.split(' ')
    return { point, src: end(src), dst: end(dst), ttl: Number(ttl), packets }
  })
  return { packets, bytes: packets * 75, path }
}

/** The same way, inside of these tunnels at these points: `vxlan 4097 192.0.2.1 192.0.2.2`, outermost first. */
export function tunneled(way: DirectionReport, points: string, ...tunnels: string[]): DirectionReport {
  const encapsulation = tunnels.map((text) => {
    const [kind, id, src, dst] = text.split(' ')
    return { kind: kind as Encapsulation['kind'], id: Number(id), src, dst }
  })
  const path = way.path.map((station) =>
    points.split(' ').includes(station.point) ? { ...station, encapsulation } : station,
  )
  return { ...way, path }
}

export function translation(
  kind: 'snat' | 'dnat',
  between: string,
  from: string,
  to: string,
): TranslationReport {
  const [near, far] = between.split(' ')
  return { kind, between: [near, far], from: end(from), to: end(to) }
}

export function loss(direction: DirectionName, between: string, packets: number): LossReport {
  const [near, far] = between.split(' ')
  return { direction, between: [near, far], packets, frames: { point: near, frames: [4, 5, 6] } }
}

export function flow(
  id: number,
  forward: DirectionReport,
  reverse: DirectionReport,
  more: Partial<FlowReport> = {},
): FlowReport {
  const first = forward.path[0]
  return {
    id,
    protocol: 'tcp',
    state: 'closed',
    client: first.src,
    server: first.dst,
    firstNs: String(BASE_NS),
    lastNs: String(BASE_NS + 5_712_345n),
    forward,
    reverse,
    translations: [],
    lost: [],
    unseen: [],
    latency: [],
    retransmissions: { forward: 0, reverse: 0 },
    rttNs: 84_212,
    icmpErrors: [],
    segmentationDiffers: false,
    ambiguous: 0,
    dnsNames: [],
    duplicates: 0,
    passedTwice: [],
    ...more,
  }
}

export function report(path: string[], flows: FlowReport[], more: Partial<Report> = {}): Report {
  return {
    schema: 'hoptrace.report/1',
    points: path.map((name) => ({
      name,
      source: `${name}.pcap.gz`,
      linkType: 'EN10MB',
      packets: 26,
      bytes: 4711,
      firstNs: String(BASE_NS),
      lastNs: String(BASE_NS + 1_023_456_789n),
      captureDrops: 0,
      undecoded: 0,
      clock: { offsetNs: 0, skewPpm: 0, uncertaintyNs: 0 },
    })),
    path,
    flows,
    findings: [],
    notJoined: [],
    warnings: [],
    ...more,
  }
}

export function finding(
  code: string,
  severity: FindingReport['severity'],
  flowId: number | null,
  summary: string,
  frames?: Record<string, number[]>,
): FindingReport {
  return { code, severity, flow: flowId, summary, evidence: frames === undefined ? {} : { frames } }
}

const HOST = ['container', 'veth', 'bridge', 'uplink']

/** A flow that leaves a container through masquerade. */
export function masqueraded(
  id: number,
  port: number,
  toPort = port,
  more: Partial<FlowReport> = {},
  client = '172.17.0.3',
  points = HOST,
): FlowReport {
  const server = '203.0.113.238:80'
  const [inside, outside] = [`${client}:${port}`, `192.168.78.100:${toPort}`]
  const last = points.at(-1)!
  const inner = points.slice(0, -1)
  return flow(
    id,
    way(6, ...inner.map((point) => `${point} ${inside} ${server} 64`), `${last} ${outside} ${server} 63`),
    way(
      5,
      `${last} ${server} ${outside} 63`,
      ...inner.toReversed().map((point) => `${point} ${server} ${inside} 62`),
    ),
    { translations: [translation('snat', `${inner.at(-1)} ${last}`, inside, outside)], ...more },
  )
}

const latency = (direction: 'forward' | 'reverse', near: string, far: string, minNs: number) => ({
  direction,
  between: [near, far] as [string, string],
  minNs,
  medianNs: minNs * 1.5,
  p99Ns: minNs * 9,
  packets: 6,
})

export const outboundMasquerade = report(
  HOST,
  [
    masqueraded(1, 47276, 47276, {
      latency: [
        latency('forward', 'container', 'veth', 1123),
        latency('forward', 'veth', 'bridge', 812),
        latency('forward', 'bridge', 'uplink', 21_400),
        latency('reverse', 'uplink', 'bridge', 9400),
      ],
    }),
    masqueraded(2, 47286),
  ],
  {
    notJoined: [
      { reason: 'arp', point: 'bridge', packets: 4 },
      { reason: 'arp', point: 'uplink', packets: 2 },
    ],
  },
)

const outside = '198.51.100.7:39822'
export const inboundPublishedPort = report(
  ['uplink', 'bridge', 'veth', 'container'],
  [
    flow(
      1,
      way(
        6,
        `uplink ${outside} 192.168.78.100:8078 62`,
        ...['bridge', 'veth', 'container'].map((point) => `${point} ${outside} 172.17.0.2:80 61`),
      ),
      way(
        5,
        ...['container', 'veth', 'bridge'].map((point) => `${point} 172.17.0.2:80 ${outside} 64`),
        `uplink 192.168.78.100:8078 ${outside} 63`,
      ),
      { translations: [translation('dnat', 'uplink bridge', '192.168.78.100:8078', '172.17.0.2:80')] },
    ),
  ],
)

const inside = '172.17.0.3:55210'
const host = '192.168.78.100:55210'
const router = '203.0.113.1:55210'
const server = '203.0.113.238:80'
export const doubleNat = report(
  ['container', 'veth', 'bridge', 'uplink', 'lan', 'wan', 'server'],
  [
    flow(
      1,
      way(
        6,
        ...['container', 'veth', 'bridge'].map((point) => `${point} ${inside} ${server} 64`),
        ...['uplink', 'lan'].map((point) => `${point} ${host} ${server} 63`),
        ...['wan', 'server'].map((point) => `${point} ${router} ${server} 62`),
      ),
      way(
        5,
        ...['server', 'wan'].map((point) => `${point} ${server} ${router} 64`),
        ...['lan', 'uplink'].map((point) => `${point} ${server} ${host} 63`),
        ...['bridge', 'veth', 'container'].map((point) => `${point} ${server} ${inside} 62`),
      ),
      {
        translations: [
          translation('snat', 'bridge uplink', inside, host),
          translation('snat', 'lan wan', host, router),
        ],
      },
    ),
  ],
)

export const portCollision = report(
  ['a', 'b', 'bridge', 'uplink'],
  [
    masqueraded(1, 45000, 45000, {}, '172.17.0.3', ['a', 'bridge', 'uplink']),
    masqueraded(2, 45000, 54039, {}, '172.17.0.4', ['b', 'bridge', 'uplink']),
  ],
  {
    findings: [
      finding(
        'port-remapped',
        'info',
        2,
        'Source port 45000 became 54039 between bridge and uplink: another flow held 45000.',
      ),
    ],
  },
)

const hairpinClient = '172.17.0.3:47814'
const published = '192.168.78.100:8078'
const masked = '172.17.0.1:47814'
export const hairpin = report(
  ['client', 'clientveth', 'bridge', 'serverveth', 'server'],
  [
    flow(
      1,
      way(
        8,
        ...['client', 'clientveth', 'bridge'].map((point) => `${point} ${hairpinClient} ${published} 64`),
        ...['bridge', 'serverveth', 'server'].map((point) => `${point} ${masked} 172.17.0.2:80 63`),
      ),
      way(
        7,
        ...['server', 'serverveth', 'bridge'].map((point) => `${point} 172.17.0.2:80 ${masked} 64`),
        ...['bridge', 'clientveth', 'client'].map((point) => `${point} ${published} ${hairpinClient} 63`),
      ),
      {
        translations: [
          translation('dnat', 'bridge bridge', published, '172.17.0.2:80'),
          translation('snat', 'bridge bridge', hairpinClient, masked),
        ],
      },
    ),
    flow(
      2,
      way(
        8,
        ...['server', 'serverveth', 'bridge'].map((point) => `${point} 172.17.0.2:50100 ${published} 64`),
        ...['bridge', 'serverveth', 'server'].map((point) => `${point} 172.17.0.1:50100 172.17.0.2:80 63`),
      ),
      way(7),
      {
        translations: [
          translation('dnat', 'bridge bridge', published, '172.17.0.2:80'),
          translation('snat', 'bridge bridge', '172.17.0.2:50100', '172.17.0.1:50100'),
        ],
      },
    ),
  ],
  {
    findings: [
      finding('hairpin', 'info', 1, 'The flow leaves the bridge where it came in.'),
      finding('hairpin', 'info', 2, 'The container reaches itself through the published port.'),
    ],
  },
)

export const forwardDrop = report(
  HOST,
  [
    flow(
      1,
      way(
        3,
        ...['container', 'veth', 'bridge'].map((point) => `${point} 172.17.0.3:47316 203.0.113.238:81 64`),
      ),
      way(0),
      {
        state: 'syn-only',
        rttNs: null,
        lost: [loss('forward', 'bridge uplink', 3)],
        retransmissions: { forward: 2, reverse: 0 },
      },
    ),
  ],
  {
    findings: [
      finding(
        'dropped-between-points',
        'error',
        1,
        '3 packets to 203.0.113.238:81 were seen at bridge and never at uplink; nothing answered them.',
        { bridge: [4, 5, 6] },
      ),
      finding('retransmissions', 'warning', 1, 'The SYN was sent 3 times.'),
    ],
  },
)

export const lossyDownload = report(
  HOST,
  [
    masqueraded(1, 51320, 51320, {
      lost: [loss('reverse', 'uplink bridge', 91)],
      retransmissions: { forward: 0, reverse: 88 },
      unseen: [{ direction: 'forward', point: 'veth', packets: 2 }],
      ambiguous: 3,
      duplicates: 7,
      forward: { ...masqueraded(1, 51320).forward, packets: 1204, bytes: 81_123 },
    }),
  ],
  { warnings: ['lossy/veth.pcap.gz: gzip data ends early at byte 482113; 1188 records kept'] },
)

const six = [
  '[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1001]:45000',
  '[2001:db8:1:2:3:4:5:1]:61024',
  '[2001:db8:ffff::1:2:3:238]:443',
]
export const ipv6 = report(HOST, [
  flow(
    1,
    way(
      12,
      ...HOST.slice(0, 3).map((point) => `${point} ${six[0]} ${six[2]} 64`),
      `uplink ${six[1]} ${six[2]} 63`,
    ),
    way(
      11,
      `uplink ${six[2]} ${six[1]} 57`,
      ...['bridge', 'veth', 'container'].map((point) => `${point} ${six[2]} ${six[0]} 56`),
    ),
    { translations: [translation('snat', 'bridge uplink', six[0], six[1])], dnsNames: ['example.org'] },
  ),
  flow(2, way(1, 'container [fe80::1]:546 [ff02::1:2]:547 1'), way(0), {
    protocol: 'udp',
    state: 'stateless',
    rttNs: null,
  }),
])

export const udpAndPing = report(HOST, [
  masqueraded(1, 20843, 51, { protocol: 'icmp', state: 'stateless', server: end('203.0.113.238:20843') }),
  flow(2, way(1, ...HOST.slice(0, 3).map((point) => `${point} 172.17.0.3:7 203.0.113.238:7 1`)), way(0), {
    protocol: 'icmp',
    state: 'stateless',
    rttNs: null,
    icmpErrors: [
      {
        direction: 'forward',
        from: '172.17.0.1',
        type: 11,
        code: 0,
        name: 'time to live exceeded in transit',
        mtu: 0,
        frames: { veth: [2] },
        packets: 1,
      },
    ],
  }),
])

export const manyFlows = report(
  HOST,
  Array.from({ length: 150 }, (_, i) =>
    i === 120
      ? masqueraded(121, 50120, 50120, {
          lost: [loss('forward', 'veth bridge', 1)],
        })
      : masqueraded(i + 1, 50_000 + i),
  ),
  {
    findings: Array.from({ length: 12 }, (_, i) =>
      finding('port-remapped', 'info', i + 1, 'Its source port was taken.'),
    ),
  },
)

export const noFlows = report(['a', 'b'], [], {
  notJoined: [{ reason: 'undecoded', point: 'a', packets: 26 }],
})

const forty = Array.from({ length: 40 }, (_, i) => `point${i + 1}`)
export const fortyPoints = report(forty, [
  flow(
    1,
    way(3, ...forty.map((point, i) => `${point} 10.0.0.1:1000 10.0.0.2:80 ${64 - Math.floor(i / 4)}`)),
    way(0),
  ),
])

export const embeddedDns = report(
  ['lo', 'eth0'],
  [
    flow(1, way(1, 'lo 127.0.0.1:51234 127.0.0.11:39901 64'), way(1, 'lo 127.0.0.11:53 127.0.0.1:51234 64'), {
      protocol: 'udp',
      state: 'stateless',
      server: end('127.0.0.11:53'),
      translations: [translation('dnat', 'lo lo', '127.0.0.11:53', '127.0.0.11:39901')],
      dnsNames: ['server.', 'example.org'],
    }),
  ],
)

/** docker-proxy: what is asked for on lo goes on as another connection. */
export const loopbackProxy: Report = (() => {
  const [outer, inner] = [
    ['127.0.0.1:60758', '127.0.0.1:8078'],
    ['172.17.0.1:59826', '172.17.0.2:80'],
  ]
  const shared = { matchedBytes: { forward: 78, reverse: 234 }, betweenSynsNs: 831_049 }
  return report(
    ['lo', 'bridge'],
    [
      flow(1, way(5, `lo ${outer[0]} ${outer[1]} 64`), way(5, `lo ${outer[1]} ${outer[0]} 64`), {
        spliced: [{ side: 'client', flow: 2, proxy: end(outer[1]), ...shared }],
      }),
      flow(2, way(6, `bridge ${inner[0]} ${inner[1]} 64`), way(6, `bridge ${inner[1]} ${inner[0]} 64`), {
        spliced: [{ side: 'server', flow: 1, proxy: end(inner[0]), ...shared }],
      }),
    ],
  )
})()

/** From a pod on one host to a pod on another one, through VXLAN between them; the second flow's VXLAN is in GRE over IPv6. */
export const overlay: Report = (() => {
  const [points, back] = [
    ['pod', 'bridge', 'uplink', 'uplink2', 'bridge2', 'pod2'],
    ['pod2', 'bridge2', 'uplink2', 'uplink', 'bridge', 'pod'],
  ]
  const ttls = [64, 64, 63, 63, 62, 62]
  const flowOf = (
    id: number,
    port: number,
    outer: [string[], string[]],
    more: Partial<FlowReport>,
  ): FlowReport => {
    const [client, server] = [`10.244.1.5:${port}`, '10.244.2.7:8080']
    const there = way(5, ...points.map((point, i) => `${point} ${client} ${server} ${ttls[i]}`))
    const answers = way(4, ...back.map((point, i) => `${point} ${server} ${client} ${ttls[i]}`))
    const tunnels = 'uplink uplink2'
    return flow(id, tunneled(there, tunnels, ...outer[0]), tunneled(answers, tunnels, ...outer[1]), more)
  }
  const gre = [
    'gre 9 2001:db8:aaaa:bbbb:1::10 2001:db8:aaaa:bbbb:2::20',
    'gre 9 2001:db8:aaaa:bbbb:2::20 2001:db8:aaaa:bbbb:1::10',
  ]
  const vxlan = ['vxlan 4097 192.168.1.10 192.168.2.20', 'vxlan 4097 192.168.2.20 192.168.1.10']
  return report(points, [
    flowOf(1, 40_000, [[vxlan[0]], [vxlan[1]]], { lost: [loss('forward', 'uplink uplink2', 2)] }),
    flowOf(
      2,
      40_001,
      [
        [gre[0], vxlan[0]],
        [gre[1], vxlan[1]],
      ],
      {},
    ),
  ])
})()

export const scenarios: Record<string, Report> = {
  outboundMasquerade,
  inboundPublishedPort,
  doubleNat,
  portCollision,
  hairpin,
  forwardDrop,
  lossyDownload,
  ipv6,
  udpAndPing,
  manyFlows,
  noFlows,
  fortyPoints,
  embeddedDns,
  loopbackProxy,
  overlay,
}
