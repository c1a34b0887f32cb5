/** Subjects: the containers, processes and namespaces that were asked for, before anybody has looked into them. */

import { stat } from 'node:fs/promises'
import { displayText } from '../capture/display-text.ts'
import { HoptraceError } from '../errors.ts'
import type { DockerApi } from './docker-api.ts'
import {
  type Endpoint,
  type InspectedContainer,
  inspectContainer,
  type ListedContainer,
} from './docker-objects.ts'
import { namespacePath, namespaceTitle } from './explicit-points.ts'
import { namespaceInode } from './namespaces.ts'
import type { ContainerState, PublishedPort } from './topology.ts'

export interface Subject {
  readonly id: string
  readonly name: string
  readonly image: string | null
  readonly state: ContainerState
  readonly since: string | null
  readonly pid: number | null
  /** The engine's word for how it is connected; null where no engine knows it. */
  readonly networkMode: string | null
  /** Path of its network namespace, be that the host's; null where it does not run. */
  readonly netnsPath: string | null
  /** Name of that namespace among the engine's own. */
  readonly sandboxPath: string | null
  /** Its engine is asked through the network: its processes may be those of another machine. */
  readonly isFar: boolean
  readonly endpoints: readonly Endpoint[]
  readonly ports: readonly PublishedPort[]
}

/** What the engine says of a container; null where it has gone since it was listed. */
export async function containerSubject(
  api: DockerApi,
  listed: ListedContainer,
  allowStopped: boolean,
): Promise<Subject | null> {
  const inspected = await inspectContainer(api, listed.id)
  if (inspected === null) return null
  const { pid } = inspected
  if (pid === null && !allowStopped) throw new HoptraceError(stoppedMessage(listed, inspected))
  const sharer = sharerOf(inspected.networkMode)
  const owner = sharer === null ? null : await inspectContainer(api, sharer)
  return {
    ...listed,
    ...inspected,
    ...(owner && { endpoints: owner.endpoints, ports: owner.ports, sandboxPath: owner.sandboxPath }),
    since: pid === null ? inspected.finishedAt : inspected.startedAt,
    netnsPath: pid === null ? null : `/proc/${pid}/ns/net`,
    isFar: !('socketPath' in api.address.connection),
  }
}

/** Name or id of the container whose network namespace one in this mode shares. */
export function sharerOf(networkMode: string | null): string | null {
  return networkMode?.startsWith('container:') ? networkMode.slice('container:'.length) : null
}

/** A process's network namespace. Rejects with a `HoptraceError` where there is no such process. */
export async function processSubject(pid: number): Promise<Subject> {
  const isThere = await stat(`/proc/${pid}`).then(
    () => true,
    () => false,
  )
  if (!isThere) throw new HoptraceError(`--pid ${pid}: no such process runs: ps -e lists them`)
  return bareSubject(`pid:${pid}`, `pid-${pid}`, `/proc/${pid}/ns/net`, pid)
}

/** A network namespace by name or path. Rejects with a `HoptraceError` where there is none. */
export async function namespaceSubject(nameOrPath: string): Promise<Subject> {
  const path = namespacePath(nameOrPath)
  if ((await namespaceInode(path)) === null)
    throw new HoptraceError(
      `--netns ${displayText(nameOrPath)}: there is no ${displayText(path, 200)} to be read: ip netns lists names; a path such as /proc/123/ns/net works as well`,
    )
  const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1]
  return bareSubject(`netns:${path}`, namespaceTitle(path), path, pid ? Number(pid) : null)
}

function bareSubject(id: string, name: string, netnsPath: string, pid: number | null): Subject {
  return {
    id,
    name,
    image: null,
    state: 'running',
    since: null,
    pid,
    networkMode: null,
    netnsPath,
    sandboxPath: null,
    isFar: false,
    endpoints: [],
    ports: [],
  }
}

function stoppedMessage(
  { name, state }: ListedContainer,
  { finishedAt, exitCode }: InspectedContainer,
): string {
  const shown = displayText(name)
  const time = finishedAt?.replace(/T/, ' ').replace(/(\.\d+)?Z$/, ' UTC')
  const code = exitCode === null ? '' : `, exit code ${exitCode}`
  if (state === 'restarting')
    return `container ${shown} keeps ending (last ${time}${code}) and waits to be started again: docker logs ${shown} may say why`
  if (time === undefined || state === 'created')
    return `container ${shown} has not been started yet: docker start ${shown}`
  return `container ${shown} has been stopped since ${displayText(time, 40)}${code}: docker start ${shown}`
}
