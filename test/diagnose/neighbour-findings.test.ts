/** Addresses that nobody answers for and that two hosts claim; and the ARP that is heard on every healthy network. */

import { describe, expect, test } from 'vitest'
import type { RouteReceipt } from '../../src/receipts/model.ts'
import { address6, ethernet, icmp, ipv6, vlan } from '../decode/frames.ts'
import { TraceBuilder } from '../trace/builder.ts'
import {
  all,
  arp,
  CLIENT,
  causes,
  diagnosed,
  dockerHost,
  type Frame,
  MASQUERADE,
  only,
  SERVER,
  trouble,
} from './diagnosing.ts'
import { container, host, receipts } from './receipts.ts'

const SECOND = 1e9
const A = '02:42:ac:11:00:02'
const B = '02:42:ac:11:00:03'
const C = '02:42:ac:11:00:04'

/** Somebody asks for an address at these times, in s. */
function asks(point: string, mac: string, from: string, to: string, ...times: number[]): Frame[] {
  return times.map((time) => ({ point, timeNs: time * SECOND, bytes: arp(1, mac, from, to) }))
}

function answers(point: string, mac: string, ip: string, ...times: number[]): Frame[] {
  return times.map((time) => ({ point, timeNs: time * SECOND, bytes: arp(2, mac, ip, CLIENT.ip) }))
}

function nothing(): TraceBuilder {
  return new TraceBuilder({ seed: 1, points: ['container', 'bridge'] })
}

/** Somebody else's traffic goes by, as on every network. */
function busy(): TraceBuilder {
  const trace = dockerHost()
  const web = trace.tcp({ client: CLIENT, server: SERVER, nat: MASQUERADE })
  web.open()
  web.close()
  return trace
}

describe('ARP unanswered', () => {
  const silent = [
    ...asks('container', A, CLIENT.ip, '172.17.0.99', 0.1, 1.1, 2.1),
    ...asks('bridge', A, CLIENT.ip, '172.17.0.99', 0.1001, 1.1001, 2.1001),
  ]

  test('asked three times, a second apart', async () => {
    const report = await diagnosed(nothing(), { frames: silent, untilNs: 5 * SECOND })
    const found = only(report, 'arp-unanswered')
    expect(found.summary).toBe(
      '172.17.0.2 asked for 172.17.0.99 in 3 ARP requests (seen at container, bridge), and nobody answered: nothing can be sent there',
    )
    expect(found.evidence.frames).toEqual({ container: [1, 2, 3], bridge: [1, 2, 3] })
    expect(causes(found)).toEqual(['host-down'])
  })

  test('it is the gateway of the asker', async () => {
    const route: RouteReceipt = {
      ...{
        destination: 'default',
        table: 'main',
        type: 'unicast',
        gateway: '172.17.0.99',
        family: 'ip' as const,
      },
      ...{ interfaceName: 'eth0', metric: null, source: null, mtu: null },
    }
    const kernel = receipts([host(), container({ routes: [route] })])
    const report = await diagnosed(nothing(), { frames: silent, untilNs: 5 * SECOND, receipts: kernel })
    const found = only(report, 'arp-unanswered')
    expect(causes(found)).toEqual(['wrong-gateway!', 'host-down'])
    expect(found.summary).toMatch(
      /: the default route of web leads to 172\.17\.0\.99, .* \(default via 172\.17\.0\.99 dev eth0\)$/,
    )
  })

  test('by Neighbor Discovery', async () => {
    const solicitation = (time: number): Frame => ({
      ...{ point: 'container', timeNs: time * SECOND },
      bytes: ethernet(
        0x86dd,
        ipv6(
          { next: 58, src: 'fd00::2', dst: 'ff02::1:ff00:99', hopLimit: 255 },
          icmp(135, 0, [0, 0, 0, 0], address6('fd00::99')),
        ),
      ),
    })
    const frames = [0, 1, 2].map(solicitation)
    const found = only(await diagnosed(nothing(), { frames, untilNs: 5 * SECOND }), 'arp-unanswered')
    expect(found.summary).toMatch(
      /^fd00::2 asked for fd00::99 in 3 neighbor solicitations \(seen at container\)/,
    )
  })

  test('one finding for a scan', async () => {
    const frames = Array.from({ length: 9 }, (_, i) =>
      asks('bridge', A, CLIENT.ip, `172.17.1.${i}`, 0.1 + i / 100, 1.1 + i / 100, 2.1 + i / 100),
    ).flat()
    const found = only(await diagnosed(nothing(), { frames, untilNs: 5 * SECOND }), 'arp-unanswered')
    expect(found.summary).toMatch(
      /^9 addresses were asked for and nobody answered, such as 172\.17\.1\.\d, asked for by 172\.17\.0\.2$/,
    )
  })

  test.each<[string, Frame[]]>([
    [
      'it answers in the end, and be it at another point',
      [...silent, ...answers('bridge', B, '172.17.0.99', 2.2)],
    ],
    ['it says a word of its own', [...silent, ...asks('bridge', B, '172.17.0.99', '172.17.0.2', 3)]],
    ['two requests only', silent.filter(({ timeNs }) => timeNs < 2 * SECOND)],
    [
      'an answered request now and then, whose answers go by another cable',
      asks('container', A, CLIENT.ip, '172.17.0.99', 0, 30, 60, 90),
    ],
    [
      'three hosts ask once each',
      [A, B, C].flatMap((mac, i) => asks('container', mac, `172.17.0.${i + 2}`, '172.17.0.99', i)),
    ],
    [
      'a host that looks whether its address is free (RFC 5227)',
      asks('container', A, '0.0.0.0', '172.17.0.2', 0, 1, 2, 3),
    ],
    ['a host that announces itself', asks('container', A, CLIENT.ip, CLIENT.ip, 0, 1, 2, 3)],
    [
      'a router that answers for others (proxy ARP)',
      [...silent, ...answers('container', C, '172.17.0.99', 2.2)],
    ],
  ])('not: %s', async (_, frames) => {
    expect(trouble(await diagnosed(nothing(), { frames, untilNs: 100 * SECOND }))).toEqual([])
  })

  test('not of strangers: their router looks for a host that is switched off', async () => {
    const frames = asks('uplink', C, '192.168.7.1', '192.168.7.77', 1, 2, 3, 4)
    expect(trouble(await diagnosed(busy(), { frames, untilNs: 9 * SECOND }))).toEqual([])
    const kernel = receipts([host(), container()])
    expect(trouble(await diagnosed(busy(), { frames, untilNs: 9 * SECOND, receipts: kernel }))).toEqual([])
    const own = asks('uplink', C, '192.168.7.2', '192.168.7.77', 1, 2, 3, 4)
    expect(trouble(await diagnosed(busy(), { frames: own, untilNs: 9 * SECOND, receipts: kernel }))).toEqual([
      'arp-unanswered',
    ])
  })
})

describe('duplicate address', () => {
  test('two hosts answer in turn', async () => {
    const frames = [
      ...answers('bridge', A, '172.17.0.5', 0, 2),
      ...answers('bridge', B, '172.17.0.5', 1, 3),
      ...asks('bridge', C, '172.17.0.1', '172.17.0.5', 0.5),
    ]
    const found = only(await diagnosed(nothing(), { frames, untilNs: 5 * SECOND }), 'duplicate-address')
    expect(found.summary).toBe(`${A} and ${B} both claim 172.17.0.5 at bridge: two hosts have this address`)
    expect(found.evidence).toMatchObject({ ip: '172.17.0.5', macs: [A, B] })
    expect(causes(found)).toEqual(['duplicate-address'])
  })

  test.each<[string, Frame[]]>([
    [
      'the address moved once',
      [...answers('bridge', A, '172.17.0.5', 0), ...answers('bridge', B, '172.17.0.5', 1)],
    ],
    [
      'a container came back again and again',
      [A, B, C].flatMap((mac, i) => answers('bridge', mac, '172.17.0.5', i)),
    ],
    [
      'each on a network of its own',
      [
        ...answers('bridge', A, '172.17.0.5', 0),
        ...answers('container', B, '172.17.0.5', 1),
        ...answers('bridge', A, '172.17.0.5', 2),
      ],
    ],
    [
      'each in a VLAN of its own',
      [0, 1, 2, 3].map((i) => ({
        ...{ point: 'bridge', timeNs: i * SECOND },
        bytes: ethernet(
          0x8100,
          vlan(10 + (i % 2), 0x0806, arp(2, i % 2 ? A : B, '172.17.0.5', CLIENT.ip).slice(14)),
        ),
      })),
    ],
  ])('not: %s', async (_, frames) => {
    expect(all(await diagnosed(nothing(), { frames, untilNs: 5 * SECOND }), 'duplicate-address')).toEqual([])
  })
})
