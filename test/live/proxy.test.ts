/** docker-proxy on a real engine: a request to a published port on lo is told as one exchange of two connections. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { rewritesOf, startCapture } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'

describe.skipIf(!requireDocker())('docker-proxy', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('proxy', { userlandProxy: true })
    host.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/www')
  })
  afterAll(() => host?.stop())

  test('a request on lo, and one by the uplink that is translated', async () => {
    const running = await startCapture(host, ['--container', 'web', '--point', 'lo=lo', '--json'])
    host.exec('conntrack', '-F')
    const pages = [
      host.exec('busybox', 'wget', '-q', '-O', '-', 'http://127.0.0.1:8080/'),
      host.internet.exec('busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:8080/`),
    ]
    expect(new Set(pages)).toEqual(new Set(['hello from the container\n']))
    const conntrack = host.conntrack()
    const { stdout, stderr, code } = await running.end()
    expect(code, stderr).toBe(0)
    const report = JSON.parse(stdout) as Report
    const flowOf = (ip: string) => report.flows.find(({ client }) => client.ip === ip)!
    const outer = flowOf('127.0.0.1')
    const inner = report.flows.find(({ id }) => id === outer.spliced?.[0]?.flow)!
    expect(outer.spliced).toMatchObject([{ side: 'client', proxy: { ip: '127.0.0.1', port: 8080 } }])
    expect(inner.spliced).toMatchObject([{ side: 'server', flow: outer.id, proxy: inner.client }])
    // conntrack knows both connections, and neither as translated.
    for (const { client, server } of [outer, inner]) {
      const known = conntrack.find(
        ({ original: { src, sport } }) => src === client.ip && sport === client.port,
      )!
      expect(known.original).toMatchObject({ dst: server.ip, dport: server.port })
      expect(known.reply).toMatchObject({ src: server.ip, sport: server.port, dst: client.ip })
    }
    expect(rewritesOf(report)).toEqual([
      { kind: 'dnat', from: { ip: host.ip, port: 8080 }, to: { ip: inner.server.ip, port: 80 } },
    ])
    expect(report.findings.filter(({ code }) => code === 'proxy-splice')).toMatchObject([{ flow: outer.id }])
    expect(report.flows.filter(({ spliced }) => spliced)).toHaveLength(2)
  })
})
