/** Holds the generated traces against tshark: whoever tests the joiner with them must be able to trust them. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requireTool } from '../tools.ts'
import { TraceBuilder } from './builder.ts'
import { dnsMessage } from './frame.ts'
import { mixedTrace } from './mixed.ts'
import type { Truth } from './model.ts'

const POINTS = ['container', 'veth', 'bridge', 'uplink']
const CHECKS = ['ip', 'tcp', 'udp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`])
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hoptrace-trace-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function tshark(point: string, ...args: string[]): string[] {
  const file = join(folder, `${point}.pcap`)
  const text = execFileSync('tshark', ['-n', ...CHECKS, '-r', file, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return text.split('\n').filter((line) => line !== '')
}

function fields(point: string, filter: string, ...names: string[]): string[] {
  return tshark(
    point,
    '-Y',
    filter,
    '-T',
    'fields',
    '-E',
    'separator= ',
    ...names.flatMap((name) => ['-e', name]),
  )
}

function outbound(seed: number): TraceBuilder {
  return new TraceBuilder({ seed, points: POINTS, routed: [['bridge', 'uplink']] })
}

const CLIENT = { ip: '172.17.0.2', port: 40_000 }
const SERVER = { ip: '203.0.113.9', port: 8080 }
const SNAT = { kind: 'snat', between: ['bridge', 'uplink'], to: { ip: '192.168.7.2', port: 1025 } } as const

describe.skipIf(!requireTool('tshark'))('tshark', () => {
  test.each([1, 2, 3])('finds nothing malformed and no wrong checksum in mixed trace %i', (seed) => {
    const truth = mixedTrace(seed).write(folder)
    const layers = ['tcp', 'udp', 'icmp', 'icmpv6']
    const wrong = [
      '_ws.malformed',
      ...['ip', ...layers].map((layer) => `${layer}.checksum.status == 0`),
    ].join(' || ')
    // A layer that tshark does not check at all must not pass unseen.
    const right = layers.map((layer) => `${layer}.checksum.status == 1`).join(' || ')
    for (const point of truth.points) {
      expect(truth.journeys.flatMap((journey) => framesAt(journey, point)).length).toBeGreaterThan(100)
      expect(tshark(point, '-Y', `${wrong} || !(${right})`)).toEqual([])
    }
  })

  test('finds the tunnels that the truth names, with their outer addresses and TTL, and nothing wrong in them', () => {
    const kinds = ['vxlan', 'geneve', 'gre', 'ipip', 'gtpu'] as const
    const ends = [
      { client: '192.0.2.1', server: '192.0.2.2' },
      { client: '2001:db8:1::1', server: '2001:db8:2::2' },
    ]
    const trace = new TraceBuilder({ seed: 9, points: POINTS, routed: [0, 1, 2] })
    for (const kind of kinds)
      for (const outer of ends)
        for (const client of ['10.0.0.2', 'fd00::2']) {
          const id = kind === 'ipip' ? 0 : 70_000
          const common = {
            client: { ip: client, port: 40_000 },
            server: { ip: client.replace('2', '9'), port: 7000 },
            tunnels: [{ kind, id, replyId: id && id + 1, within: [0, 2] as const, ...outer }],
          }
          const web = trace.tcp(common)
          web.open()
          web.send('server', 300)
          trace.udp(common).send('client', 20)
        }
    const truth = trace.write(folder)
    let tunneled = 0
    for (const point of truth.points) {
      expect(
        tshark(point, '-Y', '_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0'),
      ).toEqual([])
      expect(tshark(point, '-Y', 'udp.checksum.status == 0 || vxlan.flags == 0')).toEqual([])
      const ids = ['vxlan.vni', 'geneve.vni', 'gre.key', 'gtp.teid']
      const rows = fields(point, 'frame', 'ip.src', 'ipv6.src', 'ip.ttl', 'ipv6.hlim', ...ids)
      for (const journey of truth.journeys) {
        const { path } = truth.flows[journey.flow - 1][journey.direction]
        for (const [frame] of framesAt(journey, point)) {
          const { encapsulation = [], src, ttl } = path.find((station) => station.point === point)!
          const cells = rows[frame - 1].split(' ').filter((cell) => cell !== '')
          const named = cells.flatMap((cell) => cell.split(','))
          const numbers = named.filter((cell) => !cell.includes('.') && !cell.includes(':')).map(Number)
          const outerTtl = point === 'veth' ? 64 : 63
          const isThere = journey.direction === 'forward' ? outerTtl : 127 - outerTtl
          expect(named.filter((cell) => cell.includes('.') || cell.includes(':')).sort()).toEqual(
            [...encapsulation.map((tunnel) => tunnel.src), src.ip].sort(),
          )
          expect(numbers.sort((a, b) => a - b)).toEqual(
            [ttl, ...encapsulation.flatMap(({ id }) => (id > 0 ? [isThere, id] : [isThere]))].sort(
              (a, b) => a - b,
            ),
          )
          tunneled += encapsulation.length
        }
      }
    }
    expect(tunneled).toBe(200)
  })

  test('sees the addresses, TTLs and frame numbers that the truth names', () => {
    const trace = mixedTrace(7)
    const truth = trace.write(folder)
    let compared = 0
    for (const point of truth.points) {
      const rows = fields(
        point,
        'frame',
        'ip.src',
        'ipv6.src',
        'ip.dst',
        'ipv6.dst',
        'ip.ttl',
        'ipv6.hlim',
        'tcp.srcport',
        'udp.srcport',
        'icmp.ident',
        'icmpv6.echo.identifier',
        'tcp.dstport',
        'udp.dstport',
      )
      for (const journey of truth.journeys) {
        const path = truth.flows[journey.flow - 1][journey.direction].path
        for (const [frame, station] of framesAt(journey, point)) {
          const { src, dst, ttl } = path.find(
            (_, at) => (journey.direction === 'forward' ? at : path.length - 1 - at) === station,
          )!
          const ident = journey.content.protocol === 'icmp'
          const row = rows[frame - 1]
            .split(' ')
            .filter((cell) => cell !== '')
            .map((cell) => (cell.startsWith('0x') ? String(Number(cell)) : cell))
          expect(row.slice(0, 4)).toEqual([src.ip, dst.ip, String(ttl), String(src.port)])
          if (!ident) expect(row[4]).toBe(String(dst.port))
          compared++
        }
      }
      const named = truth.journeys.flatMap((journey) => framesAt(journey, point).map(([frame]) => frame))
      expect(named.sort((a, b) => a - b)).toEqual(rows.map((_, index) => index + 1))
    }
    expect(compared).toBeGreaterThan(500)
  })

  test('sees super-packets, segments and joined segments, with nothing wrong in them', () => {
    const points = ['container', { name: 'uplink', segments: 1448 }, { name: 'peer', segments: 1448 }]
    const joins = [{ name: 'container', joinsWithinNs: 100_000 }, ...points.slice(1)]
    const trace = new TraceBuilder({ seed: 8, points: joins, routed: [0] })
    const web = trace.tcp({ client: CLIENT, server: SERVER, nat: [{ ...SNAT, between: 0 }] })
    web.open()
    const sent = web.send('client', 10_000, { lostBetween: 1, lostSegments: [2] })
    for (let left = 4; left > 0; left--)
      web.send('server', 1448, { burst: left > 1, ...(left > 1 ? { more: true } : {}) })
    const { journeys } = trace.write(folder)
    expect(sent.lostBytes).toEqual([[2896, 4344]])
    expect(sent.sightings.map(({ frames }) => frames.length)).toEqual([1, 7, 6])
    const lengths = (point: string, src: string) =>
      fields(point, `tcp.len > 0 && ip.src == ${src}`, 'tcp.len').map(Number)
    expect(lengths('container', CLIENT.ip)).toEqual([10_000])
    expect(lengths('uplink', '192.168.7.2')).toEqual([...Array(6).fill(1448), 10_000 - 6 * 1448])
    expect(lengths('container', SERVER.ip)).toEqual([4 * 1448])
    const down = journeys.slice(4).map(({ sightings }) => sightings.at(-1)!.frames)
    expect(new Set(down.flat()).size).toBe(1)
    for (const point of ['container', 'uplink', 'peer'])
      expect(
        tshark(point, '-Y', '_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0'),
      ).toEqual([])
  })

  test('counts the same retransmissions, and none besides', () => {
    const trace = outbound(4)
    const web = trace.tcp({ client: CLIENT, server: SERVER, nat: [SNAT] })
    web.open()
    for (let round = 0; round < 5; round++) {
      const lost = web.send('client', 200, { lostBetween: ['bridge', 'uplink'] })
      web.wait(300e6)
      web.retransmit(lost)
      web.ack('server')
      const late = web.send('server', 700)
      web.wait(300e6)
      web.retransmit(late)
      web.ack('client')
    }
    web.close()
    const { flows } = trace.write(folder)
    expect(flows[0].retransmissions).toEqual({ forward: 5, reverse: 5 })
    expect(flows[0].lost).toEqual([{ direction: 'forward', between: ['bridge', 'uplink'], packets: 5 }])
    const again = 'tcp.analysis.retransmission'
    expect(fields('container', again, 'ip.src').sort()).toEqual([
      ...Array(5).fill(CLIENT.ip),
      ...Array(5).fill(SERVER.ip),
    ])
    expect(fields('uplink', again, 'ip.src')).toEqual(Array(5).fill(SERVER.ip))
    const ackedUnseen = fields(
      'container',
      'tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment',
      'frame.number',
    )
    expect(ackedUnseen).toEqual([])
  })

  test('sees an offloading sender at the points that look before the hardware', () => {
    const points = [
      { name: 'container', offloaded: true },
      { name: 'uplink', vlan: 42 },
    ]
    const trace = new TraceBuilder({ seed: 5, points, routed: [0] })
    trace.tcp({ client: CLIENT, server: SERVER }).open()
    trace.write(folder)
    expect(tshark('container', '-Y', 'tcp.checksum.status == 1')).toEqual([])
    expect(fields('uplink', 'tcp.checksum.status == 1', 'vlan.id')).toEqual(['42', '42', '42'])
  })
})

describe('the truth', () => {
  test('of an unremarkable connection is complete', () => {
    const trace = outbound(1)
    const web = trace.tcp({ client: CLIENT, server: SERVER, nat: [SNAT] })
    web.open()
    web.send('client', 10)
    web.close()
    const { truth } = trace.build()
    const [flow] = truth.flows
    expect(flow!.translations).toEqual([
      { kind: 'snat', between: ['bridge', 'uplink'], from: CLIENT, to: { ip: '192.168.7.2', port: 1025 } },
    ])
    expect(flow!.forward.path.map(({ point, src, ttl, packets }) => [point, src.ip, ttl, packets])).toEqual([
      ['container', CLIENT.ip, 64, 5],
      ['veth', CLIENT.ip, 64, 5],
      ['bridge', CLIENT.ip, 64, 5],
      ['uplink', '192.168.7.2', 63, 5],
    ])
    expect(flow!.reverse.path.map(({ point, dst, ttl }) => [point, dst.ip, ttl])).toEqual([
      ['uplink', '192.168.7.2', 64],
      ['bridge', CLIENT.ip, 63],
      ['veth', CLIENT.ip, 63],
      ['container', CLIENT.ip, 63],
    ])
    expect(truth.journeys.map(({ outcome }) => outcome)).toEqual(Array(7).fill('delivered'))
    expect(truth.journeys[3].sightings.map(({ point, frames }) => [point, frames])).toEqual(
      POINTS.map((point) => [point, [4]]),
    )
  })

  test('tells lost from unseen, and knows duplicates and reordering', () => {
    const trace = outbound(2)
    const dns = trace.udp({ client: CLIENT, server: { ip: '203.0.113.9', port: 53 } })
    const query = dnsMessage(7, 'example.test')
    dns.send('client', query, { ipId: 0, lostBetween: ['veth', 'bridge'] })
    dns.send('client', query, { ipId: 0, unseenAt: ['uplink'], duplicateAt: ['veth'] })
    dns.send('client', query, {
      ipId: 0,
      delayedBetween: { hop: ['bridge', 'uplink'], ns: 500_000 },
      burst: true,
    })
    dns.send('client', query, { ipId: 0, unseenAt: ['bridge'] })
    const { truth } = trace.build()
    expect(truth.journeys.map(({ outcome, lostBetween }) => [outcome, lostBetween])).toEqual([
      ['lost', ['veth', 'bridge']],
      ['unseen', null],
      ['delivered', null],
      ['delivered', null],
    ])
    expect(truth.journeys[1].sightings.map(({ frames }) => frames)).toEqual([[2], [2, 3], [1]])
    expect(truth.journeys.slice(2).map(({ sightings }) => sightings.at(-1))).toMatchObject([
      { point: 'uplink', frames: [2] },
      { point: 'uplink', frames: [1] },
    ])
    expect(truth.flows[0].unseen).toEqual([
      { direction: 'forward', point: 'uplink', packets: 1 },
      { direction: 'forward', point: 'bridge', packets: 1 },
    ])
  })

  test('follows a hairpin over the bridge twice, and a capture that begins late', () => {
    const path = ['client', 'bridge', 'bridge', 'server']
    const points = ['client', { name: 'bridge', fromNs: 1e6 }, 'server']
    const trace = new TraceBuilder({ seed: 3, points })
    const web = trace.tcp({
      client: CLIENT,
      server: { ip: '192.168.7.2', port: 8078 },
      path,
      routed: [1],
      nat: [
        { kind: 'dnat', between: 1, to: { ip: '172.17.0.3', port: 80 } },
        { kind: 'snat', between: 1, to: { ip: '172.17.0.1', port: 50_000 } },
      ],
    })
    web.syn()
    web.wait(2e6)
    web.synAck()
    const { truth } = trace.build()
    expect(
      truth.journeys.map(({ sightings }) => sightings.map(({ point, frames }) => [point, ...frames])),
    ).toEqual([
      [
        ['client', 1],
        ['server', 1],
      ],
      [
        ['server', 2],
        ['bridge', 1],
        ['bridge', 2],
        ['client', 2],
      ],
    ])
    expect(truth.flows[0].reverse.path.map(({ src, dst, ttl }) => [src.ip, dst.ip, ttl])).toEqual([
      ['172.17.0.3', '172.17.0.1', 64],
      ['172.17.0.3', '172.17.0.1', 64],
      ['192.168.7.2', CLIENT.ip, 63],
      ['192.168.7.2', CLIENT.ip, 63],
    ])
    expect(truth.flows[0].unseen).toEqual([{ direction: 'forward', point: 'bridge', packets: 2 }])
  })

  test('and the files are the same for the same seed', () => {
    const [one, two, other] = [mixedTrace(11).build(), mixedTrace(11).build(), mixedTrace(12).build()]
    expect(digest(two.files)).toEqual(digest(one.files))
    expect(two.truth).toEqual(one.truth)
    expect(digest(other.files)).not.toEqual(digest(one.files))
  })

  test('is written as files', () => {
    const trace = outbound(6)
    trace
      .echo({ client: { ip: '2001:db8::2', port: 9 }, server: { ip: '2001:db8:1::1', port: 9 } })
      .request(1)
    const truth: Truth = trace.write(join(folder, 'new', 'folder'))
    expect(truth.flows[0].protocol).toBe('icmpv6')
    expect(readFileSync(join(folder, 'new', 'folder', 'veth.pcap')).length).toBe(24 + 16 + 14 + 40 + 8 + 56)
  })
})

function framesAt(journey: Truth['journeys'][number], point: string): [frame: number, station: number][] {
  return journey.sightings
    .filter((sighting) => sighting.point === point)
    .flatMap(({ frames, station }) => frames.map((frame): [number, number] => [frame, station]))
}

function digest(files: Map<string, Uint8Array>): string[] {
  return [...files].map(([name, bytes]) => `${name} ${createHash('sha256').update(bytes).digest('hex')}`)
}
