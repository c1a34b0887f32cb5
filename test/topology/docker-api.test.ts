import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { apiAt, connectEngine, type DockerApi } from '../../src/topology/docker-api.ts'
import { type ContainerChange, parseEvent, watchContainers } from '../../src/topology/docker-events.ts'
import { inspectContainer, listContainers, listNetworks } from '../../src/topology/docker-objects.ts'
import { engineAddresses } from '../../src/topology/engine-address.ts'

const ID = '0123456789abcdef'.repeat(4)
const folder = mkdtempSync(join(tmpdir(), 'hoptrace-engine-'))
const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

type Answer = (request: IncomingMessage, response: ServerResponse) => void

let sockets = 0

async function engine(answer: Answer, path = join(folder, `${sockets++}.sock`)): Promise<DockerApi> {
  const server = createServer(answer)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return apiAt({ shown: path, connection: { socketPath: path } })
}

const says =
  (value: unknown, status = 200): Answer =>
  (_, response) => {
    response.statusCode = status
    response.end(typeof value === 'string' ? value : JSON.stringify(value))
  }

describe('where the engine is', () => {
  test('DOCKER_HOST, else the sockets of Docker and Podman', () => {
    const shown = (env: Record<string, string>) => engineAddresses(env).map((one) => one.shown)
    expect(shown({})).toEqual(['/var/run/docker.sock', '/run/podman/podman.sock'])
    expect(shown({ XDG_RUNTIME_DIR: '/run/user/7', DOCKER_HOST: '' })).toEqual([
      '/var/run/docker.sock',
      '/run/podman/podman.sock',
      '/run/user/7/docker.sock',
      '/run/user/7/podman/podman.sock',
    ])
    expect(engineAddresses({ DOCKER_HOST: 'unix:///a.sock' })).toEqual([
      { shown: '/a.sock', connection: { socketPath: '/a.sock' } },
    ])
    expect(engineAddresses({ DOCKER_HOST: 'tcp://[::1]:80' })[0].connection).toEqual({
      host: '::1',
      port: 80,
    })
    expect(engineAddresses({ DOCKER_HOST: 'tcp://h' })[0].connection).toEqual({ host: 'h', port: 2375 })
  })

  test('TLS: the files of DOCKER_CERT_PATH', () => {
    for (const name of ['ca.pem', 'cert.pem', 'key.pem']) writeFileSync(join(folder, name), name)
    const env = { DOCKER_HOST: 'tcp://h', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder }
    expect(engineAddresses(env)[0].connection).toMatchObject({
      port: 2376,
      tls: { ca: Buffer.from('ca.pem'), key: Buffer.from('key.pem'), rejectUnauthorized: true },
    })
    expect(() => engineAddresses({ ...env, DOCKER_CERT_PATH: '/nowhere' })).toThrow(
      /cert.pem: cannot be read \(ENOENT\)/,
    )
  })

  test.each(['ssh://host', 'npipe:////./pipe/docker', 'unix://', 'tcp://', 'nonsense\u001b[2J'])(
    '%j is refused',
    (host) => {
      const shown = host.replace('\u001b', '\\x1B')
      expect(() => engineAddresses({ DOCKER_HOST: host })).toThrow(
        `DOCKER_HOST is ${shown}: only unix:///path/of.sock and tcp://host:port are understood`,
      )
    },
  )

  test('nobody there: all that was tried, and how to go on; the next one is tried', async () => {
    const nowhere = { shown: '/nowhere', connection: { socketPath: '/nowhere' } }
    await expect(connectEngine([nowhere, nowhere])).rejects.toMatchObject({
      message: expect.stringMatching(/answers at \/nowhere, \/nowhere: .*--pid, --netns or --point$/),
      reason: 'absent',
      exitCode: 2,
    })
    const { address } = await engine(says('OK'))
    expect((await connectEngine([nowhere, address])).address).toBe(address)
  })
})

describe('answers that are none', () => {
  test.each([
    ['says 500 out of memory', says({ message: 'out of memory' }, 500)],
    ['says 403', says('', 403)],
    ['does not answer with JSON', says('<html>')],
    ['cannot be read (ECONNRESET)', ((request) => request.socket.destroy()) as Answer],
    ['says 502 \\x1B[2J', says('\u001b[2J', 502)],
  ])('%s', async (message, answer) => {
    const api = await engine(answer)
    await expect(listContainers(api)).rejects.toMatchObject({
      message: expect.stringContaining(`/containers/json?all=1 ${message}`),
      reason: 'broken',
    })
  })

  test('a body without end is given up', async () => {
    const piece = 'x'.repeat(1 << 20)
    const api = await engine((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(piece));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    await expect(api.get('/networks')).rejects.toThrow('answers with more than 64 MiB')
  })

  test('lists and objects of other things, missing fields', async () => {
    for (const odd of [
      {},
      [],
      'x',
      7,
      [null, 7, 'x', [], {}],
      [{ Id: 7, Names: {} }],
      [{ Id: '../../etc/passwd' }],
    ]) {
      const api = await engine(says(JSON.stringify(odd)))
      expect(await listContainers(api)).toEqual([])
      expect(await listNetworks(api)).toEqual([])
      expect(await inspectContainer(api, 'x')).toMatchObject({ pid: null, endpoints: [], ports: [] })
    }
    expect(await inspectContainer(await engine(says({ message: 'no such container' }, 404)), 'x')).toBeNull()
  })
})

test('fields of containers are checked', async () => {
  const container = {
    Id: ID,
    Names: [7, '/other/alias', '/na\u001bme'],
    State: 'RUNNING',
    Status: 5,
    NetworkSettings: {
      Networks: {
        net: { IPAddress: 'not an address', MacAddress: '02:42:AC:11:00:02', GlobalIPv6Address: 'fd00::2' },
      },
    },
  }
  expect(await listContainers(await engine(says([container])))).toEqual([
    {
      id: ID,
      name: 'na\u001bme',
      image: null,
      state: 'running',
      status: null,
      endpoints: [
        expect.objectContaining({
          network: 'net',
          mac: '02:42:ac:11:00:02',
          addresses: ['fd00::2'],
          gateways: [],
        }),
      ],
    },
  ])
  const inspected = {
    State: { Pid: 1e300, ExitCode: -1, StartedAt: 'yesterday', FinishedAt: '0001-01-01T00:00:00Z' },
    HostConfig: { NetworkMode: ['host'] },
    NetworkSettings: {
      Ports: {
        '80/tcp': [
          { HostIp: '0.0.0.0', HostPort: '8080' },
          { HostIp: '', HostPort: '81' },
          { HostIp: 'x', HostPort: '82' },
        ],
        '99999/tcp': [{ HostIp: '0.0.0.0', HostPort: '1' }],
        '53/udp': null,
        'x; reboot': [{ HostPort: '1' }],
      },
    },
  }
  expect(await inspectContainer(await engine(says(inspected)), ID)).toMatchObject({
    pid: null,
    exitCode: null,
    startedAt: null,
    finishedAt: null,
    networkMode: 'default',
    ports: [
      { hostIp: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp' },
      { hostIp: '0.0.0.0', hostPort: 81, containerPort: 80, protocol: 'tcp' },
    ],
  })
})

describe('events', () => {
  const start = JSON.stringify({ Type: 'container', Action: 'start', Actor: { ID } })

  test('one event a line', () => {
    const connect = {
      Type: 'network',
      Action: 'connect',
      Actor: { ID: 'net', Attributes: { container: ID } },
    }
    expect(parseEvent(start)).toEqual({ id: ID, action: 'start' })
    expect(parseEvent(JSON.stringify(connect))).toEqual({ id: ID, action: 'connect' })
    for (const odd of [
      '',
      '{',
      'null',
      '7',
      '{"Type":"container"}',
      '{"Type":"network","Action":"create","Actor":{"ID":"n"}}',
    ])
      expect(parseEvent(odd)).toBeNull()
  })

  test('comes back after the engine has gone, and tells of the gap', async () => {
    let requests = 0
    const api = await engine((request, response) => {
      expect(request.url).toMatch(/^\/events\?filters=/)
      response.write(`${start.slice(0, 9)}`)
      setTimeout(() => {
        response.write(`${start.slice(9)}\nnonsense\n`)
        if (++requests === 1) setTimeout(() => request.socket.destroy(), 20)
      }, 20)
    })
    const changes: ContainerChange[] = []
    const stop = watchContainers(api, (change) => changes.push(change))
    await expect.poll(() => changes.length, { timeout: 5000 }).toBe(3)
    stop()
    expect(changes).toEqual([
      { id: ID, action: 'start' },
      { id: null, action: 'reconnected' },
      { id: ID, action: 'start' },
    ])
  })
})

process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
