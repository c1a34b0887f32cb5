/** `hoptrace capture --explain` and `--html` on a real engine: after the capture, what was captured is read once more. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hoptrace } from '../commands/program.ts'
import { pageContent } from '../page/page-content.ts'
import { requireTool } from '../tools.ts'
import { scratch, startCapture } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { serveInternet } from './services.ts'

describe.skipIf(!(requireDocker() && requireTool('conntrack')))('hoptrace capture --explain', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('explain')
    await serveInternet(host)
    host.docker('run', '-d', '--name', 'web', 'box', 'sleep', '1000')
  })
  afterAll(() => host?.stop())

  const fetch = () => host.docker('exec', 'web', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`)

  test('the SYN, its answer, the namespaces, and the entry that conntrack has', async () => {
    const TMPDIR = dirname(scratch()('x'))
    const running = await startCapture(host, ['--container', 'web', '--filter', 'tcp', '--explain'], {
      TMPDIR,
    })
    fetch()
    await running.until(({ stdout }) => stdout.includes(' [S.] '))
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    const told = stdout.slice(stdout.indexOf('\nFlow '))
    expect(told).toMatch(/^→ Packet 1 of \d+ {2}\[S\] seq 0 len 0$/m)
    expect(told).toMatch(/^← Packet 2 of \d+ {2}\[S\.\] seq 0 len 0$/m)
    expect(told).toMatch(/^1 container {2}frame \d+ · namespace: container web$/m)
    expect(told).toMatch(/^ {2}≠ {11}TTL +63 +was 64$/m)
    const entry = /^ {4}tcp {6}6 [A-Z_]+ ([\s\S]*?)\n {4}The first/m.exec(told)![1]!.replace(/\s+/g, ' ')
    const table = host.exec('conntrack', '-L', '-p', 'tcp').replace(/\s+/g, ' ')
    expect(table).toContain(entry)
    expect(readdirSync(TMPDIR)).toEqual([])
  })

  test('of the file that is written, as explain tells of it', async () => {
    const file = scratch()('live.pcapng')
    const running = await startCapture(host, [
      '--container',
      'web',
      '--filter',
      'tcp',
      '-w',
      file,
      '--explain',
    ])
    fetch()
    await running.until(({ stdout }) => stdout.includes(' [S.] '))
    const { stdout } = await running.end()
    const later = await hoptrace('explain', file, '--filter', 'tcp')
    expect(later.code).toBe(0)
    expect(stdout.endsWith(`\n\n${later.stdout}`)).toBe(true)
  })

  test('--html: the page of what was captured, with and without a file of the frames', async () => {
    const TMPDIR = dirname(scratch()('x'))
    const [page, file] = [join(TMPDIR, 'live.html'), join(TMPDIR, 'live.pcapng')]
    for (const more of [[], ['-w', file, '--json'], ['--expect', 'snat', '--explain']]) {
      const options = ['--container', 'web', '--filter', 'tcp', '--html', page, ...more]
      const running = await startCapture(host, options, { TMPDIR })
      fetch()
      await running.until(({ stdout }) => more.includes('--json') || stdout.includes(' [S.] '))
      if (more.includes('--json')) await new Promise((resolve) => setTimeout(resolve, 1500))
      const { stderr, code } = await running.end()
      expect(code).toBe(0)
      expect(stderr).toMatch(/^hoptrace: .*live\.html: [\d.]+ kB, 1 flow, \d+ packets$/m)
      const { report, packets, about } = pageContent(readFileSync(page, 'utf8'))
      expect(about.title).toBe('hoptrace capture web')
      expect(report.points[0]!.source).toBe(more.includes('-w') ? file : 'live')
      expect(report.flows[0]!.translations[0]).toMatchObject({ kind: 'snat', conntrack: expect.anything() })
      expect(packets[0]!.summary).toBe('[S] seq 0 len 0')
      expect(packets[0]!.bytes.flat()).toHaveLength(report.flows[0]!.forward.path.length)
      expect(report.expectations?.length ?? 0).toBe(more.includes('--expect') ? 1 : 0)
      expect(readdirSync(TMPDIR).filter((name) => !name.startsWith('live.'))).toEqual([])
    }
  })

  test('nothing came: no packet to explain is no failure, and the page is empty', async () => {
    const page = scratch()('empty.html')
    const options = ['--container', 'web', '--filter', 'udp port 9', '--explain', '--html', page]
    const { stderr, code } = await (await startCapture(host, options)).end()
    expect(code).toBe(0)
    expect(stderr).toMatch(/^hoptrace: .*empty\.html: [\d.]+ kB, 0 flows, 0 packets$/m)
    expect(pageContent(readFileSync(page, 'utf8')).report.flows).toEqual([])
    expect(stderr).toMatch(/^hoptrace: no flow to explain.*$/m)
  })
})

test.each([['--json'], ['--ndjson'], ['-w', 'x.pcapng', '--rotate', '1MB'], ['-w', 'x.pcapng', '--no-join']])(
  '--explain and %s',
  async (...options) => {
    const { stderr, code } = await hoptrace('capture', '--container', 'x', '--explain', ...options)
    expect(code).toBe(2)
    expect(stderr).toMatch(/^hoptrace: --explain tells of one file[^\n]*\n$/)
  },
)
