/** The diagnosis: all findings of a run, worst first, each from the joined flows or from what the points' frames show. */

import type { CaptureDamage } from '../capture/reader.ts'
import type { Point } from '../capture/record.ts'
import { amend, type FlowList, MAX_KEPT_FLOWS } from '../correlate/flow-list.ts'
import type { JoinedFlow } from '../correlate/joined-flow.ts'
import type { Observations } from '../correlate/observations.ts'
import type { Receipts } from '../receipts/model.ts'
import type { Cause } from './cause.ts'
import { type Finding, finding, type Severity } from './finding.ts'
import { FindingList } from './finding-list.ts'
import { flowFindings } from './flow-findings.ts'
import { neighbourFindings } from './neighbour-findings.ts'
import { ReceiptReader } from './receipt-reader.ts'
import { addRulePaths } from './rule-paths.ts'
import { fullTables, SlowHops, SynFloods } from './run-findings.ts'
import { addReceipts } from './translation-receipts.ts'

const RANK: Record<Severity, number> = { error: 0, warning: 1, info: 2 }

/** Of very many flows, so many findings of one code are told in full. */
const MAX_PER_CODE = 1000

/** What a diagnosis looks at. */
export interface Evidence {
  points: readonly Point[]
  flows: FlowList
  /** Called with each flow once, in the order of `flows`. */
  onFlow?: (flow: JoinedFlow) => void
  /** Flows whose findings are told; all unless given. */
  diagnoses?: (flow: JoinedFlow) => boolean
  /** Of very many flows, so many findings of one code are told in full, unless this is set. */
  keepsFindings?: boolean
  observations: Observations
  damages: readonly CaptureDamage[]
  /** What the kernels counted meanwhile; none where the captures do not say. */
  receipts: readonly Receipts[]
  /** Time of the last record of all, ns since 1970. */
  endNs: bigint
}

/** Adds to the flows' translations what the receipts know of them. */
export function diagnose(evidence: Evidence): Finding[] {
  const { flows, points, observations, receipts } = evidence
  const reader = receipts.length > 0 ? new ReceiptReader(receipts) : null
  if (reader)
    amend(flows, (flow) => {
      addReceipts(flow, reader)
      addRulePaths(flow, reader)
    })
  const [synFloods, slowHops] = [new SynFloods(evidence.endNs), new SlowHops()]
  for (const flow of flows) {
    synFloods.note(flow)
    slowHops.note(flow)
    evidence.onFlow?.(flow)
  }
  const floods = synFloods.found()
  const flooded = new Set<number>()
  for (const flood of floods) for (const flow of flood.flows) flooded.add(flow)
  const isBounded = flows.length > MAX_KEPT_FLOWS && !evidence.keepsFindings
  const ofFlows = new FindingList(isBounded ? MAX_PER_CODE : Number.POSITIVE_INFINITY)
  for (const flow of flows)
    if (!flooded.has(flow.id) && (evidence.diagnoses?.(flow) ?? true))
      for (const it of flowFindings(flow, evidence.endNs, reader)) ofFlows.add(it)
  const findings = [
    ...floods.map((flood) => flood.finding),
    ...ofFlows.all(),
    ...neighbourFindings(observations.neighbours.list(), points, flows, reader),
    ...fullTables(reader),
    ...slowHops.found(),
    ...evidence.damages.map(({ source, byteOffset, message }) =>
      finding('truncated-file', null, message, { source, byteOffset }),
    ),
    ...points.flatMap((point) => pointFindings(point, observations)),
    ...uncertainClocks(points),
    ...checksumOffload(evidence),
  ]
  const isSure = ({ causes }: Finding) => (causes?.[0]?.isConfirmed ? 0 : 1)
  return findings.sort((a, b) => RANK[a.severity] - RANK[b.severity] || isSure(a) - isSure(b))
}

function pointFindings(point: Point, observations: Observations): Finding[] {
  const seen = observations.at(point.index)
  const { name } = point
  const findings: Finding[] = []
  if (point.captureDrops)
    findings.push(
      finding('capture-drops', null, `the capture at ${name} itself dropped ${point.captureDrops} frames`, {
        point: name,
        drops: point.captureDrops,
      }),
    )
  if (seen.checksumWrong > 0)
    findings.push(
      finding(
        'checksum-bad',
        null,
        `${seen.checksumWrong} of ${seen.checksumsVerified} frames looked at in ${name} have a wrong checksum`,
        {
          frames: { [name]: seen.wrongFrames },
          packets: seen.checksumWrong,
          verified: seen.checksumsVerified,
        },
        wrongChecksumCauses(seen.tunnels.size > 0),
      ),
    )
  for (const [tunnel, packets] of seen.tunnels)
    findings.push(
      finding(
        'encapsulated',
        null,
        `${packets} packets at ${name} travel inside ${tunnel}: followed by what is inside`,
        {
          point: name,
          tunnel,
          packets,
        },
      ),
    )
  if (point.snapped > 0)
    findings.push(
      finding(
        'snaplen-truncated',
        null,
        `${point.snapped} frames at ${name} were cut by the capture (snaplen)`,
        {
          point: name,
          packets: point.snapped,
        },
      ),
    )
  if (seen.fragments > 0)
    findings.push(
      finding('fragmented', null, `${seen.fragments} frames at ${name} are IP fragments`, {
        point: name,
        packets: seen.fragments,
      }),
    )
  return findings
}

function wrongChecksumCauses(isTunnelled: boolean): Cause[] {
  const offload: Cause = {
    id: 'offload',
    what: isTunnelled
      ? 'checksum offload of an interface does not cope with a tunnel behind NAT, as some kernels do with VXLAN'
      : 'an interface or driver fills checksums in wrongly, or the frames were damaged on their way',
    isConfirmed: false,
    confirm: 'it goes away with checksum offload switched off at the sending interface',
    check: 'ethtool -k eth0 | grep checksum',
  }
  return [offload]
}

/** Clocks that were corrected by what need not be right: one finding for all points that share the clock. */
function uncertainClocks(points: readonly Point[]): Finding[] {
  const clocks = new Set(points.flatMap(({ clock }) => clock ?? []))
  return [...clocks]
    .filter(({ basis }) => basis !== 'both-ways')
    .map((clock) => {
      const names = points.filter((point) => point.clock === clock).map(({ name }) => name)
      const bound = `${roundedSeconds(clock.uncertaintyNs)} s`
      const why =
        clock.basis === 'one-way'
          ? `only one-way traffic tells its offset: times there may be off by the time that packets take, up to ${bound}`
          : `it did not run evenly: times there may be off by up to ${bound}`
      return finding('clock-uncertain', null, `the clock of ${names.join(', ')} was corrected, and ${why}`, {
        points: names,
        offsetNs: Math.round(clock.offsetNs),
        uncertaintyNs: Math.ceil(clock.uncertaintyNs),
      })
    })
}

function roundedSeconds(ns: number): number {
  return Number((ns / 1e9).toPrecision(2))
}

/** One finding for all points: it is harmless everywhere, and people ask about it everywhere. */
function checksumOffload({ points, observations }: Evidence): Finding[] {
  const seen = points.map(({ name, index }) => ({ name, ...observations.at(index) }))
  const counts = seen.filter(({ checksumOffloaded }) => checksumOffloaded > 0)
  if (counts.length === 0) return []
  // A point that saw ARP or ping alone has no such checksums, and takes no part.
  const able = seen.filter(({ checksumsOffloadable }) => checksumsOffloadable > 0)
  const isEverywhere = able.length > 1 && able.every((point) => counts.includes(point))
  const where = isEverywhere ? 'all points' : counts.map(({ name }) => name).join(', ')
  return [
    finding('checksum-offload', null, `checksums at ${where} are not filled in yet: offload, harmless`, {
      packets: Object.fromEntries(counts.map(({ name, checksumOffloaded }) => [name, checksumOffloaded])),
    }),
  ]
}
