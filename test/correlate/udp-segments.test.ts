/** UDP segmentation and receive offload: one datagram here and its pieces there are the same packet, and only missing bytes are lost. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { buildFrame, buildPcap, type Content, type Endpoint, type Wrapping } from '../trace/frame.ts'

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)
const NETWORKS = {
  ipv4: { client: '172.17.0.2', uplink: '192.168.7.2', server: '203.0.113.9' },
  ipv6: { client: 'fd17::2', uplink: '2001:db8::2', server: '2001:db8:1::9' },
}
const GSO = 1400
const US = 1000

interface Seen {
  timeNs: number
  bytes: Uint8Array
}
interface Datagram {
  ipId: number
  payload: Uint8Array
}
type Filling = (i: number) => number

/** Bytes that repeat nowhere soon, and those of iperf and the like. */
const distinct =
  (seed: number): Filling =>
  (i) =>
    (Math.imul(i + 1 + seed * 77_777, 0x9e3779b1) >>> 13) & 0xff
const zeros: Filling = () => 0

function datagram(ipId: number, length: number, filling: Filling = distinct(ipId)): Datagram {
  return { ipId, payload: Uint8Array.from({ length }, (_, i) => filling(i)) }
}

/** As `inet_gso_segment` and `__udp_gso_segment` of Linux cut it; `numbered` false where nobody numbers the packets. */
function cut({ ipId, payload }: Datagram, size = GSO, numbered = true): Datagram[] {
  const pieces: Datagram[] = []
  for (let at = 0; at < payload.length; at += size)
    pieces.push({
      ipId: numbered ? (ipId + at / size) & 0xffff : 0,
      payload: payload.subarray(at, at + size),
    })
  return pieces
}

/** As receive offload joins them. */
function joined(pieces: readonly Datagram[]): Datagram {
  return { ipId: pieces[0]!.ipId, payload: new Uint8Array(Buffer.concat(pieces.map((p) => p.payload))) }
}

class Points {
  readonly files: Record<string, Seen[]> = { container: [], veth: [], uplink: [], server: [] }
  readonly #network: (typeof NETWORKS)[keyof typeof NETWORKS]
  #nowNs = 0

  constructor(network: keyof typeof NETWORKS = 'ipv4') {
    this.#network = NETWORKS[network]
  }

  /** Frames at a point, one after the other. */
  see(point: string, datagrams: readonly Datagram[], port = 40_000): void {
    const behind = point === 'uplink' || point === 'server'
    const { client, uplink, server } = this.#network
    const src = behind ? { ip: uplink, port: port + 1000 } : { ip: client, port }
    for (const { ipId, payload } of datagrams) {
      this.#nowNs += 2 * US
      const ttl = behind ? 63 : 64
      this.files[point]!.push({
        timeNs: this.#nowNs,
        bytes: frame(ipId, payload, src, { ip: server, port: 5000 }, ttl),
      })
    }
  }

  wait(us: number): void {
    this.#nowNs += us * US
  }

  async analyzed(snapLen = 262_144) {
    const folder = mkdtempSync(join(tmpdir(), 'hoptrace-segments-'))
    try {
      for (const [name, seen] of Object.entries(this.files))
        if (seen.length > 0)
          writeFileSync(join(folder, `${name}.pcap`), buildPcap(seen, 1_800_000_000, snapLen))
      const { report, journeys } = await analyze([folder], { journeys: true })
      const all = [...journeys()]
      const told: Record<string, number> = {}
      for (const { sightings } of all)
        for (const { point, frames } of sightings) told[point] = (told[point] ?? 0) + frames.length
      return {
        flows: report.flows,
        codes: report.findings.map(({ code }) => code),
        journeys: all,
        outcomes: all.map(({ outcome }) => outcome),
        told,
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
}

function frame(ipId: number, payload: Uint8Array, src: Endpoint, dst: Endpoint, ttl: number): Uint8Array {
  const unused = {
    seq: 0,
    ack: 0,
    flags: 0,
    window: 0,
    options: new Uint8Array(0),
    echoReply: false,
    echoSeq: 0,
  }
  const content: Content = { protocol: 'udp', ipId, payload, ...unused }
  const wrapping: Wrapping = {
    ...{ srcMac: MAC, dstMac: MAC, vlan: null, src, dst, ttl, tunnels: [] },
    ...{ insideSrcMac: MAC, insideDstMac: MAC, offloaded: false },
  }
  return buildFrame(content, wrapping)
}

const delivered = (count: number) => new Array<string>(count).fill('delivered')
const range = (count: number) => [...new Array(count).keys()]

/** Networks, with and without IPv4 IDs. Linux gives one datagram one ID, however many its pieces take: those of the next one overlap. */
const KINDS = [
  { name: 'IPv4', network: 'ipv4', id: (i: number) => 65_530 + i, numbered: true },
  { name: 'IPv4, all IDs 0', network: 'ipv4', id: () => 0, numbered: false },
  { name: 'IPv4, IDs from 0 in each', network: 'ipv4', id: () => 0, numbered: true },
  { name: 'IPv6', network: 'ipv6', id: () => 0, numbered: false },
] as const

for (const { name, network, id, numbered } of KINDS) {
  const supers = (count: number, length: number, filling?: (i: number) => Filling) =>
    range(count).map((i) => datagram(id(i) & 0xffff, length, filling?.(i) ?? distinct(i)))

  for (const [content, filling] of [
    ['different bytes', undefined],
    ['equal bytes', () => zeros],
  ] as const) {
    test(`${name}, ${content}: cut behind NAT`, async () => {
      const points = new Points(network)
      for (const one of supers(5, 20_000, filling)) {
        points.see('container', [one])
        points.see('veth', [one])
        points.see('uplink', cut(one, GSO, numbered))
        points.see('server', cut(one, GSO, numbered))
      }
      const { outcomes, flows, told, codes } = await points.analyzed()
      expect(outcomes).toEqual(delivered(5))
      expect(flows).toMatchObject([
        {
          lost: [],
          ambiguous: 0,
          forward: { packets: 5, bytes: 5 * 20_028 + (network === 'ipv6' ? 100 : 0) },
        },
      ])
      expect(flows[0]!.translations).toMatchObject([{ kind: 'snat', between: ['veth', 'uplink'] }])
      expect(told).toEqual({ container: 5, veth: 5, uplink: 75, server: 75 })
      expect(codes).toContain('segmentation-differs')
    })

    test(`${name}, ${content}: joined behind NAT, and cut again`, async () => {
      const points = new Points(network)
      for (const [i, { payload }] of supers(5, 20_000, filling).entries()) {
        // Equal bytes with an equal ID would be a copy that the capture made.
        const pieces = cut({ ipId: numbered ? 100 * i + 1 : 0, payload }, GSO, numbered)
        points.see('container', pieces)
        points.see('veth', pieces)
        points.see('uplink', [joined(pieces.slice(0, 4)), joined(pieces.slice(4))])
        points.see('server', pieces)
      }
      const { outcomes, flows, told } = await points.analyzed()
      expect(outcomes).toEqual(delivered(75))
      expect(flows).toMatchObject([{ lost: [], forward: { packets: 75 } }])
      expect(told).toEqual({ container: 75, veth: 75, uplink: 75, server: 75 })
    })

    test(`${name}, ${content}: many underway, joined across their ends`, async () => {
      const points = new Points(network)
      const all = supers(6, 15 * GSO, filling)
      const pieces = all.flatMap((one) => cut(one, GSO, numbered))
      points.see('container', all)
      points.see('veth', pieces)
      points.see(
        'uplink',
        [0, 10, 37, 60].map((from, i, list) => joined(pieces.slice(from, list[i + 1]))),
      )
      points.see('server', pieces)
      const { outcomes, flows, told } = await points.analyzed()
      expect(outcomes).toEqual(delivered(6))
      expect(flows).toMatchObject([{ lost: [], forward: { packets: 6 } }])
      expect(told).toMatchObject({ container: 6, veth: 90, server: 90 })
    })
  }

  test(`${name}: pieces that are lost take their packet with them, and no other`, async () => {
    const points = new Points(network)
    const lost = new Map([
      [1, [0]],
      [3, [3, 4]],
      [4, [14]],
      [6, range(15)],
      [7, [0, 14]],
    ])
    for (const [i, one] of supers(10, 20_000).entries()) {
      points.see('container', [one])
      points.see('uplink', cut(one, GSO, numbered))
      points.see(
        'server',
        cut(one, GSO, numbered).filter((_, k) => !lost.get(i)?.includes(k)),
      )
      points.wait(200_000)
    }
    const { journeys, flows } = await points.analyzed()
    expect(journeys.map(({ outcome }) => outcome === 'lost')).toEqual(range(10).map((i) => lost.has(i)))
    expect(journeys).toHaveLength(10)
    expect(flows).toMatchObject([{ lost: [{ between: ['uplink', 'server'], packets: 5 }] }])
  })

  test(`${name}: three flows, interleaved, with small datagrams in between`, async () => {
    const points = new Points(network)
    const ports = [40_000, 40_001, 40_002]
    for (const round of range(4)) {
      const ones = ports.map((_, k) =>
        datagram(id(3 * round + k) & 0xffff, 9000 + 700 * k, distinct(3 * round + k)),
      )
      const small = datagram(numbered ? 7000 + round : 0, 90, distinct(900 + round))
      for (const [k, one] of ones.entries()) points.see('container', [one], ports[k]!)
      points.see('container', [small], ports[1]!)
      const cuts = ones.map((one) => cut(one, GSO, numbered))
      for (const i of range(8))
        for (const [k, pieces] of cuts.entries()) points.see('uplink', pieces.slice(i, i + 1), ports[k]!)
      points.see('uplink', [small], ports[1]!)
      for (const [k, pieces] of cuts.entries()) points.see('server', pieces, ports[k]!)
      points.see('server', [small], ports[1]!)
    }
    const { outcomes, flows } = await points.analyzed()
    expect(outcomes).toEqual(delivered(16))
    expect(flows.map(({ forward, lost, client }) => [forward.packets, lost, client.port])).toEqual([
      [4, [], 40_000],
      [8, [], 40_001],
      [4, [], 40_002],
    ])
  })
}

test('the first thing that comes behind the NAT is not the first piece', async () => {
  for (const { network, id, numbered } of KINDS) {
    const points = new Points(network)
    for (const [i, one] of range(3).map((i) => [i, datagram(id(i) & 0xffff, 20_000, distinct(i))] as const)) {
      points.see('container', [one])
      points.see('server', cut(one, GSO, numbered).slice(i === 0 ? 1 : 0))
    }
    const { journeys, flows } = await points.analyzed()
    expect(flows).toHaveLength(1)
    expect(journeys.map(({ sightings }) => sightings.map(({ frames }) => frames.length))).toEqual([
      [1, 14],
      [1, 15],
      [1, 15],
    ])
  }
})

test('pieces that overtake each other, and pieces that the capture doubled', async () => {
  for (const { network, id, numbered } of KINDS) {
    const points = new Points(network)
    const order = [1, 0, 2, 5, 3, 4, 6, 7, 9, 8]
    const all = range(3).map((i) => datagram(id(i) & 0xffff, 10 * GSO - 100, distinct(i)))
    points.see('container', all)
    for (const one of all) {
      const pieces = cut(one, GSO, numbered)
      points.see(
        'server',
        order.map((k) => pieces[k]!),
      )
    }
    const { outcomes, told } = await points.analyzed()
    expect(outcomes).toEqual(delivered(3))
    expect(told).toEqual({ container: 3, server: 30 })
  }
  const points = new Points()
  const one = datagram(77, 10_000)
  points.see('container', [one])
  points.see(
    'server',
    cut(one).flatMap((piece) => [piece, piece]),
  )
  const { outcomes, told, flows } = await points.analyzed()
  expect([outcomes, told]).toEqual([['delivered'], { container: 1, server: 8 }])
  expect(flows[0]!.forward.packets).toBe(1)
})

test('a datagram of one piece and a little, as QUIC sends them', async () => {
  const points = new Points()
  for (const i of range(20)) {
    const one = datagram(9 * i + 1, 1300)
    points.see('container', [one])
    points.see('uplink', cut(one, 1200))
    points.see('server', [one])
  }
  const { outcomes, told } = await points.analyzed()
  expect(outcomes).toEqual(delivered(20))
  expect(told).toEqual({ container: 20, uplink: 40, server: 20 })
})

test('datagrams that begin alike are not parts of each other', async () => {
  for (const network of ['ipv4', 'ipv6'] as const) {
    const points = new Points(network)
    const text = (i: number) =>
      `<134>Nov 22 05:22:48 host-with-a-long-name service: ${'x'.repeat(i * 37)}${i}`
    const lines = range(40).map((i) => ({
      ipId: 0,
      payload: Uint8Array.from(Buffer.from(text((i * 7) % 40))),
    }))
    points.see('container', lines.slice(0, 20))
    points.see('veth', lines.slice(20))
    points.see('container', lines.slice(20))
    const { journeys } = await points.analyzed()
    expect(journeys).toHaveLength(40)
  }
})

for (const snapLen of [128, 60])
  test(`frames cut at ${snapLen} bytes: what nothing speaks for is ambiguous, and nothing is wrong`, async () => {
    for (const { network, id, numbered } of KINDS) {
      const points = new Points(network)
      const lost = [4, 5, 11]
      for (const i of range(14)) {
        const one = datagram(id(i) & 0xffff, 20_000, distinct(i))
        const isHole = (k: number) => lost.includes(i) && k === 3
        points.see('container', [one])
        points.see(
          'server',
          cut(one, GSO, numbered).filter((_, k) => !isHole(k)),
        )
        points.wait(50_000)
      }
      const { journeys, flows } = await points.analyzed(snapLen)
      if (snapLen === 60 && id(1) === 0) {
        // No ID, no payload, other addresses: not even the flows can be known to be one.
        expect(journeys.filter(({ outcome }) => outcome === 'lost')).toEqual([])
        expect(journeys.filter((j) => j.sightings.length > 1 && j.outcome !== 'ambiguous')).toEqual([])
        continue
      }
      const wrong = journeys.filter(
        ({ outcome, sightings }, i) =>
          outcome !== 'ambiguous' && (sightings.length !== 2 || (outcome === 'lost') !== lost.includes(i)),
      )
      expect(wrong).toEqual([])
      expect(flows).toHaveLength(1)
      expect(journeys).toHaveLength(14)
      expect(journeys.filter(({ outcome }) => outcome === 'delivered')).toHaveLength(11)
    }
  })

test('equal datagrams in equal pieces: one piece is lost, and nothing says whose it was', async () => {
  const points = new Points('ipv6')
  for (const _ of range(20)) {
    const one = datagram(0, 10 * GSO, zeros)
    points.see('container', [one])
    points.see('uplink', cut(one, GSO, false))
    points.see('server', cut(one, GSO, false).slice(_ === 8 ? 1 : 0))
    points.wait(3000)
  }
  points.wait(200_000)
  points.see('container', [datagram(0, 50)])
  points.see('server', [datagram(0, 50)])
  const { outcomes } = await points.analyzed()
  expect(outcomes).toHaveLength(21)
  expect(outcomes.filter((outcome) => outcome === 'lost')).toEqual([])
  expect(outcomes.filter((outcome) => outcome === 'ambiguous').length).toBeGreaterThan(1)
})

test('a flood of long datagrams of all lengths, of everybody and of nobody, is taken as it comes', async () => {
  const points = new Points('ipv6')
  const names = ['container', 'veth', 'uplink', 'server']
  for (const i of range(2000)) {
    // Zeros begin whatever is longer, so that each is compared with all the others.
    const payload = new Uint8Array(30 + ((i * 7919) % 9000))
    points.see(names[i % 4]!, [{ ipId: 0, payload }], 40_000 + (i % 50))
  }
  const { journeys, told } = await points.analyzed()
  expect(journeys.length).toBeGreaterThan(0)
  expect(told).toEqual({ container: 500, veth: 500, uplink: 500, server: 500 })
})
