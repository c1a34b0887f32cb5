/** Nobody answers, somebody says no, a connection ends with a reset: what is said of it, and of traffic that only looks so. */

import { describe, expect, test } from 'vitest'
import { ethernet, ipv4, tcp } from '../decode/frames.ts'
import type { TcpConversation } from '../trace/tcp.ts'
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
  trouble,
} from './diagnosing.ts'
import { container, host, receipts, rule } from './receipts.ts'

const SECOND = 1e9
const OUT = { client: CLIENT, server: SERVER, nat: MASQUERADE }
/** From outside to port 8080 of the host, which leads to port 80 of the container. */
const IN = {
  client: { ip: '198.51.100.7', port: 41_000 },
  server: { ip: '192.168.7.2', port: 8080 },
  nat: [{ kind: 'dnat', between: ['uplink', 'bridge'], to: { ip: '172.17.0.2', port: 80 } }] as const,
}

/** The same host, seen from outside. */
function published() {
  return dockerHost({ points: ['uplink', 'bridge', 'veth', 'container'], routed: [['uplink', 'bridge']] })
}

describe('connection refused', () => {
  function refused() {
    const trace = published()
    const web = trace.tcp(IN)
    web.syn()
    return { trace, rst: web.reset('server') }
  }

  test('by a RST of the container', async () => {
    const { trace, rst } = refused()
    const report = await diagnosed(trace, { untilNs: 3 * SECOND })
    const found = only(report, 'connection-refused')
    expect(found.summary).toBe(
      '192.168.7.2:8080 refused: 192.168.7.2 answered with RST, first seen at container',
    )
    expect(found.evidence).toMatchObject({ frames: framesAt('container', rst), by: 'container' })
    expect(causes(found)).toEqual(['no-listener'])
    expect(found.causes![0]!.what).toBe('nothing listens on port 80 of 172.17.0.2')
    expect(trouble(report)).toEqual(['connection-refused'])
  })

  test.each([
    ['nothing listens', [], 'no-listener!', 'no socket listens there'],
    ['another port', [['0.0.0.0', 8080]], 'no-listener!', 'sockets there: 0.0.0.0:8080'],
    ['loopback only', [['127.0.0.1', 80]], 'loopback-listener!', 'listens on 127.0.0.1:80'],
    ['IPv6 loopback only', [['::1', 80]], 'loopback-listener!', 'listens on [::1]:80'],
    ['somebody does listen', [['::', 80]], 'no-listener', ''],
  ])('as the sockets say: %s', async (_, sockets, cause, says) => {
    const listeners = sockets.map(([ip, port]) => ({
      protocol: 'tcp' as const,
      ip: String(ip),
      port: Number(port),
    }))
    const kernel = receipts([host(), container({ listeners })])
    const found = only(
      await diagnosed(refused().trace, { untilNs: 3 * SECOND, receipts: kernel }),
      'connection-refused',
    )
    expect(causes(found)).toEqual([cause])
    expect(found.summary).toContain(says)
    if (cause.endsWith('!'))
      expect(found.causes![0]!.check).toBe('nsenter -t $(docker inspect -f {{.State.Pid}} web) -n ss -ltnp')
  })

  test('by ICMP, from whom, with the rule that counted', async () => {
    const trace = published()
    const web = trace.tcp(IN)
    const syn = web.syn({ lostBetween: ['bridge', 'veth'] })
    web.refuse(syn, 'bridge', { from: '192.168.7.2', type: 3, code: 3 })
    const rules = [
      rule(
        'FORWARD',
        '-d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
        1,
      ),
    ]
    const report = await diagnosed(trace, { untilNs: 3 * SECOND, receipts: receipts([host({ rules })]) })
    const found = only(report, 'connection-refused')
    expect(found.summary).toMatch(
      /^192\.168\.7\.2:8080 refused: 192\.168\.7\.2 answered ICMP port unreachable: rule 1 of FORWARD .* rejects it \(\+1 during the capture\)$/,
    )
    expect(found.evidence.frames).toEqual({ bridge: [2], uplink: [2] })
    expect(causes(found)).toEqual(['rule!'])
    expect(trouble(report)).toEqual(['connection-refused'])
  })

  /** A router in front of the server says why it does not pass the SYN on. */
  async function notPassedOn(code: number, more: Parameters<typeof diagnosed>[1] = {}) {
    const trace = published()
    const web = trace.tcp(IN)
    const syn = web.syn({ lostBetween: ['bridge', 'veth'] })
    web.refuse(syn, 'bridge', { from: '192.168.7.2', type: 3, code })
    return only(await diagnosed(trace, { untilNs: 3 * SECOND, ...more }), 'connection-refused')
  }

  test.each([
    [0, 'network unreachable', 'unreachable', '192.168.7.2 has no route to it'],
    [1, 'host unreachable', 'unreachable', 'nobody answers where 192.168.7.2 would hand it over'],
    [3, 'port unreachable', 'rule', 'a firewall rule of 192.168.7.2 rejects it'],
    [13, 'communication administratively prohibited', 'rule', 'a firewall rule of 192.168.7.2 rejects it'],
  ])('by ICMP code %d: %s is no port where nothing listens', async (code, name, cause, what) => {
    const found = await notPassedOn(code)
    expect(found.summary).toBe(`192.168.7.2:8080 refused: 192.168.7.2 answered ICMP ${name}`)
    expect(causes(found)).toEqual([cause])
    expect(found.causes![0]!.what).toContain(what)
  })

  test('the one neighbour that does not answer; not where there are several', async () => {
    const silent = (ip: string) => ({ ip, interfaceName: 'docker0', mac: null, state: 'FAILED' })
    const withSilent = (...ips: string[]) => ({ receipts: receipts([host({ neighbours: ips.map(silent) })]) })
    const found = await notPassedOn(1, withSilent('172.17.0.2'))
    expect(causes(found)).toEqual(['neighbour-silent!'])
    expect(found.summary).toContain('the next hop 172.17.0.2 does not answer at docker0 of host')
    expect(causes(await notPassedOn(1, withSilent('172.17.0.2', '172.17.0.9')))).toEqual(['unreachable'])
    // Nor is the host's own port looked at where the packet never came to an end.
    const alone = notPassedOn(1, { ...withSilent(), without: ['bridge', 'veth', 'container'] })
    expect(causes(await alone)).toEqual(['unreachable'])
  })

  test('not a UDP exchange that ends with one, nor a path MTU', async () => {
    const trace = dockerHost()
    const talk = trace.udp({ ...OUT, server: { ...SERVER, port: 5000 } })
    talk.send('client', 20)
    talk.send('server', 20)
    const last = talk.send('server', 20)
    talk.refuse(last, 'container', { from: CLIENT.ip, type: 3, code: 3 })
    const web = trace.tcp(OUT)
    web.open()
    const large = web.send('client', 1448, { lostBetween: ['bridge', 'uplink'] })
    web.refuse(large, 'bridge', { from: '172.17.0.1', type: 3, code: 4 })
    web.send('client', 900)
    web.ack('server')
    expect(all(await diagnosed(trace), 'connection-refused')).toEqual([])
  })
})

describe('no reply', () => {
  test('SYNs, pings and DNS questions that nobody answers', async () => {
    const trace = dockerHost()
    const web = trace.tcp(OUT)
    const first = web.syn()
    web.wait(SECOND)
    web.retransmit(first)
    const ping = trace.echo({
      client: { ...CLIENT, port: 9 },
      server: { ...SERVER, port: 9 },
      nat: [{ ...MASQUERADE[0], to: { ip: '192.168.7.2', port: 9 } }],
    })
    ping.request(1)
    const dns = trace.udp({ ...OUT, server: { ip: '203.0.113.53', port: 53 } })
    dns.send('client', 30)
    const report = await diagnosed(trace, { untilNs: 5 * SECOND })
    expect(
      all(report, 'no-reply')
        .map(({ summary }) => summary)
        .sort(),
    ).toEqual([
      '1 packet to 203.0.113.53:53 reached uplink and nothing came back',
      '1 packet to 203.0.113.9 reached uplink and nothing came back',
      '2 packets to 203.0.113.9:80 reached uplink and nothing came back',
    ])
    for (const found of all(report, 'no-reply')) {
      expect(causes(found)).toEqual(['beyond'])
      expect(found.evidence.lastPoint).toBe('uplink')
    }
  })

  test('the rule behind the last point that dropped them, where that is their end', async () => {
    const trace = published()
    trace.tcp({ ...IN, path: ['uplink'], nat: [], routed: [] }).syn()
    const listeners = [{ protocol: 'tcp' as const, ip: '0.0.0.0', port: 8080 }]
    const rules = [rule('INPUT', '-p tcp -m tcp --dport 8080 -j DROP', 1)]
    const report = await diagnosed(trace, {
      untilNs: 3 * SECOND,
      receipts: receipts([host({ rules, listeners })]),
    })
    expect(causes(only(report, 'no-reply'))).toEqual(['rule!', 'beyond'])
  })

  test('not within a second, nor of what needs no answer', async () => {
    const early = dockerHost()
    early.tcp(OUT).syn()
    expect(trouble(await diagnosed(early, { untilNs: 0.9 * SECOND }))).toEqual([])

    const others = dockerHost({ points: ['container', 'veth', 'bridge'], routed: [] })
    others.udp({ client: CLIENT, server: { ip: '203.0.113.9', port: 514 } }).send('client', 100)
    others
      .udp({ client: { ...CLIENT, port: 5353 }, server: { ip: '224.0.0.251', port: 5353 } })
      .send('client', 60)
    others.echo({ client: { ...CLIENT, port: 1 }, server: { ip: '224.0.0.1', port: 1 } }).request(1)
    expect(trouble(await diagnosed(others, { untilNs: 5 * SECOND }))).toEqual([])
  })

  test('not where only one direction was captured, or the beginning was not', async () => {
    const trace = dockerHost({ points: ['container', 'veth', 'bridge', 'uplink'] })
    const oneWay = trace.tcp(OUT)
    oneWay.syn()
    oneWay.synAck({ unseenAt: ['container', 'veth', 'bridge', 'uplink'] })
    oneWay.ack('client')
    oneWay.send('client', 100)
    expect(all(await diagnosed(trace, { untilNs: 20 * SECOND }), 'no-reply')).toEqual([])

    const middle = dockerHost({
      points: ['container', 'veth', 'bridge', 'uplink'].map((name) => ({ name, fromNs: SECOND })),
    })
    const web = middle.tcp(OUT)
    web.open()
    web.wait(2 * SECOND)
    web.send('client', 100)
    expect(trouble(await diagnosed(middle, { untilNs: 20 * SECOND }))).toEqual([])
  })
})

test('what is for the host itself is not lost in front of the next point', async () => {
  const trace = dockerHost()
  const other = trace.tcp(OUT)
  other.open()
  other.close()
  const web = trace.tcp({ client: { ...CLIENT, port: 40_009 }, server: { ip: '192.168.7.2', port: 8090 } })
  web.syn({ lostBetween: ['bridge', 'uplink'] })
  const rules = [rule('INPUT', '-p tcp -m tcp --dport 8090 -j DROP', 1)]
  const listeners = [{ protocol: 'tcp' as const, ip: '0.0.0.0', port: 8090 }]
  const kernel = receipts([host({ rules, listeners }), container()])
  const report = await diagnosed(trace, { untilNs: 5 * SECOND, receipts: kernel })
  expect(trouble(report)).toEqual(['no-reply'])
  expect(only(report, 'no-reply').summary).toMatch(/reached bridge and nothing came back: rule 1 of INPUT/)
})

test('who refuses half-way makes no path asymmetric', async () => {
  const trace = dockerHost({ points: ['container', 'veth', 'bridge'], routed: [] })
  const web = trace.tcp({ client: CLIENT, server: SERVER })
  web.syn()
  web.reset('server', { unseenAt: ['bridge'] })
  expect(all(await diagnosed(trace, { untilNs: 3 * SECOND }), 'asymmetric-path')).toEqual([])
})

describe('a server whose program is silent', () => {
  /** The request arrives and is acknowledged; what comes then is up to the test. */
  async function asked(then: (web: TcpConversation) => void, untilS: number, isFrozen?: boolean) {
    const trace = published()
    const web = trace.tcp(IN)
    web.open()
    web.send('client', 120)
    web.ack('server')
    then(web)
    const processes =
      isFrozen === undefined ? {} : { receipts: receipts([host(), container({ processes: { isFrozen } })]) }
    return diagnosed(trace, { untilNs: untilS * SECOND, ...processes })
  }
  const givesUp = (seconds: number) => (web: TcpConversation) => {
    web.wait(seconds * SECOND)
    web.fin('client')
    web.ack('server')
  }

  test('and the client gives up', async () => {
    const report = await asked(givesUp(4), 6)
    const found = only(report, 'no-reply')
    expect(found.summary).toBe(
      '192.168.7.2:8080 accepted the connection and acknowledged the request, but its program did not answer within 4 s, when the client ended it',
    )
    expect(causes(found)).toEqual(['program-stuck'])
    expect(trouble(report)).toEqual(['no-reply'])
  })

  test('for long', async () => {
    expect(only(await asked(() => {}, 15), 'no-reply').summary).toMatch(
      /did not answer in the 15 s until the end$/,
    )
  })

  test('as its container is paused: no need to wait for long', async () => {
    const found = only(await asked(() => {}, 3, true), 'no-reply')
    expect(causes(found)).toEqual(['paused!', 'program-stuck'])
    expect(found.summary).toMatch(/: web is paused \(its cgroup is frozen\)$/)
    expect(causes(only(await asked(givesUp(4), 6, false), 'no-reply'))).toEqual(['program-stuck'])
  })

  test.each<[string, (web: TcpConversation) => void, number]>([
    ['a long poll, under way at the end', () => {}, 6],
    ['a request at the very end', (web) => web.wait(0), 0.5],
    ['a client that half-closes behind its request, as nc -N does', givesUp(0.001), 5],
    [
      'a late answer',
      (web) => {
        web.wait(30 * SECOND)
        web.send('server', 500)
        web.close()
      },
      40,
    ],
    [
      'a server that only takes, and closes when the client does',
      (web) => {
        web.wait(5 * SECOND)
        web.close()
      },
      20,
    ],
    [
      'somebody who sends on and on and waits for no answer, as a log does',
      (web) => {
        for (let line = 0; line < 4; line++) {
          web.wait(3 * SECOND)
          web.send('client', 90)
          web.ack('server')
        }
      },
      40,
    ],
    [
      'an idle connection whose request has just been sent',
      (web) => {
        web.send('server', 10)
        web.wait(60 * SECOND)
        web.send('client', 100)
        web.ack('server')
      },
      61,
    ],
  ])('not: %s', async (_, then, untilS) => {
    expect(trouble(await asked(then, untilS))).toEqual([])
  })
})

describe('reset', () => {
  function conversation(serverTtl = 61) {
    const trace = dockerHost()
    const web = trace.tcp({ ...OUT, serverTtl })
    web.open()
    web.send('client', 120)
    web.send('server', 900)
    web.ack('client')
    return { trace, web }
  }

  test('in mid-stream, by whom', async () => {
    const { trace, web } = conversation()
    const rst = web.reset('server')
    const report = await diagnosed(trace, { untilNs: 3 * SECOND })
    const found = only(report, 'reset-by-peer')
    expect(found.summary).toBe(
      'the connection to 203.0.113.9:80 ended with a reset by 203.0.113.9, first seen at uplink',
    )
    expect(found.evidence).toMatchObject({ frames: framesAt('uplink', rst), direction: 'reverse', ttl: 61 })
    expect(trouble(report)).toEqual(['reset-by-peer'])
  })

  test('its TTL is another: somebody else may have sent it', async () => {
    const { trace, web } = conversation()
    web.ack('server')
    const { seq, ack } = web.send('client', 10).content
    const forged = tcp({
      srcPort: 80,
      dstPort: 40_000,
      seq: ack % 2 ** 32,
      ack: (seq + 10) % 2 ** 32,
      flags: 0x14,
    })
    const at = (point: string, ttl: number, dst: string, timeNs: number) => ({
      ...{ point, timeNs },
      bytes: ethernet(0x0800, ipv4({ protocol: 6, src: SERVER.ip, dst, ttl, id: 0 }, forged)),
    })
    const frames = [
      at('uplink', 250, '192.168.7.2', 0.5 * SECOND),
      at('bridge', 249, CLIENT.ip, 0.5 * SECOND + 1e4),
      at('veth', 249, CLIENT.ip, 0.5 * SECOND + 2e4),
      at('container', 249, CLIENT.ip, 0.5 * SECOND + 3e4),
    ]
    const found = only(await diagnosed(trace, { frames, untilNs: 3 * SECOND }), 'reset-by-peer')
    expect(found.summary).toMatch(/; its TTL is 250 and not 61: somebody else may have sent it$/)
  })

  test.each<[string, (web: TcpConversation) => void]>([
    ['a normal end', (web) => web.close()],
    [
      'the client answers the end of the server with a RST',
      (web) => {
        web.fin('server')
        web.reset('client')
      },
    ],
    [
      'the client has gone, and what still comes is answered with a RST',
      (web) => {
        web.fin('client')
        web.send('server', 900)
        web.reset('client')
      },
    ],
  ])('not: %s', async (_, end) => {
    const { trace, web } = conversation()
    end(web)
    expect(trouble(await diagnosed(trace, { untilNs: 3 * SECOND }))).toEqual([])
  })

  test.each([false, true])(
    'not a health check that only looks whether somebody listens (ACK: %s)',
    async (acks) => {
      const trace = dockerHost()
      const check = trace.tcp(OUT)
      check.syn()
      check.synAck()
      if (acks) check.ack('client')
      check.reset('client')
      expect(trouble(await diagnosed(trace, { untilNs: 3 * SECOND }))).toEqual([])
    },
  )
})
