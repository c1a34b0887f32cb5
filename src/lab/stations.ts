/** The stations of the lab: one network namespace each, and what they and the lab itself are called on this machine. */

import { existsSync } from 'node:fs'
import { HoptraceError } from '../errors.ts'

/** The places of the lab that have a network of their own; those of `hidden` are the engine's, nobody's place to work at. */
export const STATIONS = {
  container1: { ip: '172.17.0.2', what: 'container on docker0, its page published as port 8080 of the host' },
  container2: { ip: '172.17.0.3', what: 'container on docker0, published as port 8081 through docker-proxy' },
  container3: { ip: '172.18.0.2', what: 'container on a user-defined network, with DNS of its own' },
  overlay1: { ip: '10.0.1.2', what: 'container on an overlay network, on host' },
  overlay2: { ip: '10.0.1.3', what: 'container on the same overlay network, on host2' },
  macvlan1: { ip: '192.168.78.50', what: 'container on a macvlan network: a neighbour of the host' },
  host: { ip: '192.168.78.100', what: 'the Docker host, with docker0 and its NAT' },
  host2: { ip: '192.168.78.101', what: 'another machine on the same network' },
  router: {
    ip: '192.168.78.1',
    what: 'the router at home or in the office: a second NAT, 203.0.113.1 outside',
  },
  internet: { ip: '203.0.113.10', what: 'a server out there: a page, an echo of UDP, names' },
  ov1: { ip: '-', what: 'where the engine of host keeps the bridge of the overlay network' },
  ov2: { ip: '-', what: 'where the engine of host2 keeps it' },
} as const

export type Station = keyof typeof STATIONS

export const ALL_STATIONS = Object.keys(STATIONS) as Station[]

/** Those that are real containers in a lab with an engine, in the order in which they are started. */
export const CONTAINERS = ['container1', 'container2', 'container3'] as const

export type Container = (typeof CONTAINERS)[number]

export function isContainer(station: Station): station is Container {
  return CONTAINERS.some((container) => container === station)
}

/** Where the user-defined network has its bridge; Docker takes the beginning of the network's id. */
export const USER_BRIDGE = 'br-4c925cc48974'

const RUN = '/run'
const PREFIX = 'hoptrace-lab'
const LAB_NAME = /^[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?$/

/** What a lab is called: all that belongs to it is found by these names, after a crash as well. */
export interface LabNames {
  /** `hoptrace-lab` or `hoptrace-lab-NAME`. */
  readonly base: string
  /** How it is named on the command line: ` --name NAME`, or nothing. */
  readonly option: string
  /** Its folder under /run. */
  readonly folder: string
}

/** Names of the lab that `--name` means. Throws a `HoptraceError` where that cannot be part of a file name. */
export function labNames(name: string | undefined): LabNames {
  if (name !== undefined && !LAB_NAME.test(name))
    throw new HoptraceError('--name: give a lab a name of at most 20 small letters, digits and dashes')
  const base = name === undefined ? PREFIX : `${PREFIX}-${name}`
  return { base, option: name === undefined ? '' : ` --name ${name}`, folder: `${RUN}/${base}` }
}

/** Name of a station's namespace, as `ip netns` has it. No station has a dash: two labs never have the same. */
export function netnsOf({ base }: LabNames, station: Station): string {
  return `${base}-${station}`
}

export function netnsPathOf(names: LabNames, station: Station): string {
  return `${RUN}/netns/${netnsOf(names, station)}`
}

/** A link to the namespace that has the station's plain name, which is how captures then call it. */
export function stationPathOf({ folder }: LabNames, station: Station): string {
  return `${folder}/stations/${station}`
}

/** Where the lab's own engine keeps all that it has; there is none where there is no such folder. */
export function engineFolder({ folder }: LabNames): string {
  return `${folder}/engine`
}

export function hasEngine(names: LabNames): boolean {
  return existsSync(engineFolder(names))
}

export function engineSocket(names: LabNames): string {
  return `${engineFolder(names)}/docker.sock`
}

/** As DOCKER_HOST wants it. */
export function engineAddress(names: LabNames): string {
  return `unix://${engineSocket(names)}`
}

/** Control group of the engine's containers, as dockerd's `--cgroup-parent` wants it. */
export function cgroupOf({ base }: LabNames): string {
  return `/${base}`
}

/** Throws a `HoptraceError` that lists the stations, where `text` is none of them. */
export function stationNamed(text: string): Station {
  const station = ALL_STATIONS.find((one) => one === text)
  if (station === undefined)
    throw new HoptraceError(`there is no station of that name: choose one of ${ALL_STATIONS.join(', ')}`)
  return station
}
