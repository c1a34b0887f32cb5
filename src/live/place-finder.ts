/** The place finder: where a run captures, found at its beginning and, by the same names, again while it runs. */

import { existsSync } from 'node:fs'
import { startTimeOf } from '../capture/live/child-program.ts'
import type { CapturePlace } from '../capture/live/place.ts'
import { capturePlaces, haveSeveralNamespaces } from '../topology/capture-places.ts'
import { discover } from '../topology/discover.ts'
import { connectEngine, type DockerApi } from '../topology/docker-api.ts'
import { namespacePath, parsePoint } from '../topology/explicit-points.ts'
import { addressNames } from '../topology/names.ts'
import type { PublishedPort, Topology } from '../topology/topology.ts'

/** What the command line names. */
export interface PlaceSelection {
  readonly containers: readonly string[]
  readonly pids: readonly number[]
  readonly netns: readonly string[]
  /** `NAME=[netns:]IFACE`. */
  readonly points: readonly string[]
}

/** What it meant when it was looked up: a beginning of a name must not mean another container later. */
export interface FixedSelection extends PlaceSelection {
  readonly areSeveral: boolean
  /** When the processes of `pids` started: their numbers are used again. */
  readonly startTimes: readonly string[]
}

interface Inside {
  readonly name: string
  readonly addresses: readonly string[]
  readonly ports: readonly PublishedPort[]
}

export class PlaceFinder {
  /** Address → name, as far as the engine and the host tell. */
  readonly names: Map<string, string>
  /** What could not be found out. */
  readonly remarks: string[] = []
  /** What the namespaces are called that containers are in, by path, with their addresses and published ports. */
  readonly inside = new Map<string, Inside>()
  /** The engine, once it was asked. */
  api: DockerApi | null = null
  readonly #selection: PlaceSelection
  #fixed: FixedSelection | null

  constructor(selection: PlaceSelection, names: Map<string, string>, fixed: FixedSelection | null = null) {
    this.#selection = selection
    this.names = names
    this.#fixed = fixed
  }

  /** Whether there is anything to find. */
  get isAsked(): boolean {
    return this.asksForNamespaces || this.#selection.points.length > 0
  }

  /** Whether places may be in other network namespaces than this program's. */
  get asksForNamespaces(): boolean {
    const { containers, pids, netns, points } = this.#selection
    return containers.length + pids.length + netns.length > 0 || points.some((text) => text.includes(':'))
  }

  /** For another finder that goes on where this one has found. */
  get fixed(): FixedSelection {
    if (this.#fixed === null) throw new Error('nothing was looked up yet')
    return this.#fixed
  }

  /**
   * The places as they are now, in the order of the way. Rejects with a `HoptraceError`: the first time where anything is
   * not there, later only where the engine does not answer. `held`: names that are given already, by `placeKey`.
   */
  async find(held?: ReadonlyMap<string, string>): Promise<CapturePlace[]> {
    const isLater = this.#fixed !== null
    const { containers, pids, netns, points } = this.#fixed ? stillThere(this.#fixed) : this.#selection
    const explicit = points.map(parsePoint)
    if (containers.length + pids.length + netns.length === 0) {
      this.#fixed ??= this.#fix([])
      return explicit
    }
    if (containers.length > 0) this.api ??= await connectEngine()
    const topology = await discover({
      containers,
      pids,
      netns,
      rules: false,
      allowStopped: isLater,
      ...(this.api === null ? {} : { api: this.api }),
    })
    for (const [address, name] of addressNames(topology)) this.names.set(address, name)
    if (!isLater) this.#noteInside(topology.containers)
    if (!isLater) this.remarks.push(...topology.notes)
    this.#fixed ??= this.#fix(topology.containers)
    const { areSeveral } = this.#fixed
    return [
      ...capturePlaces(topology, topology.containers, { areSeveral, ...(held && { held }) }),
      ...explicit,
    ]
  }

  #noteInside(containers: Topology['containers']): void {
    for (const { netnsPath, name, mode, interfaces, ports } of containers) {
      // It goes by the name of the one that the others share it with.
      if (netnsPath === null || (mode === 'container' && this.inside.has(netnsPath))) continue
      const addresses = interfaces.flatMap((one) => one.addresses.map(({ ip }) => ip))
      this.inside.set(netnsPath, { name, addresses, ports })
    }
  }

  #fix(containers: Topology['containers']): FixedSelection {
    const { pids } = this.#selection
    return {
      ...this.#selection,
      containers: containers.flatMap(({ image, name }) => (image === null ? [] : name)),
      areSeveral: haveSeveralNamespaces(containers),
      startTimes: pids.map(startTimeOf),
    }
  }
}

/** Without the processes and namespaces that have ended. */
function stillThere({ pids, netns, startTimes, ...selection }: FixedSelection): PlaceSelection {
  return {
    ...selection,
    pids: pids.filter((pid, i) => startTimeOf(pid) === startTimes[i]),
    netns: netns.filter((text) => existsSync(namespacePath(text))),
  }
}
