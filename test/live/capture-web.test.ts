/** `hoptrace capture --web` as whoever is on this machine can reach it: who is let in, what they get, and what can't stop it. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/model.ts'
import { hoptrace } from '../commands/program.ts'
import { requireRoot, requireTool, run } from '../tools.ts'
import { cable } from './cable.ts'
import { fieldsOf, packetsIn, scratch, startCapture, startHoptrace } from './capturing.ts'
import { addressOf, ask, closed, deafSocket, Events, letIn } from './web-client.ts'

const canRun = requireRoot() && requireTool('ip', 'tshark', 'capinfos', 'busybox', 'python3')
/** Longer than anything takes here. */
const PATIENCE = { timeout: 30_000 }

describe.skipIf(!canRun)('hoptrace capture --web', () => {
  const start = async (...options: string[]) => {
    const site = cable()
    const points = ['--point', `near=${site.a}:eth0`, '--point', `far=${site.b}:eth0`]
    const TMPDIR = dirname(scratch()('x'))
    return {
      ...site,
      TMPDIR,
      running: await startCapture(null, [...points, '--web', ...options], { TMPDIR }),
    }
  }

  test('the token opens once; without it, or the cookie, nobody is let in', async () => {
    const { running } = await start()
    const { port, token } = await addressOf(running)
    expect(Buffer.from(token, 'base64url').length * 8).toBeGreaterThanOrEqual(128)
    for (const path of ['/', '/events', '/capture.pcapng', '/report.html', '/?token=', `/?token=${token}x`])
      expect((await ask(port, path)).status, path).toBe(403)
    expect((await ask(port, '/', { Cookie: `hoptrace-${port}=${token}` })).status).toBe(403)
    expect((await ask(port, `/?token=${token}`, {}, 'HEAD')).status).toBe(405)
    const first = await ask(port, `/?token=${token}`)
    expect([first.status, first.headers.location]).toEqual([303, '/'])
    expect(first.headers['set-cookie']).toEqual([
      expect.stringMatching(new RegExp(`^hoptrace-${port}=[\\w-]{22,}; HttpOnly; SameSite=Strict; Path=/$`)),
    ])
    const again = await ask(port, `/?token=${token}`)
    expect(again.status).toBe(403)
    expect(again.body.toString()).toContain('This address has been used')
    const cookie = first.headers['set-cookie']![0]!.split(';')[0]!
    const page = await ask(port, '/', { Cookie: `other=1; ${cookie}` })
    expect(page.status).toBe(200)
    expect(page.body.toString()).toMatch(/^<!doctype html>/)
    expect((await ask(port, `/?token=${token}`, { Cookie: cookie })).status).toBe(303)
    expect((await ask(port, '/elsewhere', { Cookie: cookie })).status).toBe(404)
  })

  test('other hosts, origins and methods are refused, and nothing may be read from elsewhere', async () => {
    const { running } = await start()
    const { port, cookie } = await letIn(running)
    const status = async (headers: Record<string, string>, method = 'GET', path = '/') =>
      (await ask(port, path, { Cookie: cookie, ...headers }, method)).status
    for (const host of [
      'evil',
      `evil:${port}`,
      '127.0.0.1',
      `127.0.0.1:${port + 1}`,
      `127.0.0.1.evil:${port}`,
    ])
      expect(await status({ Host: host }), host).toBe(421)
    expect(await status({ Host: `localhost:${port}` })).toBe(200)
    for (const origin of ['http://evil', 'null', `http://127.0.0.1:${port + 1}`, `https://127.0.0.1:${port}`])
      for (const path of ['/', '/events', '/capture.pcapng'])
        expect(await status({ Origin: origin }, 'GET', path), origin).toBe(403)
    for (const site of ['cross-site', 'same-site']) expect(await status({ 'Sec-Fetch-Site': site })).toBe(403)
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'HEAD']) expect(await status({}, method)).toBe(405)
    for (const headers of [{}, { Origin: 'http://evil' }, { Origin: `http://localhost:${port}` }])
      expect(await status(headers, 'POST', '/stop')).toBe(403)
    expect(running.child.exitCode).toBeNull()
    const preflight = await ask(port, '/events', {
      Origin: 'http://evil',
      'Access-Control-Request-Method': 'GET',
    })
    const page = await ask(port, '/', { Cookie: cookie })
    for (const { headers } of [page, preflight]) {
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
      })
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
    }
    expect(page.headers['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'sha256-[^' ]+'; style-src 'sha256-[^' ]+';/,
    )
    // Its own page may end the capture.
    expect(await status({ Origin: `http://127.0.0.1:${port}` }, 'POST', '/stop')).toBe(204)
    expect((await running.ended).code).toBe(0)
  })

  test('packets come as they travel, with the bytes that tshark sees; a page that comes later gets them too', async () => {
    const { running, ping, TMPDIR } = await start('--json')
    const { port, cookie } = await letIn(running)
    const early = new Events(port, cookie)
    ping(5)
    await expect.poll(() => early.packets.length, PATIENCE).toBe(10)
    const late = new Events(port, cookie)
    await expect.poll(() => late.packets, PATIENCE).toEqual(early.packets)
    expect(early.packets.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    const file = scratch()('saved.pcapng')
    const saved = await ask(port, '/capture.pcapng', { Cookie: cookie })
    expect(saved.headers['content-disposition']).toMatch(/^attachment; filename="near-[\w-]+\.pcapng"$/)
    writeFileSync(file, saved.body)
    const bytes = early.packets.flatMap(({ bytes }) => bytes.flat().map(({ hex }) => hex))
    const byTshark = fieldsOf(file, ['frame.number', 'frame.len', 'icmp.checksum.status'], '-Y', 'icmp')
    expect(byTshark).toHaveLength(20)
    for (const { sightings, bytes } of early.packets)
      for (const [i, { frames }] of sightings.entries())
        expect(byTshark).toContainEqual([
          String(frames[0]),
          String(bytes[i]![0]!.lenBytes),
          bytes[i]![0]!.hex === '' ? '' : '1',
        ])
    expect(new Set(bytes).size).toBe(10)
    await expect.poll(() => early.flows.get(1)?.forward.packets, PATIENCE).toBe(5)
    // The browser goes on after what it has.
    const resumed = new Events(port, cookie, { 'Last-Event-ID': '7' })
    await expect.poll(() => resumed.packets, PATIENCE).toEqual(early.packets.slice(8))
    const html = await ask(port, '/report.html', { Cookie: cookie })
    expect(html.status, html.body.toString().slice(0, 500)).toBe(200)
    expect(html.body.toString()).toMatch(/^<!doctype html>[\s\S]*id="hoptrace-report"[\s\S]*<\/html>\n$/)
    const { stdout, stderr } = await running.end()
    expect(early.hasEnded).toBe(true)
    expect([...early.flows.values()]).toEqual((JSON.parse(stdout) as Report).flows)
    expect(stderr.trimEnd().split('\n')).toHaveLength(2)
    expect(readdirSync(TMPDIR)).toEqual([])
  })

  test('lines of packets are for --ndjson; of the file that -w writes, all can be saved', async () => {
    const file = scratch()('live.pcapng')
    const { running, ping } = await start('--ndjson', '-w', file, '--filter', 'icmp')
    const { port, cookie } = await letIn(running)
    const events = new Events(port, cookie)
    ping(3)
    await expect.poll(() => events.packets.length, PATIENCE).toBe(6)
    const saved = scratch()('saved.pcapng')
    writeFileSync(saved, (await ask(port, '/capture.pcapng', { Cookie: cookie })).body)
    const { stdout } = await running.end()
    expect(stdout.trim().split('\n')).toHaveLength(6)
    expect(packetsIn(saved)).toBeGreaterThanOrEqual(12)
    expect(packetsIn(saved)).toBeLessThanOrEqual(packetsIn(file))
    expect(readFileSync(file).subarray(0, 100)).toEqual(readFileSync(saved).subarray(0, 100))
  })

  test('pages that never read cost neither frames nor memory', async () => {
    const { running, burst, b } = await start('--json', '--buffer', '64MB')
    const { port, cookie } = await letIn(running)
    const deaf = await Promise.all(
      Array.from({ length: 8 }, () =>
        deafSocket(port, `GET /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nCookie: ${cookie}\r\n\r\n`),
      ),
    )
    expect((await ask(port, '/events', { Cookie: cookie })).status).toBe(503)
    const rounds = 6
    for (let round = 0; round < rounds; round++) {
      burst(3000)
      await sleep(200)
    }
    const resident = Number(
      /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${running.child.pid}/status`, 'utf8'))![1],
    )
    expect(resident).toBeLessThan(500_000)
    for (const socket of deaf.slice(1)) socket.destroy()
    const { stdout } = await running.end()
    const { points, findings } = JSON.parse(stdout) as Report
    // What the kernel counted at the other end is what was captured there.
    const received = Number(
      run('ip', '-n', b, '-s', '-j', 'link', 'show', 'eth0').match(/"rx":\{[^}]*?"packets":(\d+)/)![1],
    )
    for (const { captureDrops } of points) expect(captureDrops).toBe(0)
    expect(points[1]!.packets).toBeGreaterThanOrEqual(rounds * 3000)
    expect(Math.abs(points[1]!.packets - received)).toBeLessThan(60)
    expect(findings.filter(({ code }) => code === 'capture-drops')).toEqual([])
  }, 180_000)

  test('hostile requests neither end nor hang it', async () => {
    const { running, ping } = await start('--json')
    const { port, cookie } = await letIn(running)
    const events = new Events(port, cookie)
    const head = `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`
    const hostile = [
      `${head}X: ${'x'.repeat(10 << 20)}`,
      Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7919) & 255)).toString('latin1'),
      `${head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
      `CONNECT evil:443 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`,
      `GET http://evil/?token=x HTTP/1.1\r\nHost: evil\r\n\r\n`,
      `GET /${'%'.repeat(6000)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`,
      `POST /stop HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n`,
      `POST /stop HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 99999999\r\n\r\nx`,
      // Whoever never ends a request, or does not begin one.
      head,
      '',
    ]
    const sockets = await Promise.all(hostile.map((bytes) => deafSocket(port, bytes)))
    // More connections than there may be.
    const many = await Promise.all(Array.from({ length: 80 }, () => deafSocket(port, 'G')))
    ping(3)
    await expect.poll(() => events.packets.length, PATIENCE).toBe(6)
    for (const [i, socket] of sockets.entries())
      await closed(socket).catch((error) => {
        throw new Error(`${hostile[i]!.slice(0, 100)}: ${error.message}`)
      })
    await Promise.all(many.map((socket) => closed(socket)))
    expect((await ask(port, '/', { Cookie: cookie })).status).toBe(200)
    expect((await ask(port, '/%00%ff?token=%', { Cookie: cookie })).status).toBe(404)
    const { stdout, code } = await running.end()
    expect(code).toBe(0)
    expect((JSON.parse(stdout) as Report).flows).toHaveLength(1)
  })

  test('a port that is taken, two captures at once', async () => {
    const one = await start()
    const { port } = await addressOf(one.running)
    const taken = startHoptrace(null, ['capture', '--point', `x=${one.a}:eth0`, '--web', String(port)])
    const { stderr, code } = await taken.ended
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /^hoptrace: --web \d+: this port can't be served \(another program has it\)[^\n]*\n$/,
    )
    const other = await start()
    const [a, b] = [await letIn(one.running), await letIn(other.running)]
    for (const { port } of [a, b])
      expect((await ask(port, '/', { Cookie: `${a.cookie}; ${b.cookie}` })).status).toBe(200)
    expect((await ask(b.port, '/', { Cookie: a.cookie })).status).toBe(403)
  })
})

test.each([
  ['--web', '--watch'],
  ['--web', '--no-join', '-w', 'x.pcapng'],
])('--web with %s %s', async (...options) => {
  const { stderr, code } = await hoptrace('capture', '--container', 'x', ...options)
  expect(code).toBe(2)
  expect(stderr).toMatch(/^hoptrace: --web shows packets as they are joined[^\n]*\n$/)
})

test('a port that is none', async () => {
  const { stderr, code } = await hoptrace('capture', '--container', 'x', '--web', '70000')
  expect(code).toBe(2)
  expect(stderr).toMatch(/^hoptrace: [^\n]*65535[^\n]*\n$/)
})
