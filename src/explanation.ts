/** The explanation of a packet: joins the captures, then reads the records of one packet and its answer once more. */

import { type AnalysisOptions, analyzeInputs } from './analysis.ts'
import { resolveInputs } from './capture/inputs.ts'
import { KeptPipes } from './capture/kept-pipes.ts'
import type { UdpTunnel } from './decode/udp-tunnels.ts'
import { HoptraceError } from './errors.ts'
import type { Receipts } from './receipts/model.ts'
import { explain, type SeenPacket } from './report/explain/explain.ts'
import { type Frame, frameOf } from './report/explain/layers.ts'
import type { Explanation } from './report/explain/model.ts'
import { type Progress, ProgressCounter } from './report/explain/progress.ts'
import { type FlowFilter, filterBy, selectFlows } from './report/filter.ts'
import type { JourneyReport, SightingReport } from './report/journey-lines.ts'
import type { FlowReport, Report } from './report/model.ts'
import { WantedFrames } from './wanted-frames.ts'

export interface ExplainOptions
  extends Pick<AnalysisOptions, 'path' | 'keepClocks' | 'interfaceNames' | 'onProgress'> {
  /** As for `analyze`. */
  tunnelPorts?: ReadonlyMap<number, UdpTunnel> | undefined
  /** Number of the flow; else the first one that has a packet and an answer, at the most points. */
  flow?: number
  /** Number of the packet in its flow, both directions counted; else its first request and the answer to that. */
  packet?: number
  /** Without `flow`: chooses among those that match. */
  filter?: FlowFilter['expression'] | undefined
  /** The kernel's own account, where whoever calls has it; else what the files hold of it. */
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
  const pipes = new KeptPipes()
  try {
    const resolved = await resolveInputs(args)
    const inputs = await pipes.keep(resolved.inputs)
    const analysis = await analyzeInputs({ ...resolved, inputs }, { ...options, journeys: true })
    const { report, failures } = analysis
    const flow = chosenFlow(report, options)
    const chosen = choosePackets(analysis.journeys(), flow, options.packet)
    const wanted = new WantedFrames(report, ({ linkType }, headers) => frameOf(headers, linkType))
    for (const { journey } of chosen.packets) wanted.addSightings(journey.sightings)
    const error = errorAnswer(chosen.packets.at(-1)!.journey, flow)
    if (error) wanted.addSightings(error.sightings)
    const descriptions = await wanted.read(inputs, options.tunnelPorts)
    const packets = chosen.packets.map(
      (packet): SeenPacket => ({ ...packet, ...wanted.framesOf(packet.journey) }),
    )
    const answer = error && answering(error, packets.at(-1)!, wanted)
    const explanation = explain({
      flow,
      flowPackets: chosen.total,
      packets: answer ? [...packets, answer] : packets,
      progress: chosen.progress,
      findings: report.findings,
      names: report.names ?? {},
      descriptions,
      receipts: options.receipts ?? analysis.receipts,
      wantsAnswer: options.packet === undefined,
    })
    return { explanation, failures }
  } finally {
    pipes.remove()
  }
}

/** More than a flow can have stations. */
const ANSWERED = 1000

function chosenFlow(report: Report, { flow: id, filter }: ExplainOptions): FlowReport {
  const { flows } = report
  if (id !== undefined) {
    const found = flows.find((flow) => flow.id === id)
    if (found) return found
    const there = flows.length === 0 ? 'there is none' : `there are flows 1 to ${flows.at(-1)!.id}`
    throw new HoptraceError(`no flow ${id}: ${there}, as hoptrace analyze lists them`)
  }
  const all = selectFlows(report, filterBy(filter)).flows
  // One that has an answer before one that has none, then the one that most points saw.
  let found: FlowReport | null = null
  let most = -1
  for (const flow of all) {
    const { forward, reverse } = flow
    const isAnswered = forward.packets > 0 && reverse.packets > 0
    const rank = (isAnswered ? ANSWERED : 0) + forward.path.length + reverse.path.length
    if (rank <= most) continue
    most = rank
    found = flow
  }
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
  const soFar = new ProgressCounter()
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
    if (answer === null && (number === undefined || number >= total)) soFar.take(journey)
    if (!isWanted) continue
    if (request === null) request = packet
    else answer = packet
    progress = soFar.after(journey)
  }
  if (request === null)
    throw new HoptraceError(
      total === 0
        ? `flow ${flow.id} has no packets whose way could be told`
        : `no packet ${number} in flow ${flow.id}: it has packets 1 to ${total}, both directions counted`,
    )
  return { packets: answer ? [request, answer] : [request], total, progress }
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

/**
 * Of the errors at each point the one that quotes the packet, with the addresses that its frame has; null where none of those
 * that are known does.
 */
function answering(
  error: JourneyReport,
  request: SeenPacket,
  wanted: WantedFrames<Frame>,
): SeenPacket | null {
  const ids = new Set(request.frames.flat().map(({ ipId }) => ipId))
  const { frames } = wanted.framesOf(error)
  const found = frames.flatMap((some, i) => {
    const place = some.findIndex(({ ipId }) => ids.has(ipId))
    const frame = some[place]
    if (!frame) return []
    const { src, dst } = frame.envelopes.at(-1)!
    const sighting: SightingReport = {
      ...error.sightings[i]!,
      frames: [error.sightings[i]!.frames[place]!],
      src: { ip: src, port: 0 },
      dst: { ip: dst, port: 0 },
    }
    return [{ frame, sighting }]
  })
  if (found.length === 0) return null
  return {
    number: 0,
    isError: true,
    frames: found.map(({ frame }) => [frame]),
    journey: { ...error, sightings: found.map(({ sighting }) => sighting) },
  }
}
