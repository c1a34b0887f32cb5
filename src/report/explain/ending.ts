/** Endings: what became of a packet: where it arrived, or where it died and what the findings say why. */

import { harmless } from '../harmless.ts'
import type { FindingReport, FlowReport } from '../model.ts'
import { pointName } from '../path-line.ts'
import { innermost } from './compare.ts'
import type { SeenPacket } from './explain.ts'
import type { Step } from './model.ts'
import type { Sight } from './steps.ts'

/** Causes that are told. */
const MAX_CAUSES = 3
/** What may have killed a packet. */
const FATAL =
  /^(dropped-between-points|mtu-blackhole|ttl-expired|connection-refused|no-reply|snat-missing|dnat-missing|reply-not-translated|arp-unanswered|conntrack-full)$/

interface EndingOptions {
  flow: FlowReport
  /** Of this flow. */
  findings: readonly FindingReport[]
  /** An answer was looked for, and there is none. */
  lacksAnswer: boolean
}

/** The last sentences about a packet; `last` is where it was seen last. */
export function endingOf(
  { journey, isError }: SeenPacket,
  last: Sight | undefined,
  { flow, findings, lacksAnswer }: EndingOptions,
): Step[] {
  if (!last) return []
  const { outcome, lostBetween, answeredBy } = journey
  const steps: Step[] = []
  if (outcome === 'lost') {
    const [from, to] = lostBetween ?? [last.point, 'the next point']
    steps.push({
      actor: 'lost',
      text: `It was seen at ${pointName(from)} and never at ${pointName(to)}: it died in between.${flow.state === 'syn-only' ? ' A connection whose first packet is dropped before POSTROUTING leaves nothing in conntrack: only what gets through is remembered.' : ''}`,
    })
  } else if (outcome === 'answered') {
    const { ttl, ipVersion } = innermost(last.frame)
    const name = ipVersion === 6 ? 'hop limit' : 'TTL'
    const who = answeredBy
      ? `${harmless(answeredBy.from)} answered “${harmless(answeredBy.name)}”`
      : 'an ICMP error came back'
    const why =
      ttl <= 1 ? ` With ${name} ${ttl} the next router makes it 0, has to drop it, and tells the sender.` : ''
    steps.push({ actor: 'lost', text: `Its way ended behind ${last.point}: ${who}.${why}` })
  } else if (outcome === 'unseen') {
    steps.push({
      actor: 'unknown',
      text: `${last.point} is where it was seen last; that it is missing behind it is what the capture can explain (frames that it dropped, or the edge of its time): it did arrive, or may have.`,
    })
  } else if (outcome === 'ambiguous') {
    steps.push({
      actor: 'unknown',
      text: 'Others look just like it: which of them was seen where can’t be told.',
    })
  } else if (flow[journey.direction].path.length === 1 && !isError) {
    steps.push({ actor: 'receiver', text: `${last.point} is the only point that saw it.` })
  } else steps.push({ actor: 'receiver', text: `It arrived at ${last.point}, the last point on its way.` })
  const splice = flow.spliced?.[0]
  if (splice && outcome === 'delivered' && journey.direction === 'forward' && splice.side === 'client')
    steps.push({
      actor: 'receiver',
      text: `A proxy (docker-proxy?) listens there: it ends this connection and opens another of its own, flow ${splice.flow}. That is no NAT: headers do not pass, only the bytes do.`,
    })
  if (lacksAnswer) steps.push({ actor: 'lost', text: 'No answer to it was seen.' })
  if (outcome === 'lost' || outcome === 'answered' || lacksAnswer) steps.push(...causes(findings))
  return steps
}

function causes(findings: readonly FindingReport[]): Step[] {
  const fatal = findings.find(({ code }) => FATAL.test(code))
  const told = (fatal?.causes ?? []).slice(0, MAX_CAUSES)
  return told.map(({ what, isConfirmed, receipt, check }): Step => {
    const sure = isConfirmed
      ? `It was so: ${harmless(what)}${receipt ? ` (${harmless(receipt)})` : ''}.`
      : `Maybe ${harmless(what)}.`
    return { actor: 'lost', text: `${sure} See: ${harmless(check)}` }
  })
}
