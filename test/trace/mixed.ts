/** Mixed traffic over container, veth, bridge and uplink, as a property test of the joiner wants it: seed in, trace out. */

import { TraceBuilder } from './builder.ts'
import { dnsMessage } from './frame.ts'
import type { Nat, PacketOptions, PointOptions, Side } from './model.ts'
import { Random } from './random.ts'
import type { TcpConversation } from './tcp.ts'

export interface MixedOptions {
  /** Conversations, of all kinds. */
  conversations?: number
  /** They begin within this time: the shorter, the more of them run at once. */
  withinNs?: number
  /** Probabilities per packet. */
  loss?: number
  captureDrop?: number
  duplicate?: number
  reorder?: number
  /** Clocks that err, by point. */
  clocks?: Readonly<Record<string, Pick<PointOptions, 'clockOffsetNs' | 'clockSkewPpm'>>>
}

const POINTS = ['container', 'veth', 'bridge', 'uplink']
const HOST = ['192.168.7.2', '2001:db8:7::2'] as const

/** TCP, DNS and ping over IPv4 and IPv6 through masquerade, with remapped ports; deterministic. Call `build` or `write`. */
export function mixedTrace(seed: number, options: MixedOptions = {}): TraceBuilder {
  const { conversations = 40, withinNs = 50e6, clocks = {} } = options
  const { loss = 0.03, captureDrop = 0.01, duplicate = 0.01, reorder = 0.02 } = options
  const points = POINTS.map((name) => ({ name, ...clocks[name] }))
  const trace = new TraceBuilder({ seed, points, routed: [['bridge', 'uplink']] })
  const random = new Random(seed ^ 0x5eed)
  const usedOutside = new Set<string>()
  const usedInside = new Set<string>()

  function trouble(): PacketOptions {
    const packet: PacketOptions = {}
    if (random.chance(loss)) packet.lostBetween = random.integer(0, 2)
    else if (random.chance(reorder))
      packet.delayedBetween = { hop: random.integer(0, 2), ns: random.integer(50_000, 900_000) }
    if (random.chance(captureDrop)) packet.unseenAt = [random.integer(0, 3)]
    if (random.chance(duplicate)) packet.duplicateAt = [random.integer(0, 3)]
    if (random.chance(0.3)) packet.burst = true
    return packet
  }

  /** Two containers that like the same few ports, so that some are remapped on the way out. */
  function addresses(protocol: string, serverPort: number) {
    const six = random.chance(0.3)
    const server = {
      ip: six ? `2001:db8:9::${random.integer(1, 3)}` : `203.0.113.${random.integer(1, 3)}`,
      port: serverPort,
    }
    let client = { ip: '', port: 0 }
    let inside: string
    do {
      const host = random.integer(2, 5)
      client = { ip: six ? `2001:db8:17::${host}` : `172.17.0.${host}`, port: 45_000 + random.integer(0, 20) }
      inside = `${protocol} ${client.ip} ${client.port} ${server.ip} ${server.port}`
    } while (usedInside.has(inside))
    usedInside.add(inside)
    const to = { ip: HOST[six ? 1 : 0], port: client.port }
    while (usedOutside.has(`${protocol} ${to.ip} ${to.port} ${server.ip} ${server.port}`))
      to.port = random.integer(1024, 65_535)
    usedOutside.add(`${protocol} ${to.ip} ${to.port} ${server.ip} ${server.port}`)
    const nat: Nat[] = [{ kind: 'snat', between: ['bridge', 'uplink'], to }]
    return { client, server: protocol === 'icmp' ? { ip: server.ip, port: client.port } : server, nat }
  }

  /** Sends, and sends again after 200 ms and more until it arrives. */
  function insist(web: TcpConversation, from: Side, bytes: number): void {
    let journey = web.send(from, bytes, trouble())
    while (journey.outcome === 'lost') {
      web.wait(random.integer(200e6, 300e6))
      journey = web.retransmit(journey, trouble())
    }
  }

  for (let count = 0; count < conversations; count++) {
    const startNs = random.integer(0, withinNs)
    const kind = random.pick(['tcp', 'tcp', 'dns', 'echo'] as const)
    if (kind === 'tcp') {
      const web = trace.tcp({ ...addresses('tcp', 8080), startNs })
      web.open()
      for (let round = random.integer(1, 6); round > 0; round--) {
        insist(web, 'client', random.integer(1, 300))
        for (let segment = random.integer(1, 4); segment > 0; segment--)
          insist(web, 'server', random.integer(1, 1400))
        // Acknowledged twice now and then: two packets that hardly differ.
        for (let acks = random.integer(1, 2); acks > 0; acks--) web.ack('client', trouble())
      }
      web.close(random.pick(['client', 'server']))
    } else if (kind === 'dns') {
      const dns = trace.udp({ ...addresses('udp', 53), startNs })
      const id = random.integer(0, 65_535)
      const query = dnsMessage(id, 'service.example')
      for (let tries = random.integer(1, 3); tries > 0; tries--) {
        dns.send('client', query, { ...trouble(), ipId: 0 })
        dns.wait(1e6)
      }
      dns.send('server', dnsMessage(id, 'service.example', '192.0.2.7'), trouble())
    } else {
      const ping = trace.echo({ ...addresses('icmp', 0), startNs })
      for (let seq = 1; seq <= 4; seq++) {
        if (ping.request(seq, undefined, { ...trouble(), ipId: 0 }).outcome === 'lost') continue
        ping.reply(seq, undefined, trouble())
        ping.wait(10e6)
      }
    }
  }
  return trace
}
