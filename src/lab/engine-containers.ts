/** Containers of the lab's own engine: made of nothing but the machine's programs, read-only; their networks are the engine's work. */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { HoptraceError } from '../errors.ts'
import { ask } from './engine-api.ts'
import { attempt, serversOf } from './processes.ts'
import { MARK, run, SERVICE_MARK } from './programs.ts'
import {
  CONTAINERS,
  type Container,
  type LabNames,
  netnsOf,
  netnsPathOf,
  STATIONS,
  USER_BRIDGE,
} from './stations.ts'

const IMAGE = 'hoptrace-lab'
const NETWORK = 'lab'
/** Two blocks of zeros are an archive of nothing. */
const EMPTY_TAR = Buffer.alloc(1024)
/** Where the machine has programs, and what they are found and loaded by. */
const PROGRAM_PLACES = [
  ...['/usr', '/bin', '/sbin', '/lib', '/lib64', '/nix'],
  ...['/etc/alternatives', '/etc/ld.so.cache'],
]
const NODE = '/node'
/** The name says that it is a module: the package that says so as well is not in there. */
const SERVER = '/server.mjs'
const LISTENS_WITHIN_MS = 20_000
const LOOK_EVERY_MS = 30

/** On docker0 with a published port, or on the user-defined network: the part of a description that is each one's own. */
const PLACES: Record<Container, object> = {
  container1: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } },
  container2: { PortBindings: { '80/tcp': [{ HostPort: '8081' }] } },
  container3: { NetworkMode: NETWORK },
}

/** Makes image and network, of which there is one each. */
export async function makeImageAndNetwork(names: LabNames): Promise<void> {
  await ask(names, 'POST', `/images/create?fromSrc=-&repo=${IMAGE}&tag=latest`, EMPTY_TAR)
  await ask(names, 'POST', '/networks/create', {
    Name: NETWORK,
    Driver: 'bridge',
    IPAM: { Config: [{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }] },
    Options: { 'com.docker.network.bridge.name': USER_BRIDGE },
  })
}

/**
 * Makes the containers anew where any of them is not as it should be, and their networks known as stations; `program` is that of
 * their servers. Resolves to whether it was needed.
 */
export async function settleContainers(names: LabNames, program: string): Promise<boolean> {
  const isRight = await Promise.all(CONTAINERS.map((container) => isThere(names, container)))
  if (isRight.every((is) => is)) return false
  for (const container of CONTAINERS) await ask(names, 'DELETE', `/containers/${container}?force=1`)
  // One after the other: on docker0 addresses are given in the order of starting.
  for (const container of CONTAINERS) await startContainer(names, container, program)
  return true
}

/** Starts a server in a container, as a program of its own there. Resolves when it listens. */
export async function serveIn(
  names: LabNames,
  container: Container,
  services: readonly string[],
): Promise<void> {
  const exec = await ask(names, 'POST', `/containers/${container}/exec`, {
    // In place of the lab's folder one that is always there: the container's end is its own.
    Cmd: [NODE, SERVER, '/', container, ...services],
    Env: [`${MARK}=${names.base}`, `${SERVICE_MARK}=${container}`],
  })
  await ask(names, 'POST', `/exec/${exec?.Id}/start`, { Detach: true })
  const deadline = Date.now() + LISTENS_WITHIN_MS
  while (!serversOf(names, container).some((pid) => listens(pid, services))) {
    if (Date.now() > deadline) throw new HoptraceError(`the lab: the server of ${container} did not start`)
    await sleep(LOOK_EVERY_MS)
  }
}

async function startContainer(names: LabNames, container: Container, program: string): Promise<void> {
  const { ip } = STATIONS[container]
  await ask(names, 'POST', `/containers/create?name=${container}`, description(container, program))
  await ask(names, 'POST', `/containers/${container}/start`)
  const { pid, ip: given } = await stateOf(names, container)
  if (given !== ip)
    throw new HoptraceError(
      `the lab: ${container} got ${given || 'no address'} in place of ${ip}, which another container has: remove that one`,
    )
  if (existsSync(netnsPathOf(names, container)))
    run(names, ['ip', 'netns', 'delete', netnsOf(names, container)])
  run(names, ['ip', 'netns', 'attach', netnsOf(names, container), String(pid)])
}

function description(container: Container, program: string): object {
  const mounts = [
    ...PROGRAM_PLACES.filter((place) => existsSync(place)).map((place) => [place, place]),
    [process.execPath, NODE],
    [program, SERVER],
  ]
  return {
    Image: IMAGE,
    Hostname: container,
    // The container outlives its server: one that has ended is a fault to be found.
    Cmd: ['sleep', '2147483647'],
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    StopSignal: 'SIGKILL',
    ExposedPorts: { '80/tcp': {} },
    HostConfig: {
      Mounts: mounts.map(([Source, Target]) => ({ Type: 'bind', Source, Target, ReadOnly: true })),
      ...PLACES[container],
    },
  }
}

/** Whether it runs, has its address, and is the station of its name: after `docker restart` its network is another one. */
async function isThere(names: LabNames, container: Container): Promise<boolean> {
  const { pid, ip } = await stateOf(names, container)
  const inodes = [`/proc/${pid}/ns/net`, netnsPathOf(names, container)].map((path) =>
    attempt(() => statSync(path).ino),
  )
  return pid > 0 && ip === STATIONS[container].ip && inodes[0] === inodes[1]
}

/** Process id 0 where it does not run, or not at all. */
async function stateOf(names: LabNames, container: Container): Promise<{ pid: number; ip: string }> {
  const { State, NetworkSettings } = (await ask(names, 'GET', `/containers/${container}/json`)) ?? {}
  const [network] = Object.values(NetworkSettings?.Networks ?? {})
  return { pid: State?.Running && !State.Paused ? State.Pid : 0, ip: network?.IPAddress ?? '' }
}

/** Whether a process, or another one in its network, listens on the TCP ports of these services. */
function listens(pid: number, services: readonly string[]): boolean {
  const sockets = attempt(() => readFileSync(`/proc/${pid}/net/tcp`, 'latin1')) ?? ''
  return services.every((service) => {
    const port = Number(service.split(':').at(-1)).toString(16).toUpperCase().padStart(4, '0')
    return sockets.includes(`:${port} 00000000:0000 0A `)
  })
}
