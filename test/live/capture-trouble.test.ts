/** What may go wrong while `hoptrace capture` runs, and what it refuses: one line each, and files that can be read. */

import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { pcap } from '../capture/bytes.ts'
import { requireRoot, requireTool, run } from '../tools.ts'
import { cable } from './cable.ts'
import {
  analyzed,
  comparable,
  fieldsOf,
  NO_ENGINE,
  packetsIn,
  scratch,
  startCapture,
  startHoptrace,
} from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { serveInternet } from './services.ts'

const TOOLS = ['ip', 'tshark', 'capinfos', 'busybox', 'python3']

describe.skipIf(!(requireRoot() && requireTool(...TOOLS)))('hoptrace capture', () => {
  test('killed: its file can be read up to what was flushed', async () => {
    const { a, b, ping } = cable()
    const file = scratch()('live.pcapng')
    const points = ['--point', `near=${a}:eth0`, '--point', `far=${b}:eth0`]
    const running = await startCapture(null, [...points, '-w', file])
    ping(5)
    // Nothing follows that would push it out: it is there by itself.
    const pings = () => fieldsOf(file, ['frame.number'], '-Y', 'icmp').length
    await expect.poll(pings, { timeout: 30_000, interval: 200 }).toBe(20)
    ping(3)
    const { code } = await running.end('SIGKILL')
    expect(code).toBe(-1)
    expect(packetsIn(file)).toBeGreaterThanOrEqual(20)
    expect(pings()).toBeGreaterThanOrEqual(20)
    const { report } = await analyzed(file)
    expect(report.points.map(({ name }) => name)).toEqual(['near', 'far'])
    expect(report.findings.map(({ code }) => code)).not.toContain('truncated-file')
  })

  test('disk full: it ends with one line, and its file can be read', async () => {
    const { a, b, burst } = cable()
    const folder = scratch()('')
    run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'hoptrace-test', folder)
    onTestFinished(() => void run('umount', folder))
    const file = `${folder}/live.pcapng`
    const points = ['--point', `near=${a}:eth0`, '--point', `far=${b}:eth0`]
    const running = await startCapture(null, [...points, '--json', '-w', file])
    burst(200)
    const { stdout, stderr, code } = await running.ended
    expect(code).toBe(2)
    expect(stderr.split('\n').slice(1)).toEqual([
      expect.stringMatching(/^hoptrace: \S+live\.pcapng: cannot be written \(ENOSPC\): .*can be read$/),
      '',
    ])
    // What was joined until then is told.
    expect((JSON.parse(stdout) as Report).flows.length).toBeGreaterThan(0)
    run('capinfos', file)
    run('tshark', '-r', file)
    const { report } = await analyzed(file)
    expect(report.findings.map(({ code }) => code)).not.toContain('truncated-file')
  })

  test('rings that were full: the drops are counted, and no loss is claimed that they explain', async () => {
    const { a, b, burst, ping } = cable()
    const file = scratch()('live.pcapng')
    const points = ['--point', `near=${a}:eth0`, '--point', `far=${b}:eth0`]
    const running = await startCapture(null, [...points, '--buffer', '256k', '--json', '-w', file])
    ping(1)
    running.child.kill('SIGSTOP')
    // More than the least that a ring can hold, which is 1 MiB.
    burst(4000)
    running.child.kill('SIGCONT')
    ping(1)
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    const report = JSON.parse(stdout) as Report
    for (const { captureDrops, packets } of report.points) {
      expect(captureDrops).toBeGreaterThan(0)
      expect(packets).toBeGreaterThan(0)
      expect(packets + captureDrops!).toBeGreaterThanOrEqual(4000)
    }
    expect(report.findings.map(({ code }) => code)).toContain('capture-drops')
    expect(report.findings.map(({ code }) => code)).not.toContain('dropped-between-points')
    expect(report.flows.flatMap(({ lost }) => lost)).toEqual([])
    expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
  })

  test('a capture that others made is not overwritten, one of its own is', async () => {
    const { a, ping } = cable()
    const file = scratch()('theirs.pcap')
    const theirs = pcap([{ seconds: 1, fraction: 1, bytes: new Uint8Array(60) }])
    writeFileSync(file, theirs)
    const options = ['--point', `near=${a}:eth0`, '-w']
    await expectRefused([...options, file], `${file}: is a capture, not overwritten`)
    expect(new Uint8Array(readFileSync(file))).toEqual(theirs)
    const own = scratch()('own.pcapng')
    for (let i = 0; i < 2; i++) {
      const running = await startCapture(null, [...options, own])
      ping(1)
      expect(await running.end()).toMatchObject({ code: 0 })
    }
    expect(packetsIn(own)).toBeGreaterThan(1)
  })

  test('what is wrong on the command line is said in one line', async () => {
    const { a } = cable()
    const point = ['--point', `near=${a}:eth0`]
    await Promise.all([
      expectRefused([], 'nothing to capture: name a running container'),
      expectRefused(['--point', `near=${a}:nope0`], 'nope0: no such interface in the network namespace'),
      expectRefused(['--point', 'near=nowhere:eth0'], '/run/netns/nowhere: no such network namespace'),
      expectRefused([...point, ...point], 'two points with the name near'),
      expectRefused(['--netns', 'nowhere'], 'there is no /run/netns/nowhere'),
      // The port that the page has by then keeps nothing running.
      expectRefused(['--netns', 'nowhere', '--web'], 'there is no /run/netns/nowhere'),
      expectRefused(['--pid', '4194304'], '--pid 4194304: no such process runs'),
      expectRefused(['--container', 'web'], NO_ENGINE.replace('unix://', '')),
    ])
    await Promise.all([
      expectRefused([...point, '--filter', 'port port'], "--filter: 'port' at character 6"),
      expectRefused([...point, '--bpf', 'prt 80'], '--bpf "prt 80": can\'t parse filter expression'),
      expectRefused(
        [...point, '-w', '/nowhere/live.pcapng'],
        '/nowhere/live.pcapng: cannot be written (ENOENT)',
      ),
      expectRefused([...point, '--ring-size', '3'], '--ring-size'),
      expectRefused([...point, '--rotate', '10MB'], '--rotate'),
      expectRefused([...point, '--json', '--ndjson'], '--json and --ndjson both want stdout'),
      expectRefused(['--point', 'near=exec:no-such-program -w -'], 'no such program'),
    ])
  })
})

describe.skipIf(!(requireDocker() && requireTool('tshark', 'capinfos')))(
  'hoptrace capture --container',
  () => {
    let host: SealedHost

    beforeAll(async () => {
      host = await startSealedHost('trouble')
      await serveInternet(host)
      for (const name of ['web', 'shop']) host.docker('run', '-d', '--name', name, 'box', 'sleep', '1000')
      host.docker('create', '--name', 'fresh', 'box')
      host.docker('run', '-d', '--name', 'over', 'box', 'sh', '-c', 'exit 3')
      host.docker('wait', 'over')
    })
    afterAll(() => host?.stop())

    test('no such container, and one that does not run', async () => {
      const refused = (name: string, ...messages: string[]) =>
        expectRefused(['--container', name], messages, host)
      await Promise.all([
        refused('wbe', 'no container is called wbe: did you mean web?'),
        refused('something', 'no container is called something: these run: shop and web'),
        refused('fresh', 'container fresh has not been started yet: docker start fresh'),
        refused('over', 'container over has been stopped since', 'exit code 3'),
      ])
    })

    test('a network that is left and joined again', async () => {
      const file = scratch()('live.pcapng')
      const running = await startCapture(host, ['--container', 'web', '--json', '-w', file])
      const ping = () => host.docker('exec', 'web', 'ping', '-q', '-c', '2', '-i', '0.05', host.internet.ip)
      ping()
      host.docker('network', 'disconnect', 'bridge', 'web')
      await running.untilSaid(/its interface is gone; the other points go on/, 2)
      host.docker('network', 'connect', 'bridge', 'web')
      await running.untilSaid(/is back/, 2)
      ping()
      const { stdout, stderr, code } = await running.end()
      expect(code).toBe(0)
      expect(stderr.trimEnd().split('\n')).toHaveLength(5)
      const report = JSON.parse(stdout) as Report
      expect(comparable(report)).toEqual(comparable((await analyzed(file)).report))
      expect(
        report.flows
          .filter(({ protocol }) => protocol === 'icmp')
          .map(({ forward }) => forward.path.map(({ point, packets }) => `${point} ${packets}`)),
      ).toEqual([
        ['container 2', 'veth 2', 'bridge 2', 'uplink 2'],
        ['container 2', 'veth 2', 'bridge 2', 'uplink 2'],
      ])
      expect(report.flows.flatMap(({ lost }) => lost)).toEqual([])
    })
  },
)

/** One line on stderr that holds these texts, nothing on stdout, exit code 2. */
async function expectRefused(args: string[], texts: string | string[], host: SealedHost | null = null) {
  const { stdout, stderr, code } = await startHoptrace(host, ['capture', ...args]).ended
  expect({ args, stdout, code }).toEqual({ args, stdout: '', code: 2 })
  expect(stderr).toMatch(/^hoptrace: [^\n]+\n$/)
  for (const text of [texts].flat()) expect(stderr).toContain(text)
}
