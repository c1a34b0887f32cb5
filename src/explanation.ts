/** The explanation of a packet: joins the captures, then reads the records of one packet and its answer once more. */

import { createWriteStream, fstatSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type AnalysisOptions, analyze } from './analysis.ts'
import { descriptorOf, openRawSource } from './capture/byte-source.ts'
import { type CaptureInput, resolveInputs } from './capture/inputs.ts'
import { openCapture } from './capture/open-capture.ts'
import { fileName } from './capture/points.ts'
import { Epoch } from './capture/record.ts'
import { withSeries } from './capture/series.ts'
import { decodeFrame } from './decode/frame.ts'
import { Headers } from './decode/headers.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { HoptraceError } from './errors.ts'
import type { Receipts } from './receipts/model.ts'
import { explain, type SeenPacket } from './report/explain/explain.ts'
import { type Frame, frameOf } from './report/explain/layers.ts'
import type { Progress } from './report/explain/mapping.ts'
import type { Explanation } from './report/explain/model.ts'
import { type FlowFilter, selectFlows } from './report/filter.ts'
import type { JourneyReport, SightingReport } from './report/journey-lines.ts'
import type { FlowReport, Report } from './report/model.ts'

/** Frames of one sighting that are read: super-packets are cut into 45, and nobody reads more than a few. */
const MAX_FRAMES = 8
/** Points of a way; hostile captures have more. */
const MAX_SIGHTINGS = 64

export interface ExplainOptions
  extends Pick<AnalysisOptions, 'path' | 'tunnelPorts' | 'keepClocks' | 'onProgress'> {
  /** Number of the flow; else the first one that has a packet and an answer, at the most points. */
  flow?: number
  /** Number of the packet in its flow, both directions counted; else its first request and the answer to that. */
  packet?: number
  /** Without `flow`: chooses among those that match. */
  filter?: FlowFilter['expression'] | undefined
  /** The kernel's own account, where whoever calls has it. */
  receipts?: readonly Receipts[]
}

/**
 * Explains a packet of the captures, which are read twice: pipes are kept in a temporary file meanwhile. Rejects with a
 * `HoptraceError` where they can't be read, or have no such flow or packet.
 */
export async function explainCaptures(
  args: readonly string[],
  options: ExplainOptions = {},
): Promise<{ explanation: Explanation; failures: string[] }> {
  const spool = new Spool()
  try {
    const inputs = await spool.keep(args)
    const analysis = await analyze(inputs, { ...options, journeys: true })
    const { report, failures } = analysis
    const flow = chosenFlow(report, options)
    const chosen = choosePackets(analysis.journeys(), flow, options.packet)
    const wanted = new WantedFrames(report)
    for (const { journey } of chosen.packets) wanted.addSightings(journey.sightings)
    const error = errorAnswer(chosen.packets.at(-1)!.journey, flow)
    if (error) wanted.addSightings(error.sightings)
    const descriptions = await wanted.read(inputs, options.tunnelPorts)
    const packets = chosen.packets.map(
      (packet): SeenPacket => ({ ...packet, ...wanted.framesOf(packet.journey) }),
    )
    const explanation = explain({
      flow,
      flowPackets: chosen.total,
      packets: error ? [...packets, answering(error, packets[0]!, wanted)] : packets,
      progress: chosen.progress,
      findings: report.findings,
      names: report.names ?? {},
      descriptions,
      receipts: options.receipts ?? [],
    })
    return { explanation, failures }
  } finally {
    spool.remove()
  }
}

function chosenFlow(report: Report, { flow: id, filter }: ExplainOptions): FlowReport {
  const { flows } = report
  if (id !== undefined) {
    const found = flows.find((flow) => flow.id === id)
    if (found) return found
    const there = flows.length === 0 ? 'there is none' : `there are flows 1 to ${flows.at(-1)!.id}`
    throw new HoptraceError(`no flow ${id}: ${there}, as hoptrace analyze lists them`)
  }
  const all = selectFlows(report, { hosts: [], ports: [], protocols: [], ids: [], expression: filter }).flows
  const isAnswered = ({ forward, reverse }: FlowReport) => forward.packets > 0 && reverse.packets > 0
  const some = all.some(isAnswered) ? all.filter(isAnswered) : all
  const most = Math.max(...some.map(({ forward, reverse }) => forward.path.length + reverse.path.length))
  const found = some.find(({ forward, reverse }) => forward.path.length + reverse.path.length === most)
  if (found) return found
  throw new HoptraceError(
    flows.length === 0
      ? 'no flow to explain: no packet in these captures belongs to one that could be followed'
      : 'no flow to explain matches the filter: hoptrace analyze lists those that there are',
  )
}

interface Chosen {
  packets: { number: number; journey: JourneyReport; isError: boolean }[]
  total: number
  progress: Progress
}

/** The packet with this number; else the first request, and the first packet of the other direction behind it. */
function choosePackets(
  journeys: Iterable<JourneyReport>,
  flow: FlowReport,
  number: number | undefined,
): Chosen {
  let total = 0
  let request: Chosen['packets'][number] | null = null
  let answer: Chosen['packets'][number] | null = null
  const seen = { forward: 0, reverse: 0, hasEnded: false }
  let progress: Progress = { isReplied: false, tcpState: null }
  const first = flow.forward.packets > 0 ? 'forward' : 'reverse'
  for (const journey of journeys) {
    if (journey.flow !== flow.id) continue
    const packet = { number: ++total, journey, isError: false }
    const isWanted =
      number === undefined
        ? request === null
          ? journey.direction === first
          : answer === null && journey.direction !== first
        : number === total
    if (answer === null && (number === undefined || number >= total)) {
      seen[journey.direction]++
      if (/^\[[^\]]*[FR]/.test(journey.summary)) seen.hasEnded = true
    }
    if (!isWanted) continue
    if (request === null) request = packet
    else answer = packet
    progress = { isReplied: seen.reverse > 0, tcpState: tcpState(journey, seen) }
  }
  if (request === null)
    throw new HoptraceError(
      total === 0
        ? `flow ${flow.id} has no packets whose way could be told`
        : `no packet ${number} in flow ${flow.id}: it has packets 1 to ${total}, both directions counted`,
    )
  return { packets: answer ? [request, answer] : [request], total, progress }
}

/** The state that conntrack has after this packet, as far as that is simple. */
function tcpState({ protocol, summary }: JourneyReport, seen: { hasEnded: boolean }): string | null {
  if (protocol !== 'tcp' || seen.hasEnded) return null
  if (/^\[S[^.\]]*\]/.test(summary)) return 'SYN_SENT'
  return /^\[S/.test(summary) ? 'SYN_RECV' : 'ESTABLISHED'
}

/** The ICMP errors that answered such packets, as a packet of its own; at each point all that are known. */
function errorAnswer(
  { outcome, direction, answeredBy, protocol }: JourneyReport,
  flow: FlowReport,
): JourneyReport | null {
  const told = flow.icmpErrors.find(
    (error) =>
      error.direction === direction && error.type === answeredBy?.type && error.from === answeredBy.from,
  )
  if (outcome !== 'answered' || !told) return null
  const points = flow[direction].path.map(({ point }) => point).reverse()
  const order = [...new Set([...points, ...Object.keys(told.frames)])].filter((point) => told.frames[point])
  return {
    flow: flow.id,
    protocol,
    direction: direction === 'forward' ? 'reverse' : 'forward',
    sightings: order.map((point) => ({
      point,
      frames: told.frames[point]!,
      timeNs: '',
      ttl: 0,
      src: { ip: '', port: 0 },
      dst: { ip: '', port: 0 },
    })),
    outcome: 'delivered',
    summary: told.name,
    lenBytes: 0,
    retransmission: false,
  }
}

/** Of the errors at each point the one that quotes the packet, with the addresses that its frame has. */
function answering(error: JourneyReport, request: SeenPacket, wanted: WantedFrames): SeenPacket {
  const { frames } = wanted.framesOf(error)
  const ids = new Set(request.frames.flat().map(({ ipId }) => ipId))
  const found = frames.map((some) =>
    Math.max(
      0,
      some.findIndex(({ ipId }) => ids.has(ipId)),
    ),
  )
  return {
    number: 0,
    isError: true,
    frames: frames.map((some, i) => some.slice(found[i]!, found[i]! + 1)),
    journey: {
      ...error,
      sightings: error.sightings.slice(0, frames.length).map((sighting, i) => {
        const packet = frames[i]?.[found[i]!]?.envelopes.at(-1)
        return {
          ...sighting,
          frames: sighting.frames.slice(found[i]!, found[i]! + 1),
          src: { ip: packet?.src ?? '', port: 0 },
          dst: { ip: packet?.dst ?? '', port: 0 },
        }
      }),
    },
  }
}

/** The records that are wanted, by file and number; each is there once it was read. */
class WantedFrames {
  readonly #sourceOf: Map<string, string>
  readonly #frames = new Map<string, Map<number, Frame | null>>()
  /** Interface of a point: what the file says about it. */
  readonly #pointsOf = new Map<string, Map<number, string>>()

  constructor(report: Report) {
    this.#sourceOf = new Map(report.points.map(({ name, source }) => [name, source]))
  }

  addSightings(sightings: readonly SightingReport[]): void {
    for (const { point, frames } of sightings.slice(0, MAX_SIGHTINGS)) {
      const source = this.#sourceOf.get(point) ?? ''
      const wanted = this.#frames.get(source) ?? new Map<number, Frame | null>()
      this.#frames.set(source, wanted)
      const points = this.#pointsOf.get(source) ?? new Map<number, string>()
      this.#pointsOf.set(source, points)
      for (const frame of frames.slice(0, MAX_FRAMES)) {
        wanted.set(frame, null)
        points.set(frame, point)
      }
    }
  }

  framesOf({ sightings }: JourneyReport): { frames: Frame[][] } {
    return {
      frames: sightings
        .slice(0, MAX_SIGHTINGS)
        .map(({ point, frames }) =>
          frames
            .slice(0, MAX_FRAMES)
            .flatMap((frame) => this.#frames.get(this.#sourceOf.get(point) ?? '')?.get(frame) ?? []),
        ),
    }
  }

  /** Reads them; resolves to what the files say about the interfaces of their points. */
  async read(
    args: readonly string[],
    tunnelPorts: ReadonlyMap<number, UdpTunnel> | undefined,
  ): Promise<Map<string, string>> {
    const descriptions = new Map<string, string>()
    const headers = new Headers()
    if (tunnelPorts) headers.tunnelPorts = tunnelPorts
    for (const input of withSeries((await resolveInputs(args)).inputs))
      await this.#readFile(input, headers, descriptions)
    return descriptions
  }

  async #readFile(
    { path, source, parts }: CaptureInput,
    headers: Headers,
    descriptions: Map<string, string>,
  ): Promise<void> {
    const wanted = this.#frames.get(source)
    if (!wanted) return
    let left = wanted.size
    const reader = await openCapture(path, source, { epoch: new Epoch(), names: new Map() }, undefined, parts)
    try {
      while (left > 0) {
        if (!reader.advance()) {
          if (reader.ended) return
          await reader.fill()
          continue
        }
        const { frame, bytes, start, end, linkType, originalLenBytes, interfaceIndex } = reader.record
        if (wanted.get(frame) !== null) continue
        decodeFrame(bytes, start, end, linkType, originalLenBytes, headers)
        wanted.set(frame, frameOf(headers, linkType))
        const description = reader.interfaces[interfaceIndex]?.description
        if (description) descriptions.set(this.#pointsOf.get(source)!.get(frame)!, description)
        left--
      }
    } finally {
      await reader.close()
    }
  }
}

/** Keeps pipes in temporary files, as they can be read only once. */
class Spool {
  #folder: string | null = null

  /** The inputs, those that are pipes replaced. */
  async keep(args: readonly string[]): Promise<string[]> {
    const kept: string[] = []
    for (const arg of args) kept.push(isPipe(pathOf(arg)) ? await this.#copy(arg) : arg)
    return kept
  }

  remove(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true })
  }

  async #copy(arg: string): Promise<string> {
    const path = pathOf(arg)
    const name = path === arg ? fileName(path) : arg.slice(0, arg.length - path.length - 1)
    this.#folder ??= mkdtempSync(join(tmpdir(), 'hoptrace-'))
    const copy = join(this.#folder, String(this.#copies++))
    const source = await openRawSource(path)
    try {
      await pipeline(chunksOf(source), createWriteStream(copy, { mode: 0o600 }))
    } finally {
      await source.close()
    }
    return `${name}=${copy}`
  }

  #copies = 0
}

async function* chunksOf(source: {
  read(into: Uint8Array, offset: number): Promise<number>
}): AsyncGenerator<Uint8Array> {
  for (;;) {
    const chunk = new Uint8Array(1 << 16)
    const count = await source.read(chunk, 0)
    if (count === 0) return
    yield chunk.subarray(0, count)
  }
}

/** The path of `NAME=FILE`, where that is no file's name itself. */
function pathOf(arg: string): string {
  const equals = arg.indexOf('=')
  if (equals <= 0 || arg.slice(0, equals).includes('/') || statSync(arg, { throwIfNoEntry: false }))
    return arg
  return arg.slice(equals + 1)
}

/** What is no file and no pipe, or is not there, is left to whoever opens it: it says what is wrong. */
function isPipe(path: string): boolean {
  try {
    const fd = descriptorOf(path)
    const stat = fd >= 0 ? fstatSync(fd) : statSync(path)
    return stat.isFIFO() || stat.isSocket() || (fd >= 0 && stat.isFile())
  } catch {
    return false
  }
}
