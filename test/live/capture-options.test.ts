/** What `hoptrace capture` can be told, on a real engine: how it shows, selects, cuts, ends, and which file it writes. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JourneyReport } from '../../src/report/journey-lines.ts'
import type { Report } from '../../src/report/model.ts'
import { requireTool, run } from '../tools.ts'
import {
  analyzed,
  comparable,
  fieldsOf,
  NO_ENGINE,
  packetsIn,
  Running,
  scratch,
  startCapture,
} from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { finish } from './recording.ts'
import { serveInternet } from './services.ts'

const canRun = requireDocker() && requireTool('tshark', 'capinfos')
const DIRECTION = 3
const INBOUND = 1
const OUTBOUND = 2
const CHECKSUM_NOT_READY = 1 << 9
/** What tells one frame from another. */
const FRAME = ['eth.src', 'eth.dst', 'ip.id', 'ip.ttl', 'ip.checksum', 'icmp.type', 'icmp.seq', 'data']

describe.skipIf(!canRun)('hoptrace capture', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('options')
    await serveInternet(host)
    host.docker('run', '-d', '--name', 'cli', 'box', 'sleep', '1000')
    // Who lives where is known from now on: no test has its first packet wait for that.
    ping(1)
  })
  afterAll(() => host?.stop())

  const ping = (count: number, to = host.internet.ip) =>
    host.docker('exec', 'cli', 'ping', '-q', '-c', String(count), '-i', '0.05', '-W', '1', to)
  const fetch = (path = '') =>
    host.docker('exec', 'cli', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/${path}`)

  test('a line a packet, and at the end the report', async () => {
    const running = await startCapture(host, ['--container', 'cli', '--filter', 'icmp'])
    ping(1)
    await running.until(({ stdout }) => stdout.split('\n').length > 2)
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    const [request, reply, blank, ...report] = stdout.split('\n')
    expect([request, reply].map(masked)).toEqual([
      'TIME #1 → echo seq 0 len 56       cli 172.17.0.2 id N → 203.0.113.10  container 64 ── veth ── bridge ─SNAT 192.168.78.100 id N─ uplink 63  TOOK',
      'TIME #1 ← echo seq 0 len 56       203.0.113.10 id N → cli 172.17.0.2  uplink 64 ─SNAT 172.17.0.2 id N─ bridge 63 ── veth ── container  TOOK',
    ])
    expect(blank).toBe('')
    expect(report[0]).toMatch(/^4 points · \d+ frames · \d+ flows? · /)
    expect(report).toContain('  container ── veth ── bridge ──[ SNAT · TTL −1 ]── uplink')
  })

  test.each(['SIGTERM', 'SIGHUP'] as const)('%s ends it as Ctrl-C does', async (signal) => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, ['--container', 'cli', '--json', '-w', file])
    ping(2)
    const { stdout, code } = await running.end(signal)
    expect(code).toBe(0)
    expect(comparable(JSON.parse(stdout))).toEqual(comparable((await analyzed(file)).report))
  })

  test('--ndjson: each packet, as analyze tells it of the file', async () => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, ['--container', 'cli', '--ndjson', '-w', file])
    fetch('big')
    ping(3)
    // Refused by the host, and told to its sender.
    expect(() => ping(1, '198.51.100.1')).toThrow()
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    const told = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JourneyReport)
    const { journeys } = await analyzed(file)
    expect(byFirstFrame(told)).toEqual(byFirstFrame(journeys))
    expect(told.length).toBeGreaterThan(15)
  })

  test('--count: ends by itself, and counts a packet once for all points', async () => {
    const running = await startCapture(host, ['--container', 'cli', '--count', '5', '--ndjson'])
    ping(8)
    const { stdout, code } = await running.ended
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n')).toHaveLength(5)
  })

  test('--duration: ends by itself', async () => {
    const running = await startCapture(host, ['--container', 'cli', '--duration', '300ms', '--json'])
    const { stdout, code } = await running.ended
    expect(code).toBe(0)
    expect((JSON.parse(stdout) as Report).points).toHaveLength(4)
  })

  test('--filter: an address that only the uplink sees selects the flow at all points', async () => {
    const options = ['--container', 'cli', '--filter', `host ${host.ip} and icmp`]
    const [whole, lines] = await Promise.all([
      startCapture(host, [...options, '--json']),
      startCapture(host, [...options, '--ndjson']),
    ])
    ping(2)
    // This one does not get as far.
    ping(2, '172.17.0.1')
    fetch()
    const [report, { stdout }] = await Promise.all([whole.end(), lines.end()])
    const { flows, points } = JSON.parse(report.stdout) as Report
    expect(flows.map(({ protocol, forward }) => [protocol, forward.packets, forward.path.length])).toEqual([
      ['icmp', 2, 4],
    ])
    // What is not shown is counted all the same.
    expect(points[0].packets).toBeGreaterThan(8)
    const told = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JourneyReport)
    expect(told.map(({ summary, sightings }) => [summary, sightings.length])).toEqual([
      ['echo seq 0 len 56', 4],
      ['echo seq 0 len 56', 4],
      ['echo seq 1 len 56', 4],
      ['echo seq 1 len 56', 4],
    ])
  })

  test('--bpf: the kernel lets nothing else through, and the file says so', async () => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, ['--container', 'cli', '--bpf', 'port 80', '--json', '-w', file])
    ping(2)
    fetch()
    const { stdout } = await running.end()
    const report = JSON.parse(stdout) as Report
    expect(report.flows.map(({ protocol, forward }) => [protocol, forward.path.length])).toEqual([['tcp', 4]])
    expect(fieldsOf(file, ['frame.number'], '-Y', 'tcp.port == 80')).toHaveLength(packetsIn(file))
    expect(
      run('capinfos', file).match(/Filter string = BPF filter port 80|Filter string = port 80/g),
    ).toHaveLength(4)
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
  })

  test('--snaplen: frames are cut, and joined all the same', async () => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, ['--container', 'cli', '--snaplen', '60', '--json', '-w', file])
    ping(2)
    fetch('big')
    const { stdout } = await running.end()
    const report = JSON.parse(stdout) as Report
    const lengths = fieldsOf(file, ['frame.cap_len', 'frame.len']).map((pair) => pair.map(Number))
    expect(lengths.map(([kept, whole]) => [kept, whole])).toEqual(
      lengths.map(([, whole]) => [Math.min(whole, 60), whole]),
    )
    expect(lengths.some(([, whole]) => whole > 1000)).toBe(true)
    expect(run('capinfos', file).match(/Capture length = 60/g)).toHaveLength(4)
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
    for (const { forward, lost } of report.flows.filter(({ protocol }) => protocol !== 'icmpv6')) {
      expect(forward.path).toHaveLength(4)
      expect(lost).toEqual([])
    }
  })

  test('the file: direction, checksums that were not filled in, statistics, names', async () => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, ['--container', 'cli', '--json', '-w', file])
    fetch()
    await running.end()
    const records = fieldsOf(
      file,
      ['frame.interface_name', 'frame.packet_flags', 'ip.src', 'tcp.checksum.status'],
      ...['-o', 'tcp.check_checksum:TRUE', '-Y', 'tcp'],
    ).map(([point, flags, src, status]) => ({ point, flags: Number(flags), src, isBad: status !== '1' }))
    expect(records.length).toBeGreaterThan(20)
    for (const { point, flags, src, isBad } of records) {
      // Out of the container they come into the host, and leave it at the uplink.
      const isOutward = src === '172.17.0.2' || src === host.ip
      const leaves = isOutward === (point === 'container' || point === 'uplink')
      expect({ point, src, way: flags & DIRECTION }).toEqual({ point, src, way: leaves ? OUTBOUND : INBOUND })
      expect({ point, src, isOpen: (flags & CHECKSUM_NOT_READY) !== 0 }).toEqual({
        point,
        src,
        isOpen: isBad,
      })
    }
    expect(records.some(({ flags }) => flags & CHECKSUM_NOT_READY)).toBe(true)
    const seenAt = fieldsOf(file, ['frame.interface_name']).flat()
    const counts = ['container', 'veth', 'bridge', 'uplink'].map(
      (point) => seenAt.filter((it) => it === point).length,
    )
    expect(statisticsIn(file)).toEqual(counts.map((received) => ({ received, dropped: 0 })))
    const about = run('capinfos', file)
    expect(about).toContain('Description = docker0, bridge of network bridge')
    expect(about).toContain('Description = eth0 of container cli')
    expect(about.match(/Hardware = (veth|bridge)/g)).toHaveLength(4)
    const hosts = run('tshark', '-Nn', '-r', file, '-q', '-z', 'hosts')
    expect(hosts).toMatch(/^172\.17\.0\.2\s+cli$/m)
  })

  test('--rotate by size: each file is whole, and only the newest stay', async () => {
    const path = scratch()('trace.pcapng')
    // Receipts would come on top of the last one.
    const rotation = ['--rotate', '8k', '--ring-size', '3', '--no-receipts']
    const running = await startCapture(host, ['--container', 'cli', '--json', '-w', path, ...rotation])
    ping(40)
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    const files = filesBeside(path)
    expect(files).toHaveLength(3)
    expectNumbered(files)
    for (const file of files) expect(statSync(file).size).toBeLessThanOrEqual(8192)
    const { points } = JSON.parse(stdout) as Report
    const all = points.reduce((sum, { packets }) => sum + packets, 0)
    const kept = files.reduce((sum, file) => sum + packetsIn(file), 0)
    expect(kept).toBeGreaterThan(20)
    expect(kept).toBeLessThan(all)
    for (const file of files) {
      const { report } = await analyzed(file)
      expect(report.points.map(({ name }) => name)).toEqual(points.map(({ name }) => name))
      // They count from the beginning of the capture, not of the file (pcapng, section 4.6).
      for (const [i, { received, dropped }] of statisticsIn(file).entries()) {
        expect(received).toBeGreaterThanOrEqual(report.points[i].packets)
        expect(dropped).toBe(0)
      }
    }
    // The newest holds the last frame of all.
    const { report } = await analyzed(files.at(-1)!)
    expect(lastOf(report)).toBe(lastOf({ points }))
  })

  test('--rotate by time', async () => {
    const path = scratch()('trace.pcapng')
    const rotation = ['--rotate', '100ms', '--ring-size', '2']
    const running = await startCapture(host, ['--container', 'cli', '-w', path, ...rotation])
    ping(12)
    const { code } = await running.end()
    expect(code).toBe(0)
    const files = filesBeside(path)
    expect(files).toHaveLength(2)
    expect(expectNumbered(files)).toBeGreaterThan(2)
    for (const file of files) {
      const times = fieldsOf(file, ['frame.time_relative']).map(([seconds]) => Number(seconds))
      expect(times.length).toBeGreaterThan(0)
      expect(times.at(-1)).toBeLessThan(0.1)
    }
  })

  test('--pid: the namespace of a process, and the way from there', async () => {
    const running = await startCapture(host, ['--pid', String(host.pidOf('cli')), '--json'], {
      DOCKER_HOST: NO_ENGINE,
    })
    ping(2)
    const { stdout } = await running.end()
    const { path, flows } = JSON.parse(stdout) as Report
    expect(path).toEqual(['container', 'veth', 'bridge', 'uplink'])
    expect(flows.find(({ protocol }) => protocol === 'icmp')?.forward.path).toHaveLength(4)
  })

  test('a point that a program feeds is joined with the rings', async () => {
    const file = scratch()('live.pcapng')
    const far = `far=exec:nsenter --net=${host.internet.netnsPath} tcpdump -U -w - -i lan0`
    const running = await startCapture(host, ['--container', 'cli', '--point', far, '--json', '-w', file])
    await listening(host.internet)
    ping(3)
    // tcpdump gets its frames once a second, and what it has not got when it ends is not written.
    const isFar = 'frame.interface_name == "far" and icmp'
    await expect
      .poll(() => fieldsOf(file, ['frame.number'], '-Y', isFar), { timeout: 20_000, interval: 300 })
      .toHaveLength(6)
    ping(2)
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    const report = JSON.parse(stdout) as Report
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
    const [before, after] = report.flows.filter(({ protocol }) => protocol === 'icmp')
    const points = ['container', 'veth', 'bridge', 'uplink', 'far']
    expect(before.forward.path.map(({ point, packets }) => `${point} ${packets}`)).toEqual(
      points.map((point) => `${point} 3`),
    )
    expect(before.reverse.path.map(({ point }) => point)).toEqual(points.toReversed())
    expect([...before.lost, ...after.lost]).toEqual([])
    expect(report.findings.map(({ code }) => code)).not.toContain('dropped-between-points')
  })

  test('a point that tcpdump feeds through a FIFO sees what the ring there sees', async () => {
    const path = scratch()
    const [fifo, file] = [path('pipe'), path('live.pcapng')]
    run('mkfifo', fifo)
    const points = ['--point', 'ring=eth0', '--point', `pipe=${fifo}`]
    const running = await startCapture(host, [...points, '--json', '-w', file])
    const command = ['tcpdump', '-Z', 'root', '--immediate-mode', '-U', '-i', 'eth0', '-w', fifo]
    const tcpdump = new Running(host.spawn(...command))
    await tcpdump.untilSaid(/listening on/)
    ping(5)
    await finish(tcpdump)
    await running.untilSaid(/pipe.* has ended/)
    const { stdout, stderr, code } = await running.end()
    expect(code).toBe(0)
    expect(stderr).toMatch(/^hoptrace: pipe.*ended; the other points go on$/m)
    const report = JSON.parse(stdout) as Report
    expect(report.points.map(({ name }) => name)).toEqual(['ring', 'pipe'])
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
    const { forward, reverse } = report.flows.find(({ protocol }) => protocol === 'icmp')!
    for (const { path } of [forward, reverse])
      expect(path.map(({ point, packets }) => `${point} ${packets}`).sort()).toEqual(['pipe 5', 'ring 5'])
    const framesAt = (point: string) =>
      fieldsOf(file, FRAME, '-Y', `frame.interface_name == "${point}" and icmp`)
    expect(framesAt('ring')).toEqual(framesAt('pipe'))
  })
})

/** Waits until a packet socket of a namespace takes frames: it is opened before it is bound, and runs from then on (R is 1). */
async function listening({ netnsPath }: { netnsPath: string }): Promise<void> {
  const isRunning = () => {
    const [titles, ...sockets] = run('nsenter', `--net=${netnsPath}`, 'cat', '/proc/net/packet')
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/ +/))
    return sockets.some((socket) => socket[titles!.indexOf('R')] === '1')
  }
  await expect.poll(isRunning, { timeout: 30_000 }).toBe(true)
}

function masked(line: string): string {
  return line
    .replace(/^\d\d:\d\d:\d\d\.\d{6}/, 'TIME')
    .replaceAll(/\bid \d+/g, 'id N')
    .replace(/[\d.]+ [nµm]?s$/, 'TOOK')
}

function lastOf({ points }: Pick<Report, 'points'>): string {
  return points.map(({ lastNs }) => lastNs ?? '').reduce((last, time) => (time > last ? time : last))
}

/** In the order of the frames by which they were seen first, which is that of no two journeys. */
function byFirstFrame(journeys: JourneyReport[]): JourneyReport[] {
  const first = ({ sightings }: JourneyReport) => Math.min(...sightings.flatMap(({ frames }) => frames))
  return journeys.toSorted((a, b) => first(a) - first(b))
}

/** Files of a series, by their numbers. */
function filesBeside(path: string): string[] {
  const folder = dirname(path)
  return readdirSync(folder)
    .sort()
    .map((name) => `${folder}/${name}`)
}

/** Their numbers follow each other, with the time behind; the last number. */
function expectNumbered(files: string[]): number {
  const numbers = files.map((file) => Number(/^trace_(\d{5})_\d{14}\.pcapng$/.exec(basename(file))?.[1]))
  expect(numbers).toEqual(files.map((_, i) => numbers[0] + i))
  return numbers.at(-1)!
}

/** Counts in a pcapng's Interface Statistics Blocks (section 4.6), which no tool at hand prints. */
function statisticsIn(file: string): { received: number; dropped: number }[] {
  const bytes = readFileSync(file)
  const found: { received: number; dropped: number }[] = []
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
    if (bytes.readUInt32LE(at) !== 5) continue
    const values = new Map<number, number>()
    for (let option = at + 20; bytes.readUInt16LE(option) !== 0; ) {
      const length = bytes.readUInt16LE(option + 2)
      if (length === 8) values.set(bytes.readUInt16LE(option), Number(bytes.readBigUInt64LE(option + 4)))
      option += 4 + ((length + 3) & ~3)
    }
    found[bytes.readUInt32LE(at + 8)] = { received: values.get(4)!, dropped: values.get(5)! }
  }
  return found
}
