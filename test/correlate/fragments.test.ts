/** Fragments: a datagram that one point sees whole and the next in pieces is one packet, whatever order the pieces come in. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import { buildFrame, buildPcap, type Content, type Wrapping } from '../trace/frame.ts'

const ETHERNET = 14
const IP = 20
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)
const CLIENT = { ip: '172.17.0.2', port: 40_000 }
const PUBLIC = { ip: '192.168.7.2', port: 40_000 }
const SERVER = { ip: '203.0.113.9', port: 5000 }

interface Seen {
  timeNs: number
  bytes: Uint8Array
}

function datagram(ipId: number, size: number, protocol: 'udp' | 'icmp' = 'udp'): Content {
  return {
    protocol,
    ipId,
    payload: Uint8Array.from({ length: size }, (_, i) => (i + ipId) & 0xff),
    seq: 0,
    ack: 0,
    flags: 0,
    window: 0,
    options: new Uint8Array(0),
    echoReply: false,
    echoSeq: ipId,
  }
}

function frame(content: Content, src: { ip: string; port: number }, ttl: number): Uint8Array {
  const wrapping: Wrapping = {
    srcMac: MAC,
    dstMac: MAC,
    vlan: null,
    src,
    dst: content.protocol === 'icmp' ? { ...SERVER, port: src.port } : SERVER,
    ttl,
    tunnels: [],
    insideSrcMac: MAC,
    insideDstMac: MAC,
    offloaded: false,
  }
  return buildFrame(content, wrapping)
}

/** The frame cut as a router does for this MTU (RFC 791, 3.2); header checksums are left as they were. */
function cut(whole: Uint8Array, mtu = 1500): Uint8Array[] {
  const body = whole.subarray(ETHERNET + IP)
  const step = (mtu - IP) & ~7
  const pieces: Uint8Array[] = []
  for (let at = 0; at < body.length; at += step) {
    const part = body.subarray(at, at + step)
    const piece = new Uint8Array(ETHERNET + IP + part.length)
    piece.set(whole.subarray(0, ETHERNET + IP))
    piece.set(part, ETHERNET + IP)
    const view = new DataView(piece.buffer)
    view.setUint16(ETHERNET + 2, IP + part.length)
    view.setUint16(ETHERNET + 6, (at + step < body.length ? 0x2000 : 0) | (at >> 3))
    pieces.push(piece)
  }
  return pieces
}

async function analyzed(files: Record<string, Seen[]>) {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-fragments-'))
  try {
    for (const [name, seen] of Object.entries(files))
      writeFileSync(join(folder, `${name}.pcap`), buildPcap(seen, 1_800_000_000, 262_144))
    const analysis = await analyze([folder], { journeys: true })
    return { report: analysis.report, journeys: [...analysis.journeys()] }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const at = (timeNs: number, ...frames: Uint8Array[]): Seen[] =>
  frames.map((bytes, i) => ({ timeNs: timeNs + i * 1000, bytes }))

for (const protocol of ['udp', 'icmp'] as const)
  test(`${protocol}: in pieces, whole, and in pieces again behind NAT`, async () => {
    const contents = [1, 2, 3].map((id) => datagram(id, 4000, protocol))
    const container: Seen[] = []
    const bridge: Seen[] = []
    const uplink: Seen[] = []
    contents.forEach((content, i) => {
      const t = i * 100e6
      container.push(...at(t, ...cut(frame(content, CLIENT, 64))))
      bridge.push(...at(t + 20_000, frame(content, CLIENT, 64)))
      uplink.push(...at(t + 40_000, ...cut(frame(content, PUBLIC, 63), 1400)))
    })
    const { report, journeys } = await analyzed({ container, bridge, uplink })
    expect(report.flows).toHaveLength(1)
    const [flow] = report.flows
    expect(flow!.forward.packets).toBe(3)
    expect(flow!.forward.path.map(({ point, packets }) => `${point} ${packets}`)).toEqual([
      'container 3',
      'bridge 3',
      'uplink 3',
    ])
    expect(flow!.translations.map(({ kind, between, to }) => [kind, ...between, to.ip])).toEqual([
      ['snat', 'bridge', 'uplink', PUBLIC.ip],
    ])
    expect(flow!.lost).toEqual([])
    expect(report.notJoined).toEqual([])
    expect(journeys[0]!.lenBytes).toBe(4000)
    expect(journeys[0]!.sightings.map(({ point, frames }) => [point, frames])).toEqual([
      ['container', [1, 2, 3]],
      ['bridge', [1]],
      ['uplink', [1, 2, 3]],
    ])
  })

test('pieces in any order, mixed with those of others', async () => {
  const [one, two] = [datagram(7, 4000), datagram(8, 4000)]
  const mixed = (src: typeof CLIENT, ttl: number) => {
    const [a, b] = [cut(frame(one, src, ttl)), cut(frame(two, src, ttl))]
    return [a[2]!, b[1]!, a[0]!, b[2]!, a[1]!, b[0]!]
  }
  const { report, journeys } = await analyzed({
    container: at(0, ...mixed(CLIENT, 64)),
    uplink: at(50_000, ...mixed(PUBLIC, 63)),
  })
  expect(report.notJoined).toEqual([])
  expect(
    journeys.map(({ outcome, sightings }) => [outcome, sightings.map(({ frames }) => frames.toSorted())]),
  ).toEqual([
    [
      'delivered',
      [
        [1, 3, 5],
        [1, 3, 5],
      ],
    ],
    [
      'delivered',
      [
        [2, 4, 6],
        [2, 4, 6],
      ],
    ],
  ])
})

test('a datagram that lost a piece did not arrive', async () => {
  const good = datagram(20, 4000)
  const bad = datagram(21, 4000)
  const later = datagram(22, 100)
  const lossy = cut(frame(bad, PUBLIC, 63))
  const { report } = await analyzed({
    container: [
      ...at(0, ...cut(frame(good, CLIENT, 64))),
      ...at(100e6, ...cut(frame(bad, CLIENT, 64))),
      ...at(300e6, frame(later, CLIENT, 64)),
    ],
    uplink: [
      ...at(50_000, ...cut(frame(good, PUBLIC, 63))),
      ...at(100e6 + 50_000, lossy[0]!, lossy[2]!),
      ...at(300e6 + 50_000, frame(later, PUBLIC, 63)),
    ],
  })
  expect(report.flows[0]!.lost.map(({ between, packets }) => [...between, packets])).toEqual([
    ['container', 'uplink', 1],
  ])
})

test('pieces whose first one never came are counted as what they are', async () => {
  const whole = frame(datagram(30, 4000), CLIENT, 64)
  const { report } = await analyzed({ container: at(0, ...cut(whole).slice(1)), uplink: at(10, whole) })
  expect(report.notJoined).toEqual([{ reason: 'fragment', point: 'container', packets: 2 }])
})
