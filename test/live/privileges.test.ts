import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { requireTool, run } from '../tools.ts'
import { Running, scratch } from './capturing.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'

const ROOT = join(import.meta.dirname, '../..')
const HELPER = join(ROOT, 'dist/live/root-helper-program.js')
const USER = 65534
/** One that passwd does not know. */
const STRANGER = 64123
const RUNS = /^hoptrace: captures on .*\n/m

describe.skipIf(!requireDocker() || !requireTool('tshark'))('capture with sudo', () => {
  let host: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('privileges')
    host.docker('run', '-d', '--name', 'web', 'box', 'sleep', '1000')
  })
  afterAll(() => host?.stop())

  /** Runs hoptrace in the host's namespace; `before` are words in front of it, such as `setpriv …`. */
  function start(args: string[], { user = USER as number | null, before = [] as string[] } = {}): Running {
    const sudo = user === null ? [] : [`SUDO_UID=${user}`, `SUDO_GID=${user}`]
    const env = ['env', `DOCKER_HOST=unix://${host.socketPath}`, ...sudo]
    const words = [...env, ...before, process.execPath, join(ROOT, 'bin/hoptrace.js'), 'capture', ...args]
    const running = new Running(host.spawn(...words))
    onTestFinished(async () => {
      running.child.kill('SIGKILL')
      await running.ended
      await until(() => helpersIn(host).length === 0)
    })
    return running
  }

  async function capture(...parameters: Parameters<typeof start>): Promise<Running> {
    const running = start(...parameters)
    await running.untilSaid(RUNS)
    return running
  }

  const ping = (container: string, count: number) =>
    host.docker('exec', container, 'ping', '-c', String(count), '-i', '0.1', '-W', '5', host.internet.ip)

  test('gives up root, and follows a container that restarts all the same', async () => {
    const file = scratch()('web.pcapng')
    chownSync(dirname(file), USER, USER)
    const running = await capture(['--container', 'web', '-w', file])
    const { pid } = running.child
    expect(statusOf(pid!)).toMatchObject({
      Uid: `${USER} ${USER} ${USER} ${USER}`,
      Gid: `${USER} ${USER} ${USER} ${USER}`,
      Groups: String(USER),
      CapEff: '0000000000000000',
      CapPrm: '0000000000000000',
      CapInh: '0000000000000000',
      CapAmb: '0000000000000000',
    })
    expect(statSync(file)).toMatchObject({ uid: USER, gid: USER })
    ping('web', 2)

    // What it starts looks like itself for a moment.
    await until(() => helpersIn(host).length === 1)
    const [helper] = helpersIn(host)
    expect(statusOf(helper!)).toMatchObject({ Uid: '0 0 0 0', PPid: String(pid) })
    for (const times of [1, 2]) {
      host.docker('restart', '-t', '0', 'web')
      await running.untilSaid(/^hoptrace: container \(.*is back/m, times)
      await running.untilSaid(/^hoptrace: veth \(.*is back/m, times)
      // As Ctrl-C in a terminal and its end do.
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(helper!, signal)
    }
    ping('web', 3)
    await running.until(({ stdout }) => stdout.match(/echo seq/g)?.length === 10)
    expect(await running.end()).toMatchObject({ code: 0 })
    await until(() => helpersIn(host).length === 0)

    const echoes = run('tshark', '-r', file, '-Y', 'icmp', '-T', 'fields', '-e', 'frame.interface_name')
    const names = echoes.trim().split('\n')
    const counts = [...new Set(names)].map(
      (name) => `${name} ${names.filter((other) => other === name).length}`,
    )
    expect(counts.sort()).toEqual(['bridge 10', 'container 10', 'uplink 10', 'veth 10'])
  })

  test('needs no file of its own any more, so that it can lie where only root may read', async () => {
    const folder = scratch()('code')
    mkdirSync(folder)
    const script = `mount --bind ${ROOT} ${folder}; shift 2; exec ${process.execPath} ${folder}/bin/hoptrace.js "$@"`
    const before = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', script, 'sh']
    const running = await capture(['--container', 'web', '--point', 'far=exec:true'], { before })
    expect(() => run('setpriv', `--reuid=${USER}`, '--clear-groups', 'ls', folder)).toThrow()
    host.docker('restart', '-t', '0', 'web')
    await running.untilSaid(/^hoptrace: container \(.*is back/m)
    ping('web', 2)
    await running.until(({ stdout }) => stdout.match(/echo seq/g)?.length === 4)
    const { code, stdout } = await running.end()
    expect(stdout).toContain('1 flow')
    expect(code).toBe(0)
  })

  test('leaves nothing behind after kill -9', async () => {
    const running = await capture(['--container', 'web'])
    const [helper] = helpersIn(host)
    expect(helper).toBeDefined()
    await running.end('SIGKILL')
    await until(() => !existsSync(`/proc/${helper}`))
  })

  test('follows several containers by the names that they had, and new networks', async () => {
    host.docker('run', '-d', '--name', 'other', 'box', 'sleep', '1000')
    host.docker('network', 'create', 'backend')
    onTestFinished(() => {
      host.docker('rm', '-f', 'other')
      host.docker('network', 'rm', 'backend')
    })
    const running = await capture(['--container', 'we', '--container', 'other'])
    host.docker('rm', '-f', 'other')
    await running.untilSaid(/^hoptrace: other \(.*the other points go on/m)
    host.docker('restart', '-t', '0', 'web')
    await running.untilSaid(/^hoptrace: web \(.*is back/m)
    host.docker('run', '-d', '--name', 'other', 'box', 'sleep', '1000')
    await running.untilSaid(/^hoptrace: other \(.*is back/m)
    expect(running.stderr).not.toContain('from now on')
    host.docker('network', 'connect', 'backend', 'other')
    await running.untilSaid(/^hoptrace: other.eth1 \(.*is captured from now on/m)
    expect((await running.end()).code).toBe(0)
  })

  test('runs programs as the user, who inherit nothing of what is open', async () => {
    const folder = folderOf(STRANGER)
    const script = join(folder, 'point.sh')
    writeFileSync(
      script,
      `id -u; id -g; id -G; grep CapEff /proc/self/status; ls -l /proc/self/fd\nsleep 100\n`,
    )
    const said = join(folder, 'said')
    const running = await capture(
      [
        '--container',
        'web',
        '-w',
        join(folder, 'x.pcapng'),
        '--point',
        `far=exec:sh -c "sh ${script} > ${said}"`,
      ],
      { user: STRANGER },
    )
    await until(() => existsSync(said) && readFileSync(said, 'utf8').includes('/proc/'))
    const text = readFileSync(said, 'utf8')
    expect(text).toMatch(new RegExp(`^${STRANGER}\n${STRANGER}\n${STRANGER}\nCapEff:\\s*0{16}\n`))
    expect(text).not.toMatch(/\b([3-9]|\d\d+) -> (socket:|anon_inode|.*pcapng)/)
    expect(statSync(said).uid).toBe(STRANGER)
    await running.end()
  })

  test('keeps root nowhere without a container to follow, and in one process where there is no user to become', async () => {
    const explicit = await capture(['--point', 'up=eth0'])
    expect(helpersIn(host)).toEqual([])
    expect(statusOf(explicit.child.pid!)).toMatchObject({ Uid: `${USER} ${USER} ${USER} ${USER}` })
    await explicit.end()
    const root = await capture(['--container', 'web'], { user: null })
    expect(helpersIn(host)).toEqual([])
    expect(statusOf(root.child.pid!)).toMatchObject({ Uid: '0 0 0 0' })
    host.docker('restart', '-t', '0', 'web')
    await root.untilSaid(/^hoptrace: container \(.*is back/m)
    await root.end()
  })

  test('opens each file of a series as the user, or says at once that this will not do', async () => {
    const folder = folderOf(USER)
    const running = await capture(['--point', 'up=eth0', '-w', join(folder, 'a.pcapng'), '--rotate', '1s'])
    for (let i = 0; i < 4; i++) {
      ping('web', 1)
      await sleep(500)
    }
    expect((await running.end()).code).toBe(0)
    const files = readdirSync(folder)
    expect(files.length).toBeGreaterThan(1)
    for (const name of files) expect(statSync(join(folder, name)).uid).toBe(USER)

    const file = scratch()('a.pcapng')
    const { code, stdout, stderr } = await start(['--container', 'web', '-w', file, '--rotate', '1s']).ended
    expect(stderr).toMatch(/^hoptrace: [^\n]*--rotate creates files as user 65534[^\n]*\n$/)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('names the capabilities to who is not root', async () => {
    const before = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups']
    for (const args of [
      ['--container', 'web'],
      ['--point', 'up=eth0'],
    ]) {
      const { code, stdout, stderr } = await start(args, { user: null, before }).ended
      expect(stderr).toMatch(/^hoptrace: capturing is not permitted: [^\n]*CAP_NET_RAW[^\n]*\n$/)
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    }
  })

  test('the root helper listens to names of its points only', async () => {
    const task = {
      selection: { containers: ['web'], pids: [], netns: [], points: [], areSeveral: false, startTimes: [] },
      ...{
        held: ['container', 'veth', 'bridge', 'uplink'].map((name) => ({
          name,
          netns: name,
          interfaceName: name,
        })),
      },
      ...{ taken: [], snapLenBytes: 100, bpf: null, bufferBytes: 1 << 20, promiscuous: false },
    }
    const helper = spawn('nsenter', [`--net=${host.netnsPath}`, process.execPath, HELPER], {
      env: { ...process.env, DOCKER_HOST: `unix://${host.socketPath}` },
      stdio: ['pipe', 'ignore', 'inherit', 'pipe', 'pipe'],
    })
    helper.stdin!.end(JSON.stringify(task))
    const control = helper.stdio[3] as import('node:net').Socket
    let answers = ''
    control.on('data', (text) => {
      answers += text
    })
    control.write('lo\n/proc/1/ns/net\n{"netns":null,"interfaceName":"lo"}\n\n')
    control.write('uplink\n')
    await until(() => answers.includes('\n'))
    expect(
      answers
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).place.interfaceName),
    ).toEqual(['eth0'])
    control.write('x'.repeat(1000))
    await once(helper, 'exit')
    expect(helper.exitCode).toBe(0)
  })
})

/** A folder in which this user may write. */
function folderOf(user: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'hoptrace-user-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  chownSync(folder, user, user)
  return folder
}

/** Root helpers that run in the host's network namespace. */
function helpersIn({ netnsPath }: SealedHost): number[] {
  const { ino } = statSync(netnsPath)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const isHelper = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('root-helper-program')
        return isHelper && statSync(`/proc/${pid}/ns/net`).ino === ino
      } catch {
        return false
      }
    })
}

/** Fields of proc(5)'s `status`. */
function statusOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n')
  return Object.fromEntries(
    lines.map((line) => {
      const [name = '', value = ''] = line.split(/:\s*/)
      return [name, value.trim().replace(/\s+/g, ' ')]
    }),
  )
}

async function until(isTrue: () => boolean): Promise<void> {
  await expect.poll(isTrue, { timeout: 20_000, interval: 20 }).toBe(true)
}
