/** Builds the explanation from a flow, the journeys of its packets and their frames. */

import { icmpErrorName } from '../../decode/display.ts'
import { TcpFlag } from '../../decode/headers.ts'
import type { Receipts } from '../../receipts/model.ts'
import { renderEndpoint } from '../endpoint.ts'
import { harmless } from '../harmless.ts'
import type { JourneyReport } from '../journey-lines.ts'
import type { FindingReport, FlowReport } from '../model.ts'
import { pointName } from '../path-line.ts'
import { isNumeral } from '../quantities.ts'
import { comparedLayers, innermost } from './compare.ts'
import { endingOf } from './ending.ts'
import { firstSteps } from './first-steps.ts'
import type { Frame } from './layers.ts'
import { mappingsOf } from './mapping.ts'
import type { ExplainedPacket, ExplainedStation, Explanation, Step } from './model.ts'
import { placeOf } from './places.ts'
import type { Progress } from './progress.ts'
import { type Sight, type StepContext, stepsBetween } from './steps.ts'

/** A packet that is to be explained: where it was seen, and its frames there. */
export interface SeenPacket {
  number: number
  journey: JourneyReport
  /** An ICMP error that answers a packet of the flow, and is none itself. */
  isError: boolean
  /** By sighting: the frames that could be read again, the first few of each. */
  frames: readonly (readonly Frame[])[]
}

export interface ExplainInput {
  flow: FlowReport
  /** Packets of the flow, both directions. */
  flowPackets: number
  packets: readonly SeenPacket[]
  progress: Progress
  findings: readonly FindingReport[]
  names: Readonly<Record<string, string>>
  /** What files say about the interface of a point. */
  descriptions: ReadonlyMap<string, string>
  receipts: readonly Receipts[]
  /** An answer was looked for. */
  wantsAnswer: boolean
}

/** Explains the packets. What is foreign text in the input may be so in the model too: renderers make it harmless. */
export function explain(input: ExplainInput): Explanation {
  const { flow, flowPackets, packets, progress, names } = input
  const addresses = [...flow.forward.path, ...flow.reverse.path].flatMap(({ src, dst }) => [src.ip, dst.ip])
  const findings = input.findings.filter((finding) => finding.flow === flow.id)
  return {
    schema: 'hoptrace.explain/1',
    flow: {
      id: flow.id,
      protocol: flow.protocol,
      client: flow.client,
      server: flow.server,
      packets: flowPackets,
      names: Object.fromEntries(Object.entries(names).filter(([address]) => addresses.includes(address))),
    },
    packets: packets.map((packet) => explainedPacket(packet, input, findings)),
    mappings: mappingsOf(flow, progress, input.receipts),
    findings,
  }
}

function explainedPacket(
  packet: SeenPacket,
  { flow, descriptions, receipts, packets, wantsAnswer }: ExplainInput,
  findings: readonly FindingReport[],
): ExplainedPacket {
  const { journey, isError, frames, number } = packet
  const { direction, protocol, sightings } = journey
  const context: StepContext = { direction, protocol, isError }
  const seen = sightings.flatMap((sighting, i) => (frames[i]?.[0] ? [{ sighting, frames: frames[i]! }] : []))
  const places = seen.map(({ sighting, frames: [first] }, i) =>
    placeOf(
      sighting.point,
      descriptions.get(sighting.point) ?? null,
      {
        isFirst: i === 0,
        isLast: i === seen.length - 1,
        isLoopback: [sighting.src.ip, sighting.dst.ip].every((ip) => ip.startsWith('127.') || ip === '::1'),
        linkType: first!.linkType,
      },
      receipts,
    ),
  )
  const sights = seen.map(
    ({ sighting, frames: [first] }, i): Sight => ({
      point: pointName(sighting.point),
      kind: places[i]!.kind,
      frame: first!,
      frames: sighting.frames.length,
      src: sighting.src,
      dst: sighting.dst,
    }),
  )
  const stations = seen.map(({ sighting, frames: all }, i): ExplainedStation => {
    const [sight, before] = [sights[i]!, sights[i - 1]]
    return {
      point: sighting.point,
      where: places[i]!.where,
      frames: sighting.frames,
      afterNs: elapsedNs(sightings[0]!.timeNs, sighting.timeNs),
      steps: before ? stepsBetween(before, sight, context) : firstSteps(sight, sights.slice(1), context),
      layers: comparedLayers(sight.frame, before?.frame ?? null),
      moreFrames: all.slice(1).map(({ piece }, k) => `frame ${sighting.frames[k + 1]}: ${piece}`),
      src: sighting.src,
      dst: sighting.dst,
    }
  })
  if (direction === 'forward' && !isError) stations[0]?.steps.push(...earlierSteps(flow, stations[0].point))
  return {
    number,
    direction,
    summary: journey.summary,
    purpose: sights[0] ? purposeOf(sights[0].frame, journey) : 'Its frames could not be read again.',
    stations,
    outcome: journey.outcome,
    ending: endingOf(packet, sights.at(-1), {
      flow,
      findings,
      lacksAnswer: wantsAnswer && packets.length === 1,
    }),
  }
}

/** What was done before the first point could see the packet, as only the replies show. */
function earlierSteps({ translations, protocol }: FlowReport, point: string): Step[] {
  return translations
    .filter(({ between: [from, to] }) => from === point && to === point)
    .map(({ kind, from, to }) => ({
      actor: 'netfilter',
      text: `Before this point could see it, ${kind.toUpperCase()} rewrote ${harmless(renderEndpoint(from, protocol))} → ${harmless(renderEndpoint(to, protocol))}${kind === 'dnat' ? ', at OUTPUT, where packets are rewritten that were made here' : ''}: only the replies show it, which are already translated back.${from.ip === '127.0.0.11' ? ' That is Docker’s own DNS: it listens on a port of its choice, and a rule inside the container’s namespace leads there.' : ''}`,
    }))
}

function elapsedNs(fromNs: string, toNs: string): number | null {
  return isNumeral(fromNs) && isNumeral(toNs) ? Number(BigInt(toNs) - BigInt(fromNs)) : null
}

/** What the packet is for, in a sentence. */
function purposeOf(frame: Frame, { protocol, lenBytes, direction }: JourneyReport): string {
  const { tcpFlags, icmpType, question } = frame
  const who = direction === 'forward' ? 'The client' : 'The server'
  if (icmpType >= 0) return icmpPurpose(frame)
  if (question !== null)
    return direction === 'forward'
      ? `It asks DNS about ${harmless(question)}.`
      : `DNS answers about ${harmless(question)}.`
  if (protocol !== 'tcp' || tcpFlags === 0) return `${who} sends ${lenBytes} bytes.`
  const has = (flag: number) => (tcpFlags & flag) !== 0
  if (has(TcpFlag.Rst)) return `${who} refuses, or ends the connection at once (RST).`
  if (has(TcpFlag.Syn) && has(TcpFlag.Ack)) return `${who} agrees to the connection (SYN and ACK).`
  if (has(TcpFlag.Syn)) return `${who} asks for a connection (SYN).`
  if (has(TcpFlag.Fin))
    return `${who} has no more to say (FIN)${lenBytes > 0 ? `, after ${lenBytes} bytes` : ''}.`
  if (lenBytes > 0) return `${who} sends ${lenBytes} bytes on the open connection.`
  return `${who} says what it has received so far (ACK).`
}

function icmpPurpose(frame: Frame): string {
  const { ipVersion } = innermost(frame)
  const { icmpType } = frame
  if (icmpType === (ipVersion === 4 ? 8 : 128)) return 'An echo request: a ping.'
  if (icmpType === (ipVersion === 4 ? 0 : 129))
    return 'An echo reply: the ping has arrived, and this is the answer.'
  if (frame.quoted.length === 0) return 'An ICMP message.'
  const code = frame.envelopes.at(-1)!.layers.find(({ kind }) => kind.startsWith('ICMP'))?.fields[1]?.value
  const name = icmpErrorName(ipVersion, icmpType, Number(code))
  return `An ICMP error: ${name}. It quotes the packet that died, so that its sender knows which one.`
}
