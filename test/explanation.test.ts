/** Every field that explain shows is what tshark reads in that frame; mappings are the kernel's own, as conntrack printed them. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { analyze } from '../src/analysis.ts'
import { explainCaptures } from '../src/explanation.ts'
import type { ExplainedField, ExplainedLayer, Explanation } from '../src/report/explain/model.ts'
import { tsharkFields } from './decode/tshark.ts'
import { requireTool } from './tools.ts'
import { TraceBuilder } from './trace/builder.ts'

const CAPTURES = join(import.meta.dirname, '../captures')
const SCENARIOS = readdirSync(CAPTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
const MAX_FLOWS = 4
const folder = mkdtempSync(join(tmpdir(), 'hoptrace-explain-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Our field → tshark's; a function makes our text of the values of several. */
type Oracle = string | { fields: string[]; text: (values: string[]) => string }
const CHECKED = ['ip.checksum', 'tcp.checksum', 'udp.checksum']
const FLAGS = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W']
const ip: Record<string, Oracle> = {
  source: 'ip.src',
  destination: 'ip.dst',
  TTL: 'ip.ttl',
  protocol: 'ip.proto',
  identification: 'ip.id',
  'total length': 'ip.len',
  'DSCP and ECN': 'ip.dsfield',
  checksum: 'ip.checksum',
  'fragment offset': { fields: ['ip.frag_offset'], text: ([units]) => String(8 * Number(units)) },
  flags: {
    fields: ['ip.flags.df', 'ip.flags.mf'],
    text: ([df, mf]) => [df === '1' && 'DF', mf === '1' && 'MF'].filter(Boolean).join(' ') || 'none',
  },
}
const ip6: Record<string, Oracle> = {
  source: 'ipv6.src',
  destination: 'ipv6.dst',
  'hop limit': 'ipv6.hlim',
  'next header': 'ipv6.nxt',
  'traffic class': { fields: ['ipv6.tclass'], text: ([value]) => `0x${value!.slice(-2)}` },
  'flow label': { fields: ['ipv6.flow'], text: ([value]) => `0x${value!.slice(-5)}` },
  'payload length': 'ipv6.plen',
}
const tcp: Record<string, Oracle> = {
  'source port': 'tcp.srcport',
  'destination port': 'tcp.dstport',
  sequence: 'tcp.seq_raw',
  acknowledgment: 'tcp.ack_raw',
  window: 'tcp.window_size_value',
  checksum: 'tcp.checksum',
  payload: 'tcp.len',
  flags: {
    fields: ['tcp.flags'],
    text: ([hex]) => FLAGS.filter((_, bit) => (Number(hex) >> bit) & 1).join(''),
  },
}
const udp: Record<string, Oracle> = {
  'source port': 'udp.srcport',
  'destination port': 'udp.dstport',
  length: 'udp.length',
  checksum: 'udp.checksum',
  payload: { fields: ['udp.length'], text: ([len]) => String(Number(len) - 8) },
  'DNS question': 'dns.qry.name',
}
const icmp: Record<string, Oracle> = {
  type: 'icmp.type',
  code: 'icmp.code',
  identifier: 'icmp.ident',
  sequence: 'icmp.seq',
  checksum: 'icmp.checksum',
  MTU: 'icmp.mtu',
}
const ethernet: Record<string, Oracle> = {
  source: 'eth.src',
  destination: 'eth.dst',
  type: 'eth.type',
  VLAN: 'vlan.id',
}
const cooked: Record<string, Oracle> = {
  'packet type': 'sll.pkttype',
  interface: 'sll.ifindex',
  source: 'sll.src.eth',
  type: 'sll.etype',
}
const ORACLES: Record<string, Record<string, Oracle>> = {
  Ethernet: ethernet,
  'Linux cooked': cooked,
  IPv4: ip,
  IPv6: ip6,
  TCP: tcp,
  UDP: udp,
  ICMP: icmp,
  VXLAN: { VNI: 'vxlan.vni' },
}
const OPTIONS: [RegExp, string][] = [
  [/MSS (\d+)/, 'tcp.options.mss_val'],
  [/window scale (\d+)/, 'tcp.options.wscale.shift'],
  [/timestamps (\d+)/, 'tcp.options.timestamp.tsval'],
  [/timestamps \d+ (\d+)/, 'tcp.options.timestamp.tsecr'],
]
const FIELDS = [
  ...new Set(
    Object.values(ORACLES)
      .flatMap((layer) => Object.values(layer))
      .flatMap((oracle) => (typeof oracle === 'string' ? [oracle] : oracle.fields)),
  ),
  ...OPTIONS.map(([, field]) => field),
  'icmp.checksum.status',
  ...CHECKED.flatMap((field) => [`${field}_calculated`, `${field}.status`]),
]

type Frames = Map<string, string[]>[]

/** What is not as tshark says, one line a field; `compared` counts those that were. */
function differences(
  layers: readonly ExplainedLayer[],
  frame: Map<string, string[]>,
  compared: { fields: number },
) {
  const seen = new Map<string, number>()
  return layers.flatMap(({ name, fields }) => {
    const kind = name.replace(/^(outer|inner|quoted) /, '')
    const oracles = ORACLES[kind]
    if (!oracles) return kind === 'rest' ? [] : [`no oracle for ${kind}`]
    const nth = (key: string) => {
      const n = seen.get(key) ?? 0
      seen.set(key, n + 1)
      return n
    }
    const layerIndex = nth(kind)
    return fields.flatMap((field) => {
      // A quote's checksums are compared as the others, but never judged by us.
      const told = compare(field, oracles[field.name], frame, layerIndex, kind)
      if (told === null) return []
      compared.fields++
      return told === '' ? [] : [`${name} ${told}`]
    })
  })
}

function compare(
  field: ExplainedField,
  oracle: Oracle | undefined,
  frame: Map<string, string[]>,
  index: number,
  kind: string,
): string | null {
  // An ICMP error has neither identifier nor sequence number: the only ones are the quote's.
  const place = /^icmp\.(ident|seq)$/.test(String(oracle)) ? -1 : index
  const at = (name: string) => frame.get(name)!.at(place) ?? ''
  if (kind === 'TCP' && field.name === 'options') {
    const wrong = OPTIONS.filter(([pattern, name]) => (pattern.exec(field.value)?.[1] ?? '') !== at(name))
    return wrong.length === 0 ? '' : `options: ${field.value}, not ${wrong.map(([, name]) => at(name))}`
  }
  // What a VXLAN header never says, as it is always Ethernet.
  if (kind === 'VXLAN' && field.name === 'carries') return null
  if (oracle === undefined) return `${field.name}: no oracle`
  const their = typeof oracle === 'string' ? at(oracle) : oracle.text(oracle.fields.map(at))
  // Behind a number or address we say in words what it means.
  const our = field.name === 'payload' ? field.value.replace(/\D/g, '') : field.value.split(' ')[0]!
  const flags = field.name === 'flags' ? field.value : our
  if (flags !== their) return `${field.name}: ours ${field.value}, tshark ${their}`
  if (field.name !== 'checksum' || field.note === undefined || typeof oracle !== 'string') return ''
  if (oracle === 'icmp.checksum')
    return (field.note === 'right') === (at('icmp.checksum.status') === '1') ? '' : `checksum ${field.note}`
  return checksumVerdict(field, at(`${oracle}_calculated`), at(`${oracle}.status`))
}

/** tshark knows no offload: it calls such checksums bad, and tells what they should be. */
function checksumVerdict({ value, note = '' }: ExplainedField, right: string, status: string): string {
  if (note === 'right') return value === right || status === '1' ? '' : `checksum right: tshark ${right}`
  const [should] = /0x[0-9a-f]{4}/.exec(note) ?? []
  if (should !== undefined) return should === right ? '' : `checksum should be ${should}: tshark ${right}`
  return status === '0' && right !== '' ? `checksum ${note}: tshark ${right}` : ''
}

async function compared(explanations: readonly Explanation[], files: ReadonlyMap<string, string>) {
  const cache = new Map<string, Frames>()
  const count = { fields: 0 }
  const wrong = explanations.flatMap(({ flow, packets }) =>
    packets.flatMap(({ number, stations }) =>
      stations.flatMap(({ point, frames, layers }) => {
        const file = files.get(point)!
        if (!cache.has(file)) cache.set(file, tsharkFields(file, FIELDS))
        const frame = cache.get(file)![frames[0]! - 1]!
        return differences(layers, frame, count).map(
          (line) => `flow ${flow.id} packet ${number} ${point}: ${line}`,
        )
      }),
    ),
  )
  return { wrong, fields: count.fields }
}

async function explained(
  input: string,
): Promise<{ explanations: Explanation[]; files: Map<string, string> }> {
  const { report } = await analyze([input])
  const files = new Map(report.points.map(({ name, source }) => [name, source]))
  const explanations: Explanation[] = []
  for (const { id } of report.flows.slice(0, MAX_FLOWS)) {
    const { explanation } = await explainCaptures([input], { flow: id })
    explanations.push(explanation)
    const packet = Math.min(4, explanation.flow.packets)
    explanations.push((await explainCaptures([input], { flow: id, packet })).explanation)
  }
  return { explanations, files }
}

describe.skipIf(!requireTool('tshark'))('every field is as tshark reads it', () => {
  test.each(SCENARIOS)('captures/%s', { timeout: 120_000 }, async (scenario) => {
    const { explanations, files } = await explained(join(CAPTURES, scenario))
    const { wrong, fields } = await compared(explanations, files)
    expect(wrong).toEqual([])
    expect(fields).toBeGreaterThan(30)
  })

  test('a VXLAN tunnel: outer and inner headers', async () => {
    const routed = [
      ['bridge', 'uplink'],
      ['uplink', 'uplink2'],
      ['uplink2', 'bridge2'],
    ] as const
    const input = join(folder, 'vxlan')
    const trace = new TraceBuilder({
      seed: 1,
      points: ['pod', 'bridge', 'uplink', 'uplink2', 'bridge2', 'pod2'],
      routed,
    })
    const web = trace.tcp({
      client: { ip: '10.244.1.5', port: 40_000 },
      server: { ip: '10.244.2.7', port: 8080 },
      tunnels: [
        {
          kind: 'vxlan',
          id: 4097,
          within: [routed[0], routed[2]],
          client: '192.168.1.10',
          server: '192.168.2.20',
        },
      ],
    })
    web.open()
    web.send('client', 100)
    trace.write(input)
    const { explanations, files } = await explained(input)
    const { wrong, fields } = await compared(explanations, files)
    expect(wrong).toEqual([])
    expect(fields).toBeGreaterThan(300)
    const [syn] = explanations[0]!.packets
    expect(actors(syn!.stations.map(({ steps }) => steps)).slice(0, 5)).toEqual([
      ['sender', 'sender'],
      ['bridge'],
      ['router', 'router', 'tunnel'],
      ['router'],
      ['tunnel', 'router', 'router'],
    ])
    expect(syn!.stations[2]!.layers.map(({ name, isNew }) => `${isNew ? '+' : ''}${name}`)).toEqual([
      '+outer Ethernet',
      '+outer IPv4',
      '+outer UDP',
      '+VXLAN',
      'inner Ethernet',
      'inner IPv4',
      'inner TCP',
    ])
  })

  test('IPv6 with SNAT', async () => {
    const input = join(folder, 'v6')
    const trace = new TraceBuilder({
      seed: 2,
      points: ['pod', 'bridge', 'uplink'],
      routed: [['bridge', 'uplink']],
    })
    const dns = trace.udp({
      client: { ip: 'fd00::5', port: 40_000 },
      server: { ip: '2001:db8::7', port: 5300 },
      nat: [{ kind: 'snat', between: ['bridge', 'uplink'], to: { ip: '2001:db8:1::10', port: 40_001 } }],
    })
    dns.send('client', 40)
    dns.send('server', 90)
    trace.write(input)
    const { explanations, files } = await explained(input)
    const { wrong, fields } = await compared(explanations, files)
    expect(wrong).toEqual([])
    expect(fields).toBeGreaterThan(60)
    expect(explanations[0]!.mappings.map(({ entry }) => entry)).toEqual([
      'udp      17 src=fd00::5 dst=2001:db8::7 sport=40000 dport=5300 src=2001:db8::7 dst=2001:db8:1::10 sport=5300 dport=40001',
    ])
  })
})

function actors(stations: readonly (readonly { actor: string }[])[]): string[][] {
  return stations.map((steps) => steps.map(({ actor }) => actor))
}

describe('the mapping is the one that conntrack printed', () => {
  /** What `conntrack -E` printed, without time, family and the seconds that are left. */
  const events = (scenario: string, host: string) =>
    readFileSync(join(CAPTURES, scenario, `conntrack.${host}.txt`), 'utf8')
      .split('\n')
      .map((line) => line.replace(/^\[[\d.]+\]\s+\[\w+\] ipv4\s+2 (\w+\s+\d+) \d+ /, '$1 '))

  test.each([
    ['outbound-masquerade', ['host']],
    ['inbound-published-port', ['host']],
    ['double-nat', ['host', 'router']],
    ['port-collision', ['host']],
    ['udp-and-ping', ['host']],
    ['any-cooked', ['host']],
    ['bulk-gso', ['host', 'router']],
  ])('captures/%s', async (scenario, hosts) => {
    const known = hosts.flatMap((host) => events(scenario, host))
    const { report } = await analyze([join(CAPTURES, scenario)])
    const translated = report.flows.filter(({ translations }) => translations.length > 0)
    expect(translated.length).toBeGreaterThan(0)
    for (const { id } of translated.slice(0, MAX_FLOWS)) {
      const { explanation } = await explainCaptures([join(CAPTURES, scenario)], { flow: id })
      expect(explanation.mappings.length).toBeGreaterThanOrEqual(1)
      for (const { entry, knownFrom } of explanation.mappings) {
        expect(knownFrom).toBe('frames')
        expect(known).toContain(entry)
      }
    }
  })

  test('a SYN alone is not replied to yet', async () => {
    const input = join(CAPTURES, 'outbound-masquerade')
    const { explanation } = await explainCaptures([input], { flow: 1, packet: 1 })
    expect(events('outbound-masquerade', 'host')).toContain(explanation.mappings[0]!.entry)
    expect(explanation.mappings[0]!.entry).toContain('SYN_SENT')
    expect(explanation.mappings[0]!.entry).toContain('[UNREPLIED]')
  })

  test('the kernel’s own entry comes first where receipts have it', async () => {
    const tuple = (src: string, dst: string, sport: number, dport: number) => ({
      src,
      dst,
      sport,
      dport,
      packets: 7,
    })
    const { explanation } = await explainCaptures([join(CAPTURES, 'outbound-masquerade')], {
      flow: 1,
      receipts: [
        {
          namespaces: [
            {
              name: 'host',
              points: ['uplink'],
              conntrack: {
                entries: [
                  {
                    protocol: 'tcp',
                    state: 'TIME_WAIT',
                    original: tuple('172.17.0.3', '203.0.113.238', 47276, 80),
                    reply: tuple('203.0.113.238', '192.168.78.100', 80, 47276),
                    isReplied: true,
                    isAssured: true,
                  },
                ],
              },
            },
          ],
        } as never,
      ],
    })
    expect(explanation.mappings).toMatchObject([
      {
        knownFrom: 'receipts',
        entry:
          'tcp      6 TIME_WAIT src=172.17.0.3 dst=203.0.113.238 sport=47276 dport=80 src=203.0.113.238 dst=192.168.78.100 sport=80 dport=47276 [ASSURED]',
      },
    ])
    const where = explanation.packets[0]!.stations.map(({ where }) => where)
    expect(where[3]).toEqual({ namespace: 'the host', knownFrom: 'receipts' })
  })
})

describe('what happened', () => {
  const told = async (scenario: string, options: Parameters<typeof explainCaptures>[1] = {}) =>
    (await explainCaptures([join(CAPTURES, scenario)], options)).explanation

  test('masquerade: router and netfilter at the uplink, and nowhere else', async () => {
    const { packets } = await told('outbound-masquerade')
    expect(
      packets.map(({ stations }) =>
        stations.map(({ point, steps }) => [point, steps.map(({ actor }) => actor)]),
      ),
    ).toEqual([
      [
        ['container', ['sender', 'sender', 'offload']],
        ['veth', ['cable']],
        ['bridge', ['bridge']],
        ['uplink', ['router', 'router', 'netfilter', 'netfilter']],
      ],
      [
        ['uplink', ['sender', 'sender', 'offload']],
        ['bridge', ['conntrack', 'router', 'router', 'netfilter']],
        ['veth', ['bridge']],
        ['container', ['cable']],
      ],
    ])
  })

  test('a published port: DNAT before routing, and undone after it', async () => {
    const { packets } = await told('inbound-published-port')
    const texts = packets.map(({ stations }) =>
      stations.flatMap(({ steps }) => steps.map(({ text }) => text)).join(' '),
    )
    expect(texts[0]).toMatch(/DNAT rewrites the destination.*at PREROUTING.*routers? /s)
    expect(texts[1]).toMatch(/A router is in between.*undoes the DNAT at POSTROUTING/s)
  })

  test('a lost SYN: where it died, and what may be why', async () => {
    const { packets, mappings, findings } = await told('forward-drop')
    expect(packets.length).toBe(1)
    expect(packets[0]!.ending[0]!.text).toContain('seen at bridge and never at uplink')
    expect(packets[0]!.ending.some(({ text }) => /^Maybe a netfilter rule/.test(text))).toBe(true)
    expect(mappings).toEqual([])
    expect(findings.map(({ code }) => code)).toContain('dropped-between-points')
  })

  test('an expired TTL: the ICMP error is the answer, and quotes the packet', async () => {
    const { packets } = await told('udp-and-ping', { flow: 4 })
    const [ping, error] = packets
    expect(ping!.ending[0]!.text).toContain('172.17.0.1 answered “time to live exceeded”')
    expect(error).toMatchObject({ number: 0, direction: 'reverse', summary: 'time to live exceeded' })
    const value = (layer: string, field: string, station: number) =>
      error!.stations[station]!.layers.find(({ name }) => name === layer)!.fields.find(
        ({ name }) => name === field,
      )!.value
    expect(value('quoted IPv4', 'identification', 0)).toBe(
      ping!.stations[0]!.layers.find(({ name }) => name === 'IPv4')!.fields.find(
        ({ name }) => name === 'identification',
      )!.value,
    )
  })

  test('an error on its way back: the quote is translated as well', async () => {
    const { packets } = await told('udp-and-ping', { flow: 3 })
    const [, error] = packets
    expect(error!.stations.map(({ point }) => point)).toEqual(['uplink', 'bridge', 'veth', 'container'])
    const quote = error!.stations[1]!.layers.find(({ name }) => name === 'quoted IPv4')!
    expect(quote.fields[0]).toMatchObject({ isChanged: true, before: '192.168.78.100', value: '172.17.0.3' })
    expect(error!.stations[1]!.steps.map(({ text }) => text).join(' ')).toContain('RELATED')
  })

  test('a super-packet is several frames elsewhere', async () => {
    const { report } = await analyze([join(CAPTURES, 'bulk-gso')])
    const flow = report.flows.find(({ segmentationDiffers }) => segmentationDiffers)!
    let offload = 0
    for (let packet = 5; packet < 15; packet++) {
      const { packets } = await told('bulk-gso', { flow: flow.id, packet })
      for (const { steps } of packets[0]!.stations.slice(1)) {
        expect(steps.map(({ actor }) => actor)).not.toContain('unknown')
        offload += steps.filter(({ actor }) => actor === 'offload').length
      }
    }
    expect(offload).toBeGreaterThan(0)
  })

  test('Docker’s DNS: the DNAT that only the reply shows', async () => {
    const { packets, mappings } = await told('embedded-dns', { flow: 1 })
    expect(packets[0]!.purpose).toBe('It asks DNS about app1.')
    expect(packets[0]!.stations[0]!.steps.map(({ text }) => text).join(' ')).toContain(
      'DNAT rewrote 127.0.0.11:53 → 127.0.0.11:51086',
    )
    expect(mappings[0]!.entry).toContain('dst=127.0.0.11 sport=45592 dport=53')
  })

  test('a hairpin: the bridge sees it twice, on its way in and back', async () => {
    const input = join(folder, 'hairpin')
    const trace = new TraceBuilder({
      seed: 3,
      points: ['client', 'bridge', 'server'],
      hopDelayNs: [9000, 9000],
    })
    const web = trace.tcp({
      client: { ip: '172.17.0.3', port: 40_000 },
      server: { ip: '192.168.78.100', port: 8080 },
      path: ['client', 'bridge', 'bridge', 'server'],
      routed: [1],
      nat: [
        { kind: 'dnat', between: 1, to: { ip: '172.17.0.2', port: 80 } },
        { kind: 'snat', between: 1, to: { ip: '172.17.0.1', port: 40_000 } },
      ],
    })
    web.open()
    web.send('client', 50)
    trace.write(input)
    const { explanation } = await explainCaptures([input])
    const [syn, answer] = explanation.packets
    expect(syn!.stations.map(({ point }) => point)).toEqual(['client', 'bridge', 'bridge', 'server'])
    expect(actors([syn!.stations[2]!.steps])).toEqual([
      ['router', 'netfilter', 'router', 'router', 'netfilter', 'netfilter'],
    ])
    expect(syn!.stations[2]!.steps[0]!.text).toContain('hairpin')
    expect(answer!.stations[2]!.steps.map(({ actor }) => actor)).toContain('conntrack')
    expect(explanation.mappings.map(({ entry }) => entry)).toEqual([
      'tcp      6 SYN_RECV src=172.17.0.3 dst=192.168.78.100 sport=40000 dport=8080 src=172.17.0.2 dst=172.17.0.1 sport=80 dport=40000',
    ])
  })

  test('fragments: each further piece is told', async () => {
    const { cut, whole } = datagram()
    const files = ['veth', 'uplink'].map((name) => join(folder, `${name}.pcap`))
    writeFileSync(files[0]!, pcapOf([whole], 0))
    writeFileSync(files[1]!, pcapOf(cut, 20_000))
    const { explanation } = await explainCaptures(files)
    const [, uplink] = explanation.packets[0]!.stations
    expect(uplink!.frames).toEqual([1, 2])
    expect(uplink!.moreFrames).toEqual(['frame 2: fragment from byte 1480 on, 528 bytes, the last'])
    expect(uplink!.steps.map(({ text }) => text).join(' ')).toContain('2 fragments')
  })
})

/** A datagram of 2000 bytes, whole and in two pieces. */
function datagram(): { whole: Uint8Array; cut: Uint8Array[] } {
  const ip = (body: number[], fragment: number): Uint8Array => {
    const length = 20 + body.length
    const head = [0x45, 0, length >> 8, length & 255, 0x12, 0x34, fragment >> 8, fragment & 255, 64, 17, 0, 0]
    return Uint8Array.from([
      2,
      0,
      0,
      0,
      0,
      1,
      2,
      0,
      0,
      0,
      0,
      2,
      8,
      0,
      ...head,
      172,
      17,
      0,
      2,
      203,
      0,
      113,
      9,
      ...body,
    ])
  }
  const udp = [
    0x9c,
    0x40,
    0x13,
    0x88,
    2008 >> 8,
    2008 & 255,
    0,
    0,
    ...Array.from({ length: 2000 }, (_, i) => i & 255),
  ]
  return { whole: ip(udp, 0), cut: [ip(udp.slice(0, 1480), 0x2000), ip(udp.slice(1480), 185)] }
}

function pcapOf(frames: readonly Uint8Array[], afterNs: number): Uint8Array {
  const head = Buffer.alloc(24)
  head.writeUInt32LE(0xa1b23c4d, 0)
  head.writeUInt16LE(2, 4)
  head.writeUInt16LE(4, 6)
  head.writeUInt32LE(262_144, 16)
  head.writeUInt32LE(1, 20)
  const records = frames.map((frame, i) => {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(1_800_000_000, 0)
    record.writeUInt32LE(afterNs + i * 1000, 4)
    record.writeUInt32LE(frame.length, 8)
    record.writeUInt32LE(frame.length, 12)
    return Buffer.concat([record, frame])
  })
  return Buffer.concat([head, ...records])
}
