/** Live points: the captures that a command asked for, opened, described, and followed when containers come and go. */

import { closeSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { displayText } from '../capture/display-text.ts'
import { filterOf } from '../capture/live/bpf.ts'
import { openCap } from '../capture/live/cap-source.ts'
import type { LaneEnd, LiveRecords } from '../capture/live/live-records.ts'
import { inNetworkNamespace } from '../capture/live/network-namespace.ts'
import { PacketRing } from '../capture/live/packet-ring.ts'
import type { CapturePlace } from '../capture/live/place.ts'
import { openRingSocket, type RingSocket } from '../capture/live/ring-socket.ts'
import type { LiveSource } from '../capture/live/source.ts'
import { SystemCallError } from '../capture/live/system.ts'
import type { Point, PointIndex } from '../capture/record.ts'
import { HoptraceError } from '../errors.ts'
import type { ReceiptNamespace } from '../receipts/receipts-reader.ts'
import type { PublishedPort } from '../topology/topology.ts'
import { type Follower, PlaceFollower } from './follower.ts'
import { Health } from './health.ts'
import { PlaceFinder, type PlaceSelection } from './place-finder.ts'
import { mayCaptureHere, requireCapturing } from './privileges.ts'
import { RootHelper } from './root-helper.ts'
import { isProgram, isStream, openStream, type StreamPoint, streamPoint } from './stream-points.ts'

const HEALTH_EVERY_MS = 1000
/** After a point could not be taken up again for lack of memory, the next try comes so much later, in ms. */
const RETRY_MS = 5000

/** What is to be captured, as the command line says. */
export interface LiveSelection extends PlaceSelection {
  /** `NAME=[netns:]IFACE`, `NAME=exec:PROGRAM …` or `NAME=FIFO`. */
  readonly points: readonly string[]
}

/** What was found to capture: the namespaces, the host's first, and what the containers have there. */
export interface FoundPlaces {
  readonly namespaces: readonly ReceiptNamespace[]
  readonly addresses: readonly string[]
  /** Published by the host. */
  readonly ports: readonly PublishedPort[]
}

export interface LiveSourceOptions {
  backend: 'ring' | 'cap'
  snapLenBytes: number
  bpf?: string | undefined
  bufferBytes: number
  promiscuous: boolean
}

export class LivePoints {
  /** What to say when the capture begins: how times and drops are to be read, what could not be found out. */
  readonly remarks: string[] = []
  readonly #records: LiveRecords
  readonly #options: LiveSourceOptions
  readonly #note: (line: string) => void
  readonly #finder: PlaceFinder
  readonly #streams: readonly StreamPoint[]
  /** Where each live point captures now; streams have no place. */
  readonly #places = new Map<string, CapturePlace>()
  readonly #pointOf = new Map<string, PointIndex>()
  readonly #missing = new Set<string>()
  readonly #sources = new Map<string, LiveSource>()
  readonly #health: Health
  #healthTimer: NodeJS.Timeout | undefined
  #follower: Follower | null = null
  #isClosed = false

  /**
   * Finds all places and opens them. `note` is told what happens to points while the capture runs; `onPlaces` what is
   * captured, before anything is opened. Rejects with a `HoptraceError` where a point can't be captured: nothing is left open then.
   */
  static async open(
    selection: LiveSelection,
    options: LiveSourceOptions,
    records: LiveRecords,
    note: (line: string) => void,
    onPlaces: (places: FoundPlaces) => void = () => {},
  ): Promise<LivePoints> {
    const points = new LivePoints(selection, options, records, note)
    try {
      await points.#open(onPlaces)
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
    const { points } = selection
    this.#options = options
    this.#records = records
    this.#note = note
    this.#health = new Health(note)
    this.#streams = points.filter(isStream).map(streamPoint)
    const explicit = points.filter((text) => !isStream(text))
    this.#finder = new PlaceFinder({ ...selection, points: explicit }, records.names)
  }

  /** Address → name, as far as the engine and the host tell. */
  get names(): Map<string, string> {
    return this.#records.names
  }

  /** Points that are captured at the moment. */
  active(): PointIndex[] {
    return this.#records.points.flatMap(({ index, name, ended }) =>
      ended || this.#missing.has(name) ? [] : [index],
    )
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

  /** `container (eth0 of container web)`, for each point and program. */
  titles(): string[] {
    const places = [...this.#places.values()].map(
      ({ name, description }) => `${name} (${displayText(description, 100)})`,
    )
    return [...places, ...this.#streams.map(({ name, text }) => `${name} (${text})`)]
  }

  /** The namespaces of the host and of all places. */
  #found(places: readonly CapturePlace[]): FoundPlaces {
    const paths = new Set([null, ...places.map(({ netns }) => netns)])
    return {
      namespaces: [...paths].map((path) => {
        const here = places.filter(({ netns }) => netns === path)
        return {
          name: this.#namespaceName(path),
          path,
          points: here.map(({ name }) => name),
          interfaces: here.map(({ interfaceName }) => interfaceName),
        }
      }),
      addresses: [...this.#finder.inside.values()].flatMap(({ addresses }) => addresses),
      ports: [...this.#finder.inside.values()].flatMap(({ ports }) => ports),
    }
  }

  /** `host`, the container's name, `pid-123`, or that of `ip netns`. */
  #namespaceName(path: string | null): string {
    if (path === null) return 'host'
    const pid = /^\/proc\/(\d+)\//.exec(path)?.[1]
    return this.#finder.inside.get(path)?.name ?? (pid === undefined ? basename(path) : `pid-${pid}`)
  }

  /**
   * Looks after interfaces that go away: of containers that stop, restart, or leave networks. Where root will be given
   * up, this is to be called before, and only containers are followed.
   */
  follow(willDropRoot: boolean): void {
    this.#records.onLaneEnd = (end) => this.#noteEnd(end)
    this.#healthTimer = setInterval(() => this.#lookAtHealth(), HEALTH_EVERY_MS)
    if (this.#places.size === 0) return
    if (!willDropRoot) this.#follower = this.#followHere()
    else if (this.#finder.fixed.containers.length > 0) this.#follower = this.#followAsRoot()
  }

  /**
   * Begins to capture at all points, after it has started the programs: by the user who is to run them. Rejects with a
   * `HoptraceError` where one can't be started.
   */
  async begin(): Promise<void> {
    for (const stream of this.#streams) if (isProgram(stream)) await this.#addStream(stream)
    this.#records.begin()
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#healthTimer)
    this.#follower?.close()
  }

  async #open(onPlaces: (places: FoundPlaces) => void): Promise<void> {
    const { backend } = this.#options
    // Before the engine is asked, which may refuse as well, and for the lesser reason.
    if (backend === 'ring' && this.#finder.isAsked && !mayCaptureHere())
      requireCapturing(this.#finder.asksForNamespaces)
    const places = await this.#finder.find()
    this.remarks.push(...this.#finder.remarks)
    const names = [...places, ...this.#streams].map(({ name }) => name)
    const twice = names.find((name, i) => names.indexOf(name) < i)
    if (twice !== undefined)
      throw new HoptraceError(`there are two points with the name ${twice}: give --point another name`)
    if (names.length === 0 && this.#finder.isAsked && backend === 'ring') requireCapturing(true)
    if (names.length === 0 && this.remarks.length > 0)
      throw new HoptraceError(`nothing to capture: ${this.remarks[0]}`)
    if (names.length === 0)
      throw new HoptraceError(
        'nothing to capture: name a running container with --container, or a place with --pid, --netns or --point',
      )
    if (backend === 'ring') requireMemory(places.length, this.#options.bufferBytes)
    if (places.length > 0 && backend === 'ring') requireCapturing(places.some(({ netns }) => netns !== null))
    if (places.length > 0) onPlaces(this.#found(places))
    for (const place of places) this.#attach(place, await this.#sourceAt(place))
    for (const stream of this.#streams) if (!isProgram(stream)) await this.#addStream(stream)
    if (backend === 'cap' && places.length > 0)
      this.remarks.push(
        'backend cap: times are those of arrival in this program, so hops that lie close together can be in the wrong order; how many frames were dropped is unknown',
      )
  }

  async #addStream(stream: StreamPoint): Promise<void> {
    this.#records.add(stream.name, await openStream(stream, this.#records), { sourceName: stream.text })
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
    const filter = filterOf(bpf, snapLenBytes)
    return this.#ringOf(openRingSocket({ netns, interfaceName, filter, bufferBytes, promiscuous }), place)
  }

  #ringOf(socket: RingSocket, place: CapturePlace): PacketRing {
    try {
      return new PacketRing(socket, this.#records.epoch, this.#options.snapLenBytes)
    } catch (error) {
      closeSync(socket.fd)
      if (!(error instanceof SystemCallError)) throw error
      throw new HoptraceError(
        `${place.name} (${place.description}): no room for its ring (${error.message}): give a smaller --buffer`,
      )
    }
  }

  /** Captures at a place from now on, as a new point or as one that went away before. */
  #attach(place: CapturePlace, source: LiveSource): boolean {
    const { name } = place
    const point = this.#pointOf.get(name)
    this.#places.set(name, place)
    this.#sources.set(name, source)
    if (point === undefined)
      this.#pointOf.set(name, this.#records.add(name, source, { next: place.next ?? null }))
    else this.#records.resume(point, source)
    return this.#missing.delete(name)
  }

  #lookAtHealth(): void {
    const there = this.#records.points.filter(({ name }) => !this.#missing.has(name))
    const watched = there.map((point) => ({
      point,
      isDown: (this.#sources.get(point.name) as Partial<PacketRing> | undefined)?.isDown,
    }))
    this.#health.look(watched, performance.now())
  }

  #attachLater(place: CapturePlace, source: LiveSource): void {
    const what = `${place.name} (${place.description})`
    this.#note(this.#attach(place, source) ? `${what}: is back` : `${what}: is captured from now on`)
  }

  #followHere(): Follower {
    const taken = this.#streams.map(({ name }) => name)
    return new PlaceFollower(this.#finder, this.#places.values(), taken, async (place) => {
      const source = await this.#sourceAt(place)
      if (this.#isClosed) source.close()
      else this.#attachLater(place, source)
    })
  }

  #followAsRoot(): Follower | null {
    const { backend, snapLenBytes, bpf, bufferBytes, promiscuous } = this.#options
    if (backend === 'cap') {
      this.remarks.push('backend cap: without root, points that go away are not captured again')
      return null
    }
    const { names } = this.#records
    const task = {
      selection: this.#finder.fixed,
      held: [...this.#places.values()],
      taken: this.#streams.map(({ name }) => name),
      ...{ snapLenBytes, bpf: bpf ?? null, bufferBytes, promiscuous },
    }
    return new RootHelper(task, {
      onSocket: ({ place, names: found }, socket) => {
        for (const [address, name] of found) names.set(address, name)
        try {
          this.#attachLater(place, this.#ringOf(socket, place))
        } catch (error) {
          if (!(error instanceof HoptraceError)) throw error
          this.#note(error.message)
          setTimeout(() => this.#follower?.miss(place.name), RETRY_MS).unref()
        }
      },
      onEnd: () =>
        this.#note('the process that had kept root has ended: points that go away are not captured again'),
    })
  }

  #noteEnd({ name, problem }: LaneEnd): void {
    const place = this.#places.get(name)
    this.#missing.add(name)
    const what = place === undefined ? name : `${name} (${place.description})`
    this.#note(`${what}: ${problem ?? 'has ended'}; the other points go on`)
    if (place !== undefined) this.#follower?.miss(name)
  }
}

/** The kernel takes ring memory from whoever else has some, down to killing programs, before it says no. */
function requireMemory(points: number, bufferBytes: number): void {
  const available = /^MemAvailable:\s*(\d+) kB/m.exec(readText('/proc/meminfo'))?.[1]
  const limitBytes = available === undefined ? Number.POSITIVE_INFINITY : (Number(available) * 1024) / 4
  if (points * bufferBytes > limitBytes)
    throw new HoptraceError(
      `--buffer: ${points} points with ${Math.ceil(bufferBytes / 2 ** 20)} MiB each are more than a quarter of the memory that is free: give at most ${Math.floor(limitBytes / points / 2 ** 20)}M`,
    )
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
