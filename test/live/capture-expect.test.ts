/** `hoptrace capture --expect` on a real engine: what it says at its end is what conntrack and the rules bear out. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { scratch, startCapture } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'
import { serveInternet } from './services.ts'

const expecting = (...expressions: string[]) => expressions.flatMap((it) => ['--expect', it])

describe.skipIf(!requireDocker())('hoptrace capture --expect', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('expect')
    await serveInternet(host)
    host.docker('run', '-d', '--name', 'cli', 'box', 'sleep', '1000')
    host.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/www')
    // Who lives where is known from now on.
    fetch()
    visit()
  })
  afterAll(() => host?.stop())

  const fetch = () => host.docker('exec', 'cli', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`)
  const visit = () => host.internet.exec('busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:8080/`)

  test('a published port: all hold, to the port that conntrack names; Ctrl-C ends with 0', async () => {
    host.exec('conntrack', '-F')
    const junit = scratch()('run.xml')
    const selected = (...conditions: string[]) =>
      expecting(...conditions.map((it) => `flow(port=8080): ${it}`))
    const running = await startCapture(host, [
      ...['--container', 'web', '--json', '--junit', junit],
      ...selected(
        'flows==1',
        `dnat=${addressOf('web')}:80`,
        'no-snat',
        'ttl-drop==1',
        'lost==0',
        'state=closed',
      ),
      ...selected(
        'path=uplink,bridge,veth,container',
        'p99(uplink,bridge)<1s',
        'no-finding>=warning',
        'rtt<5s',
      ),
    ])
    expect(visit()).toBe('hello from the container\n')
    const [{ reply }] = host.conntrack().filter(({ original }) => original.dport === 8080)
    expect(`${reply.src}:${reply.sport}`).toBe(`${addressOf('web')}:80`)
    const { stdout, stderr, code } = await running.end()
    const { expectations = [] } = JSON.parse(stdout) as Report
    expect(expectations.filter(({ holds }) => !holds)).toEqual([])
    expect(expectations).toHaveLength(10)
    expect(stderr).toMatch(/^hoptrace: captures on [^\n]*\n$/)
    expect(code).toBe(0)
    expect(readFileSync(junit, 'utf8')).toContain(
      '<testsuite name="hoptrace capture web" tests="10" failures="0"',
    )
  })

  test('a rule that drops: what does not hold says where; exit code 1', async () => {
    const rule = ['DOCKER-USER', '-p', 'tcp', '--dport', '80', '-j', 'DROP']
    host.exec('iptables', '-I', ...rule)
    try {
      const running = await startCapture(host, [
        ...['--container', 'cli', '--filter', 'tcp'],
        ...expecting(
          'snat',
          'lost==0',
          'lost>0',
          'finding=dropped-between-points',
          'via=bridge',
          'not via=uplink',
        ),
      ])
      expect(() =>
        host.docker('exec', 'cli', 'timeout', '3', 'wget', '-q', '-O', '-', `http://${host.internet.ip}/`),
      ).toThrow()
      const { stdout, code } = await running.end()
      const section = stdout.slice(stdout.indexOf('\nExpectations  '))
      expect(section.match(/✗ does not hold: \S+/g)).toEqual([
        '✗ does not hold: snat',
        '✗ does not hold: lost==0',
      ])
      expect(section.match(/✓ holds: [^\n]+/g)).toHaveLength(4)
      expect(section.replace(/\s+/g, ' ')).toMatch(
        /lost==0 \d+ packets? lost: flow 1: \d+ forward from bridge to uplink/,
      )
      expect(code).toBe(1)
    } finally {
      host.exec('iptables', '-D', ...rule)
    }
  })

  test('--tap -: nothing else on stdout; --count ends it', async () => {
    const running = await startCapture(host, [
      ...['--container', 'cli', '--filter', 'tcp', '--count', '8', '--tap', '-'],
      ...expecting('snat', 'dnat'),
    ])
    fetch()
    const { stdout, code } = await running.ended
    expect(stdout).toMatch(
      /^TAP version 13\n1\.\.2\nok 1 - snat\n {2}---\n(?:.*\n)*?not ok 2 - dnat\n {2}---\n/,
    )
    expect(stdout).toContain(`SNAT ${addressOf('cli')}:`)
    expect(code).toBe(1)
  })

  test('--ndjson: on stderr; --duration ends it; without any traffic nothing holds', async () => {
    const running = await startCapture(host, [
      ...['--container', 'cli', '--ndjson', '--duration', '300ms', '--filter', 'port 9'],
      ...expecting('lost==0', 'flows==0'),
    ])
    const { stdout, stderr, code } = await running.ended
    expect(stdout).toBe('')
    expect(stderr).toMatch(
      /\nhoptrace: does not hold: lost==0: there is no flow\nhoptrace: holds: flows==0: 0 flows\n$/,
    )
    expect(code).toBe(1)
  })

  function addressOf(name: string): string {
    return host.docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', name).trim()
  }
})
