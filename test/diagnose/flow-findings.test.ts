/** What one flow shows beside losses and answers: sent again, other ways back, path MTU, full buffers, clamped segments. */

import { describe, expect, test } from 'vitest'
import {
  ascii,
  type Bytes,
  be16,
  ethernet,
  icmp,
  ipv4,
  ipv6,
  tcp,
  timestamps,
  udp,
} from '../decode/frames.ts'
import { TraceBuilder } from '../trace/builder.ts'
import {
  all,
  CLIENT,
  diagnosed,
  dockerHost,
  type Frame,
  MASQUERADE,
  only,
  SERVER,
  trouble,
} from './diagnosing.ts'

const SECOND = 1e9
const OUT = { client: CLIENT, server: SERVER, nat: MASQUERADE }

describe('retransmissions', () => {
  test('of which side, and how many', async () => {
    const trace = dockerHost()
    const web = trace.tcp(OUT)
    web.open()
    const asked = web.send('client', 100)
    web.wait(0.3 * SECOND)
    web.retransmit(asked)
    for (let i = 0; i < 3; i++) web.retransmit(web.send('server', 200))
    web.close()
    const found = only(await diagnosed(trace), 'retransmissions')
    expect(found.summary).toBe('sent again: 1 of 6 packets to the server, 3 of 8 packets to the client')
    expect(found.evidence).toEqual({ forward: 1, reverse: 3 })
  })

  test('not keep-alives, acknowledgments said twice, copies of the capture, or what overtook', async () => {
    const trace = dockerHost()
    const web = trace.tcp(OUT)
    web.open()
    const last = web.send('client', 1)
    web.ack('server')
    // A keep-alive probe is the last byte once more (RFC 9293, 3.8.4).
    web.retransmit(last)
    web.ack('server')
    web.ack('server')
    web.send('server', 100, { duplicateAt: ['bridge'] })
    web.send('server', 100, { burst: true, delayedBetween: { hop: ['bridge', 'uplink'], ns: 400_000 } })
    web.send('server', 100, { burst: true })
    web.wait(SECOND)
    web.close()
    expect(trouble(await diagnosed(trace))).toEqual([])
  })
})

describe('asymmetric path', () => {
  /** Replies take a router that requests don't. */
  function detour(isDetour: boolean) {
    const trace = new TraceBuilder({ seed: 9, points: ['client', 'router', 'server'] })
    const there = trace.udp({
      client: CLIENT,
      server: { ...SERVER, port: 7 },
      path: isDetour ? ['client', 'server'] : ['client', 'router', 'server'],
      routed: [],
    })
    const back = trace.udp({
      client: { ...SERVER, port: 7 },
      server: CLIENT,
      path: ['server', 'router', 'client'],
      routed: [],
      startNs: 1e6,
    })
    for (let i = 0; i < 5; i++) {
      there.send('client', 40 + i)
      back.send('client', 90 + i)
    }
    return trace
  }

  test('replies come by another point', async () => {
    const found = only(await diagnosed(detour(true)), 'asymmetric-path')
    expect(found.summary).toBe('requests go by client, server; replies come by server, router, client')
    expect(found.evidence).toEqual({ forward: ['client', 'server'], reverse: ['server', 'router', 'client'] })
  })

  test('not where both go the same way, where a point missed some, or only one direction was captured', async () => {
    expect(trouble(await diagnosed(detour(false)))).toEqual([])
    const missed = dockerHost()
    const web = missed.tcp(OUT)
    web.open()
    web.send('client', 100)
    web.send('server', 100, { unseenAt: ['veth'] })
    expect(trouble(await diagnosed(missed, { captureDrops: { veth: 1 } }))).toEqual(['capture-drops'])
    const oneWay = dockerHost()
    const log = oneWay.udp({ ...OUT, server: { ...SERVER, port: 514 } })
    for (let i = 0; i < 5; i++) log.send('client', 60 + i)
    expect(trouble(await diagnosed(oneWay, { untilNs: 5 * SECOND }))).toEqual([])
  })
})

test('packets that cannot be told apart are counted, and unlike ones are not', async () => {
  const equal = dockerHost({ points: ['container', 'uplink'], routed: [['container', 'uplink']] })
  // The same question from two containers that become one host, at the same time; only one of them goes on.
  const ask = (ip: string, port: number, lost: boolean) => {
    const nat = [{ kind: 'snat', between: ['container', 'uplink'], to: { ip: '192.168.7.2', port } }] as const
    const asker = equal.udp({ client: { ip, port: 5000 }, server: { ...SERVER, port: 514 }, nat, startNs: 0 })
    asker.send('client', Uint8Array.of(1, 2, 3), { ipId: 0, ...(lost ? { lostBetween: 0 } : {}) })
  }
  ask('172.17.0.2', 5000, false)
  ask('172.17.0.3', 5001, true)
  const report = await diagnosed(equal, { untilNs: 3 * SECOND })
  for (const found of all(report, 'ambiguous-matches'))
    expect(found.summary).toMatch(/^1 packet could not be told from equal ones$/)
  const sure = report.flows.filter(({ translations }) => translations.length > 0)
  // Never guessed: either the pair is joined rightly, or it is said that it cannot be.
  expect(
    sure.length === 0 ? all(report, 'ambiguous-matches').length > 0 : sure[0]!.client.ip === '172.17.0.2',
  ).toBe(true)
})

/** A connection at one point, frame by frame; times in ms. */
class ByHand {
  readonly frames: Frame[] = []
  readonly point: string
  readonly #ends: { ip: string; port: number; seq: number; mss: number }[]

  constructor(point = 'veth', mss: readonly [number, number] = [1460, 1460]) {
    this.point = point
    this.#ends = [
      { ...CLIENT, seq: 1000, mss: mss[0] },
      { ...SERVER, seq: 5000, mss: mss[1] },
    ]
  }

  segment(ms: number, side: 0 | 1, flags: number, payload: Bytes = [], window = 502): this {
    const [from, to] = [this.#ends[side]!, this.#ends[1 - side]!]
    const isSyn = (flags & 2) !== 0
    const mss = [2, 4, ...be16(from.mss), 1, 1, 1, 1]
    const fields = { srcPort: from.port, dstPort: to.port, seq: from.seq, ack: flags & 0x10 ? to.seq : 0 }
    const options = isSyn ? mss : timestamps(ms, 0)
    this.frames.push({
      ...{ point: this.point, timeNs: ms * 1e6 },
      bytes: ethernet(
        0x0800,
        ipv4(
          { protocol: 6, src: from.ip, dst: to.ip, id: ms },
          tcp({ ...fields, flags, window, options }, payload),
        ),
      ),
    })
    from.seq += payload.length + (flags & 3 ? 1 : 0)
    return this
  }

  open(): this {
    return this.segment(1, 0, 2).segment(2, 1, 0x12).segment(3, 0, 0x10)
  }
}
const SYN_ONLY_POINTS = () => new TraceBuilder({ seed: 1, points: ['veth', 'bridge'] })

describe('zero window', () => {
  test('whose buffer was full, by the frames', async () => {
    const hand = new ByHand()
      .open()
      .segment(10, 0, 0x18, ascii('GET / HTTP/1.0\r\n\r\n'))
      .segment(11, 1, 0x18, ascii('much'))
    hand.segment(12, 0, 0x10, [], 0).segment(300, 0, 0x10, [], 0).segment(900, 0, 0x10, [], 502)
    const report = await diagnosed(SYN_ONLY_POINTS(), { frames: hand.frames })
    const found = only(report, 'zero-window')
    expect(found.summary).toBe(
      '172.17.0.2 had no room for more data (window 0 in 2 packets): its program reads slower than it is sent to',
    )
    expect(found.evidence.frames).toEqual({ veth: [6, 7] })
    expect(trouble(report)).toEqual([])
  })

  test('not that of a RST, which means nothing', async () => {
    const hand = new ByHand()
      .open()
      .segment(10, 0, 0x18, ascii('x'))
      .segment(11, 1, 0x18, ascii('y'))
      .segment(12, 0, 0x14, [], 0)
    expect(all(await diagnosed(SYN_ONLY_POINTS(), { frames: hand.frames }), 'zero-window')).toEqual([])
  })
})

describe('path MTU', () => {
  const fragmentationNeeded = (mtu: number) => {
    const hand = new ByHand().open().segment(10, 0, 0x18, new Array<number>(1400).fill(65))
    const quoted = hand.frames.at(-1)!.bytes.slice(14, 14 + 28)
    const error = icmp(3, 4, [0, 0, ...be16(mtu)], quoted)
    const bytes = ethernet(0x0800, ipv4({ protocol: 1, src: '172.17.0.1', dst: CLIENT.ip, id: 9 }, error))
    return [...hand.frames, { point: 'veth', timeNs: 11e6, bytes }]
  }

  test('a router says how large packets may be', async () => {
    const found = only(
      await diagnosed(SYN_ONLY_POINTS(), { frames: fragmentationNeeded(1400) }),
      'fragmentation-needed',
    )
    expect(found.summary).toBe('172.17.0.1 tells 172.17.0.2 to send packets of at most 1400 bytes')
    expect(found.evidence).toMatchObject({ frames: { veth: [5] }, mtu: 1400 })
  })

  test('not where it says nothing of it (RFC 792)', async () => {
    expect(
      all(await diagnosed(SYN_ONLY_POINTS(), { frames: fragmentationNeeded(0) }), 'fragmentation-needed'),
    ).toEqual([])
  })
})

describe('MSS', () => {
  const passing = (after: readonly [number, number]) => [
    ...new ByHand('veth').open().frames,
    ...new ByHand('bridge', after)
      .open()
      .frames.map((frame) => ({ ...frame, timeNs: frame.timeNs + 20_000 })),
  ]

  test('clamped on the way: whose, from what to what', async () => {
    const report = await diagnosed(SYN_ONLY_POINTS(), { frames: passing([1360, 1460]) })
    expect(only(report, 'mss-clamped').summary).toBe(
      "the client's MSS 1460 became 1360 between veth and bridge",
    )
    expect(trouble(report)).toEqual([])
  })

  test('not where it stays', async () => {
    expect(all(await diagnosed(SYN_ONLY_POINTS(), { frames: passing([1460, 1460]) }), 'mss-clamped')).toEqual(
      [],
    )
  })
})

describe('segmentation', () => {
  /** 2896 bytes in one frame at the one point, and as these pieces at the other. */
  const cut = (...pieces: number[]) => {
    const request = new ByHand('veth')
      .open()
      .segment(10, 0, 0x18, new Array<number>(2896).fill(66))
      .segment(20, 1, 0x10)
    const bridge = new ByHand('bridge').open()
    for (const bytes of pieces) bridge.segment(10, 0, 0x18, new Array<number>(bytes).fill(66))
    bridge.segment(20, 1, 0x10)
    return [...request.frames, ...bridge.frames.map((frame) => ({ ...frame, timeNs: frame.timeNs + 20_000 }))]
  }

  test('differs: a packet here is two frames there', async () => {
    const report = await diagnosed(SYN_ONLY_POINTS(), { frames: cut(1448, 1448) })
    expect(only(report, 'segmentation-differs').severity).toBe('info')
    expect(trouble(report)).toEqual([])
  })

  test('does not', async () => {
    expect(all(await diagnosed(SYN_ONLY_POINTS(), { frames: cut(2896) }), 'segmentation-differs')).toEqual([])
  })
})

test('a translator between the families; not what is of one of them only', async () => {
  const outside = { ip: '192.168.7.2', port: 40_000 }
  const [six, far] = ['2001:db8::2', '64:ff9b::cb00:7109']
  const frames = [1, 2, 3].flatMap((round): Frame[] => {
    const question = (payload: Bytes) => udp(outside.port, 514, payload)
    const payload = ascii(`question ${round}`)
    const there = ipv6({ next: 17, src: six, dst: far }, question(payload))
    const after = ipv4(
      { protocol: 17, src: outside.ip, dst: SERVER.ip, ttl: 63, id: round },
      question(payload),
    )
    return [
      { point: 'veth', timeNs: round * 1e8, bytes: ethernet(0x86dd, there) },
      { point: 'uplink', timeNs: round * 1e8 + 20_000, bytes: ethernet(0x0800, after) },
    ]
  })
  const points = () => new TraceBuilder({ seed: 1, points: ['veth', 'uplink'] })
  const found = only(await diagnosed(points(), { frames }), 'family-translated')
  expect(found.summary).toBe(
    'IPv6 becomes IPv4 between veth and uplink: translated between the families (NAT64, 464XLAT)',
  )
  const alone = await diagnosed(points(), { frames: frames.filter(({ point }) => point === 'veth') })
  expect(all(alone, 'family-translated')).toEqual([])
})

test('a proxy that ends a connection and opens another; not one that sends something else', async () => {
  const exchange = (answer: string) => {
    const trace = new TraceBuilder({
      seed: 3,
      points: ['lo', 'bridge', 'container'],
      hopDelayNs: [2000, 9000],
    })
    const outer = trace.tcp({
      client: { ip: '127.0.0.1', port: 40_000 },
      server: { ip: '127.0.0.1', port: 8080 },
      path: ['lo'],
    })
    outer.open()
    const inner = trace.tcp({
      client: { ip: '172.17.0.1', port: 50_000 },
      server: { ip: '172.17.0.2', port: 80 },
      path: ['bridge', 'container'],
      startNs: outer.nowNs + 300_000,
    })
    inner.open()
    const request = new TextEncoder().encode('GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n')
    outer.send('client', request)
    inner.nowNs = Math.max(inner.nowNs, outer.nowNs)
    inner.send('client', request)
    inner.send('server', new TextEncoder().encode('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n'))
    outer.nowNs = inner.nowNs
    outer.send('server', new TextEncoder().encode(answer))
    outer.close('server')
    inner.close('server')
    return trace
  }
  const same = await diagnosed(exchange('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n'))
  expect(only(same, 'proxy-splice').summary).toMatch(
    /^a proxy at 127\.0\.0\.1:8080 ends this connection and opens flow 2: the same first \d+ and \d+ bytes/,
  )
  expect(trouble(same)).toEqual([])
  expect(
    all(await diagnosed(exchange('HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n')), 'proxy-splice'),
  ).toEqual([])
})
