/**
 * A routed site for tests: clients, two routers and a server in network namespaces of their own, joined by nothing but
 * cables between them. What the routers translate is for the tests to say, by iptables, nft and sysctl.
 *
 * ```
 * [c1] eth0 10.1.0.11 ── veth1 ┐
 *                              br0 10.1.0.1 [r1] eth0 192.168.5.100 ── lan 192.168.5.1 [r2] wan 203.0.113.1 ── eth0 203.0.113.10 [server]
 * [c2] eth0 10.1.0.12 ── veth2 ┘                                                                               also 203.0.113.11
 * ```
 * IPv6: fd00:1::/64, fd00:5::/64 and 2001:db8:113::/64, with the same last numbers. All know a way to all.
 */

import type { ChildProcess } from 'node:child_process'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { requireRoot, requireTool, run } from '../tools.ts'
import { baseOf, type ConntrackEntry, parseConntrack, removeLeftovers } from './docker-host.ts'
import { Recording, spawnIn } from './recording.ts'

export type Place = 'c1' | 'c2' | 'r1' | 'r2' | 'server'
const PLACES: readonly Place[] = ['c1', 'c2', 'r1', 'r2', 'server']

/** Where frames can be recorded, client side first: namespace and interface. */
const POINTS = {
  c1: ['c1', 'eth0'],
  c2: ['c2', 'eth0'],
  veth1: ['r1', 'veth1'],
  veth2: ['r1', 'veth2'],
  bridge: ['r1', 'br0'],
  uplink: ['r1', 'eth0'],
  lan: ['r2', 'lan'],
  wan: ['r2', 'wan'],
  server: ['server', 'eth0'],
} as const satisfies Record<string, readonly [Place, string]>
export type PointName = keyof typeof POINTS

const ADDRESSES: Record<Place, Record<string, string[]>> = {
  c1: { eth0: ['10.1.0.11/24', 'fd00:1::11/64'] },
  c2: { eth0: ['10.1.0.12/24', 'fd00:1::12/64'] },
  r1: { br0: ['10.1.0.1/24', 'fd00:1::1/64'], eth0: ['192.168.5.100/24', 'fd00:5::100/64'] },
  r2: { lan: ['192.168.5.1/24', 'fd00:5::1/64'], wan: ['203.0.113.1/24', '2001:db8:113::1/64'] },
  server: {
    eth0: ['203.0.113.10/24', '203.0.113.11/24', '2001:db8:113::10/64'],
  },
}
const ROUTES: [Place, string][] = [
  ['c1', 'default via 10.1.0.1'],
  ['c1', 'default via fd00:1::1'],
  ['c2', 'default via 10.1.0.1'],
  ['c2', 'default via fd00:1::1'],
  ['r1', 'default via 192.168.5.1'],
  ['r1', 'default via fd00:5::1'],
  ['r2', '10.1.0.0/24 via 192.168.5.100'],
  ['r2', 'fd00:1::/64 via fd00:5::100'],
  ['server', 'default via 203.0.113.1'],
  ['server', 'default via 2001:db8:113::1'],
]
const SETTINGS = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
  'net.ipv4.icmp_ratelimit=0',
  'net.ipv6.icmp.ratelimit=0',
  'net.ipv6.conf.default.accept_dad=0',
]
const AGENT = join(import.meta.dirname, 'site-agent.py')
const FLUSH = ['nat', 'mangle', 'raw', 'filter'].map((table) => `iptables -t ${table} -F`)

let count = 0
let prepared = false

/** Whether a site can be made here; by the rules of `requireTool`. */
export function requireSite(): boolean {
  return [
    requireRoot(),
    requireTool('conntrack', 'ip', 'iptables', 'nft', 'python3', 'setpriv', 'tcpdump', 'tshark'),
  ].every(Boolean)
}

/** One namespace, with a program inside that serves and talks, see `site-agent.py`. */
class Host {
  readonly netns: string
  readonly agent: ChildProcess
  readonly #answers: AsyncIterator<string>

  constructor(netns: string, addresses: string[]) {
    this.netns = netns
    this.agent = spawnIn(netns, 'python3', AGENT, ...addresses)
    this.#answers = createInterface({ input: this.agent.stdout! })[Symbol.asyncIterator]()
  }

  /** Waits until the services listen. */
  async ready(): Promise<void> {
    await this.#answers.next()
  }

  /** Lets the agent do something; the result is the command's. Rejects where it failed. */
  async do(command: string, options: Record<string, unknown> = {}): Promise<unknown> {
    this.agent.stdin!.write(`${JSON.stringify([command, options])}\n`)
    const { value, done } = await this.#answers.next()
    const result = done ? { error: 'the agent has ended' } : JSON.parse(value)
    if (result.error) throw new Error(`${this.netns}: ${result.error}`)
    return result.value
  }
}

export class Site {
  readonly #hosts: Record<Place, Host>
  readonly #base: string

  constructor(base: string, hosts: Record<Place, Host>) {
    this.#base = base
    this.#hosts = hosts
  }

  get c1(): Host {
    return this.#hosts.c1
  }
  get c2(): Host {
    return this.#hosts.c2
  }
  get r1(): Host {
    return this.#hosts.r1
  }
  get server(): Host {
    return this.#hosts.server
  }

  /** Runs commands in a namespace, one a line, to their ends; throws with the first failure. */
  sh(place: Place, commands: string): string {
    return execFileSync('ip', ['netns', 'exec', this.#hosts[place].netns, 'sh', '-e'], {
      input: commands,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  }

  /** Takes all rules and connections away. */
  reset(): void {
    for (const place of ['r1', 'r2'] as const) {
      const legacy = FLUSH.flatMap((line) => [line, line.replace('iptables', 'ip6tables')])
      if (place === 'r1') this.bridgeNetfilter(false)
      this.sh(
        place,
        ['nft flush ruleset', ...legacy, 'conntrack -F 2>&1', 'conntrack -F -f ipv6 2>&1'].join('\n'),
      )
    }
  }

  /** Whether netfilter runs inside of the bridge as well, as it does by default where its module is loaded. */
  bridgeNetfilter(isOn: boolean): void {
    const names = ['ip', 'ip6'].map((kind) => `net.bridge.bridge-nf-call-${kind}tables=${Number(isOn)}`)
    this.sh('r1', `sysctl -q -w ${names.join(' ')}`)
  }

  /** The connections that a router's conntrack knows. */
  conntrack(place: 'r1' | 'r2'): ConntrackEntry[] {
    const tables = ['ipv4', 'ipv6'].map((family) => `conntrack -L -f ${family} 2>/dev/null`)
    const entries = parseConntrack(this.sh(place, tables.join('\n')))
    // The kernel may list one twice while its table changes.
    return [
      ...new Map(entries.map((entry) => [JSON.stringify([entry.protocol, entry.original]), entry])).values(),
    ]
  }

  /** Starts recording at points; each is a file `POINT.pcap` in a folder that goes with the test. */
  record(...points: PointName[]): Promise<Recording> {
    return Recording.start(points, (point) => {
      const [place, iface] = POINTS[point as PointName]
      return { netns: this.#hosts[place].netns, iface }
    })
  }

  /** Ends all that was started here and removes the namespaces. */
  async stop(): Promise<void> {
    const ends = Object.values(this.#hosts).map(
      ({ agent }) => new Promise((done) => agent.once('exit', done)),
    )
    for (const { agent } of Object.values(this.#hosts)) agent.kill('SIGKILL')
    await Promise.all(ends)
    remove(this.#base)
    running.delete(this.#base)
  }
}

/** Sites of this process that are not stopped yet. */
const running = new Set<string>()

/** Makes a site. Its namespaces are named so that the next run removes those of a killed one. */
export async function startSite(): Promise<Site> {
  if (!prepared) {
    prepared = true
    removeLeftovers()
    process.on('exit', () => running.forEach(remove))
    // vitest ends its workers with SIGTERM, and half a second later with SIGKILL.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  }
  const base = baseOf(process.pid, `site${++count}`)
  running.add(base)
  try {
    for (const place of PLACES) createPlace(base, place)
    for (const place of ['c1', 'c2']) {
      const veth = place.replace('c', 'veth')
      ip(base, 'r1', `link add ${veth} type veth peer name eth0 netns ${base}-${place}`)
      ip(base, 'r1', `link set ${veth} master br0 up`)
    }
    ip(base, 'r1', `link add eth0 type veth peer name lan netns ${base}-r2`)
    ip(base, 'r2', `link add wan type veth peer name eth0 netns ${base}-server`)
    for (const place of PLACES)
      for (const [iface, addresses] of Object.entries(ADDRESSES[place])) {
        for (const address of addresses) ip(base, place, `address add ${address} dev ${iface}`)
        ip(base, place, `link set ${iface} up`)
      }
    for (const [place, route] of ROUTES) ip(base, place, `route add ${route}`)
    const hosts = Object.fromEntries(
      PLACES.map((place) => [place, new Host(`${base}-${place}`, addressesOf(place))]),
    ) as Record<Place, Host>
    await Promise.all(Object.values(hosts).map((host) => host.ready()))
    return new Site(base, hosts)
  } catch (error) {
    remove(base)
    throw error
  }
}

function createPlace(base: string, place: Place): void {
  run('ip', 'netns', 'add', `${base}-${place}`)
  // The clients' and the server's own answers would be redirected, too, were they routers.
  const settings = place.startsWith('r') ? SETTINGS : SETTINGS.filter((line) => !line.includes('forward'))
  run('ip', 'netns', 'exec', `${base}-${place}`, 'sysctl', '-q', '-w', ...settings)
  ip(base, place, 'link set lo up')
  if (place === 'r1') ip(base, place, 'link add br0 type bridge')
}

function addressesOf(place: Place): string[] {
  return Object.values(ADDRESSES[place])
    .flat()
    .map((address) => address.split('/')[0]!)
}

function ip(base: string, place: string, command: string): void {
  run('ip', '-n', `${base}-${place}`, ...command.split(' '))
}

function remove(base: string): void {
  for (const place of PLACES)
    try {
      run('ip', 'netns', 'delete', `${base}-${place}`)
    } catch {
      // It was not made, or is gone.
    }
}
