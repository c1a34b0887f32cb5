/** Live points: the captures that a command asked for, opened, described, and followed when containers come and go. */

import { statSync } from 'node:fs'
import { acceptAll, compileBpf } from '../capture/live/bpf.ts'
import { openCap } from '../capture/live/cap-source.ts'
import { splitCommandLine } from '../capture/live/command-line.ts'
import type { LaneEnd, LiveRecords } from '../capture/live/live-records.ts'
import { inNetworkNamespace } from '../capture/live/network-namespace.ts'
import { openRingSocket, PacketRing } from '../capture/live/packet-ring.ts'
import type { CapturePlace } from '../capture/live/place.ts'
import { StreamedCapture } from '../capture/live/program-source.ts'
import type { LiveSource } from '../capture/live/source.ts'
import type { Point, PointIndex } from '../capture/record.ts'
import { HoptraceError } from '../errors.ts'
import { capturePlaces } from '../topology/capture-places.ts'
import { discover } from '../topology/discover.ts'
import { connectEngine, type DockerApi } from '../topology/docker-api.ts'
import { watchContainers } from '../topology/docker-events.ts'
import { parsePoint } from '../topology/explicit-points.ts'
import { addressNames } from '../topology/names.ts'
import { requireCapturing } from './privileges.ts'

/** How often we look whether an interface that went away is back, in ms; the engine's events make it sooner. */
const LOOK_AGAIN_MS = 1000
const PROGRAM = 'exec:'

/** What is to be captured, as the command line says. */
export interface LiveSelection {
  containers: readonly string[]
  pids: readonly number[]
  netns: readonly string[]
  /** `NAME=[netns:]IFACE`, `NAME=exec:PROGRAM …` or `NAME=FIFO`. */
  points: readonly string[]
}

export interface LiveSourceOptions {
  backend: 'ring' | 'cap'
  snapLenBytes: number
  bpf?: string | undefined
  bufferBytes: number
  promiscuous: boolean
}

/** A point that a program or FIFO feeds. */
interface StreamPoint {
  name: string
  text: string
}

export class LivePoints {
  /** Address → name, as far as the engine and the host tell. */
  readonly names: Map<string, string>
  /** What to say when the capture begins: how times and drops are to be read, what could not be found out. */
  readonly remarks: string[] = []
  readonly #records: LiveRecords
  readonly #selection: LiveSelection
  readonly #options: LiveSourceOptions
  readonly #note: (line: string) => void
  #api: DockerApi | null = null
  /** Where each live point captures now; streams have no place. */
  readonly #places = new Map<string, CapturePlace>()
  readonly #pointOf = new Map<string, PointIndex>()
  readonly #missing = new Set<string>()
  #isLooking = false
  #lookAgain = false
  #isClosed = false
  #stopWatching = () => {}
  #timer: NodeJS.Timeout | undefined

  /**
   * Finds all places and begins to capture there. `note` is told what happens to points while the capture runs. Rejects
   * with a `HoptraceError` where a point can't be captured: nothing is left open then.
   */
  static async open(
    selection: LiveSelection,
    options: LiveSourceOptions,
    records: LiveRecords,
    note: (line: string) => void,
  ): Promise<LivePoints> {
    const points = new LivePoints(selection, options, records, note)
    try {
      await points.#open()
      return points
    } catch (error) {
      points.close()
      records.close()
      throw error
    }
  }

  private constructor(
    selection: LiveSelection,
    options: LiveSourceOptions,
    records: LiveRecords,
    note: (line: string) => void,
  ) {
    this.#selection = selection
    this.#options = options
    this.#records = records
    this.#note = note
    this.names = records.names
  }

  /** Points that are captured at the moment. */
  active(): PointIndex[] {
    return [...this.#pointOf].flatMap(([name, point]) => (this.#missing.has(name) ? [] : [point]))
  }

  /** Is the point waiting for its interface to come back? */
  isMissing(name: string): boolean {
    return this.#missing.has(name)
  }

  /** What a file says of a point's interface. */
  describe(point: Point): { description: string; hardware?: string; filter?: string } {
    const place = this.#places.get(point.name)
    const { bpf } = this.#options
    return {
      description: place?.description ?? point.source,
      ...(place?.hardware === undefined ? {} : { hardware: place.hardware }),
      ...(place === undefined || bpf === undefined ? {} : { filter: bpf }),
    }
  }

  /** `container (eth0 of container web)`, for each point that has a place. */
  placeOf(name: string): CapturePlace | undefined {
    return this.#places.get(name)
  }

  /** Looks after interfaces that go away: of containers that stop, restart, or leave networks. */
  follow(): void {
    this.#records.onLaneEnd = (end) => this.#noteEnd(end)
    if (this.#api !== null && this.#selection.containers.length > 0)
      this.#stopWatching = watchContainers(this.#api, () => void this.#look())
    this.#timer = setInterval(() => {
      if (this.#missing.size > 0) void this.#look()
    }, LOOK_AGAIN_MS)
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#stopWatching()
  }

  async #open(): Promise<void> {
    const { places, streams } = await this.#plan()
    if (places.length > 0 && this.#options.backend === 'ring')
      requireCapturing(places.some(({ netns }) => netns !== null))
    for (const place of places) await this.#begin(place)
    for (const stream of streams) {
      const source = await openStream(stream, this.#records)
      this.#records.add(stream.name, source, stream.text)
    }
    this.#records.begin()
    if (this.#options.backend === 'cap' && places.length > 0)
      this.remarks.push(
        'backend cap: times are those of arrival in this program, so hops that lie close together can be in the wrong order; how many frames were dropped is unknown',
      )
  }

  async #plan(): Promise<{ places: CapturePlace[]; streams: StreamPoint[] }> {
    const { points } = this.#selection
    const explicit = points.filter((text) => !isStream(text)).map(parsePoint)
    const streams = points.filter(isStream).map(streamPoint)
    const places = [...(await this.#found()), ...explicit]
    const names = [...places, ...streams].map(({ name }) => name)
    const twice = names.find((name, i) => names.indexOf(name) < i)
    if (twice !== undefined)
      throw new HoptraceError(`there are two points with the name ${twice}: give --point another name`)
    if (names.length === 0)
      throw new HoptraceError(
        'nothing to capture: name a running container with --container, or a place with --pid, --netns or --point',
      )
    return { places, streams }
  }

  /** The places on the way of the containers, processes and namespaces that were asked for. */
  async #found(): Promise<CapturePlace[]> {
    const { containers, pids, netns } = this.#selection
    if (containers.length + pids.length + netns.length === 0) return []
    if (containers.length > 0) this.#api ??= await connectEngine()
    const isLater = this.#places.size > 0
    const topology = await discover({
      containers,
      pids,
      netns,
      rules: false,
      allowStopped: isLater,
      ...(this.#api === null ? {} : { api: this.#api }),
    })
    for (const [address, name] of addressNames(topology)) this.names.set(address, name)
    if (!isLater) this.remarks.push(...topology.notes)
    return capturePlaces(topology, topology.containers)
  }

  async #begin(place: CapturePlace): Promise<void> {
    const source = await this.#sourceAt(place)
    this.#places.set(place.name, place)
    this.#pointOf.set(place.name, this.#records.add(place.name, source))
  }

  async #sourceAt(place: CapturePlace): Promise<LiveSource> {
    const { epoch } = this.#records
    const { netns, interfaceName } = place
    const { backend, snapLenBytes, bpf, bufferBytes, promiscuous } = this.#options
    if (backend === 'cap')
      return await openCap(interfaceName, {
        epoch,
        snapLenBytes,
        bpf,
        bufferBytes,
        enter: (open) => inNetworkNamespace(netns, open),
      })
    const filter = (linkType: number) =>
      bpf === undefined ? acceptAll(snapLenBytes) : compileBpf(bpf, linkType, snapLenBytes)
    const socket = openRingSocket({ netns, interfaceName, filter, bufferBytes, promiscuous })
    return new PacketRing(socket, epoch, snapLenBytes)
  }

  #noteEnd({ name, problem }: LaneEnd): void {
    if (name === '') {
      if (problem !== null) this.#note(problem)
      return
    }
    const place = this.#places.get(name)
    this.#missing.add(name)
    const what = place === undefined ? name : `${name} (${place.description})`
    this.#note(`${what}: ${problem ?? 'has ended'}; the other points go on`)
    if (place !== undefined) void this.#look()
  }

  /** Goes on at points that are back, and begins at new ones of the same containers. */
  async #look(): Promise<void> {
    if (this.#isLooking) {
      this.#lookAgain = true
      return
    }
    this.#isLooking = true
    do {
      this.#lookAgain = false
      try {
        await this.#lookOnce()
      } catch (error) {
        // The engine restarts, the container is half started: the next look may find it.
        if (!(error instanceof HoptraceError)) throw error
      }
    } while (this.#lookAgain && !this.#isClosed)
    this.#isLooking = false
  }

  async #lookOnce(): Promise<void> {
    const { places } = await this.#plan()
    for (const place of places) {
      if (this.#isClosed) return
      const point = this.#pointOf.get(place.name)
      if (point !== undefined && !this.#missing.has(place.name)) continue
      try {
        if (point === undefined) await this.#begin(place)
        else {
          this.#records.resume(point, await this.#sourceAt(place))
          this.#places.set(place.name, place)
          this.#missing.delete(place.name)
        }
        this.#note(
          `${place.name} (${place.description}): ${point === undefined ? 'is captured from now on' : 'is back'}`,
        )
      } catch (error) {
        if (!(error instanceof HoptraceError)) throw error
      }
    }
  }
}

/** Does the text after NAME= mean a program or a FIFO? */
function isStream(text: string): boolean {
  const place = text.slice(text.indexOf('=') + 1)
  if (place.startsWith(PROGRAM)) return true
  return (
    place.includes('/') &&
    !place.includes(':') &&
    statSync(place, { throwIfNoEntry: false })?.isFIFO() === true
  )
}

function streamPoint(text: string): StreamPoint {
  const equals = text.indexOf('=')
  const name = text.slice(0, Math.max(0, equals))
  if (!/^[\w.:-]{1,60}$/.test(name))
    throw new HoptraceError(
      '--point: give NAME=exec:PROGRAM … with a name of letters, digits, dots and dashes',
    )
  return { name, text: text.slice(equals + 1) }
}

function openStream({ name, text }: StreamPoint, { epoch, names }: LiveRecords): Promise<StreamedCapture> {
  if (!text.startsWith(PROGRAM)) return StreamedCapture.openPipe(text, text, epoch, { names })
  const words = splitCommandLine(text.slice(PROGRAM.length))
  if (words.length === 0) throw new HoptraceError(`--point ${name}=exec: there is no program behind exec:`)
  return StreamedCapture.openProgram(words, text, epoch, { names })
}
