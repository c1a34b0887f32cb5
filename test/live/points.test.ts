import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiAt } from '../../src/topology/docker-api.ts'
import { watchContainers } from '../../src/topology/docker-events.ts'
import type { Container, ContainerInterface, Host } from '../../src/topology/topology.ts'
import { requireDocker, type SealedHost, startSealedHost } from './docker-host.ts'

const PROGRAM = join(import.meta.dirname, '../../bin/hoptrace.js')

interface Points {
  schema: string
  host: Host
  containers: Container[]
  notes: string[]
}

let host: SealedHost

/** Runs the program in the host's network namespace, as whoever sits at that host would. */
function hoptrace(args: string[], env: Record<string, string> = {}, as: string[] = [], at = host) {
  const { NO_COLOR, FORCE_COLOR, COLUMNS, ...clean } = process.env
  const { status, stdout, stderr } = spawnSync(
    'nsenter',
    [`--net=${at.netnsPath}`, ...as, process.execPath, PROGRAM, ...args],
    { encoding: 'utf8', env: { ...clean, DOCKER_HOST: `unix://${at.socketPath}`, ...env }, timeout: 30_000 },
  )
  return { code: status, stdout, stderr }
}

function points(...args: string[]): Points {
  const { code, stdout, stderr } = hoptrace(['points', '--json', ...args])
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const found = JSON.parse(stdout) as Points
  expect(found.schema).toBe('hoptrace.points/1')
  return found
}

function container(name: string): Container {
  const found = points('--container', name)
  expect(found.notes).toEqual([])
  expect(found.containers.map((one) => one.name)).toEqual([name])
  return found.containers[0]
}

/** The other end as the container's own /sys and the host's `ip` tell it. */
function expectPeer(name: string, one: ContainerInterface, at = host): void {
  const read = (file: string) => Number(at.docker('exec', name, 'cat', `/sys/class/net/${one.name}/${file}`))
  expect(one.index).toBe(read('ifindex'))
  const link = ipLinks(at).find(({ ifindex }) => ifindex === read('iflink'))
  expect(one.peer).toMatchObject({
    netnsPath: null,
    owner: 'host',
    index: link?.ifindex,
    interfaceName: link?.ifname,
    bridge: link?.master ?? null,
  })
}

function ipLinks(at: SealedHost): { ifindex: number; ifname: string; master?: string }[] {
  return JSON.parse(at.exec('ip', '-j', 'link'))
}

function inspect(name: string, format: string): string {
  return host.docker('inspect', '--format', format, name)
}

describe.skipIf(!requireDocker())('points of a real engine', () => {
  beforeAll(async () => {
    host = await startSealedHost('points')
    const run = (name: string, ...args: string[]) =>
      host.docker('run', '-d', '--name', name, ...args, 'box', 'sleep', '100000')
    host.docker('network', 'create', 'mynet')
    const lan = [
      '--subnet',
      '192.168.78.0/24',
      '--ip-range',
      '192.168.78.192/27',
      '--gateway',
      '192.168.78.1',
    ]
    host.docker('network', 'create', '-d', 'macvlan', '-o', 'parent=eth0', ...lan, 'lan')
    run('web', '-p', '8080:80')
    run('cli')
    run('app', '--network', 'mynet', '--network-alias', 'api')
    run('both', '--network', 'mynet')
    host.docker('network', 'connect', 'bridge', 'both')
    run('hosty', '--network', 'host')
    run('nonet', '--network', 'none')
    run('side', '--network', 'container:web')
    run('mac', '--network', 'lan')
    host.docker('run', '--name', 'gone', 'box', 'sh', '-c', ':')
    host.docker('create', '--name', 'made', 'box', 'sh')
  })
  afterAll(() => host?.stop())

  test('default bridge: addresses, cable, bridge, gateway, DNS, namespaces', () => {
    const web = container('web')
    expect(web).toMatchObject({
      id: inspect('web', '{{.Id}}'),
      image: 'box',
      state: 'running',
      mode: 'bridge',
      pid: host.pidOf('web'),
      netnsPath: `/proc/${host.pidOf('web')}/ns/net`,
      ports: [{ hostIp: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp' }, expect.anything()],
    })
    expect(web.interfaces).toHaveLength(1)
    expect(web.interfaces[0]).toMatchObject({
      name: 'eth0',
      kind: 'veth',
      mac: inspect('web', '{{.NetworkSettings.MacAddress}}'),
      mtu: 1500,
      isUp: true,
      addresses: [{ ip: inspect('web', '{{.NetworkSettings.IPAddress}}'), prefixLength: 16 }],
      gateways: [inspect('web', '{{.NetworkSettings.Gateway}}')],
      network: 'bridge',
      driver: 'bridge',
      peer: { bridge: 'docker0' },
    })
    expectPeer('web', web.interfaces[0])
    for (const { kind, inode, isHost } of web.namespaces) {
      const link = execFileSync('readlink', [`/proc/${host.pidOf('web')}/ns/${kind}`], { encoding: 'utf8' })
      expect(link.trim()).toBe(`${kind}:[${inode}]`)
      expect({ kind, isHost }).toEqual({ kind, isHost: ['user', 'cgroup'].includes(kind) && isHost })
    }
    expect(web.namespaces.map(({ kind }) => kind)).toEqual([
      'net',
      'pid',
      'mnt',
      'uts',
      'ipc',
      'user',
      'cgroup',
    ])
  })

  test('its rules, with counters that count', () => {
    const masquerade = () =>
      container('cli').rules.find(({ text }) => text === '-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE')
    expect(masquerade()).toMatchObject({ where: 'host', family: 'ip', table: 'nat', chain: 'POSTROUTING' })
    const before = masquerade()!.packets!
    host.docker('exec', 'cli', 'ping', '-c', '1', host.internet.ip)
    expect(masquerade()!.packets).toBe(before + 1)

    const { rules, interfaces } = container('web')
    const { ip } = interfaces[0].addresses[0]
    const texts = rules.map(({ text }) => text)
    expect(texts).toContain(`! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination ${ip}:80`)
    expect(texts).toContain('policy DROP')
    expect(rules.some(({ chain }) => chain === 'DOCKER-USER')).toBe(true)
    expect(rules.some(({ chain, target }) => chain.startsWith('DOCKER-ISOLATION') && target === 'DROP')).toBe(
      true,
    )
    expect(container('cli').rules.map(({ target }) => target)).not.toContain('DNAT')

    const drop = ['DOCKER-USER', '-s', `${ip}/32`, '-d', '203.0.113.99/32', '-j', 'DROP']
    host.exec('iptables', '-I', ...drop)
    try {
      expect(container('web').rules).toContainEqual(
        expect.objectContaining({ chain: 'DOCKER-USER', text: drop.slice(1).join(' '), target: 'DROP' }),
      )
      expect(container('cli').rules.map(({ text }) => text)).not.toContain(drop.slice(1).join(' '))
    } finally {
      host.exec('iptables', '-D', ...drop)
    }
  })

  test('user-defined network: its own bridge, names in DNS, the DNS server inside', () => {
    const app = container('app')
    const id = host.docker('network', 'inspect', '--format', '{{.Id}}', 'mynet')
    expect(app.mode).toBe('user-defined')
    expect(app.interfaces[0]).toMatchObject({
      network: 'mynet',
      dnsNames: expect.arrayContaining(['app', 'api']),
      peer: { bridge: `br-${id.slice(0, 12)}` },
    })
    expectPeer('app', app.interfaces[0])
    expect(app.rules.filter(({ where }) => where === 'container').map(({ target }) => target)).toContain(
      'DNAT',
    )
    expect(app.rules.map(({ text }) => text).join('\n')).not.toContain('-o docker0 -j ACCEPT')
  })

  test('two networks: each interface with its own cable; the default route first', () => {
    const both = container('both')
    expect(both.interfaces.map(({ network }) => network).sort()).toEqual(['bridge', 'mynet'])
    for (const one of both.interfaces) expectPeer('both', one)
    const route = host.docker('exec', 'both', 'ip', 'route')
    expect(both.interfaces[0].name).toBe(/^default .* dev (\w+)/m.exec(route)![1])
  })

  test('host, none, the network of another container, macvlan', () => {
    const hosty = container('hosty')
    expect(hosty).toMatchObject({ mode: 'host', netnsPath: null, interfaces: [] })
    expect(hosty.sees).toMatch(/uplink/)
    expect(hosty.namespaces.find(({ kind }) => kind === 'net')).toMatchObject({ isHost: true })

    expect(container('nonet')).toMatchObject({ mode: 'none', interfaces: [] })

    const { containers } = points('--container', 'side', '--container', 'web')
    const [side, web] = containers
    expect(side).toMatchObject({ mode: 'container', sharesNetworkWith: 'web', netns: web.netns })
    expect(side.interfaces).toEqual(web.interfaces)
    expect(side.namespaces.find(({ kind }) => kind === 'net')!.sharedWith).toEqual(['web'])
    expect(side.namespaces.find(({ kind }) => kind === 'pid')!.sharedWith).toEqual([])

    const mac = container('mac')
    expect(mac).toMatchObject({
      mode: 'macvlan',
      interfaces: [{ kind: 'macvlan', network: 'lan', peer: null }],
    })
    const eth0 = ipLinks(host).find(({ ifname }) => ifname === 'eth0')!
    expect(mac.interfaces[0].parent).toMatchObject({
      netnsPath: null,
      interfaceName: 'eth0',
      index: eth0.ifindex,
    })
    expect(mac.rules.filter(({ where }) => where === 'host')).toEqual([])
  })

  test('all of them; the host', () => {
    const { host: found, containers, notes } = points()
    expect(notes).toEqual([])
    const names = containers.map(({ name }) => name)
    expect(names.slice(0, 8)).toEqual(['app', 'both', 'cli', 'hosty', 'mac', 'nonet', 'side', 'web'])
    expect(names.slice(8)).toEqual(['gone', 'made'])
    for (const one of containers.filter(({ mode, pid }) => pid !== null && mode !== 'macvlan'))
      for (const { peer } of one.interfaces) expect(peer).not.toBeNull()
    expect(found.uplinks).toEqual([{ interfaceName: 'eth0', gateways: ['192.168.78.1'] }])
    expect(found.forwarding.ipv4).toBe(true)
    expect(found.links.map(({ name }) => name).sort()).toEqual(
      ipLinks(host)
        .map(({ ifname }) => ifname)
        .sort(),
    )
  })

  test('the tree: every line fits', () => {
    for (const columns of ['80', '120']) {
      const { stdout } = hoptrace(['points', '--container', 'web'], { COLUMNS: columns })
      expect(stdout).toMatch(/eth0 \(\d+\) ═══ \(\d+\) veth\w+ ─── docker0\n/)
      expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(Number(columns))
    }
  })

  test('who does not run, or is not there, is answered in one line', () => {
    const refused = (...args: string[]) => {
      const { code, stdout, stderr } = hoptrace(['points', ...args])
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toMatch(/^hoptrace: [^\n]+\n$/)
      return stderr
    }
    expect(refused('--container', 'gone')).toMatch(
      /container gone has been stopped since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, exit code 0: docker start gone/,
    )
    expect(refused('--container', 'made')).toMatch(/has not been started yet/)
    expect(refused('--container', 'wbe')).toMatch(/no container is called wbe: did you mean web\?/)
    expect(refused('--container', 'mailer')).toMatch(/these run: app, both, cli, hosty, mac and 3 more/)
    expect(refused('--pid', '4194303')).toMatch(/no such process runs/)
    expect(refused('--netns', 'nowhere-at-all')).toMatch(/there is no \/run\/netns\/nowhere-at-all/)
  })

  test('no engine, and an engine that does not let us in', () => {
    // May read the program, wherever it lies, but not write to the socket.
    const caps = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search']
    const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', ...caps]
    const away = { DOCKER_HOST: 'unix:///nowhere/docker.sock' }
    expect(hoptrace(['points', '--container', 'web'], away)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\/nowhere\/docker.sock: .*--pid, --netns or --point\n$/),
    })
    const { code, stderr } = hoptrace(['points'], {}, nobody)
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/not permitted \(EACCES\): run with sudo/),
    })
    const process = hoptrace(['points', '--json', '--pid', String(host.pidOf('web'))], away)
    expect(process.code).toBe(0)
    expect(JSON.parse(process.stdout).containers).toMatchObject([
      {
        mode: 'namespace',
        name: `pid-${host.pidOf('web')}`,
        interfaces: container('web').interfaces.map(({ peer }) => ({ peer })),
      },
    ])
  })

  test('a restart: the engine tells of it, and the new namespace is found', async () => {
    const before = container('cli')
    const api = apiAt({ shown: host.socketPath, connection: { socketPath: host.socketPath } })
    const actions: string[] = []
    const stop = watchContainers(api, ({ id, action }) => {
      if (id === before.id) actions.push(action)
    })
    // Whether it listens already can be seen only by what it hears.
    await expect
      .poll(() => host.docker('pause', 'cli') && host.docker('unpause', 'cli') && actions)
      .toContain('pause')
    host.docker('restart', '-t', '0', 'cli')
    await expect
      .poll(() => actions)
      .toEqual(expect.arrayContaining(['die', 'disconnect', 'connect', 'start']))
    stop()
    const after = container('cli')
    expect(after.netnsPath).not.toBe(before.netnsPath)
    expectPeer('cli', after.interfaces[0])
  })

  test('a namespace of ip netns: numbers that repeat elsewhere mislead nobody', () => {
    const [blue, red] = [`${host.netns}-blue`, `${host.netns}-red`]
    const web = container('web').interfaces[0]
    for (const name of [blue, red]) execFileSync('ip', ['netns', 'add', name])
    try {
      // The same numbers as web's cable has, but between these two.
      const { index, peer } = web
      execFileSync(
        'ip',
        `link add x0 index ${index} netns ${blue} type veth peer name x1 index ${peer!.index} netns ${red}`.split(
          ' ',
        ),
      )
      for (const [name, link] of [
        [blue, 'x0'],
        [red, 'x1'],
      ])
        execFileSync('ip', ['-n', name, 'link', 'set', link, 'up'])
      const [found] = points('--netns', blue).containers
      expect(found.interfaces[0].peer).toMatchObject({
        owner: red,
        netnsPath: `/run/netns/${red}`,
        interfaceName: 'x1',
      })
      expect(container('web').interfaces[0]).toEqual(web)
      const [byPath] = points('--netns', `/run/netns/${red}`).containers
      expect(byPath.interfaces[0].peer).toMatchObject({ owner: blue, interfaceName: 'x0' })
    } finally {
      for (const name of [blue, red]) execFileSync('ip', ['netns', 'delete', name])
    }
  })
})

describe.skipIf(!requireDocker())('overlay between two engines', () => {
  let other: SealedHost

  beforeAll(async () => {
    host = await startSealedHost('overlay-a')
    other = await startSealedHost('overlay-b', { peerOf: host })
    host.docker('swarm', 'init', '--advertise-addr', host.ip)
    const token = host.docker('swarm', 'join-token', '-q', 'worker')
    other.docker('swarm', 'join', '--token', token, `${host.ip}:2377`)
    host.docker('network', 'create', '-d', 'overlay', '--attachable', 'ov')
    host.docker('run', '-d', '--name', 'near', '--network', 'ov', 'box', 'sleep', '100000')
    other.docker('run', '-d', '--name', 'far', '--network', 'ov', 'box', 'sleep', '100000')
  })
  afterAll(async () => {
    await other?.stop()
    await host?.stop()
  })

  test("the overlay's bridge and VXLAN device, and the way to the outside", () => {
    const near = container('near')
    expect(near.mode).toBe('overlay')
    const inner = near.interfaces.find(({ network }) => network === 'ov')!
    expect(inner.overlay).toMatchObject({ bridge: 'br0', vni: expect.any(Number) })
    expect(inner.peer).toMatchObject({ owner: 'overlay', bridge: 'br0', netnsPath: inner.overlay!.netnsPath })
    const { netnsPath, vxlan, vni } = inner.overlay!
    const inside = execFileSync('nsenter', [`--net=${netnsPath}`, 'ip', '-d', '-o', 'link'], {
      encoding: 'utf8',
    })
    expect(inside).toMatch(new RegExp(`: ${vxlan}@.*vxlan id ${vni} `))
    const outer = near.interfaces.find(({ network }) => network !== 'ov')!
    expect(outer.peer).toMatchObject({ owner: 'host', bridge: 'docker_gwbridge' })
    expectPeer('near', outer)
    expect(near.sees).toMatch(/VXLAN/)
  })

  test('two at once: an engine at the other host is another one', () => {
    const { stdout } = hoptrace(['points', '--json', '--container', 'far'], {}, [], other)
    const [far] = (JSON.parse(stdout) as Points).containers
    expect(far.interfaces.find(({ network }) => network === 'ov')!.overlay).not.toBeNull()
  })
})
