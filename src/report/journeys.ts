/** From finished journeys to what is told of them: names, addresses, outcome, one after the other. */

import type { Epoch } from '../capture/record.ts'
import type { Correlator } from '../correlate/correlator.ts'
import { Protocol } from '../correlate/identity.ts'
import type { PatternOutcome } from '../correlate/outcomes.ts'
import type { JoinedFlows } from '../correlate/result.ts'
import type { FinishedJourney } from '../correlate/tally.ts'
import { JourneyFlag } from '../correlate/window.ts'
import { icmpErrorName, protocolName, tcpFlagsText } from '../decode/display.ts'
import type { JourneyReport, SightingReport } from './journey-lines.ts'

/** What is told before it has left the window has been everywhere. */
const ARRIVED: PatternOutcome = { kind: 'delivered', between: null, unseenAt: [] }

/** Tells each journey; what belongs to no flow any more (it can't happen by design) is left out. */
export function* journeyReports(
  journeys: Iterable<FinishedJourney>,
  correlator: Correlator,
  joined: JoinedFlows,
  epoch: Epoch,
): Generator<JourneyReport> {
  for (const journey of journeys) {
    const located = joined.locate(journey.direction)
    if (!located) continue
    const { flows } = correlator
    const protocol = protocolName(flows.protocol[flows.find(journey.direction) >> 1]!)
    const outcome = journey.pattern < 0 ? ARRIVED : joined.outcomes.get(journey.pattern)
    const report: JourneyReport = {
      flow: located.flow,
      protocol,
      direction: located.direction,
      sightings: sightings(journey, correlator, joined, epoch),
      outcome: outcome?.kind ?? 'ambiguous',
      summary: summary(journey, protocol, correlator),
      lenBytes: journey.payloadLenBytes,
      retransmission: (journey.flags & JourneyFlag.Retransmission) !== 0,
    }
    if (outcome?.between)
      report.lostBetween = outcome.between.map((point) => correlator.points[point]!.name) as [string, string]
    if (journey.flags & JourneyFlag.Answered) {
      const { from, ipVersion, type, code } = correlator.icmpErrors.all[journey.answeredBy]!
      report.answeredBy = {
        from: joined.address(from),
        type,
        code,
        name: icmpErrorName(ipVersion, type, code),
      }
    }
    yield report
  }
}

/** Sightings along the way; frames that carry pieces of the journey at one point become one sighting. */
function sightings(
  journey: FinishedJourney,
  correlator: Correlator,
  joined: JoinedFlows,
  epoch: Epoch,
): SightingReport[] {
  const { legs } = correlator
  const list: SightingReport[] = []
  const place = (i: number) => joined.places[journey.leg[i]!]!
  const alongTheWay = Array.from({ length: journey.sightings }, (_, i) => i).sort(
    (a, b) => place(a) - place(b),
  )
  let lastLeg = -1
  for (const i of alongTheWay) {
    const leg = journey.leg[i]!
    if (leg === lastLeg) {
      list.at(-1)!.frames.push(journey.frame[i]!)
      continue
    }
    lastLeg = leg
    list.push({
      point: correlator.points[legs.point[leg]!]!.name,
      frames: [journey.frame[i]!],
      timeNs: epoch.toUnixNs(journey.timeNs[i]!).toString(),
      ttl: journey.ttl[i]!,
      src: { ip: joined.address(legs.source[leg]!), port: legs.sourcePort(leg) },
      dst: { ip: joined.address(legs.destination[leg]!), port: legs.destinationPort(leg) },
      ...joined.encapsulation(leg),
    })
  }
  return list
}

/**
 * What the packet is, in few words: `[S.] seq 0 len 0`, `echo seq 3 len 56`, `udp len 12`. TCP sequence numbers count
 * from the SYN's where that was seen.
 */
function summary(journey: FinishedJourney, name: string, correlator: Correlator): string {
  const protocol = correlator.legs.protocol[journey.leg[0]!]!
  const length = `len ${journey.payloadLenBytes}`
  if (protocol === Protocol.Tcp) {
    const isn = correlator.flows.starts.isnOf(correlator.flows.find(journey.direction))
    const seq = isn < 0 ? journey.seq : (journey.seq - isn) >>> 0
    return `[${tcpFlagsText(journey.tcpFlags)}] seq ${seq} ${length}`
  }
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmpv6) return `echo seq ${journey.seq} ${length}`
  return `${name} ${length}`
}
