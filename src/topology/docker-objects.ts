/** Containers and networks as the engine's API tells them: only the fields that are used, each checked for its type. */

import { isIP } from 'node:net'
import type { DockerApi } from './docker-api.ts'
import { type Fields, fieldsOf, integerOf, listOf, textOf, textsOf } from './foreign.ts'
import type { ContainerState, PublishedPort } from './topology.ts'

const STATES: readonly string[] = ['running', 'paused', 'restarting', 'created', 'exited', 'dead']
/** Larger than any process number that Linux gives. */
const MAX_PID = 2 ** 22

/** What `/containers/json` says of each container. */
export interface ListedContainer {
  readonly id: string
  readonly name: string
  readonly image: string | null
  readonly state: ContainerState
  readonly status: string | null
  readonly endpoints: readonly Endpoint[]
}

/** A container's connection to a network, as the engine has set it up. */
export interface Endpoint {
  readonly network: string
  readonly networkId: string | null
  readonly mac: string | null
  readonly addresses: readonly string[]
  readonly prefixLengths: readonly number[]
  readonly gateways: readonly string[]
  readonly dnsNames: readonly string[]
}

/** What `/containers/{id}/json` says besides. */
export interface InspectedContainer {
  readonly pid: number | null
  readonly exitCode: number | null
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** `default`, `bridge`, `host`, `none`, `container:ID`, or a network's name or id. */
  readonly networkMode: string
  readonly sandboxPath: string | null
  readonly endpoints: readonly Endpoint[]
  readonly ports: readonly PublishedPort[]
}

export interface EngineNetwork {
  readonly id: string
  readonly name: string
  readonly driver: string
  /** The bridge's name where the engine's own rule for naming gives one. */
  readonly bridge: string | null
  /** Interface below a macvlan or ipvlan network. */
  readonly parent: string | null
  readonly subnets: readonly string[]
  readonly gateways: readonly string[]
}

export async function listContainers(api: DockerApi): Promise<ListedContainer[]> {
  return listOf(await api.get('/containers/json?all=1')).flatMap((entry) => {
    const fields = fieldsOf(entry)
    const id = idOf(fields.Id)
    if (id === null) return []
    const state = textOf(fields.State)?.toLowerCase() ?? ''
    return {
      id,
      name: nameOf(fields.Names) ?? id.slice(0, 12),
      image: textOf(fields.Image),
      state: STATES.includes(state) ? (state as ContainerState) : 'unknown',
      status: textOf(fields.Status),
      endpoints: endpointsOf(fields),
    }
  })
}

/** Null where the container has gone. */
export async function inspectContainer(api: DockerApi, id: string): Promise<InspectedContainer | null> {
  const answer = await api.get(`/containers/${encodeURIComponent(id)}/json`)
  if (answer === null) return null
  const fields = fieldsOf(answer)
  const state = fieldsOf(fields.State)
  const network = fieldsOf(fields.NetworkSettings)
  return {
    pid: integerOf(state.Pid, MAX_PID) || null,
    exitCode: integerOf(state.ExitCode, 255),
    startedAt: timeOf(state.StartedAt),
    finishedAt: timeOf(state.FinishedAt),
    networkMode: textOf(fieldsOf(fields.HostConfig).NetworkMode) ?? 'default',
    sandboxPath: textOf(network.SandboxKey),
    endpoints: endpointsOf(fields),
    ports: portsOf(network.Ports),
  }
}

export async function listNetworks(api: DockerApi): Promise<EngineNetwork[]> {
  return listOf(await api.get('/networks')).flatMap((entry) => {
    const fields = fieldsOf(entry)
    const id = idOf(fields.Id)
    const name = textOf(fields.Name)
    if (id === null || name === null) return []
    const driver = textOf(fields.Driver) ?? 'unknown'
    const options = fieldsOf(fields.Options)
    const told = textOf(options['com.docker.network.bridge.name'])
    const pools = listOf(fieldsOf(fields.IPAM).Config).map(fieldsOf)
    return {
      id,
      name,
      driver,
      bridge: driver === 'bridge' ? (told ?? `br-${id.slice(0, 12)}`) : null,
      parent: textOf(options.parent),
      subnets: pools.flatMap(({ Subnet }) => textOf(Subnet) ?? []),
      gateways: pools.flatMap(({ Gateway }) => ipOf(Gateway) ?? []),
    }
  })
}

/** Ids stand in paths of requests and of /proc: hexadecimal digits and nothing else. */
function idOf(value: unknown): string | null {
  const id = textOf(value)
  return id !== null && /^[\da-z]{12,64}$/i.test(id) ? id : null
}

/** A container that others link to has names with a slash inside as well. */
function nameOf(value: unknown): string | null {
  const names = textsOf(value).map((name) => name.replace(/^\//, ''))
  return names.find((name) => name !== '' && !name.includes('/')) ?? null
}

function timeOf(value: unknown): string | null {
  const time = textOf(value)
  return time !== null && !time.startsWith('0001-') && !Number.isNaN(Date.parse(time)) ? time : null
}

function endpointsOf(container: Fields): Endpoint[] {
  const networks = fieldsOf(fieldsOf(container.NetworkSettings).Networks)
  return Object.entries(networks).map(([network, entry]) => {
    const fields = fieldsOf(entry)
    const pairs = [
      [ipOf(fields.IPAddress), integerOf(fields.IPPrefixLen, 32) ?? 32],
      [ipOf(fields.GlobalIPv6Address), integerOf(fields.GlobalIPv6PrefixLen, 128) ?? 128],
    ] as const
    const present = pairs.filter((pair): pair is [string, number] => pair[0] !== null)
    return {
      network,
      networkId: textOf(fields.NetworkID),
      mac: textOf(fields.MacAddress)?.toLowerCase() ?? null,
      addresses: present.map(([ip]) => ip),
      prefixLengths: present.map(([, length]) => length),
      gateways: [ipOf(fields.Gateway), ipOf(fields.IPv6Gateway)].flatMap((ip) => ip ?? []),
      dnsNames: [...new Set([...textsOf(fields.DNSNames), ...textsOf(fields.Aliases)])],
    }
  })
}

function ipOf(value: unknown): string | null {
  const ip = textOf(value)
  return ip !== null && isIP(ip) !== 0 ? ip : null
}

function portsOf(value: unknown): PublishedPort[] {
  return Object.entries(fieldsOf(value)).flatMap(([key, bindings]) => {
    const match = /^(\d{1,5})\/([a-z]{2,8})$/.exec(key)
    const containerPort = integerOf(match?.[1], 0xffff)
    if (!match || containerPort === null) return []
    return listOf(bindings).flatMap((binding) => {
      const fields = fieldsOf(binding)
      const hostPort = integerOf(fields.HostPort, 0xffff)
      // Podman leaves the address out where it means all.
      const hostIp = textOf(fields.HostIp) === null ? '0.0.0.0' : ipOf(fields.HostIp)
      return hostPort && hostIp ? { hostIp, hostPort, containerPort, protocol: match[2]! } : []
    })
  })
}
