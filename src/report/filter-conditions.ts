/** The single conditions of a filter expression: what `src net 10.0.0.0/8`, `tcp` or `state reset` asks of a flow. */

import { protocolName } from '../decode/display.ts'
import { addressGroups, ipVersion } from './ip-address.ts'
import type { Endpoint, FlowReport, FlowState } from './model.ts'

/** What one point shows of a flow; the same for both directions, so that `src` is the client's side in each. */
export interface View {
  point: string
  client: Endpoint
  server: Endpoint
}

/** Whether a flow meets one condition where it looks like `view`. */
export type Condition = (flow: FlowReport, view: View) => boolean

/** Addresses of which a condition remembers what it said. */
const MAX_KNOWN = 1000

export type Side = 'src' | 'dst' | 'src or dst' | 'src and dst'

/** A value that is none of its kind; the message says what is wanted, to go behind the value itself. */
export class BadValue extends Error {}

const isVersion6 = ({ ip }: Endpoint) => ip.includes(':')
const hasProtocol =
  (name: string): Condition =>
  (flow) =>
    flow.protocol === name

/** Every IP protocol's name, by what people call it. */
const PROTOCOLS = new Map<string, string>([
  ...Array.from({ length: 256 }, (_, number) => [protocolName(number), protocolName(number)] as const),
  ['icmp6', 'icmpv6'],
  ['ip-in-ip', 'ipip'],
])

/** Words that stand for a protocol on their own. */
export const PROTOCOL_WORDS: ReadonlyMap<string, Condition> = new Map<string, Condition>([
  ...[
    'tcp',
    'udp',
    'icmp',
    'icmpv6',
    'sctp',
    'dccp',
    'udplite',
    'igmp',
    'gre',
    'esp',
    'ah',
    'ipip',
    'pim',
    'vrrp',
    'ospf',
  ].map((name) => [name, hasProtocol(name)] as const),
  ['icmp6', hasProtocol('icmpv6')],
  ['ip', (_, { client }) => !isVersion6(client)],
  ['ip4', (_, { client }) => !isVersion6(client)],
  ['ip6', (_, { client }) => isVersion6(client)],
])

/** Words for what happened to a flow as a whole. */
export const PROPERTY_WORDS: ReadonlyMap<string, Condition> = new Map<string, Condition>([
  ['lost', (flow) => flow.lost.length > 0],
  ['resent', (flow) => flow.retransmissions.forward + flow.retransmissions.reverse > 0],
  ['nat', (flow) => flow.translations.length > 0],
  ['snat', (flow) => flow.translations.some(({ kind }) => kind === 'snat')],
  ['dnat', (flow) => flow.translations.some(({ kind }) => kind === 'dnat')],
  ['hairpin', (flow) => flow.passedTwice.length > 0],
  ['icmp-error', (flow) => flow.icmpErrors.length > 0],
  ['ambiguous', (flow) => flow.ambiguous > 0],
])

/** For the compiler: a state that is added to the report is missing here. */
const STATES: Record<FlowState, true> = {
  'syn-only': true,
  refused: true,
  established: true,
  closed: true,
  reset: true,
  stateless: true,
}

/** Kinds of value, by the word in front of it. Each throws `BadValue` where the value is none of its kind. */
export const VALUE_WORDS: ReadonlyMap<string, (value: string, side: Side) => Condition> = new Map([
  ['host', host],
  ['net', net],
  ['port', port],
  ['portrange', port],
  ['id', echoId],
  ['proto', protocol],
  ['state', state],
  [
    'at',
    (value: string): Condition =>
      (_, view) =>
        view.point === value,
  ],
])

/** Kinds of value that one side can have. */
export const SIDED: ReadonlySet<string> = new Set(['host', 'net', 'port', 'portrange'])

function host(value: string, side: Side): Condition {
  if (ipVersion(value) !== 0) return inNetwork(value, 128, side)
  if (value.includes('/')) throw new BadValue("is no single address: say 'net'")
  throw new BadValue('is no IP address, such as 172.17.0.3')
}

/** `10.0.0.0/8`, `2001:db8::/32`, a whole address, or `172.17` as pcap-filter has it. Bits behind the length don't count. */
function net(value: string, side: Side): Condition {
  const [, address, length] = /^([^/%]*)(?:\/(\d{1,3}))?$/.exec(value) ?? ['', '']
  const isPart = /^\d{1,3}(\.\d{1,3}){0,2}$/.test(address)
  const octets = address.split('.').length
  const whole = isPart ? address + '.0'.repeat(4 - octets) : address
  const version = ipVersion(whole)
  const bits = length === undefined ? (isPart ? 8 * octets : 128) : Number(length)
  if (version === 0 || (length !== undefined && bits > (version === 4 ? 32 : 128)))
    throw new BadValue('is no network, such as 172.17.0.0/16')
  return inNetwork(whole, bits, side)
}

function inNetwork(address: string, bits: number, side: Side): Condition {
  const wanted = addressGroups(address)
  const isIn = (ip: string) => {
    const groups = addressGroups(ip)
    if (groups.length !== wanted.length) return false
    // Bits that differ behind the length are shifted out.
    return groups.every(
      (group, i) => (group ^ wanted[i]) >> Math.min(16, Math.max(0, 16 * (i + 1) - bits)) === 0,
    )
  }
  // A flow shows the same few addresses at all of its points.
  const known = new Map<string, boolean>()
  return atSide(side, ({ ip }) => {
    const before = known.get(ip)
    if (before !== undefined) return before
    if (known.size >= MAX_KNOWN) known.clear()
    const now = isIn(ip)
    known.set(ip, now)
    return now
  })
}

/** `80` or `8000-8080`. The echo id in an ICMP flow's `port` is none. */
function port(value: string, side: Side): Condition {
  const [from, to = from] = value.split('-').map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : -1))
  if (value.split('-').length > 2 || Math.min(from, to) < 0 || Math.max(from, to) > 0xffff)
    throw new BadValue('is no port from 0 to 65535 nor a range such as 8000-8080')
  const [low, high] = from < to ? [from, to] : [to, from]
  const isIn = atSide(side, (end) => end.port >= low && end.port <= high)
  return (flow, view) => hasPorts(flow) && isIn(flow, view)
}

function echoId(value: string): Condition {
  if (!/^\d{1,5}$/.test(value) || Number(value) > 0xffff)
    throw new BadValue('is no ICMP echo identifier from 0 to 65535')
  const id = Number(value)
  return (flow, { client, server }) => isIcmp(flow) && (client.port === id || server.port === id)
}

function protocol(value: string): Condition {
  // pcap-filter wants a backslash in front of names that are its own words.
  const name = PROTOCOLS.get(value.toLowerCase().replace(/^\\/, ''))
  if (name !== undefined) return hasProtocol(name)
  if (/^\d{1,3}$/.test(value) && Number(value) < 256) return hasProtocol(protocolName(Number(value)))
  throw new BadValue('is no IP protocol by name or number')
}

function state(value: string): Condition {
  if (!Object.hasOwn(STATES, value))
    throw new BadValue(`is no state: there are ${Object.keys(STATES).join(', ')}`)
  return (flow) => flow.state === value
}

function atSide(side: Side, test: (end: Endpoint) => boolean): Condition {
  if (side === 'src') return (_, { client }) => test(client)
  if (side === 'dst') return (_, { server }) => test(server)
  if (side === 'src and dst') return (_, { client, server }) => test(client) && test(server)
  return (_, { client, server }) => test(client) || test(server)
}

function isIcmp(flow: FlowReport): boolean {
  return flow.protocol === 'icmp' || flow.protocol === 'icmpv6'
}

/** Elsewhere 0 stands for no port, which no packet of these has. */
function hasPorts({ protocol }: FlowReport): boolean {
  return PORT_PROTOCOLS.has(protocol)
}

const PORT_PROTOCOLS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', 'dccp', 'udplite'])
