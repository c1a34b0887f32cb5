/** Live captures on a real engine, mode by mode: the live report is that of the file, and the one that conntrack bears out. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import { difference } from '../correlate/compare.ts'
import { requireTool, run } from '../tools.ts'
import {
  analyzed,
  announced,
  comparable,
  fieldsOf,
  flowsIn,
  flowsOf,
  packetsIn,
  rewritesIn,
  rewritesOf,
  scratch,
  startCapture,
} from './capturing.ts'
import { type ConntrackEntry, requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { connect, serveInternet } from './services.ts'

const canRun = requireDocker() && requireTool('tshark', 'capinfos')

describe.skipIf(!canRun)('hoptrace capture', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('scenarios')
    const box = (name: string, options: string[], ...command: string[]) =>
      host.docker('run', '-d', '--name', name, ...options, 'box', ...command)
    await serveInternet(host)
    box('cli', [], 'sleep', '1000')
    box('other', [], 'sleep', '1000')
    box('web', ['-p', '8080:80'], 'httpd', '-f', '-h', '/www')
    host.docker('network', 'create', 'shop')
    box('front', ['--network', 'shop'], 'sleep', '1000')
    box('back', ['--network', 'shop'], 'httpd', '-f', '-h', '/www')
    box('onhost', ['--network', 'host'], 'sleep', '1000')
    box('alone', ['--network', 'none'], 'httpd', '-f', '-h', '/www')
  })
  afterAll(() => host?.stop())

  /** Captures with these options while `traffic` goes on, and holds what comes out against the file and conntrack. */
  async function captured(options: string[], traffic: () => unknown) {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, [...options, '--json', '-w', file])
    host.exec('conntrack', '-F')
    await traffic()
    const conntrack = host.conntrack()
    const { stdout, stderr, code } = await running.end()
    expect(stderr).toMatch(/^hoptrace: captures on [^\n]*\n$/)
    expect(code).toBe(0)
    const report = JSON.parse(stdout) as Report
    const { report: later, journeys } = await analyzed(file)
    expect(comparable(report)).toEqual(comparable(later))
    expect(report.points.map((point) => point.name)).toEqual(announced({ stderr }))
    expect(report.points.map((point) => point.captureDrops)).toEqual(report.points.map(() => 0))
    expectTold(file, report, journeys)
    return { report, conntrack, file, journeys }
  }

  /** Every rewrite of conntrack's is in the report, with its exact addresses and ports, and no other; as are the flows. */
  function expectAsConntrack(report: Report, conntrack: ConntrackEntry[]) {
    expect(difference(rewritesOf(report), rewritesIn(conntrack))).toEqual({ extra: [], lacking: [] })
    expect(ipv4(flowsOf(report)).sort()).toEqual(flowsIn(conntrack).sort())
  }

  test('outbound: masquerade', async () => {
    const { report, conntrack } = await captured(['--container', 'cli'], () => {
      exec('cli', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`)
      exec('cli', 'ping', '-c', '3', '-i', '0.2', host.internet.ip)
      echoed('cli', 3)
    })
    expectAsConntrack(report, conntrack)
    expect(report.path).toEqual(['container', 'veth', 'bridge', 'uplink'])
    expect(report.flows.map((flow) => flow.protocol).sort()).toEqual(['icmp', 'tcp', 'udp'])
    for (const { forward, reverse, lost, ambiguous } of report.flows) {
      expect(forward.path.map(({ point, ttl }) => `${point} ${ttl}`)).toEqual([
        ...['container 64', 'veth 64', 'bridge 64', 'uplink 63'],
      ])
      expect(reverse.path.map(({ point }) => point)).toEqual(['uplink', 'bridge', 'veth', 'container'])
      expect({ lost, ambiguous }).toEqual({ lost: [], ambiguous: 0 })
    }
  })

  test('inbound: a published port', async () => {
    const { report, conntrack } = await captured(['--container', 'web'], () => {
      const page = host.internet.exec('busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:8080/`)
      expect(page).toBe('hello from the container\n')
    })
    expectAsConntrack(report, conntrack)
    expect(rewritesOf(report)).toEqual([
      { kind: 'dnat', from: { ip: host.ip, port: 8080 }, to: { ip: ipOf('web'), port: 80 } },
    ])
    expect(waysOf(report)).toEqual([
      'uplink 64, bridge 63, veth 63, container 63',
      'container 64, veth 64, bridge 64, uplink 63',
    ])
  })

  test('a user-defined network, by the name of the container', async () => {
    const { report, file } = await captured(['--container', 'front', '--container', 'back'], () => {
      expect(exec('front', 'wget', '-q', '-O', '-', 'http://back/')).toBe('hello from the container')
    })
    expect(flowsOf(report).filter((flow) => flow.startsWith('tcp'))).toEqual([
      expect.stringMatching(new RegExp(`^tcp ${ipOf('front')}:\\d+ → ${ipOf('back')}:80$`)),
    ])
    expect(rewritesOf(report)).toEqual([])
    const { forward, reverse } = report.flows.find((flow) => flow.protocol === 'tcp')!
    const points = ['front', 'front.veth', 'bridge', 'back.veth', 'back']
    expect(forward.path.map(({ point }) => point)).toEqual(points)
    expect(reverse.path.map(({ point }) => point)).toEqual(points.toReversed())
    // The file names the addresses, and tshark takes its word for it.
    const named = run(
      'tshark',
      '-Nn',
      '-r',
      file,
      '-Y',
      'tcp.flags.syn==1',
      '-Tfields',
      '-eip.src_host',
      '-eip.dst_host',
    )
    expect(new Set(named.trim().split(/\s/))).toEqual(new Set(['front', 'back']))
  })

  test('host mode', async () => {
    const { report, conntrack } = await captured(['--container', 'onhost'], () => {
      exec('onhost', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`)
      exec('onhost', 'ping', '-c', '2', '-i', '0.2', '127.0.0.1')
    })
    expectAsConntrack(report, conntrack)
    expect(rewritesOf(report)).toEqual([])
    expect(report.points.map(({ name }) => name)).toEqual(['uplink', 'lo'])
    expect(waysOf(report)).toEqual(['uplink 64', 'uplink 64', 'lo 64', 'lo 64'])
    // A loopback interface shows each frame when it leaves and when it arrives; here each is there once.
    expect(report.flows.map(({ forward, reverse }) => [forward.packets, reverse.packets])[1]).toEqual([2, 2])
  })

  test('no network', async () => {
    const { report, conntrack } = await captured(['--container', 'alone'], () => {
      exec('alone', 'wget', '-q', '-O', '-', 'http://127.0.0.1/')
    })
    expect(conntrack).toEqual([])
    expect(waysOf(report)).toEqual(['container 64', 'container 64'])
    expect(report.flows).toMatchObject([{ state: 'closed', lost: [], duplicates: 0, ambiguous: 0 }])
  })

  test('macvlan', async () => {
    const lan = [
      '--subnet',
      '192.168.78.0/24',
      '--gateway',
      '192.168.78.1',
      '--ip-range',
      '192.168.78.192/27',
    ]
    host.docker('network', 'create', '-d', 'macvlan', '-o', 'parent=eth0', ...lan, 'lan')
    host.docker('run', '-d', '--name', 'own', '--network', 'lan', 'box', 'sleep', '1000')
    const { report, conntrack } = await captured(['--container', 'own'], () => {
      exec('own', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`)
    })
    // It passes the host by.
    expect(conntrack).toEqual([])
    expect(rewritesOf(report)).toEqual([])
    expect(waysOf(report, 'tcp')).toEqual(['container 64, parent 64', 'parent 64, container 64'])
  })

  test('two containers, whose ports collide behind one address', async () => {
    const { report, conntrack } = await captured(['--container', 'cli', '--container', 'other'], async () => {
      for (const name of ['cli', 'other']) await connect(host, host.pidOf(name), 45_000)
      await expect
        .poll(() => host.conntrack().filter(({ state }) => state === 'ESTABLISHED'), { timeout: 30_000 })
        .toHaveLength(2)
    })
    expectAsConntrack(report, conntrack)
    expect(report.points.map(({ name }) => name)).toEqual([
      ...['cli', 'cli.veth', 'other', 'other.veth', 'bridge', 'uplink'],
    ])
    expect(waysOf(report).filter((_, i) => i % 2 === 0)).toEqual([
      'cli 64, cli.veth 64, bridge 64, uplink 63',
      'other 64, other.veth 64, bridge 64, uplink 63',
    ])
    expect(report.findings.map(({ code }) => code)).toContain('port-remapped')
  })

  test('a container that is stopped and started, and restarted, while it is captured', async () => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, ['--container', 'web', '--json', '-w', file])
    host.exec('conntrack', '-F')
    const fetch = () => host.internet.exec('busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:8080/`)
    fetch()
    // The engine makes conntrack forget what was of a container that stops.
    const conntrack = takeConntrack()
    host.docker('stop', '-t', '0', 'web')
    await running.untilSaid(/its interface is gone/, 2)
    host.docker('start', 'web')
    await running.untilSaid(/is back/, 2)
    await servedAgain(fetch)
    conntrack.push(...takeConntrack())
    host.docker('restart', '-t', '0', 'web')
    await running.untilSaid(/is back/, 4)
    await servedAgain(fetch)
    conntrack.push(...takeConntrack())
    const { stdout, stderr, code } = await running.end()
    expect(code).toBe(0)
    for (const point of ['container', 'veth']) {
      const said = stderr.split('\n').filter((line) => line.startsWith(`hoptrace: ${point} (`))
      expect(said.map((line) => line.replace(/\(.*\)/, '()'))).toEqual([
        `hoptrace: ${point} (): its interface is gone; the other points go on`,
        `hoptrace: ${point} (): is back`,
        `hoptrace: ${point} (): its interface is gone; the other points go on`,
        `hoptrace: ${point} (): is back`,
      ])
    }
    const report = JSON.parse(stdout) as Report
    const { report: later, journeys } = await analyzed(file)
    expect(comparable(report)).toEqual(comparable(later))
    expectTold(file, report, journeys)
    expectAsConntrack(report, conntrack)
    const whole = report.flows.filter(({ forward }) => forward.path.length === 4)
    expect(whole.length).toBeGreaterThanOrEqual(3)
  })

  function takeConntrack(): ConntrackEntry[] {
    const entries = host.conntrack()
    host.exec('conntrack', '-F')
    return entries
  }

  /** The server in the container takes a moment to listen. */
  async function servedAgain(fetch: () => string) {
    await expect.poll(() => attempt(fetch), { timeout: 30_000 }).toBe('hello from the container\n')
  }

  function ipOf(container: string): string {
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
    return host.docker('inspect', '--format', format, container)
  }

  /** Sends datagrams from a container to the echo of the internet, one after the other's answer. */
  function echoed(container: string, count: number) {
    const script = `set -e; exec 3<>/dev/udp/${host.internet.ip}/7; for i in {1..${count}}; do echo $i >&3; timeout 10 dd bs=99 count=1 <&3 || exit 1; done`
    run('nsenter', `--net=/proc/${host.pidOf(container)}/ns/net`, 'bash', '-c', script)
  }

  function exec(container: string, ...command: string[]) {
    return host.docker('exec', container, ...command)
  }
})

/** Holds a file against what the report tells of it, with the eyes of tshark. */
function expectTold(file: string, report: Report, journeys: JourneyReport[]) {
  const records = fieldsOf(file, ['frame.interface_name', 'ip.ttl', 'frame.packet_id', 'frame.packet_flags'])
  expect(packetsIn(file)).toBe(records.length)
  const counts = new Map<string, number>()
  for (const [point] of records) counts.set(point, (counts.get(point) ?? 0) + 1)
  expect(report.points.map(({ name, packets }) => [name, packets])).toEqual(
    report.points.map(({ name }) => [name, counts.get(name) ?? 0]),
  )
  const ids = new Set<string>()
  for (const { sightings } of journeys) {
    const told = sightings.flatMap(({ point, frames, ttl }) =>
      frames.map((frame) => ({ point, ttl, record: records[frame - 1] })),
    )
    const [id] = told[0].record[2].split(',')
    for (const { point, ttl, record } of told) {
      if (record[1] !== '') expect(record.slice(0, 3)).toEqual([point, String(ttl), id])
      else expect([record[0], record[2]]).toEqual([point, id])
    }
    expect(ids).not.toContain(id)
    ids.add(id)
  }
}

/** The way of each flow there and back: `container 64, veth 64`. */
function waysOf({ flows }: Report, protocol?: string): string[] {
  return flows
    .filter((flow) => (protocol ? flow.protocol === protocol : !flow.protocol.startsWith('icmpv6')))
    .flatMap(({ forward, reverse }) => [forward, reverse])
    .map(({ path }) => path.map(({ point, ttl }) => `${point} ${ttl}`).join(', '))
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

function ipv4(flows: string[]): string[] {
  return flows.filter((flow) => /^(tcp|udp|icmp) \d+\./.test(flow))
}
