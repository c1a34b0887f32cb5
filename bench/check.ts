/** Holds what analyze found against what was generated: a fast wrong answer has no ratio. */

import type { Endpoint, FlowReport, Report } from '../src/report/model.ts'
import { POINTS, type TrueTranslation } from './generate.ts'

/** What is wrong with the report, one line each; empty where all is right. */
export function compare(report: Report, truth: readonly TrueTranslation[], frames: number): string[] {
  const wrong: string[] = []
  const say = (what: string, is: unknown, should: unknown) => {
    if (JSON.stringify(is) !== JSON.stringify(should)) {
      wrong.push(`${what}: ${JSON.stringify(is)}, should be ${JSON.stringify(should)}`)
    }
  }
  say('path', report.path, POINTS)
  say('packets per point', Object.fromEntries(report.points.map(({ name, packets }) => [name, packets])), {
    ...Object.fromEntries(report.points.map(({ name }) => [name, frames])),
  })
  say('flows', report.flows.length, truth.length)
  const found = new Map(report.flows.map((flow) => [text(flow.client), flow]))
  for (const { client, server, outside, forwardPackets, reversePackets } of truth) {
    const flow = found.get(text(client))
    if (flow === undefined) {
      wrong.push(`no flow of ${text(client)}`)
      continue
    }
    const name = `flow of ${text(client)}`
    say(`${name}, server`, text(flow.server), text(server))
    say(`${name}, translations`, flow.translations.map(translationText), [
      `snat between bridge and uplink: ${text(client)} → ${text(outside)}`,
    ])
    say(`${name}, packets`, [flow.forward.packets, flow.reverse.packets], [forwardPackets, reversePackets])
    say(
      `${name}, TTL`,
      flow.forward.path.map(({ ttl }) => ttl),
      [64, 64, 64, 63],
    )
    say(`${name}, lost, unseen`, [...flow.lost, ...flow.unseen], [])
    say(
      `${name}, ambiguous, retransmissions`,
      [flow.ambiguous, flow.retransmissions],
      [0, { forward: 0, reverse: 0 }],
    )
  }
  return wrong
}

function text({ ip, port }: Endpoint): string {
  return `${ip}:${port}`
}

function translationText({ kind, between, from, to }: FlowReport['translations'][number]): string {
  return `${kind} between ${between.join(' and ')}: ${text(from)} → ${text(to)}`
}
