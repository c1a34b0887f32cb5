import { chownSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { analyze } from '../../src/analysis.ts'
import type { NamespaceReceipts, Receipts } from '../../src/receipts/model.ts'
import { requireTool } from '../tools.ts'
import { PROGRAM, packetsIn, Running, scratch, startCapture } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'

const USER = 65534
const DROPPED = 81
const PATIENCE = { timeout: 20_000 }

describe.skipIf(!requireDocker() || !requireTool('capinfos'))('receipts of a capture', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('receipts')
    host.docker('run', '-d', '--name', 'web', '-p', '8080:80', 'box', 'httpd', '-f', '-p', '127.0.0.1:80')
    host.exec('iptables', '-I', 'DOCKER-USER', '-p', 'tcp', '--dport', String(DROPPED), '-j', 'DROP')
  })
  afterAll(() => host?.stop())

  /** So many SYNs that the host drops, and two answered pings. */
  function traffic(syns: number): void {
    const one = `nc -w 1 ${host.internet.ip} ${DROPPED} </dev/null &`
    host.docker('exec', 'web', 'sh', '-c', `${one.repeat(syns)} wait; ping -c 2 -i 0.1 ${host.internet.ip}`)
  }

  const listed = (): number =>
    Number(/^1\s+(\d+) .*DROP/m.exec(host.exec('iptables', '-nvxL', 'DOCKER-USER', '--line-numbers'))?.[1])

  async function receiptsIn(...files: string[]): Promise<Receipts[]> {
    return (await analyze(files)).receipts
  }

  /** Only the host's and the container's are there, and nothing was left unread. */
  function spaces(receipts: Receipts[]): { host: NamespaceReceipts; web: NamespaceReceipts } {
    expect(receipts).toHaveLength(1)
    const [{ namespaces, notRead }] = receipts as [Receipts]
    expect(notRead).toEqual([])
    expect(namespaces.map(({ name, points }) => [name, points])).toEqual([
      ['host', ['veth', 'bridge', 'uplink']],
      ['web', ['container']],
    ])
    return { host: namespaces[0]!, web: namespaces[1]! }
  }

  test('say which rule dropped and which translated, what is set, and who listens where', async () => {
    const file = scratch()('web.pcapng')
    const running = await startCapture(host, ['--container', 'web', '-w', file])
    const before = listed()
    traffic(3)
    const entries = host.conntrack()
    const { code, stderr } = await running.end()
    expect({ code, stderr: stderr.split('\n').length }).toEqual({ code: 0, stderr: 2 })
    const { host: outside, web } = spaces(await receiptsIn(file))
    // The oracle: what iptables lists. On a busy machine a SYN may have been sent again.
    const after = listed()
    expect(after).toBeGreaterThanOrEqual(before + 3)
    expect(outside.rules.find(({ chain, target }) => chain === 'DOCKER-USER' && target === 'DROP')).toEqual({
      ...{
        backend: 'iptables',
        family: 'ip',
        table: 'filter',
        chain: 'DOCKER-USER',
        number: 1,
        handle: null,
      },
      ...{ text: `-p tcp -m tcp --dport ${DROPPED} -j DROP`, target: 'DROP', to: null, change: 'counted' },
      ...{ packets: { before, after }, bytes: expect.anything() },
    })
    expect(outside.rules.find(({ target }) => target === 'MASQUERADE')).toMatchObject({
      ...{ table: 'nat', chain: 'POSTROUTING', change: 'counted' },
      text: '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
    })
    expect(outside.rules.find(({ target }) => target === 'DNAT')).toMatchObject({
      ...{ to: '172.17.0.2:80', change: 'same' },
    })
    const [ping] = entries.filter(({ protocol }) => protocol === 'icmp')
    const { id, ...tuple } = ping!.original
    expect(outside.conntrack!.entries).toContainEqual(
      expect.objectContaining({
        ...{ protocol: 'icmp', isReplied: true },
        original: { ...tuple, sport: id, dport: id, packets: null },
        reply: expect.objectContaining({ src: ping!.reply.src, dst: ping!.reply.dst }),
      }),
    )
    expect(outside.settings).toContainEqual({ name: 'net.ipv4.ip_forward', value: 1 })
    expect(outside.interfaces.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['docker0', 'eth0', 'lo']),
    )
    expect(web.listeners).toEqual([{ protocol: 'tcp', ip: '127.0.0.1', port: 80 }])
    expect(web.processes).toEqual({ isFrozen: false })
    expect(web.routes[0]).toMatchObject({ destination: 'default', gateway: '172.17.0.1' })
    expect(statSync(file).size).toBeLessThan(100_000)
    expect(packetsIn(file)).toBeGreaterThan(0)
  })

  test('are written without joining, at the end of the last file, and as the user who called sudo', async () => {
    const folder = dirname(scratch()('x'))
    chownSync(folder, USER, USER)
    const env = { SUDO_UID: String(USER), SUDO_GID: String(USER) }
    const options = ['--no-join', '-w', join(folder, 't.pcapng'), '--rotate', '1s', '--ring-size', '2']
    const running = await startCapture(host, ['--container', 'web', ...options], env)
    await expect.poll(() => helpersOf(running).length, PATIENCE).toBe(1)
    const [helper] = helpersOf(running)
    expect(readFileSync(`/proc/${running.child.pid}/status`, 'utf8')).toMatch(/^CapEff:\s*0+$/m)
    const before = listed()
    for (let i = 0; i < 4; i++) {
      traffic(1)
      await sleep(400)
    }
    // As Ctrl-C in a terminal.
    process.kill(helper!, 'SIGINT')
    expect((await running.end()).code).toBe(0)
    const files = readdirSync(folder).sort()
    expect(files.length).toBe(2)
    const has = files.map((name) =>
      readFileSync(join(folder, name), 'latin1').includes('hoptrace.receipts/1'),
    )
    expect(has).toEqual([false, true])
    const { host: outside } = spaces(await receiptsIn(folder))
    const { packets } = outside.rules.find(
      ({ chain, target }) => chain === 'DOCKER-USER' && target === 'DROP',
    )!
    expect(packets).toEqual({ before, after: listed() })
    await expect.poll(() => existsSync(`/proc/${helper}`), PATIENCE).toBe(false)
  })

  test('tell a container that is paused', async () => {
    const file = scratch()('web.pcapng')
    const running = await startCapture(host, ['--container', 'web', '-w', file])
    host.docker('pause', 'web')
    onTestFinished(() => void host.docker('unpause', 'web'))
    expect((await running.end()).code).toBe(0)
    expect(spaces(await receiptsIn(file)).web.processes).toEqual({ isFrozen: true })
  })

  test('are not read where nobody wants them', async () => {
    const file = scratch()('web.pcapng')
    const running = await startCapture(host, ['--container', 'web', '--no-receipts', '-w', file])
    expect(helpersOf(running)).toEqual([])
    traffic(1)
    expect((await running.end()).code).toBe(0)
    expect(await receiptsIn(file)).toEqual([])
  })

  test('leave nothing behind after kill -9', async () => {
    const running = await startCapture(host, ['--container', 'web'])
    const [helper] = helpersOf(running)
    expect(helper).toBeDefined()
    const children = childrenOf(helper!)
    expect(children.length).toBeGreaterThan(0)
    await running.end('SIGKILL')
    for (const pid of [helper!, ...children])
      await expect.poll(() => existsSync(`/proc/${pid}`), PATIENCE).toBe(false)
    const again = await startCapture(host, ['--container', 'web'])
    const [killed] = helpersOf(again)
    const others = childrenOf(killed!)
    process.kill(killed!, 'SIGKILL')
    for (const pid of others) await expect.poll(() => existsSync(`/proc/${pid}`), PATIENCE).toBe(false)
    // Without receipts the capture is as good as before.
    traffic(1)
    const { code, stdout, stderr } = await again.end()
    expect(code).toBe(0)
    expect(stderr).toMatch(/^hoptrace: what the kernel counted could not be read/m)
    expect(stdout).toContain('lost')
  })

  test('say what could not be read for lack of permission', async () => {
    const file = scratch()('up.pcapng')
    chownSync(dirname(file), USER, USER)
    const drop = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups']
    const keep = ['--inh-caps=-all,+net_raw', '--ambient-caps=-all,+net_raw', '--bounding-set=-all,+net_raw']
    const words = [process.execPath, PROGRAM, 'capture', '--point', 'up=eth0', '-w', file]
    const running = new Running(host.spawn(...drop, ...keep, ...words))
    onTestFinished(() => void running.child.kill('SIGKILL'))
    await running.untilSaid(/^hoptrace: captures on .*\n/m)
    traffic(1)
    expect((await running.end()).code).toBe(0)
    const [receipts] = await receiptsIn(file)
    const { namespaces, notRead } = receipts!
    expect(namespaces[0]).toMatchObject({ name: 'host', ruleCount: null, rules: [] })
    // Anybody may read them.
    expect(namespaces[0]!.counters).toContainEqual(
      expect.objectContaining({ group: 'Ip', name: 'ForwDatagrams' }),
    )
    expect(notRead.map(({ what }) => what).sort()).toEqual(
      expect.arrayContaining(['conntrack -L', 'iptables-save', 'kernel drop reasons']),
    )
    for (const { why } of notRead) expect(why).toMatch(/permi|root/i)
  })

  /** Processes that read receipts for a capture. */
  function helpersOf({ child }: Running): number[] {
    return childrenOf(child.pid!).filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('receipts-helper-program')
      } catch {
        return false
      }
    })
  }

  function childrenOf(pid: number): number[] {
    const threads = readdirSync(`/proc/${pid}/task`)
    return threads.flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    )
  }
})
