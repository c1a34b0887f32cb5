/**
 * Translation between the families, by tayga (RFC 7915) and netfilter in namespaces of their own:
 *
 * ```
 * app 192.168.46.2 ── [clat] IPv4 → IPv6 ── [plat] IPv6 → IPv4, MASQUERADE ── server 198.51.100.10
 * ```
 * `app` knows IPv4 only (464XLAT, RFC 6877); `clat` itself speaks IPv6 to the server (NAT64, RFC 6146).
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { FlowReport, Report } from '../../src/report/model.ts'
import { requireRoot, requireTool, run } from '../tools.ts'
import { fieldsOf, packetsIn, Running } from './capturing.ts'
import { baseOf, removeLeftovers } from './docker-host.ts'
import { finish } from './recording.ts'

const SERVER = '198.51.100.10'
const EMBEDDED = '2001:db8:ffff::c633:640a'
const CAPTURES = { app: 'eth0', clat: 'out0', plat: 'out0' } as const
type Station = keyof typeof CAPTURES
const STATIONS = Object.keys(CAPTURES) as Station[]

/** Sends three datagrams to a port that nobody listens on. */
const DATAGRAMS = `
import socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3):
    out.sendto(b'datagram number %d' % i, ('${SERVER}', 9999))
    time.sleep(0.2)
`

const here = requireRoot() && requireTool('tayga', 'tcpdump', 'conntrack', 'iptables', 'busybox', 'tshark')

describe.skipIf(!here)('IPv4 here and IPv6 there', () => {
  const names = Object.fromEntries(
    ['app', 'clat', 'plat', 'server'].map((name) => [name, baseOf(process.pid, `nat64-${name}`)]),
  )
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-nat64-'))
  const files = Object.fromEntries(STATIONS.map((station) => [station, join(folder, `${station}.pcap`)]))
  const children: ChildProcess[] = []
  let conntrack: string[]
  let report: Report

  const ip = (name: string, command: string) => void run('ip', '-n', names[name]!, ...command.split(' '))
  const exec = (name: string, ...args: string[]) => run('ip', 'netns', 'exec', names[name]!, ...args)
  function start(name: string, ...args: string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', names[name]!, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    children.push(child)
    return child
  }
  async function stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill()
    await new Promise((resolve) => child.once('exit', resolve))
  }

  function wire(from: string, itsEnd: string, to: string, otherEnd: string): void {
    ip(from, `link add ${itsEnd} type veth peer name ${otherEnd} netns ${names[to]}`)
    ip(from, `link set ${itsEnd} up`)
    ip(to, `link set ${otherEnd} up`)
  }

  /** Its translator between the families, on the interface `nat64`. */
  async function translate(name: string, settings: string[]): Promise<void> {
    const data = join(folder, `tayga-${name}`)
    const config = `${data}.conf`
    mkdirSync(data)
    writeFileSync(
      config,
      ['tun-device nat64', 'prefix 2001:db8:ffff::/96', `data-dir ${data}`, ...settings, ''].join('\n'),
    )
    exec(name, 'tayga', '-c', config, '--mktun')
    ip(name, 'link set nat64 up')
    start(name, 'tayga', '-c', config, '-d')
    for (
      let tries = 0;
      tries < 100 && !/LOWER_UP/.test(run('ip', '-n', names[name]!, 'link', 'show', 'nat64'));
      tries++
    )
      await sleep(50)
  }

  async function capture(name: Station): Promise<Running> {
    const command = ['tcpdump', '-U', '--immediate-mode', '-i', CAPTURES[name], '-w', files[name]!]
    const running = new Running(spawn('ip', ['netns', 'exec', names[name]!, ...command]))
    children.push(running.child)
    await running.untilSaid(/listening on/)
    return running
  }

  beforeAll(async () => {
    removeLeftovers()
    for (const netns of Object.values(names)) {
      run('ip', 'netns', 'add', netns)
      run('ip', '-n', netns, 'link', 'set', 'lo', 'up')
    }
    wire('app', 'eth0', 'clat', 'in0')
    wire('clat', 'out0', 'plat', 'in0')
    wire('plat', 'out0', 'server', 'eth0')
    ip('app', 'address add 192.168.46.2/24 dev eth0')
    ip('clat', 'address add 192.168.46.1/24 dev in0')
    ip('app', 'route add default via 192.168.46.1')
    ip('clat', 'address add 2001:db8:1::2/64 dev out0 nodad')
    ip('plat', 'address add 2001:db8:1::1/64 dev in0 nodad')
    ip('plat', 'address add 198.51.100.1/24 dev out0')
    ip('server', `address add ${SERVER}/24 dev eth0`)
    for (const router of ['clat', 'plat'])
      exec(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
    await translate('clat', [
      'ipv4-addr 192.0.0.2',
      'ipv6-addr 2001:db8:46::1',
      'map 192.168.46.2 2001:db8:46::2',
    ])
    await translate('plat', ['ipv4-addr 10.64.0.1', 'ipv6-addr 2001:db8:64::1', 'dynamic-pool 10.64.0.0/24'])
    ip('clat', 'route add default dev nat64')
    ip('clat', '-6 route add 2001:db8:46::/64 dev nat64')
    ip('clat', '-6 route add default via 2001:db8:1::1')
    ip('plat', '-6 route add 2001:db8:ffff::/96 dev nat64')
    ip('plat', 'route add 10.64.0.0/24 dev nat64')
    ip('plat', '-6 route add 2001:db8:46::/64 via 2001:db8:1::2')
    exec('plat', 'iptables', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'out0', '-j', 'MASQUERADE')
    writeFileSync(join(folder, 'page'), 'hello\n'.repeat(100))
    start('server', 'busybox', 'httpd', '-f', '-p', '80', '-h', folder)
    await sleep(300)

    // The first packet of all would wait for addresses to be found.
    exec('app', 'busybox', 'ping', '-c', '1', '-W', '5', SERVER)
    exec('plat', 'conntrack', '-F')
    const captures = await Promise.all(STATIONS.map(capture))
    const page = `http://${SERVER}/page`
    exec('app', 'busybox', 'ping', '-c', '3', '-i', '0.2', SERVER)
    exec('clat', 'busybox', 'ping', '-c', '2', '-i', '0.2', EMBEDDED)
    expect(exec('app', 'busybox', 'wget', '-q', '-O', '-', page)).toMatch(/^hello\n/)
    exec('app', 'python3', '-c', DATAGRAMS)
    await sleep(500)
    conntrack = exec('plat', 'conntrack', '-L').trim().split('\n')
    for (const running of captures) await finish(running)
    report = (await analyze(STATIONS.map((station) => `${station}=${files[station]}`))).report
  })

  afterAll(async () => {
    for (const child of children) await stop(child)
    for (const netns of Object.values(names))
      if (existsSync(`/run/netns/${netns}`)) execFileSync('ip', ['netns', 'delete', netns])
    rmSync(folder, { recursive: true })
  })

  const flowsOf = (from: Report, client: string) => from.flows.filter((flow) => flow.client.ip === client)
  const told = (flow: FlowReport) =>
    flow.translations.map(({ kind, between, to }) => `${kind} ${between.join('–')} ${to.ip}`)

  test('464XLAT: each packet is one from the application to the server, through both translators', () => {
    const flows = flowsOf(report, '192.168.46.2')
    expect(flows.map(({ protocol }) => protocol).sort()).toEqual(['icmp', 'tcp', 'udp'])
    for (const flow of flows) {
      expect(told(flow)).toEqual([
        'snat app–clat 2001:db8:46::2',
        `dnat app–clat ${EMBEDDED}`,
        'snat clat–plat 198.51.100.1',
        `dnat clat–plat ${SERVER}`,
      ])
      expect([flow.lost, flow.unseen, flow.ambiguous, flow.retransmissions]).toEqual([
        [],
        [],
        0,
        { forward: 0, reverse: 0 },
      ])
      expect(flow.forward.path.map(({ point }) => point)).toEqual(STATIONS)
    }
    expect(report.flows.length).toBe(
      flowsOf(report, '192.168.46.2').length + flowsOf(report, '2001:db8:1::2').length,
    )
    // As many packets as tshark counts at either end, in either family.
    const tcp = flows.find(({ protocol }) => protocol === 'tcp')!
    for (const station of STATIONS)
      expect(fieldsOf(files[station]!, ['frame.number'], '-Y', 'tcp')).toHaveLength(
        tcp.forward.packets + tcp.reverse.packets,
      )
    expect(report.findings.filter(({ code }) => code === 'hairpin')).toEqual([])
    expect(report.findings.filter(({ code }) => code === 'family-translated')).toHaveLength(
      report.flows.length,
    )
  })

  test('NAT64: the same mapping as conntrack has behind the translator', () => {
    const [ping] = flowsOf(report, '2001:db8:1::2')
    expect(ping).toMatchObject({ protocol: 'icmpv6', server: { ip: EMBEDDED }, forward: { packets: 2 } })
    expect(told(ping!)).toEqual(['snat clat–plat 198.51.100.1', `dnat clat–plat ${SERVER}`])
    // Behind tayga, netfilter has one entry for each flow, and its reply goes to the port that we tell.
    expect(conntrack).toHaveLength(report.flows.length)
    for (const flow of report.flows) {
      const outside = flow.translations.find(({ to }) => to.ip === '198.51.100.1')!.to
      const key = flow.protocol.startsWith('icmp') ? 'id' : 'dport'
      expect(
        conntrack.filter((line) =>
          new RegExp(`dst=198\\.51\\.100\\.1 .*\\b${key}=${outside.port}\\b`).test(line),
        ),
      ).toHaveLength(1)
    }
  })

  test('an ICMP error is one error, in whichever family a point shows it', () => {
    const udp = report.flows.find(({ protocol }) => protocol === 'udp')!
    expect(udp.icmpErrors).toMatchObject([{ name: 'port unreachable', packets: 3, from: SERVER }])
    expect(Object.keys(udp.icmpErrors[0]!.frames).sort()).toEqual([...STATIONS].sort())
  })

  test('without the point in between, what the two IPv4 ends show is not joined by guess', async () => {
    const ends = (await analyze([`app=${files.app}`, `plat=${files.plat}`])).report
    expect(ends.points.reduce((sum, { packets }) => sum + packets, 0)).toBe(
      packetsIn(files.app!) + packetsIn(files.plat!),
    )
    for (const flow of ends.flows) expect([flow.lost, flow.ambiguous]).toEqual([[], 0])
  })
})
