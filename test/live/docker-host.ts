/**
 * A sealed Docker host for tests: a real engine in a network namespace of its own, from which no traffic leaves and of
 * which nothing stays behind.
 *
 * ```
 * containers ── docker0 ── [host] eth0 192.168.78.100/24 ── lan0 192.168.78.1/24 [internet] 203.0.113.10
 * ```
 * The internet knows a way back to 192.168.78.0/24 only: a container's address that left without SNAT gets no answer,
 * and so does a packet to any other address out there.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ConntrackTuple {
  src: string
  dst: string
  /** Missing where the protocol has no ports. */
  sport?: number
  dport?: number
  /** Of an ICMP echo. */
  id?: number
}

export interface ConntrackEntry {
  /** As conntrack names it: `tcp`, `udp`, `icmp`. */
  protocol: string
  original: ConntrackTuple
  reply: ConntrackTuple
  /** Of TCP: `ESTABLISHED`, `TIME_WAIT` … */
  state?: string
  /** Whether an answer was seen. */
  replied: boolean
}

/** A network namespace in which programs can be run. */
export interface Netns {
  /** Its name, as `ip netns` has it. */
  readonly netns: string
  readonly netnsPath: string
  /** The address by which the other side reaches it. */
  readonly ip: string
  /** Runs a program to its end in the namespace and returns its stdout; throws with its stderr. */
  exec(...args: string[]): string
  /** Starts a program in the namespace, its stdio in pipes that the caller should read; `stop()` ends it. */
  spawn(...args: string[]): ChildProcess
}

export interface SealedHost extends Netns {
  /** Path of the engine's socket. */
  readonly socketPath: string
  /** What is beyond the uplink. Servers may listen on its `ip`. */
  readonly internet: Netns
  /** Runs the docker client and returns its stdout, trimmed; throws with its stderr. The image `box` is there. */
  docker(...args: string[]): string
  /** Process id of a container's first process: `/proc/PID/ns/net` is the container's namespace. */
  pidOf(container: string): number
  /** The host's connection tracking table, as `conntrack -L` prints it. */
  conntrack(): ConntrackEntry[]
  /** Ends the engine, its containers and every program started here, and removes all that they left. */
  stop(): Promise<void>
}

export interface SealedHostOptions {
  /** Whether published ports also get a docker-proxy process, as is Docker's default. */
  userlandProxy?: boolean
  /** Shares the other host's uplink segment and internet, as for a swarm. Is to be stopped before that host. */
  peerOf?: SealedHost
}

const PREFIX = 'hoptrace-host-'
const INTERNET_IP = '203.0.113.10'
const LAN = '192.168.78'
/** What `box` can run. Its wget must go without -T: with it, the one of Debian 12 crashes. */
const APPLETS =
  'cat dd echo hostname httpd ip ls nc nslookup ping ps seq sh sleep timeout traceroute wget'.split(' ')
const TOOLS = 'dockerd containerd docker iptables conntrack ip nsenter setpriv umount tar busybox'.split(' ')
const COMMAND_TIMEOUT_MS = 60_000
const START_TIMEOUT_MS = 30_000

/** Hosts of this process that are not stopped yet, by their directory's name. */
const running = new Map<string, ChildProcess[]>()
/** How many hosts each internet has had. */
const hostsOf = new Map<string, number>()
let prepared = false
let canRun: boolean | undefined

/**
 * Whether a sealed host can be started here, for `describe.skipIf(!requireDocker())`. What is missing is named in one
 * line; under CI=true it is an error, so that no live test goes missing unnoticed.
 */
export function requireDocker(): boolean {
  if (canRun !== undefined) return canRun
  const missing = TOOLS.filter(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`], { env: env() }).status !== 0,
  )
  if (process.getuid?.() !== 0) missing.unshift('root')
  else if (spawnSync('unshare', ['--net', '--mount', 'true']).status !== 0) missing.unshift('namespaces')
  canRun = missing.length === 0
  if (!canRun) {
    const line = `a Docker host needs ${missing.join(', ')}: the tests on one`
    if (process.env.CI === 'true') throw new Error(`${line} cannot run`)
    console.warn(`${line} are skipped`)
  }
  return canRun
}

/** Starts a host; `name` is free to choose, unique within this process, of letters, digits and `-`. */
export async function startSealedHost(name: string, options: SealedHostOptions = {}): Promise<SealedHost> {
  if (!/^[a-z0-9-]{1,20}$/i.test(name)) throw new Error(`not a name for a sealed host: ${name}`)
  if (!prepared) {
    prepared = true
    removeLeftovers()
    process.on('exit', () => {
      for (const base of running.keys()) removeHost(base)
    })
    // vitest ends its workers with SIGTERM, and half a second later with SIGKILL.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  }
  const base = baseOf(process.pid, name)
  const dir = join(tmpdir(), base)
  mkdirSync(dir, { mode: 0o700 })
  const children: ChildProcess[] = []
  running.set(base, children)
  try {
    const internet = options.peerOf?.internet ?? createInternet(`${base}-internet`, children)
    const ip = connectHost(base, internet)
    const socketPath = join(dir, 'docker.sock')
    await startEngine(dir, base, children, options)
    const docker = (...args: string[]) =>
      run('docker', args, { DOCKER_HOST: `unix://${socketPath}`, DOCKER_CONFIG: dir }).trim()
    importBox(dir, docker)
    const netns = enterable(base, ip, children)
    return {
      ...netns,
      socketPath,
      internet,
      docker,
      pidOf: (container) => Number(docker('inspect', '--format', '{{.State.Pid}}', container)),
      conntrack: () => parseConntrack(netns.exec('conntrack', '-L')),
      async stop() {
        const ends = children.map(ended)
        removeHost(base)
        running.delete(base)
        await Promise.all(ends)
      },
    }
  } catch (error) {
    removeHost(base)
    running.delete(base)
    throw error
  }
}

function createInternet(netns: string, children: ChildProcess[]): Netns {
  run('ip', ['netns', 'add', netns])
  ip(netns, 'link set lo up')
  ip(netns, `address add ${INTERNET_IP}/32 dev lo`)
  ip(netns, 'link add lan0 type bridge')
  ip(netns, `address add ${LAN}.1/24 dev lan0`)
  ip(netns, 'link set lan0 up')
  return enterable(netns, INTERNET_IP, children)
}

/** Creates the host's namespace with its uplink and returns its address. */
function connectHost(netns: string, internet: Netns): string {
  const nth = hostsOf.get(internet.netns) ?? 0
  hostsOf.set(internet.netns, nth + 1)
  const address = `${LAN}.${100 + nth}`
  run('ip', ['netns', 'add', netns])
  ip(netns, 'link set lo up')
  ip(netns, `link add eth0 type veth peer name port${nth} netns ${internet.netns}`)
  ip(internet.netns, `link set port${nth} master lan0 up`)
  ip(netns, `address add ${address}/24 dev eth0`)
  ip(netns, 'link set eth0 up')
  ip(netns, `route add default via ${LAN}.1`)
  return address
}

/** Starts containerd and dockerd and waits for the engine to answer. */
async function startEngine(dir: string, netns: string, children: ChildProcess[], options: SealedHostOptions) {
  // A containerd of our own: dockerd would otherwise share that of a Docker installed on this machine, and its shims.
  const containerd = join(dir, 'containerd.sock')
  writeFileSync(
    join(dir, 'containerd.toml'),
    `version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[plugins."io.containerd.internal.v1.opt"]
path = "${join(dir, 'opt')}"
`,
  )
  writeFileSync(join(dir, 'daemon.json'), '{}')
  const start = (program: string, ...args: string[]) => {
    const log = openSync(join(dir, `${program}.log`), 'a')
    const child = spawnIn(netns, [program, '--log-level', 'warn', ...args], ['ignore', log, log])
    closeSync(log)
    child.unref()
    children.push(child)
    return child
  }
  const paths = ['--root', join(dir, 'images'), '--state', join(dir, 'tasks'), '--address', containerd]
  const engines = [
    start('containerd', '--config', join(dir, 'containerd.toml'), ...paths),
    start(
      'dockerd',
      ...['--config-file', join(dir, 'daemon.json'), '--containerd', containerd],
      ...['--host', `unix://${join(dir, 'docker.sock')}`, '--pidfile', join(dir, 'dockerd.pid')],
      ...['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'run')],
      // vfs works on every file system, and the image is small; cgroupfs needs no systemd.
      ...['--storage-driver', 'vfs', '--exec-opt', 'native.cgroupdriver=cgroupfs'],
      ...['--dns', INTERNET_IP, `--userland-proxy=${options.userlandProxy ?? true}`],
    ),
  ]
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await answers(join(dir, 'docker.sock')))) {
    const dead = engines.some((child) => child.exitCode !== null || child.signalCode !== null)
    if (dead || Date.now() > deadline) {
      const logs = ['containerd', 'dockerd'].map((name) => `${name}:\n${tail(join(dir, `${name}.log`))}`)
      throw new Error(
        `the Docker engine ${dead ? 'ended' : 'did not answer'} at its start\n${logs.join('\n')}`,
      )
    }
    await sleep(50)
  }
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path: '/_ping', timeout: 2000, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
  })
}

/** Imports `box`, an image of nothing but busybox: there is no registry to pull from. */
function importBox(dir: string, docker: (...args: string[]) => string) {
  const root = join(dir, 'box')
  for (const name of ['bin', 'etc', 'tmp', 'www']) mkdirSync(join(root, name), { recursive: true })
  const busybox = run('sh', ['-c', 'command -v busybox']).trim()
  run('cp', ['-L', busybox, join(root, 'bin/busybox')])
  for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet))
  writeFileSync(join(root, 'www/index.html'), 'hello from the container\n')
  run('tar', ['-C', root, '-cf', join(dir, 'box.tar'), '.'])
  docker('import', '--change', 'ENV PATH=/bin', '--change', 'CMD ["sh"]', join(dir, 'box.tar'), 'box')
}

export function enterable(netns: string, ip: string, children: ChildProcess[]): Netns {
  return {
    netns,
    netnsPath: pathOf(netns),
    ip,
    exec: (...args) => run('nsenter', [`--net=${pathOf(netns)}`, ...args]),
    spawn(...args) {
      const child = spawnIn(netns, args, 'pipe')
      children.push(child)
      return child
    },
  }
}

/** Starts a program that ends with this process, however this one ends. */
function spawnIn(netns: string, args: string[], stdio: 'pipe' | ['ignore', number, number]): ChildProcess {
  // containerd stays: dockerd needs it to end the containers. The next run removes it.
  const signal = args[0] === 'containerd' ? 'clear' : 'TERM'
  const enter = ['--pdeathsig', signal, 'nsenter', `--net=${pathOf(netns)}`]
  return spawn('setpriv', [...enter, ...args], { env: env(), stdio })
}

function ip(netns: string, command: string) {
  run('ip', ['-n', netns, ...command.split(' ')])
}

function run(program: string, args: string[], more: Record<string, string> = {}): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    env: { ...env(), ...more },
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_TIMEOUT_MS,
  })
}

/** No proxy and no Docker context of the caller's gets in. */
function env(): Record<string, string> {
  const { PATH = '', HOME = '/' } = process.env
  return {
    PATH: `${PATH}:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME,
    TMPDIR: tmpdir(),
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
  }
}

function pathOf(netns: string): string {
  return `/run/netns/${netns}`
}

function tail(path: string): string {
  const lines = attempt(() => readFileSync(path, 'utf8')) ?? ''
  return lines.trimEnd().split('\n').slice(-15).join('\n')
}

function ended(child: ChildProcess): Promise<unknown> | undefined {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return undefined
  child.ref()
  return new Promise((resolve) => child.once('exit', resolve))
}

/** Reads what `conntrack -L` prints, such as `tcp 6 117 SYN_SENT src=… dst=… [UNREPLIED] src=… dst=…`. */
export function parseConntrack(text: string): ConntrackEntry[] {
  return text
    .split('\n')
    .filter((line) => line.includes('src='))
    .map((line) => {
      const [protocol = ''] = line.split(/\s+/)
      const state = /^\S+\s+\d+\s+\d+\s+([A-Z_0-9]+)\s/.exec(line)?.[1]
      const [, original = '', reply = ''] = line.split(/(?=\bsrc=)/)
      return {
        protocol,
        original: parseTuple(original),
        reply: parseTuple(reply),
        ...(state && { state }),
        replied: !line.includes('[UNREPLIED]'),
      }
    })
}

function parseTuple(text: string): ConntrackTuple {
  const fields = new Map([...text.matchAll(/(\w+)=(\S+)/g)].map(([, key, value]) => [key, value]))
  const tuple: ConntrackTuple = { src: fields.get('src') ?? '', dst: fields.get('dst') ?? '' }
  for (const key of ['sport', 'dport', 'id'] as const) {
    if (fields.has(key)) tuple[key] = Number(fields.get(key))
  }
  return tuple
}

/** Under which name namespaces and files of a host are found, when this process started it. */
export function baseOf(pid: number, name: string): string {
  return `${PREFIX}${pid}-${startOf(pid)}-${name}`
}

/** Removes the hosts of processes that are gone: killed, or crashed, before they could do it. */
export function removeLeftovers() {
  const names = [tmpdir(), '/run/netns'].flatMap((dir) => attempt(() => readdirSync(dir)) ?? [])
  const bases = new Set(names.map((name) => name.replace(/-internet$/, '')))
  for (const base of bases) {
    const [, pid, start] = new RegExp(`^${PREFIX}(\\d+)-(\\d+)-`).exec(base) ?? []
    if (pid && start !== startOf(Number(pid))) removeHost(base)
  }
}

/** When a process started, in ticks since boot: pids come again, this does not. */
function startOf(pid: number): string | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

/**
 * Ends and removes all that belongs to a host, by what is left of it on this machine. Synchronous, and never throws: it
 * is the end of every test, of every failed start and of every crash.
 */
function removeHost(base: string) {
  const dir = join(tmpdir(), base)
  const namespaces = [base, `${base}-internet`]
  const containers = attempt(() => readdirSync(join(dir, 'data/containers'))) ?? []
  const sandboxes = attempt(() => readdirSync(join(dir, 'run/netns'))) ?? []
  const paths = [...namespaces.map(pathOf), ...sandboxes.map((name) => join(dir, 'run/netns', name))]
  for (let tries = 0; tries < 100; tries++) {
    const pids = processesIn(paths, containers)
    if (pids.length === 0) break
    for (const pid of pids) attempt(() => process.kill(pid, 'SIGKILL'))
    pause(20)
  }
  for (const child of running.get(base) ?? []) attempt(() => child.kill('SIGKILL'))
  const mounts = mountsUnder(dir)
  if (mounts.length > 0) attempt(() => run('umount', ['--lazy', ...mounts]))
  for (const id of containers) removeContainer(dir, id)
  for (const netns of namespaces) {
    if (attempt(() => statSync(pathOf(netns)))) attempt(() => run('ip', ['netns', 'delete', netns]))
  }
  attempt(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
}

/** Processes with a thread in one of these network namespaces or in the cgroup of one of these containers. */
function processesIn(namespaces: string[], containers: string[]): number[] {
  const inodes = namespaces.flatMap((path) => attempt(() => `net:[${statSync(path).ino}]`) ?? [])
  const belongs = (pid: string) => {
    const threads = attempt(() => readdirSync(`/proc/${pid}/task`)) ?? []
    const nets = threads.flatMap(
      (thread) => attempt(() => readlinkSync(`/proc/${pid}/task/${thread}/ns/net`)) ?? [],
    )
    // Only a zombie has none. It holds nothing any more.
    if (nets.length === 0) return false
    if (nets.some((net) => inodes.includes(net))) return true
    const cgroups = attempt(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? ''
    return containers.some((id) => cgroups.includes(id))
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid) && belongs(name))
    .map(Number)
}

/** Mount points below a directory, the innermost first. */
function mountsUnder(dir: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse()
}

/** Removes what a killed container left elsewhere: its cgroups and the socket of its shim. */
function removeContainer(dir: string, id: string) {
  const address = attempt(() =>
    readFileSync(join(dir, 'tasks/io.containerd.runtime.v2.task/moby', id, 'address'), 'utf8'),
  )
  if (address) attempt(() => rmSync(address.replace('unix://', '')))
  const root = '/sys/fs/cgroup'
  for (const hierarchy of ['', ...(attempt(() => readdirSync(root)) ?? [])]) {
    const cgroup = join(root, hierarchy, 'docker', id)
    // The kernel takes a moment to let go of the processes.
    for (let tries = 0; tries < 20 && attempt(() => statSync(cgroup)); tries++) {
      if (tries > 0) pause(10)
      attempt(() => rmdirSync(cgroup))
    }
  }
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

function pause(ms: number) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
