import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { systemCalls } from '../../src/capture/live/system.ts'
import { KernelDropReader } from '../../src/receipts/kernel-drops.ts'
import type { NamespaceReceipts, Receipts } from '../../src/receipts/model.ts'
import { checkedReceipts } from '../../src/receipts/receipts-check.ts'
import { openReceipts } from '../../src/receipts/receipts-reader.ts'
import { requireRoot, requireTool, run } from '../tools.ts'

const MAX = '/proc/sys/net/netfilter/nf_conntrack_max'
const TOOLS = ['iptables', 'iptables-legacy', 'nft', 'conntrack', 'ip', 'nsenter', 'setpriv', 'tc', 'sysctl']

/**
 * ```
 * A: va 10.9.0.1/24 ── vb 10.9.0.2/24 :B
 * ```
 */
const SENDER = `
import socket, sys
_, count, port, to, source = sys.argv
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.bind((source, 0))
for i in range(int(count)):
    try: out.sendto(b'x', (to, int(port)))
    except OSError: pass
`
const CLIENT = `
import socket
try: socket.create_connection(('10.9.0.2', 80))
except ConnectionRefusedError: print('refused')
`
const SERVER = `
import socket, time
server = socket.create_server(('127.0.0.1', 80))
print('listens', flush=True)
time.sleep(100)
`

describe.skipIf(!requireRoot() || !requireTool(...TOOLS))('receipts of namespaces', () => {
  const A = `hoptrace-a-${process.pid}`
  const B = `hoptrace-b-${process.pid}`
  const pathOf = (netns: string) => `/run/netns/${netns}`
  const inside = (netns: string, ...words: string[]) => run('nsenter', `--net=${pathOf(netns)}`, ...words)
  const ip = (netns: string, command: string) => run('ip', '-n', netns, ...command.split(' '))

  beforeEach(() => {
    for (const netns of [A, B]) run('ip', 'netns', 'add', netns)
    ip(A, `link add va type veth peer name vb netns ${B}`)
    ip(A, 'address add 10.9.0.1/24 dev va')
    ip(B, 'address add 10.9.0.2/24 dev vb')
    for (const [netns, name] of [
      [A, 'va'],
      [B, 'vb'],
      [A, 'lo'],
      [B, 'lo'],
    ] as const)
      ip(netns, `link set ${name} up`)
  })
  afterEach(() => {
    for (const netns of [A, B]) run('ip', 'netns', 'delete', netns)
  })

  /** What was counted while `work` ran; each as it comes out of a file. */
  async function receiptsOf(
    work: () => unknown,
    addresses: string[] = [],
  ): Promise<{ all: Receipts; a: NamespaceReceipts; b: NamespaceReceipts }> {
    const reader = openReceipts(
      [
        { name: 'a', path: pathOf(A), points: ['near'], interfaces: ['va'] },
        { name: 'b', path: pathOf(B), points: ['far'], interfaces: ['vb'] },
      ],
      { addresses },
    )
    try {
      await reader.begin()
      await work()
      const all = checkedReceipts(JSON.parse(JSON.stringify(await reader.end())))!
      expect(all.notRead).toEqual([])
      const [a, b] = all.namespaces
      expect([a?.name, b?.name]).toEqual(['a', 'b'])
      return { all, a: a!, b: b! }
    } finally {
      reader.close()
      expect(instances()).not.toContain(`hoptrace-${process.pid}`)
    }
  }

  /** Sends so many datagrams from A. */
  const send = (count: number, port: number, to = '10.9.0.2', from = '') =>
    inside(A, 'python3', '-c', SENDER, String(count), String(port), to, from)

  test('rules of all three kinds, each with its counter', async () => {
    inside(B, ...'iptables -A INPUT -p udp --dport 97 -j DROP'.split(' '))
    inside(B, ...'ip6tables -A INPUT -p udp --dport 97 -j DROP'.split(' '))
    inside(B, ...'iptables-legacy -A INPUT -p udp --dport 98 -j DROP'.split(' '))
    inside(B, 'nft', 'add table inet t; add chain inet t c { type filter hook input priority 5; }')
    inside(B, 'nft', 'add rule inet t c udp dport 99 counter drop')
    const { b, all } = await receiptsOf(() => {
      send(3, 97)
      send(4, 98)
      send(5, 99)
    })
    const moved = b.rules.filter(({ change, target }) => change === 'counted' && target === 'DROP')
    expect(moved.map(({ backend, text, number, packets }) => [backend, number, text, packets.after])).toEqual(
      [
        ['iptables', 1, '-p udp -m udp --dport 97 -j DROP', 3],
        ['iptables-legacy', 1, '-p udp -m udp --dport 98 -j DROP', 4],
        ['nft', 1, 'udp dport 99 drop', 5],
      ],
    )
    expect(b.ruleCount).toBeGreaterThanOrEqual(4)
    // The oracle: what the tools list.
    const listed = inside(B, 'iptables', '-nvxL', 'INPUT', '--line-numbers')
    expect(listed).toMatch(/^1\s+3\s+87 DROP/m)
    const dropped = all.drops.filter(({ reason }) => reason === 'NETFILTER_DROP')
    expect(dropped.reduce((sum, { packets }) => sum + packets, 0)).toBeGreaterThanOrEqual(12)
    for (const { timesNs } of dropped)
      for (const timeNs of timesNs) {
        expect(BigInt(timeNs)).toBeGreaterThan(BigInt(all.beginNs) - 2_000_000n)
        expect(BigInt(timeNs)).toBeLessThan(BigInt(all.endNs) + 2_000_000n)
      }
  })

  test('rp_filter: its counter, its setting, and the kernel’s own word for it', async () => {
    inside(B, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
    ip(A, 'address add 10.77.0.1/32 dev lo')
    ip(B, 'route add blackhole 10.66.0.0/16')
    // A question for the way there would come from the strange address as well, and get no answer.
    send(1, 99)
    const { b, all } = await receiptsOf(() => send(6, 99, '10.9.0.2', '10.77.0.1'))
    expect(b.counters).toContainEqual({ group: 'TcpExt', name: 'IPReversePathFilter', before: 0, after: 6 })
    expect(b.interfaces[0]).toMatchObject({ name: 'vb', rpFilter: 1, mtu: 1500, isUp: true })
    expect(b.settings).toContainEqual({ name: 'net.ipv4.conf.all.rp_filter', value: 1 })
    expect(b.routes).toContainEqual(
      expect.objectContaining({ destination: '10.66.0.0/16', type: 'blackhole' }),
    )
    const drops = all.drops.find(({ reason }) => reason === 'IP_RPFILTER')
    expect(drops).toMatchObject({ etherType: 2048 })
    expect(drops!.packets).toBeGreaterThanOrEqual(6)
  })

  test('connections that came and went, translations and who listens', async () => {
    inside(A, ...'iptables -t nat -A POSTROUTING -o va -p tcp -j SNAT --to-source 10.9.0.1:5000'.split(' '))
    // Something has to be tracked for events to be asked for.
    send(1, 4)
    const server = spawn('nsenter', [`--net=${pathOf(B)}`, 'python3', '-c', SERVER], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    onTestFinished(() => void server.kill())
    await new Promise((resolve) => server.stdout!.once('data', resolve))
    const { a, b, all } = await receiptsOf(async () => {
      // conntrack does not say when it listens, the kernel does: Eth is 12 (NETLINK_NETFILTER), Groups are those of events.
      const isListening = () => /^\S+ +12 +\d+ +(?!00000000)/m.test(inside(A, 'cat', '/proc/net/netlink'))
      await expect.poll(isListening, { timeout: 20_000 }).toBe(true)
      // Nobody listens at that address: refused, and out of the table at once.
      expect(inside(A, 'python3', '-c', CLIENT)).toBe('refused\n')
      send(1, 5)
    }, ['10.9.0.1'])
    const { conntrack } = a
    const tcp = conntrack!.entries.find(({ protocol }) => protocol === 'tcp')
    expect(tcp).toMatchObject({
      original: { src: '10.9.0.1', dst: '10.9.0.2', dport: 80 },
      reply: { src: '10.9.0.2', dst: '10.9.0.1', sport: 80, dport: 5000 },
    })
    expect(BigInt(tcp!.sinceNs!)).toBeGreaterThan(BigInt(all.beginNs))
    expect(BigInt(tcp!.sinceNs!)).toBeLessThan(BigInt(all.endNs))
    expect(conntrack!.entries.map(({ original }) => original.dport).sort()).toEqual([4, 5, 80])
    expect(conntrack!.max).toBe(Number(readFileSync(MAX, 'utf8')))
    expect(a.rules.find(({ target }) => target === 'SNAT')).toMatchObject({
      ...{ to: '10.9.0.1:5000', change: 'counted', packets: { before: 0, after: 1 } },
    })
    expect(b.listeners).toEqual([{ protocol: 'tcp', ip: '127.0.0.1', port: 80 }])
  })

  test('a full table of connections', async () => {
    inside(B, ...'iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT'.split(' '))
    // More than anybody else's namespace is likely to hold: the limit is one for all.
    const lines = Array.from({ length: 20_000 }, (_, i) => {
      const [high, low] = [i >> 8, i & 255]
      return `-A -p udp -s 10.8.${high}.${low} -d 10.9.0.2 --sport 1 --dport 2 -r 10.9.0.2 -q 10.8.${high}.${low} --reply-port-src 2 --reply-port-dst 1 -t 100 -u SEEN_REPLY,ASSURED`
    })
    const folder = mkdtempSync(join(tmpdir(), 'hoptrace-conntrack-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'entries'), `${lines.join('\n')}\n`)
    inside(B, 'conntrack', '-R', join(folder, 'entries'))
    expect(Number(inside(B, 'conntrack', '-C'))).toBe(20_000)
    const max = readFileSync(MAX, 'utf8')
    const { b } = await receiptsOf(() => {
      try {
        writeFileSync(MAX, '19000')
        send(5, 99)
      } finally {
        writeFileSync(MAX, max)
      }
    }, ['10.9.0.1'])
    const { conntrack } = b
    expect(conntrack).toMatchObject({ count: { before: 20_000, after: 20_000 } })
    expect(conntrack!.stats).toContainEqual({ group: 'nf_conntrack', name: 'drop', before: 0, after: 5 })
    expect(conntrack!.entries.length).toBeLessThanOrEqual(4096)
    expect(conntrack!.entries.length + conntrack!.omitted).toBe(20_000)
  })

  test('a namespace that ends meanwhile can still be read, which is told', async () => {
    const holder = spawn('unshare', ['--net', 'sleep', '100'], { stdio: 'ignore' })
    onTestFinished(() => void holder.kill())
    const path = `/proc/${holder.pid}/ns/net`
    await expect
      .poll(() => run('readlink', path) !== run('readlink', '/proc/self/ns/net'), { timeout: 20_000 })
      .toBe(true)
    const reader = openReceipts([{ name: 'gone', path, points: [], interfaces: [] }])
    await reader.begin()
    holder.kill()
    await expect.poll(() => existsSync(path), { timeout: 20_000 }).toBe(false)
    const { namespaces, notRead } = await reader.end()
    reader.close()
    expect(namespaces[0]).toMatchObject({ name: 'gone', interfaces: [{ name: 'lo' }] })
    expect(notRead).toContainEqual(expect.objectContaining({ namespace: 'gone', what: 'namespace' }))
  })

  test('a namespace that is not there is told, and the others are read', async () => {
    const reader = openReceipts([
      { name: 'a', path: pathOf(A), points: [], interfaces: [] },
      { name: 'nowhere', path: '/run/netns/nowhere', points: [], interfaces: [] },
    ])
    await reader.begin()
    const { namespaces, notRead } = await reader.end()
    reader.close()
    expect(namespaces.map(({ name }) => name)).toEqual(['a'])
    expect(notRead).toEqual([{ namespace: 'nowhere', what: 'namespace', why: "it can't be opened (ENOENT)" }])
  })

  test('a namespace that is there by two paths is read once', async () => {
    const child = spawn('nsenter', [`--net=${pathOf(A)}`, 'sleep', '100'])
    onTestFinished(() => void child.kill('SIGKILL'))
    await expect.poll(() => readlinkSync(`/proc/${child.pid}/ns/net`)).toContain(`${statSync(pathOf(A)).ino}`)
    const reader = openReceipts([
      { name: 'web', path: `/proc/${child.pid}/ns/net`, points: ['container'], interfaces: ['va'] },
      { name: 'a', path: pathOf(A), points: ['lo'], interfaces: ['lo'] },
      { name: 'b', path: pathOf(B), points: ['far'], interfaces: ['vb'] },
    ])
    await reader.begin()
    const { namespaces } = await reader.end()
    reader.close()
    expect(namespaces.map(({ name, points }) => [name, points])).toEqual([
      ['web', ['container', 'lo']],
      ['b', ['far']],
    ])
  })

  test('leftovers of a run that was killed are removed by the next', async () => {
    const program = `const { KernelDropReader } = await import('${join(import.meta.dirname, '../../dist/receipts/kernel-drops.js')}'); KernelDropReader.begin(); console.log('there'); setTimeout(() => {}, 1e6)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    await new Promise((resolve) => child.stdout!.once('data', resolve))
    // One that runs is left alone.
    const mine = KernelDropReader.begin()
    expect(instances()).toContain(`hoptrace-${child.pid}`)
    ;(mine as KernelDropReader).close()
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
    expect(instances()).toContain(`hoptrace-${child.pid}`)
    ;(KernelDropReader.begin() as KernelDropReader).close()
    expect(instances()).not.toContain(`hoptrace-${child.pid}`)
  })
})

/** Tracing instances of the machine. */
function instances(): string[] {
  return readdirSync(`/proc/self/fd/${tracefs()}/instances`)
}

let mounted = -1
function tracefs(): number {
  if (mounted < 0) mounted = systemCalls().mountUnseen('tracefs')
  return mounted
}
