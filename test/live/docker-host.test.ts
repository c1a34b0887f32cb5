import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { run } from '../tools.ts'
import {
  baseOf,
  parseConntrack,
  removeLeftovers,
  requireDocker,
  type SealedHost,
  startSealedHost,
} from './docker-host.ts'

describe.skipIf(!requireDocker())('a sealed Docker host', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('self')
    host.docker('run', '-d', '--name', 'cli', 'box', 'sleep', '1000')
  })
  afterAll(() => host?.stop())

  test('lets a container reach the internet, behind the address of the host', () => {
    host.docker('exec', 'cli', 'ping', '-c', '1', '-W', '5', host.internet.ip)
    const pings = host.conntrack().filter((entry) => entry.protocol === 'icmp')
    expect(pings).toMatchObject([
      {
        original: { src: '172.17.0.2', dst: host.internet.ip },
        reply: { src: host.internet.ip, dst: host.ip },
        replied: true,
      },
    ])
  })

  test('publishes ports to the internet', () => {
    host.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'box', 'httpd', '-f', '-h', '/www')
    const page = host.internet.exec('busybox', 'wget', '-q', '-O', '-', `http://${host.ip}:8080/`)
    expect(page).toBe('hello from the container\n')
    expect(host.conntrack()).toContainEqual(
      expect.objectContaining({
        protocol: 'tcp',
        original: expect.objectContaining({ dst: host.ip, dport: 8080 }),
        reply: expect.objectContaining({ src: '172.17.0.3', sport: 80 }),
      }),
    )
  })

  test('has no way out', () => {
    expect(() => host.docker('exec', 'cli', 'ping', '-c', '1', '-W', '1', '198.51.100.1')).toThrow('ping')
    expect(host.internet.exec('ip', 'route')).toBe(
      '192.168.78.0/24 dev lan0 proto kernel scope link src 192.168.78.1 \n',
    )
  })

  test('leaves nothing behind when it stops', async () => {
    const server = host.internet.spawn('busybox', 'nc', '-l', '-p', '99')
    const id = host.docker('inspect', '--format', '{{.Id}}', 'cli')
    const inside = spawn('nsenter', [`--net=/proc/${host.pidOf('cli')}/ns/net`, 'sleep', '1000'])
    expect(traces(host.netns)).not.toEqual([])
    expect(cgroups()).toContain(id)
    await host.stop()
    await expect.poll(() => inside.signalCode).toBe('SIGKILL')
    expect(cgroups()).not.toContain(id)
    expect(server.signalCode).toBe('SIGKILL')
    expect(traces(host.netns)).toEqual([])
  })

  test('is removed by the next run when its own was killed', async () => {
    const owner = spawn('sleep', ['1000'])
    onTestFinished(() => void owner.kill())
    const base = baseOf(owner.pid!, 'killed')
    const dir = join(tmpdir(), base)
    mkdirSync(join(dir, 'mounted'), { recursive: true })
    run('mount', '-t', 'tmpfs', base, join(dir, 'mounted'))
    run('ip', 'netns', 'add', base)
    const engine = spawn('nsenter', [`--net=/run/netns/${base}`, 'sleep', '1000'])
    await expect.poll(() => run('ip', 'netns', 'pids', base).trim()).toBe(String(engine.pid))
    const before = traces(base)
    removeLeftovers()
    expect(traces(base)).toEqual(before)
    owner.kill()
    await once(owner, 'exit')
    const ended = once(engine, 'exit')
    removeLeftovers()
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect(traces(base)).toEqual([])
  })

  test('shares its internet with a peer', async () => {
    const first = await startSealedHost('first')
    const second = await startSealedHost('second', { peerOf: first, userlandProxy: false })
    expect(second.ip).not.toBe(first.ip)
    expect(second.exec('busybox', 'ping', '-c', '1', first.ip)).toContain('1 packets received')
    await second.stop()
    await first.stop()
    expect([...traces(first.netns), ...traces(second.netns)]).toEqual([])
  })
})

test('reads the table of conntrack', () => {
  const table = `tcp      6 431999 ESTABLISHED src=172.17.0.2 dst=203.0.113.10 sport=4000 dport=80 src=203.0.113.10 dst=192.168.78.100 sport=80 dport=4001 [ASSURED] mark=0 use=1
udp      17 29 src=172.17.0.2 dst=203.0.113.10 sport=4000 dport=53 [UNREPLIED] src=203.0.113.10 dst=192.168.78.100 sport=53 dport=4000 mark=0 use=1
`
  expect(parseConntrack(table)).toEqual([
    {
      protocol: 'tcp',
      state: 'ESTABLISHED',
      original: { src: '172.17.0.2', dst: '203.0.113.10', sport: 4000, dport: 80 },
      reply: { src: '203.0.113.10', dst: '192.168.78.100', sport: 80, dport: 4001 },
      replied: true,
    },
    {
      protocol: 'udp',
      original: { src: '172.17.0.2', dst: '203.0.113.10', sport: 4000, dport: 53 },
      reply: { src: '203.0.113.10', dst: '192.168.78.100', sport: 53, dport: 4000 },
      replied: false,
    },
  ])
})

/** What on this machine bears the name of a host: namespaces, directories, mounts, processes. */
function traces(base: string): string[] {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    })
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  const found = [...processes, ...mounts, ...readdirSync('/run/netns'), ...readdirSync(tmpdir())]
  return found.filter((text) => text.includes(base))
}

/** Names of the control groups that engines have made. */
function cgroups(): string[] {
  const root = '/sys/fs/cgroup'
  const folders = [root, ...readdirSync(root).map((name) => join(root, name))]
  return folders
    .map((folder) => join(folder, 'docker'))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder))
}
