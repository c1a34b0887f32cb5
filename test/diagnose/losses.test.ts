/** Packets that died on their way: what is said of them, their frames and causes; and what looks like it and is none. */

import { describe, expect, test } from 'vitest'
import {
  all,
  CLIENT,
  causes,
  diagnosed,
  dockerHost,
  framesAt,
  MASQUERADE,
  only,
  SERVER,
  START_NS,
  trouble,
} from './diagnosing.ts'
import { container, counter, host, link, receipts, rule } from './receipts.ts'

const WAY = { client: CLIENT, server: SERVER, nat: MASQUERADE }
const AT_UPLINK = ['bridge', 'uplink'] as const
const SECOND = 1e9
/** With its headers as large as an Ethernet takes. */
const FULL = 1448

describe('dropped between points', () => {
  /** A connection that works, then one whose SYNs never reach the uplink. */
  function droppedSyns() {
    const trace = dockerHost()
    const good = trace.tcp(WAY)
    good.open()
    good.close()
    const web = trace.tcp({ ...WAY, client: { ...CLIENT, port: 40_001 } })
    const first = web.syn({ lostBetween: AT_UPLINK })
    web.wait(SECOND)
    const again = web.retransmit(first, { lostBetween: AT_UPLINK })
    return { trace, journeys: [first, again] }
  }

  test('SYNs, with the usual causes where nobody counted', async () => {
    const { trace, journeys } = droppedSyns()
    const report = await diagnosed(trace, { untilNs: 5 * SECOND })
    const found = only(report, 'dropped-between-points')
    expect(found.summary).toBe('2 SYNs to 203.0.113.9:80 reached bridge and never uplink: dropped in between')
    expect(found.evidence.frames).toEqual(framesAt('bridge', ...journeys))
    expect(causes(found)).toEqual(['rule', 'forwarding-off', 'rp-filter', 'conntrack-full'])
    expect(found.causes!.every(({ confirm, check }) => confirm && check)).toBe(true)
    expect(all(report, 'no-reply')).toEqual([])
  })

  test('the rule that counted them, and not the one that cannot have met them', async () => {
    const { trace } = droppedSyns()
    const rules = [
      rule('DOCKER-USER', '-p udp -m udp --dport 80 -j DROP', 2),
      rule('DOCKER-USER', '-p tcp -m tcp --dport 80 -j DROP', 2, { number: 2 }),
      rule('FORWARD', '-s 10.0.0.0/8 -j DROP', 2),
      rule('FORWARD', '-j DROP', 0),
    ]
    const report = await diagnosed(trace, { untilNs: 5 * SECOND, receipts: receipts([host({ rules })]) })
    const found = only(report, 'dropped-between-points')
    expect(causes(found)).toEqual(['rule!'])
    expect(found.summary).toMatch(
      /dropped in between: rule 2 of DOCKER-USER \(-p tcp -m tcp --dport 80 -j DROP\) drops it \(\+2 packets during the capture\)$/,
    )
    expect(found.causes![0]!.check).toBe('iptables -nvL DOCKER-USER --line-numbers')
  })

  test.each([
    ['forwarding-off', { settings: [{ name: 'net.ipv4.ip_forward', value: 0 }] }, 'net.ipv4.ip_forward = 0'],
    [
      'rp-filter',
      {
        counters: [counter('TcpExt', 'IPReversePathFilter', 2)],
        interfaces: [link('docker0', { rpFilter: 1 })],
      },
      'rp_filter = 1 at docker0',
    ],
    [
      'conntrack-full',
      {
        conntrack: {
          ...{ count: { before: 100, after: 256 }, max: 256, entries: [], omitted: 0 },
          stats: [counter('nf_conntrack', 'drop', 2)],
        },
      },
      'nf_conntrack_max = 256, entries 256',
    ],
    ['no-route', { counters: [counter('Ip', 'OutNoRoutes', 2)] }, 'OutNoRoutes +2'],
    [
      'neighbour-silent',
      {
        neighbours: [{ ip: '203.0.113.9', interfaceName: 'eth0', mac: null, state: 'FAILED' }],
      },
      '203.0.113.9 does not answer at eth0',
    ],
    [
      'link-drop',
      { interfaces: [link('eth0', { queues: [counter('qdisc', 'fq_codel', 2)] })] },
      'eth0 of host lost packets (fq_codel +2)',
    ],
  ])('%s, as the receipts say', async (id, more, says) => {
    const { trace } = droppedSyns()
    const report = await diagnosed(trace, { untilNs: 5 * SECOND, receipts: receipts([host(more)]) })
    const found = only(report, 'dropped-between-points')
    expect(causes(found)[0]).toBe(`${id}!`)
    expect(found.summary).toContain(says)
  })

  test('what the kernel says of other packets confirms nothing', async () => {
    const drop = { reason: 'NETFILTER_DROP', location: 'nf_hook_slow', etherType: 0x0800, packets: 2 }
    const at = (seconds: number) => String(START_NS + BigInt(Math.round(seconds * 1e9)))
    const causesWith = async (drops: object) => {
      const kernel = receipts([host()], { drops: [{ ...drop, timesNs: [], ...drops }] })
      return causes(
        only(
          await diagnosed(droppedSyns().trace, { untilNs: 5 * SECOND, receipts: kernel }),
          'dropped-between-points',
        ),
      )
    }
    expect((await causesWith({ timesNs: [at(0.002), at(1.003)] }))[0]).toBe('kernel-drop!')
    // Long after, fewer than were lost, of another family, or what every bridge does with foreign frames.
    for (const other of [
      { timesNs: [at(4), at(4.5)] },
      { packets: 1, timesNs: [at(0.002)] },
      { etherType: 0x86dd, timesNs: [at(0.002), at(1.003)] },
      { reason: 'OTHERHOST', timesNs: [at(0.002), at(1.003)] },
    ])
      expect(await causesWith(other)).toEqual(['rule', 'rp-filter', 'conntrack-full'])
  })

  test('what an interface lost on its other side is no cause', async () => {
    const { trace } = droppedSyns()
    const more = { interfaces: [link('eth0', { counters: [counter('link', 'rx_dropped', 20)] })] }
    const report = await diagnosed(trace, { untilNs: 5 * SECOND, receipts: receipts([host(more)]) })
    expect(causes(only(report, 'dropped-between-points'))).not.toContain('link-drop!')
  })

  test('two packets of one flow that raced for an entry are no full table', async () => {
    const { trace } = droppedSyns()
    const stats = [counter('nf_conntrack', 'drop', 2), counter('nf_conntrack', 'insert_failed', 2)]
    const conntrack = { count: { before: 10, after: 12 }, max: 65_536, stats, entries: [], omitted: 0 }
    const report = await diagnosed(trace, { untilNs: 5 * SECOND, receipts: receipts([host({ conntrack })]) })
    expect(all(report, 'conntrack-full')).toEqual([])
    expect(causes(only(report, 'dropped-between-points'))[0]).toBe('conntrack-race!')
  })

  test('not where the capture missed them, had ended, or had not begun', async () => {
    const missed = dockerHost()
    const web = missed.tcp(WAY)
    web.open()
    web.send('client', 200, { unseenAt: ['uplink'] })
    web.send('server', 300)
    web.close()
    expect(trouble(await diagnosed(missed, { captureDrops: { uplink: 1 } }))).toEqual(['capture-drops'])

    const late = dockerHost({
      points: ['container', 'veth', 'bridge', { name: 'uplink', fromNs: 2 * SECOND }],
    })
    const early = late.tcp(WAY)
    early.open()
    early.send('client', 100)
    early.wait(3 * SECOND)
    early.send('server', 100)
    early.close()
    expect(trouble(await diagnosed(late))).toEqual([])

    const ended = dockerHost({ points: ['container', 'veth', 'bridge', { name: 'uplink', untilNs: SECOND }] })
    const long = ended.tcp(WAY)
    long.open()
    long.wait(2 * SECOND)
    long.send('client', 100)
    long.send('server', 100)
    expect(trouble(await diagnosed(ended))).toEqual([])
  })
})

describe('MTU black hole', () => {
  /** The first full-sized answer dies between uplink and bridge, whenever it is sent. */
  function blackHole(lenBytes = FULL, times = 3) {
    const trace = dockerHost()
    const web = trace.tcp(WAY)
    web.open()
    web.send('client', 200)
    web.ack('server')
    const journeys = [web.send('server', lenBytes, { lostBetween: AT_UPLINK })]
    for (let time = 1; time < times; time++) {
      web.wait(0.3 * SECOND * time)
      journeys.push(web.retransmit(journeys[0]!, { lostBetween: AT_UPLINK }))
    }
    return { trace, web, journeys }
  }

  test('full packets are sent again and again, and die', async () => {
    const { trace, journeys } = blackHole()
    const report = await diagnosed(trace, { untilNs: 5 * SECOND })
    const found = only(report, 'mtu-blackhole')
    expect(found.summary).toBe(
      'packets of 1500 bytes back to 172.17.0.2:40000 were sent 3 times and died between uplink and bridge, smaller ones came through; no ICMP "fragmentation needed" reached 203.0.113.9',
    )
    expect(found.evidence).toMatchObject({
      frames: framesAt('uplink', ...journeys),
      lenBytes: 1500,
      times: 2,
      direction: 'reverse',
    })
    expect(causes(found)).toEqual(['mtu', 'mss'])
    expect(found.causes![0]!.check).toBe('ping -M do -s 1472 172.17.0.2')
    expect(all(report, 'dropped-between-points')).toEqual([])
  })

  test('behind the last point', async () => {
    const trace = dockerHost({ points: ['container', 'veth', 'bridge', 'uplink', 'beyond'] })
    const web = trace.tcp(WAY)
    web.open()
    const first = web.send('client', FULL, { lostBetween: ['uplink', 'beyond'] })
    for (let time = 1; time < 3; time++) {
      web.wait(0.3 * SECOND * time)
      web.retransmit(first, { lostBetween: ['uplink', 'beyond'] })
    }
    const report = await diagnosed(trace, { without: ['beyond'], untilNs: 5 * SECOND })
    expect(only(report, 'mtu-blackhole').summary).toMatch(
      /^packets of 1500 bytes to 203\.0\.113\.9:80 were sent 3 times and died behind uplink/,
    )
  })

  test('the rule that keeps the ICMP error, and the narrow link', async () => {
    const { trace } = blackHole()
    const rules = [rule('OUTPUT', '-p icmp -m icmp --icmp-type 3/4 -j DROP', 3)]
    const interfaces = [link('eth0'), link('docker0', { mtu: 1400 })]
    const counters = [counter('Ip', 'FragFails', 3)]
    const kernel = receipts([host({ rules, interfaces, counters })])
    const found = only(await diagnosed(trace, { untilNs: 5 * SECOND, receipts: kernel }), 'mtu-blackhole')
    expect(causes(found)).toEqual(['icmp-blocked!', 'mtu!', 'mtu', 'mss'])
    expect(found.summary).toMatch(
      /: MTU 1400 of docker0 in host is too small, and rule 1 of OUTPUT .* keeps the ICMP error from the sender \(\+3 during the capture\)$/,
    )
  })

  test('not where a full packet came through before: the tail of a transfer at the end of a capture', async () => {
    const trace = dockerHost()
    const web = trace.tcp(WAY)
    web.open()
    web.send('client', 200)
    for (let i = 0; i < 10; i++) web.send('server', FULL)
    web.ack('client')
    const tail = web.send('server', FULL, { lostBetween: AT_UPLINK })
    web.wait(0.3 * SECOND)
    web.retransmit(tail, { lostBetween: AT_UPLINK })
    web.wait(0.6 * SECOND)
    web.retransmit(tail, { lostBetween: AT_UPLINK })
    const report = await diagnosed(trace, { untilNs: 5 * SECOND })
    expect(all(report, 'mtu-blackhole')).toEqual([])
    expect(only(report, 'dropped-between-points').summary).toContain('3 packets back to')
  })

  test('not of offload: the first super-packet is followed by larger ones, and one segment of it is lost', async () => {
    const trace = dockerHost()
    const web = trace.tcp(WAY)
    web.open()
    web.send('client', 200)
    web.send('server', 2 * FULL)
    const unlucky = web.send('server', 2 * FULL, { lostBetween: AT_UPLINK })
    web.send('server', 10 * FULL, { burst: true })
    web.send('server', 30 * FULL, { burst: true })
    web.wait(0.3 * SECOND)
    web.retransmit(unlucky, { lostBetween: AT_UPLINK })
    web.wait(0.6 * SECOND)
    web.retransmit(unlucky, { lostBetween: AT_UPLINK })
    expect(all(await diagnosed(trace, { untilNs: 5 * SECOND }), 'mtu-blackhole')).toEqual([])
  })

  test.each([
    ['packets that every link takes', 900, 3],
    ['a packet that was sent twice only', FULL, 2],
  ])('not of %s', async (_, lenBytes, times) => {
    const { trace } = blackHole(lenBytes, times)
    expect(all(await diagnosed(trace, { untilNs: 5 * SECOND }), 'mtu-blackhole')).toEqual([])
  })

  test('not where they came through in the end', async () => {
    const { trace, web, journeys } = blackHole()
    web.wait(SECOND)
    web.retransmit(journeys[0]!)
    web.ack('client')
    web.close()
    expect(all(await diagnosed(trace, { untilNs: 8 * SECOND }), 'mtu-blackhole')).toEqual([])
  })

  test('not where the receiver answers with a reset', async () => {
    const { trace, web } = blackHole(FULL, 2)
    web.reset('client')
    expect(all(await diagnosed(trace, { untilNs: 5 * SECOND }), 'mtu-blackhole')).toEqual([])
  })

  test('not where the capture began in the middle: as large ones may have come through before', async () => {
    const trace = dockerHost({
      points: ['container', 'veth', 'bridge', 'uplink'].map((name) => ({ name, fromNs: 0.5 * SECOND })),
    })
    const web = trace.tcp(WAY)
    web.open()
    for (let i = 0; i < 10; i++) web.send('server', FULL)
    web.wait(SECOND)
    web.ack('client')
    const tail = web.send('server', FULL, { lostBetween: AT_UPLINK })
    for (let time = 1; time < 4; time++) {
      web.wait(0.3 * SECOND * time)
      web.retransmit(tail, { lostBetween: AT_UPLINK })
    }
    expect(all(await diagnosed(trace, { untilNs: 9 * SECOND }), 'mtu-blackhole')).toEqual([])
  })
})

describe('TTL expired', () => {
  async function expired(clientTtl: number, more: Parameters<typeof diagnosed>[1] = {}) {
    const trace = dockerHost()
    const ping = trace.echo({ client: { ...CLIENT, port: 5 }, server: { ...SERVER, port: 5 }, clientTtl })
    const journey = ping.request(1, undefined, { lostBetween: AT_UPLINK })
    ping.refuse(journey, 'bridge', { from: '172.17.0.1', type: 11, code: 0 })
    return diagnosed(trace, { untilNs: 3 * SECOND, ...more })
  }

  test('who says so, and the TTL that it began with', async () => {
    const report = await expired(1)
    const found = only(report, 'ttl-expired')
    expect(found.summary).toBe(
      'TTL (1 at container) of 1 packet to 203.0.113.9 expired: 172.17.0.1 answered time to live exceeded',
    )
    expect(found.evidence).toMatchObject({ from: '172.17.0.1', ttl: 1, point: 'container' })
    // The error is the second frame everywhere, behind the ping.
    expect(found.evidence.frames).toEqual({ container: [2], veth: [2], bridge: [2] })
    expect(causes(found)).toEqual(['small-ttl'])
    expect(trouble(report)).toEqual(['ttl-expired'])
  })

  test('a loop, where it was large', async () => {
    expect(causes(only(await expired(64), 'ttl-expired'))).toEqual(['loop'])
  })

  test('the setting of the sender, or the rule', async () => {
    const setting = { name: 'net.ipv4.ip_default_ttl', value: 1 }
    const kernel = receipts([host(), container({ settings: [setting] })])
    expect(only(await expired(1, { receipts: kernel }), 'ttl-expired').summary).toContain(
      "the sender's default TTL is 1 (net.ipv4.ip_default_ttl = 1 in web)",
    )
    const ruled = receipts([
      host({ rules: [rule('POSTROUTING', '-j TTL --ttl-set 1', 1, { table: 'mangle' })] }),
      container({ settings: [{ ...setting, value: 64 }] }),
    ])
    expect(causes(only(await expired(1, { receipts: ruled }), 'ttl-expired'))).toEqual([
      'ttl-rule!',
      'small-ttl',
    ])
  })

  test('not where a small TTL suffices', async () => {
    const trace = dockerHost()
    const ping = trace.echo({ client: { ...CLIENT, port: 5 }, server: { ...SERVER, port: 5 }, clientTtl: 2 })
    ping.request(1)
    ping.reply(1)
    expect(trouble(await diagnosed(trace))).toEqual([])
  })
})
